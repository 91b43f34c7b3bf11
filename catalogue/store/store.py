"""The record store: the system of record, one SQLite file in the data folder (semantics 1, 10, 11).

A thin face over the modules beside it. Synchronous and thread-safe (a connection for each thread);
asynchronous callers use ``anyio.to_thread.run_sync``. Clocks are the caller's.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from catalogue.errors import StoreFull
from catalogue.facilities import Facility, Source
from catalogue.records import (
    PageCommit,
    PageReport,
    Run,
    RunRecord,
    RunState,
    SourceStatus,
)
from catalogue.store import (
    archive,
    configuration,
    leases,
    outbox,
    runs,
    schema,
)
from catalogue.store.database import (
    BUSY_TIMEOUT_S,
    FILE_NAME,
    Database,
    micros,
    translated,
)
from catalogue.store.forgotten import Forgotten
from catalogue.store.leases import Lease
from catalogue.store.pages import PageWriter
from catalogue.store.payloads import (
    SAMPLES,
    Dictionary,
    newest_dictionary,
    save_dictionary,
    train,
    wants_dictionary,
)
from catalogue.store.upkeep import Upkeep

# A run that fills the disk hurts its neighbours, too: the index and the log (fault H09).
MIN_FREE_BYTES = 200 * 2**20
REMOVAL = "remove"
"""The kind of a run that only takes away."""


class Store(Upkeep):
    """What every other room knows of the record store. See ``Store.open``."""

    # -- opening --------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        demo: bool | None = None,
        read_only: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        now: datetime | None = None,
    ) -> Store:
        """Open the store in a data folder; make it, and bring its schema up to date, if need be.

        Args:
            folder: the data folder; made when missing (unless ``read_only``).
            demo: what the folder is to hold; ``None`` takes it as it is (semantics 10.5).
            read_only: look only; nothing is made or migrated.
            busy_timeout_s: how long to wait for another process's transaction.
            now: the instant that names the backup before a migration; the clock's when missing.

        Raises:
            StoreTooNew: a newer version wrote it.
            MixedData: it holds the other kind of data.
            StoreReadOnly, StoreDamaged, StoreFull, StoreBusy: as they say.
        """
        path = folder.absolute() / FILE_NAME
        if not read_only:
            with translated(path):
                folder.mkdir(parents=True, exist_ok=True)
        database = Database(path, read_only=read_only, busy_timeout_s=busy_timeout_s)
        try:
            archive.bring_up_to_date(database, now or datetime.now(UTC))
            if demo is not None:
                cls._claim(database, demo)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @staticmethod
    def _claim(database: Database, demo: bool) -> None:
        with database.read() as connection:
            held = configuration.demo_flag(connection)
            if held == demo or (held is None and database.read_only):
                return
            if held is not None:
                configuration.claim(connection, demo, "what is to come in")
        with database.write() as connection:
            configuration.claim(connection, demo, "what is to come in")

    def close(self) -> None:
        """Close all connections; the store is not to be used after."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._database.path.parent

    @property
    def path(self) -> Path:
        """The store's file."""
        return self._database.path

    @property
    def demo(self) -> bool | None:
        """Whether the folder holds demo data; ``None`` while it is undecided."""
        with self._database.read() as connection:
            return configuration.demo_flag(connection)

    def identity(self) -> str:
        """What tells this store from every other, a backup of it included: where one is put back,
        change numbers begin to mean something else, and no index may go on from its position."""
        with self._database.read() as connection:
            held = configuration.meta(connection, "identity")
        if held is not None:
            return held
        with self._database.write() as connection:
            held = configuration.meta(connection, "identity")
            if held is None:
                held = secrets.token_hex(8)
                configuration.set_meta(connection, "identity", held)
            return held

    @property
    def schema_version(self) -> int:
        """How many migrations the file has taken."""
        with self._database.read() as connection:
            return schema.version_of(connection, self._database.path)

    # -- configuration --------------------------------------------------------------------------

    def put_configuration(
        self,
        facilities: Sequence[Facility],
        sources: Sequence[Source],
        now: datetime | None = None,
        origin: str | None = None,
    ) -> None:
        """Replace the configuration. Entities are merged anew where trust or facility changed.

        What is no longer named is no longer listed, but keeps its records.

        Args:
            origin: which file says so, to be remembered; ``None`` for the one known already.

        Raises:
            MixedData: demo and real sources would meet (semantics 10.5).
            NotFound: a source belongs to a facility that is not given.
        """
        with self._database.write() as connection:
            moved = configuration.put_configuration(connection, facilities, sources)
            if origin is not None:
                configuration.set_meta(connection, configuration.ORIGIN, origin)
            if moved:
                outbox.merge_again(connection, moved, micros(now or datetime.now(UTC)))

    def configured_by(self) -> str | None:
        """Which file the configuration is from; ``None`` when that was never told."""
        with self._database.read() as connection:
            return configuration.meta(connection, configuration.ORIGIN)

    def data_version(self) -> int:
        """Another number whenever anybody has written since; for whoever looks often. Cheap.

        Raises:
            StoreReplaced: another file, or none, is in the place of the one that was opened.
        """
        return self._database.data_version()

    def facilities(self) -> tuple[Facility, ...]:
        """The configured facilities."""
        with self._database.read() as connection:
            return configuration.facilities(connection)

    def sources(self) -> tuple[Source, ...]:
        """The configured sources."""
        with self._database.read() as connection:
            return configuration.sources(connection)

    def require_whole(self) -> None:
        """Raises ``ImportUnfinished`` after an import that was broken off."""
        with self._database.read() as connection:
            configuration.require_whole(connection, self.folder)

    def unlisted(self) -> dict[str, int]:
        """Sources that are not configured any more, and how many live records they still have."""
        with self._database.read() as connection:
            return configuration.unlisted(connection)

    # -- runs -----------------------------------------------------------------------------------

    def begin_run(
        self,
        source: str,
        *,
        kind: str,
        holder: str,
        now: datetime,
        lease_s: float = 60,
        is_dead: Callable[[str], bool] | None = None,
    ) -> Run:
        """Start a run of a source, taking over from one whose lease ran out.

        Args:
            is_dead: whether another holder's process certainly ended; its lease is then not
                waited for.

        Raises:
            LeaseHeld: another run of the source is alive.
            NotFound: there is no such source, or it is not configured any more.
            ImportUnfinished: an import was broken off.
            StoreFull: there is too little space to begin (fault H09).
        """
        if kind != REMOVAL:
            # Taking records away is what makes room.
            self._require_space()
        with self._database.write() as connection:
            row = configuration.source_row(connection, source)
            if kind != REMOVAL:
                configuration.require_whole(connection, self.folder)
                configuration.require_configured(connection, source)
            return runs.begin(
                connection,
                row,
                kind=kind,
                holder=holder,
                now=now,
                lease_s=lease_s,
                is_dead=is_dead,
            )

    def _require_space(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < MIN_FREE_BYTES:
            raise StoreFull(
                f"{self.folder} has {free // 2**20} MB of space left, and a harvest begins only"
                f" with {MIN_FREE_BYTES // 2**20} MB: make room, or name another folder with --data"
            )

    def heartbeat(self, run: Run, now: datetime, lease_s: float = 60) -> None:
        """Prolong a run's lease; raises ``LeaseLost`` when another run took over."""
        with self._database.write() as connection:
            runs.heartbeat(connection, run, now, lease_s)

    def commit_page(self, run: Run, page: PageCommit) -> PageReport:
        """Make a page of records and the checkpoint after it durable, in one transaction.

        Raises:
            LeaseLost: another run of the source took over; nothing was written.
        """
        report = PageWriter(self._database, self._payloads, run).commit(page)
        if report.new:
            self._train(run.source, {record.format for record in page.records}, page.harvested_at)
        return report

    def _train(self, source: str, formats: Iterable[str], now: datetime) -> None:
        """Train the dictionaries that there are samples enough for, outside of any write."""
        for form in formats:
            with self._database.read() as connection:
                number = configuration.source_row(connection, source).id
                if not wants_dictionary(connection, number, form):
                    continue
                body = train(connection, self._payloads, number, form)
                forgotten = Forgotten.load(connection)
            if body is None:
                continue
            with self._database.write() as connection:
                # A dictionary has pieces of its samples in it: one made before something was
                # forgotten must not be kept after (semantics 11.1).
                if Forgotten.load(connection) == forgotten:
                    save_dictionary(connection, number, form, body, SAMPLES, micros(now))

    def add_problems(self, run: Run, reason: str, identifiers: Sequence[str]) -> None:
        """Count identifiers under a reason in the run's record, keeping a few as samples."""
        with self._database.write() as connection:
            runs.add_problems(connection, run.number, {reason: identifiers})

    def finish_run(
        self,
        run: Run,
        state: RunState,
        stop: str | None,
        now: datetime,
        memory: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """End a run and its lease. The checkpoint is dropped when ``state`` is ``ok``.

        ``memory`` changes the source's memory key by key; ``None`` as a value takes a key away.

        Raises:
            LeaseLost: another run took over.
        """
        with self._database.write() as connection:
            runs.finish(
                connection, run, state=state, stop=stop, now=now, memory=memory, details=details
            )
            return runs.run(connection, run.number)

    def request_stop(self, number: int) -> None:
        """Ask a run to end after the page in hand."""
        with self._database.write() as connection:
            runs.request_stop(connection, number)

    def stop_requested(self, run: Run) -> bool:
        """Whether somebody asked the run to end."""
        with self._database.read() as connection:
            return runs.stop_requested(connection, run.number)

    def annotate_run(
        self, number: int, details: Mapping[str, Any], state: RunState | None = None
    ) -> RunRecord:
        """Add details to a run (an operator's approval), and change its state if one is given."""
        with self._database.write() as connection:
            runs.annotate(connection, number, details, state)
            return runs.run(connection, number)

    def remember(self, source: str, memory: Mapping[str, Any]) -> None:
        """Change the memory of a source outside of a run, key by key."""
        with self._database.write() as connection:
            runs.remember(connection, source, memory)

    def runs(self, source: str | None = None, limit: int = 50) -> tuple[RunRecord, ...]:
        """The newest runs first."""
        with self._database.read() as connection:
            return runs.runs(connection, source, limit)

    def run(self, number: int) -> RunRecord:
        """A run by number; raises ``NotFound``."""
        with self._database.read() as connection:
            return runs.run(connection, number)

    def source_status(self, source: str) -> SourceStatus:
        """What the store knows of a source; raises ``NotFound``."""
        with self._database.read() as connection:
            return runs.status(connection, source)

    # -- leases for other work (the indexer's) ----------------------------------------------------

    def acquire_lease(self, name: str, holder: str, now: datetime, lease_s: float = 60) -> Lease:
        """Take a lease that is free or ran out; raises ``LeaseHeld``."""
        with self._database.write() as connection:
            return leases.acquire(connection, name, holder, now, lease_s)

    def renew_lease(self, lease: Lease, now: datetime, lease_s: float = 60) -> Lease:
        """Prolong a lease; raises ``LeaseLost`` when somebody took it over."""
        with self._database.write() as connection:
            expires = leases.renew(connection, lease.name, lease.fence, now, lease_s)
        return Lease(lease.name, lease.holder, lease.fence, expires)

    def release_lease(self, lease: Lease) -> None:
        """Give up a lease; nothing happens when it was lost already."""
        with self._database.write() as connection:
            leases.release(connection, lease.name, lease.fence)

    def dictionary(self, source: str, form: str) -> Dictionary | None:
        """What ``ready`` is to compress payloads with, in whichever process."""
        with self._database.read() as connection:
            number = configuration.source_row(connection, source).id
            return newest_dictionary(connection, number, form)
