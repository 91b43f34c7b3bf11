"""How much the data folder may grow: a budget of bytes, and room left on its disk (fault H09).

Asked before a run and after each of its pages. A run that would go beyond ends cleanly behind a
page that is durable, and goes on from there once there is room.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harvester.errors import HarvestError
from harvester.ledger import FOLDER_NAME, ledger_path, remove_files
from harvester.sources import ADDED_NAME, MIB, Budget

log = logging.getLogger(__name__)


class NoRoom(HarvestError):
    """The data folder is over its budget, or its disk nearly full."""


@dataclass(slots=True)
class Room:
    """The room that harvests of one data folder have. ``budget`` may be exchanged at any time.

    ``used`` and ``free`` measure; they are passed in by tests.
    """

    folder: Path
    budget: Budget = field(default_factory=Budget)
    used: Callable[[Path], int] | None = None
    free: Callable[[Path], int] | None = None

    def used_bytes(self) -> int:
        """What the data folder holds."""
        return (self.used or used_bytes)(self.folder)

    def free_bytes(self) -> int:
        """What its disk has left."""
        return (self.free or free_bytes)(self.folder)

    def require(self) -> None:
        """See that there is room for another page.

        Raises:
            NoRoom: there is none; the message says how much is used and what helps.
        """
        free, least = self.free_bytes(), self.budget.least_free_bytes
        if free < least:
            raise NoRoom(
                f"{self.folder}: the disk has {free // MIB} MiB left, and {least // MIB} are to "
                "stay free: make room, or name another folder with --data"
            )
        most = self.budget.bytes
        if most is not None and (used := self.used_bytes()) >= most:
            raise NoRoom(
                f"{self.folder} holds {used // MIB} MiB, and its budget is {most // MIB}: raise "
                "[storage] budget_mib, or remove a source"
            )


def free_bytes(folder: Path) -> int:
    """Bytes left on the folder's disk."""
    return shutil.disk_usage(folder).free


def used_bytes(folder: Path) -> int:
    """Bytes that the files below a folder take on the disk. Files may vanish meanwhile."""
    total = 0
    folders = [os.fspath(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                        continue
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                    except FileNotFoundError:
                        continue
        except (FileNotFoundError, NotADirectoryError):
            continue
    return total


def tidy(folder: Path, sources: Iterable[str]) -> list[str]:
    """Remove what killed processes left behind and nobody will ask for again.

    That is: the notes of harvests of sources that are no longer there, and halves of
    ``sources.toml``. What a present source left is taken up by its next run.

    Args:
        sources: names of those that are there.

    Returns:
        The names of the files removed.
    """
    removed = []
    kept = {ledger_path(folder, name).name for name in sources}
    for path in sorted((folder / FOLDER_NAME).glob("*.sqlite")):
        if path.name not in kept:
            remove_files(path)
            removed.append(f"{FOLDER_NAME}/{path.name}")
    half = re.compile(re.escape(f".{ADDED_NAME}.") + r"(\d+)")
    for path in sorted(folder.glob(f".{ADDED_NAME}.*")):
        match = half.fullmatch(path.name)
        if match is not None and not _lives(int(match[1])):
            path.unlink(missing_ok=True)
            removed.append(path.name)
    if removed:
        log.info("removed what killed processes had left: %s", ", ".join(removed))
    return removed


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
