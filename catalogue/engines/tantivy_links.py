"""Reading an index in a folder that cannot be written.

Seen with tantivy 0.27: whoever opens an index makes a lock file in its folder, readers too. So a
reader of such a folder is given another one, of links to the files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path


class LinkedFolder:
    """A folder of links to the files of ``folder``; it goes with the object."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = Path(tempfile.mkdtemp(prefix="pan-commons-index-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
        self.follow()

    def follow(self) -> None:
        """Link what another process, for which the folder can be written, has made since."""
        for file in self._folder.iterdir():
            if file.suffix == ".lock":
                continue
            with contextlib.suppress(FileExistsError):
                (self.path / file.name).symlink_to(file.resolve())


def linked_where_needed(folder: Path) -> LinkedFolder | None:
    """Links to an index that cannot be written; ``None`` where it can be, or is not there."""
    if not folder.is_dir() or os.access(folder, os.W_OK):
        return None
    return LinkedFolder(folder)
