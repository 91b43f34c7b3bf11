"""The embedded engine: Tantivy indices in the data folder, one for each class.

Layout: ``index/current.json`` names the generation in use, ``index/<fingerprint>-<n>/`` holds one
index for each class and ``position.json``, the change number up to which it is complete. A rebuild
fills a new generation beside the one in use and swaps the pointer (fault F13), one process at a
time (``turns``). Whoever holds ``index/indexer.lock`` may write; readers need no lock and reload
when files change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from catalogue.documents import EngineDocument
from catalogue.engines.base import Applied, Numbering, Rendered, Seen, newest_by_key
from catalogue.engines.tantivy_documents import ORDINAL, numbered, rendered, unnumbered
from catalogue.engines.tantivy_errors import guarded
from catalogue.engines.tantivy_files import CommitFiles, WriterLock, translated_os_errors
from catalogue.engines.tantivy_generations import POINTER, POSITION, Generations
from catalogue.engines.tantivy_index import ClassIndex
from catalogue.engines.tantivy_reader import TantivyReader
from catalogue.engines.tantivy_writer import Writers
from catalogue.errors import EngineDamaged, EngineError, ForeignIndex, IndexBusy, IndexReplaced
from catalogue.fields import ENTITY_CLASSES
from catalogue.fingerprint import fingerprint
from catalogue.plan import Numbers
from catalogue.threads import in_thread

FOLDER = "index"
"""In the data folder."""
LOCK = "indexer.lock"
META = "meta.json"

FIRST_S = 10.0
"""How long to wait for another process that makes the first generation; it takes 50 ms."""
LOOK_FOR_FIRST_S = 0.02

Result = TypeVar("Result")


class TantivyEngine:
    """Search in a folder; see ``engines.base.Engine``.

    Args:
        folder: the data folder; the index lives in ``folder/index``.
        generation: a folder to use in place of the current one (a rebuild beside it).
        store: identity of the record store that is indexed, when known. An index that was made of
            another one, of the same folder before a backup was put back, counts as damaged.
    """

    name = "tantivy"
    in_process = True

    def __init__(
        self,
        folder: Path,
        *,
        read_only: bool = False,
        generation: str | None = None,
        store: str | None = None,
    ) -> None:
        self.root = folder / FOLDER
        self.read_only = read_only
        self._named = generation
        self._store = store
        self._generations = Generations(self.root, store)
        self._generation: str | None = None
        self._meant: str | None = None
        self._indices: dict[str, ClassIndex] = {}
        self._writers = Writers()
        self._lock = WriterLock(self.root / LOCK)
        self._read: tuple[object, TantivyReader] | None = None
        self._watched: CommitFiles | None = None
        self.position_seen: Seen | None = None
        self._guard = threading.RLock()

    # --- opening ------------------------------------------------------------------------------

    async def open(self) -> None:
        await self._run(self._open)

    def _open(self) -> None:
        with self._guard:
            if self._named is not None:
                self._open_generation(self._named, create=True)
                return
            current = self._generations.current()
            if current is None:
                self._create_first()
                current = self._generations.current()
            if current is not None:
                self._open_generation(current, create=False)

    def _create_first(self) -> None:
        if self.read_only:
            return
        generation = f"{fingerprint()}-1"
        with translated_os_errors():
            self.root.mkdir(parents=True, exist_ok=True)
        if not self._lock_to_create():
            return
        try:
            if self._generations.current() is None:
                self._open_generation(generation, create=True)
                self._generations.use(generation)
        finally:
            self.unlock()

    def _lock_to_create(self) -> bool:
        """Whether it is for us to make the first generation; else another process has made it."""
        until = time.monotonic() + FIRST_S
        while True:
            try:
                self.lock()
            except IndexBusy:
                # It is at it this very moment.
                if self._generations.current() is not None or time.monotonic() >= until:
                    return False
                time.sleep(LOOK_FOR_FIRST_S)
            except EngineError:
                return False
            else:
                return True

    def _open_generation(self, generation: str, *, create: bool) -> None:
        folder = self.root / generation
        self._indices = {
            name: ClassIndex(name, folder / name.lower(), create=create) for name in ENTITY_CLASSES
        }
        self._generation = generation

    def _follow_pointer(self) -> None:
        """Change over to the generation that is current by now: an operator may have rebuilt."""
        if self._named is not None:
            return
        current = self._generations.current()
        if current and current != self._generation:
            self._writers.abandon()
            self._open_generation(current, create=False)

    # --- the lease ----------------------------------------------------------------------------

    def lock(self) -> None:
        """Become the one writer. The system frees the lock when the process ends, however it ends.

        Raises:
            IndexBusy: another process is indexing.
        """
        self._lock.take()

    def unlock(self) -> None:
        self._lock.free()

    def try_lock(self) -> bool:
        """Become the writer if nobody else is. A generation beside the one in use is ours alone."""
        if self._named is not None:
            return True
        if self.read_only:
            return False
        try:
            self.lock()
        except EngineError:
            return False
        return True

    async def has_writer(self) -> bool:
        return self._lock.is_taken()

    # --- writing ------------------------------------------------------------------------------

    render = staticmethod(rendered)
    numbering = Numbering(unnumbered, numbered)

    async def expect(self, until: int) -> int:
        return await self._run(partial(self._expect, until))

    def _expect(self, until: int) -> int:
        with self._guard:
            position = self._position()
            self._writers.expect(until - position)
            self._meant, self._writers.lost = self._generation, False
            return position

    async def apply(self, documents: Sequence[EngineDocument | Rendered]) -> Applied:
        return await self._run(partial(self._apply, documents))

    def _apply(self, documents: Sequence[EngineDocument | Rendered]) -> Applied:
        with self._writing("writing"):
            self._begin_writing()
            if self._generations.is_of_another_store(str(self._generation)):
                raise EngineDamaged(
                    "The search index was made of another record store than the one that is in the "
                    "data folder now."
                )
            newest = newest_by_key(documents, rendered)
            replayed = self._versions_held(newest)
            written = deleted = older = 0
            for document in newest:
                held = self._writers.waiting.get(document.key, replayed.get(document.key, -1))
                if held > document.change:
                    older += 1
                    continue
                self._writers.write(document)
                deleted += document.deleted
                written += not document.deleted
            return Applied(written, deleted, older + len(documents) - len(newest))

    def _versions_held(self, documents: Sequence[Rendered]) -> dict[str, int]:
        """Versions in the index of documents that may be replays; new ones are not looked up."""
        reached = self._position()
        found: dict[str, int] = {}
        if not documents or min([document.change for document in documents]) > reached:
            return found
        for name, index in self._indices.items():
            wanted = frozenset(
                d.ordinal for d in documents if d.entity_class == name and d.change <= reached
            )
            if wanted:
                held = index.view().versions(Numbers(ORDINAL, wanted))
                found.update({key: change for key, (_, change) in held.items()})
        return found

    @contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        """Whatever goes wrong, the writers go: after a commit that found the disk full, the next
        one would succeed without the documents that the first was to write (fault H09). What they
        held is behind the position that the index has, and comes again."""
        with self._guard, guarded(doing):
            try:
                yield
            except BaseException:
                self._writers.abandon()
                raise

    def _begin_writing(self) -> None:
        if self.read_only:
            raise EngineError("The search index was opened for reading only.")
        self._follow_pointer()
        if self._generation is None:
            raise EngineDamaged("There is no search index yet.")
        if self._named is None and self._generations.current() is None:
            raise EngineDamaged("The search index was removed.")
        if self._meant not in (None, self._generation) or self._writers.lost:
            # Its position would be behind changes that went into the former one, or are gone.
            raise IndexReplaced(
                f"The search index {self._meant} was let go before its last commit."
            )
        if not self._generation.startswith(fingerprint()):
            raise ForeignIndex(
                f"The search index {self._generation} was made with another mapping or analysis; "
                f"this version writes {fingerprint()}. Run: pan-commons index rebuild"
            )
        if not self._writers.open:
            if self._named is None:
                self.lock()
            self._writers.begin(self._indices)

    async def commit(self, position: int) -> None:
        await self._run(partial(self._commit, position))

    def _commit(self, position: int) -> None:
        with self._writing("committing"):
            self._begin_writing()
            self._writers.commit()
            self._generations.reached(str(self._generation), position)

    async def position(self) -> int:
        return await self._run(self._position)

    def _position(self) -> int:
        with self._guard:
            self._follow_pointer()
            return 0 if self._generation is None else self._generations.position(self._generation)

    async def clear(self) -> None:
        await self._run(self._clear)

    def _clear(self) -> None:
        with self._writing("emptying"):
            self._meant, self._writers.lost = None, False
            self._begin_writing()
            self._writers.clear()
            self._generations.reached(str(self._generation), 0)

    async def restart_empty(self) -> None:
        """Put an empty generation in the place of a damaged one; the indexer fills it.

        Raises:
            EngineError: another process is indexing, and so sees to it.
        """
        await self._run(self._restart_empty)

    def _restart_empty(self) -> None:
        with self._guard:
            self.lock()
            self._writers.abandon()
            self._indices = {}
            other = self._beside()
            self._replace_with(other)

    # --- rebuilding ---------------------------------------------------------------------------

    async def beside(self) -> TantivyEngine:
        """An empty generation beside the one in use, to be filled and then swapped in."""
        return await self._run(self._beside)

    def _beside(self) -> TantivyEngine:
        with self._guard:
            if self.read_only:
                raise EngineError("The search index was opened for reading only.")
            other = TantivyEngine(
                self.root.parent, generation=self._generations.next(), store=self._store
            )
            other._open()
            return other

    async def discard(self) -> None:
        """Remove a generation that was begun beside the one in use and will not be swapped in."""
        await self._run(self._discard)

    def _discard(self) -> None:
        with self._guard:
            self._writers.abandon()
            self._indices = {}
            self._read = None
            if self._named is not None:
                self._generations.remove(self._named)

    async def replace_with(self, other: TantivyEngine) -> None:
        """Swap to the other generation and remove the old ones. Readers, and a daemon that writes,
        follow at their next call; files they have open stay readable until they let go."""
        await self._run(partial(self._replace_with, other))

    def _replace_with(self, other: TantivyEngine) -> None:
        with self._guard:
            other._writers.close()
            try:
                self._writers.close()
            except EngineError:
                self._writers.abandon()  # those of a damaged index, which goes
            assert other._generation is not None
            self._generations.use(other._generation)
            self._open_generation(other._generation, create=False)
            self._generations.remove_others(other._generation)

    # --- reading ------------------------------------------------------------------------------

    async def reader(self) -> TantivyReader:
        return await self._run(self._reader)

    def _reader(self) -> TantivyReader:
        began_s = time.monotonic()
        reader = self._present_reader()
        self.position_seen = Seen(began_s, reader.complete_until)
        return reader

    def _present_reader(self) -> TantivyReader:
        # The view of a moment ago serves while no file has changed, also beside a long commit.
        files = self._files()
        held = self._read
        if files is not None and held is not None and held[0] == files:
            return held[1]
        made = self._fresh_reader()
        self._read = (files, made)
        return made

    def _files(self) -> object | None:
        """Names what a view made now would show; ``None`` where files are missing.

        The position is written after what it tells of, so it names the last commit; it goes when
        another generation has taken the place of this one. Merges, and damage, show in the indices'
        own files, which are looked at less often: each look takes 5 to 10 µs.
        """
        generation = self._generation
        watched = self._watched
        if watched is None or watched.generation != generation:
            folder = self.root / str(generation)
            others = [folder / name.lower() / META for name in ENTITY_CLASSES]
            if self._named is None:
                others.append(self.root / POINTER)
            watched = self._watched = CommitFiles(generation, folder / POSITION, others)
        try:
            return generation, watched.commit(), watched.merges()
        except OSError:
            return None

    def _fresh_reader(self) -> TantivyReader:
        with self._guard:
            self._follow_pointer()
            if not self._indices:
                self._open()
            if not self._indices:
                raise EngineDamaged(
                    "There is no search index yet. A harvest or daemon makes it, or run: "
                    "pan-commons index rebuild"
                )
            if self._generation and not self._generation.startswith(fingerprint()):
                raise ForeignIndex(
                    f"The search index {self._generation} was made with another mapping or "
                    f"analysis than this version's {fingerprint()}. Run: pan-commons index rebuild"
                )
            # Before the views: these have what was committed before it was written, if not more.
            position = self._position()
            views = {name: index.view() for name, index in self._indices.items()}
            stamps = [index.stamp for index in self._indices.values()]
            return TantivyReader(views, f"{self._generation}:{stamps}", position)

    async def size_bytes(self) -> int | None:
        if self._generation is None:
            return 0
        folder = self.root / self._generation
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    async def close(self) -> None:
        await self._run(self._close)

    def _close(self) -> None:
        with self._guard:
            self._writers.close()
            self._indices = {}
            self._read = None
            self.unlock()

    async def release(self) -> None:
        """Let another process write, after the merges at hand are done."""
        await self._run(self._release)

    def _release(self) -> None:
        with self._guard:
            self._writers.close()
            self.unlock()

    @staticmethod
    async def _run(function: Callable[[], Result]) -> Result:
        return await in_thread(function)
