"""The small files of an index folder: pointers, positions, and the lock of the one writer."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

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


class WriterLock:
    """Who writes the index. The system frees the lock when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Become the one writer.

        Raises:
            IndexBusy: another process is indexing.
            EngineError: the folder cannot be written.
        """
        if self._file is not None:
            return
        with translated_os_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                raise IndexBusy(f"The search index is being written by {holder}.") from error
            try:
                file.seek(0)
                file.truncate()
                file.write(f"process {os.getpid()}")
                file.flush()
            except OSError:
                file.close()
                raise
        self._file = file

    def free(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
