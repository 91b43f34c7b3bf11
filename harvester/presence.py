"""Whether a daemon is at work over a data folder: it leaves a note there and renews it, so that an
operator, who sees nothing else of it between two harvests, can tell."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from harvester.holders import is_dead, this_process

NOTE = "daemon.json"
RENEWED_EVERY_S = 15.0
SILENT_AFTER_S = 90.0
"""A note this old is of a daemon that hangs, or of a machine that is gone."""

State = Literal["working", "silent", "none"]


@dataclass(frozen=True, slots=True)
class Presence:
    """``silent``: there was no end, and no sign for long. Both instants are of the last daemon."""

    state: State
    holder: str | None = None
    started_at: datetime | None = None
    seen_at: datetime | None = None


class Note:
    """What one daemon says of itself. It does without, where the note cannot be written."""

    def __init__(self, folder: Path, started_at: datetime) -> None:
        self._path = folder / NOTE
        self._holder = this_process()
        self._started_at = started_at

    def renew(self, now: datetime) -> None:
        """Say that we are there."""
        told = {
            "holder": self._holder,
            "folder": _identity(self._path.parent),
            "started_at": self._started_at.isoformat(),
            "seen_at": now.isoformat(),
        }
        draft = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(told), encoding="utf-8")
            draft.replace(self._path)

    def remove(self) -> None:
        """Say that we have ended; another daemon's note stays."""
        if _read(self._path).get("holder") == self._holder:
            with contextlib.suppress(OSError):
                self._path.unlink()


@contextlib.contextmanager
def present(folder: Path, now: datetime) -> Iterator[Note]:
    """A note that is there meanwhile."""
    note = Note(folder, now)
    note.renew(now)
    try:
        yield note
    finally:
        note.remove()


def presence(folder: Path, now: datetime) -> Presence:
    """What is known of the data folder's daemon."""
    told = _read(folder / NOTE)
    if told.get("folder") != _identity(folder):
        return Presence("none")
    try:
        holder = str(told["holder"])
        started_at, seen_at = (datetime.fromisoformat(told[key]) for key in _INSTANTS)
        # A clock that jumped either way says nothing of the daemon (fault H10).
        silent = abs((now - seen_at).total_seconds()) > SILENT_AFTER_S
    except (KeyError, ValueError, TypeError):
        return Presence("none")
    if is_dead(holder):
        return Presence("none")
    return Presence("silent" if silent else "working", holder, started_at, seen_at)


def _identity(folder: Path) -> int | None:
    """What a copy of the folder has not, however it is mounted and called."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None


_INSTANTS = ("started_at", "seen_at")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
