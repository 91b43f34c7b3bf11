"""The small files of an index folder: pointers, positions, and the lock of the one writer."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from catalogue.errors import EngineError, IndexBusy


@contextmanager
def translated_os_errors() -> Iterator[None]:
    """``OSError`` of the index folder as ``EngineError``, with what can be done about it."""
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"The search index cannot be written: {error.strerror or error} "
            f"({error.filename or 'index folder'})."
        ) from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Durably, and whole or not at all."""
    with translated_os_errors():
        draft = path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


LOOK_FOR_MERGES_S = 1.0


class WriterLock:
    """Who writes the index. The system frees the lock when the process ends, however it ends.

    Args:
        doing: what only one does at a time, in words.
    """

    def __init__(self, path: Path, doing: str = "written") -> None:
        self._path = path
        self._doing = doing
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Become the one writer.

        Raises:
            IndexBusy: another one has it.
            EngineError: the folder cannot be written.
        """
        if self._file is not None:
            if self._is_in_place(self._file):
                return
            # Somebody removed the folder; whoever comes next would find the lock free.
            self.free()
        with translated_os_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                raise IndexBusy(f"The search index is being {self._doing} by {holder}.") from error
            try:
                file.seek(0)
                file.truncate()
                file.write(f"process {os.getpid()}")
                file.flush()
            except OSError:
                file.close()
                raise
        self._file = file

    def _is_in_place(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False

    def is_taken(self) -> bool:
        """Whether some process has it, this one included. Needs no right to write the folder."""
        if self._file is not None:
            return True
        try:
            with self._path.open("rb") as file:
                # Had for an instant, and shared by all who look: a writer that comes just then
                # finds it taken, and tries again.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def free(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


Stamp: TypeAlias = tuple[int, int, int]
"""When a file was last changed, its size, and which file it is."""


def stamp_of(path: str) -> Stamp:
    """Tells whether a file is still what it was."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


class JsonFile:
    """A file of JSON that is read anew only when it has changed."""

    def __init__(self) -> None:
        self._read: tuple[str, Stamp, Any] | None = None

    def read(self, path: Path) -> Any:
        """What is in it.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no JSON.
        """
        name = str(path)
        stamp = stamp_of(name)
        if self._read is None or self._read[:2] != (name, stamp):
            self._read = (name, stamp, json.loads(path.read_text()))
        return self._read[2]


class CommitFiles:
    """The files of a generation that tell whether a view of it is still the last one.

    Args:
        commit: the file that every commit writes anew when all else is written, and that whatever
            takes the place of the generation removes.
        others: files that merges write, too.
    """

    def __init__(self, generation: str | None, commit: Path, others: Iterable[Path]) -> None:
        self.generation = generation
        self._commit = str(commit)
        self._others = [str(path) for path in others]
        self._seen: tuple[float, list[Stamp]] | None = None

    def commit(self) -> Stamp:
        return stamp_of(self._commit)

    def merges(self) -> list[Stamp]:
        """The state of the other files as of a moment ago."""
        now = time.monotonic()
        if self._seen is None or now - self._seen[0] > LOOK_FOR_MERGES_S:
            self._seen = (now, [stamp_of(path) for path in self._others])
        return self._seen[1]
