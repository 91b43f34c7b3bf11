"""What an operator does with a store as a whole, beside running harvests (semantics 1.6, 11.1)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from catalogue.errors import NotFound
from catalogue.store import archive, compaction, inspection, transfer
from catalogue.store.archive import BackupReport
from catalogue.store.compaction import CompactionReport
from catalogue.store.database import micros, translated
from catalogue.store.forget import Eraser, ForgetReport
from catalogue.store.forgotten import Forgotten, may_be_person, person_form, words_of
from catalogue.store.inspection import CheckReport
from catalogue.store.reading import Reading
from catalogue.store.remap import Configured, Mapper, Remapper, RemapReport
from catalogue.store.transfer import TransferReport
from mappings.context import Mapped
from mappings.errors import MappingError


class Upkeep(Reading):
    """The upkeep half of ``Store``."""

    def remap(
        self,
        mapper: Mapper,
        *,
        now: datetime,
        source: str | None = None,
        dry_run: bool = False,
        progress: Callable[[RemapReport], None] | None = None,
        configured: Configured | None = None,
    ) -> RemapReport:
        """Map stored records anew that other versions made (semantics 1.6).

        Can be interrupted at any time and started again. ``dry_run`` writes nothing and lists the
        differences. Works beside running harvests.

        Args:
            mapper: ``mappings.crosswalk``, or one like it.
            progress: told the report so far after each batch.
            configured: how sources are configured now, where a dry run is not to tell the store.

        Raises:
            NotFound: there is no such source.
        """
        remapper = Remapper(
            self._database, self._payloads, mapper, micros(now), progress, configured
        )
        return remapper.outdated(source, dry_run=dry_run)

    def replay(
        self,
        mapper: Mapper,
        *,
        now: datetime,
        source: str | None = None,
        identifiers: Sequence[str] | None = None,
        dry_run: bool = False,
        configured: Configured | None = None,
    ) -> RemapReport:
        """As ``remap``, for quarantined records: all, of a source, or those named."""
        remapper = Remapper(
            self._database, self._payloads, mapper, micros(now), configured=configured
        )
        return remapper.quarantined(source, identifiers, dry_run=dry_run)

    def mapped_now(self, mapper: Mapper, source: str) -> Iterator[Mapped | MappingError]:
        """What a mapper makes of every payload that is kept of a source; nothing is written.

        Raises:
            NotFound: there is no such source.
        """
        return Remapper(self._database, self._payloads, mapper, 0).current(source)

    def forget(self, name: str, *, now: datetime, kind: str | None = None) -> ForgetReport:
        """Erase a record or a person, now and for all harvests to come (semantics 11.1).

        Args:
            name: a key, DOI, pid, or a record's own identifier; or an ORCID or a full name.
            kind: ``record`` or ``person``; without it an ORCID is a person, what names something
                stored is a record, and of all else what can be a full name is a person.

        Raises:
            NotFound: a record that is not there; or, without ``kind``, neither one nor a name.
        """
        eraser = Eraser(self._database, self._payloads, now)
        if kind is None:
            known = person_form(name).startswith("name:") and eraser.knows(name)
            kind = "record" if known else "person"
            if not (known or may_be_person(name)):
                raise NotFound(
                    f"nothing is stored under {name!r}; if it is a person's name, say --person"
                )
        if not words_of(name):
            raise NotFound(f"{name!r} names nothing")
        return eraser.record(name) if kind == "record" else eraser.person(name)

    def count_forgotten(self) -> int:
        """How many raw records were erased and are not to come back."""
        with self._database.read() as connection:
            return len(Forgotten.load(connection).records)

    def without_forgotten(self, source: str, identifiers: Iterable[str]) -> list[str]:
        """Those of a source's identifiers that nobody asked to forget."""
        with self._database.read() as connection:
            forgotten = Forgotten.load(connection)
        return [one for one in identifiers if not forgotten.has_record(source, one)]

    def backup(self, target: Path, now: datetime) -> BackupReport:
        """Copy the store into one file while others go on writing; see ``archive.backup``."""
        with translated(self._database.path):
            return archive.backup(self._database, target, now)

    def check(self) -> CheckReport:
        """Look whether everything is sound, every payload included."""
        return inspection.check(self._database, self._payloads)

    def compact(self, now: datetime) -> CompactionReport:
        """Train dictionaries anew, compress all payloads with them, give back free space."""
        with translated(self._database.path):
            return compaction.compact(self._database, self._payloads, micros(now))

    def export(self, now: datetime, target: Path | None = None) -> Generator[bytes]:
        """The whole store as JSON Lines, at one instant; ``target`` is noted as a copy."""
        if target is not None and not self.read_only:
            with self._database.write() as connection:
                archive.note_copy(connection, target.absolute(), "export", now)
        return transfer.export(self._database, self._payloads, now)

    def import_(self, lines: Iterable[bytes], now: datetime) -> TransferReport:
        """Take an export into an empty store; raises ``StoreError`` naming a wrong line."""
        return transfer.Importer(self._database, self._payloads, now).read(lines)
