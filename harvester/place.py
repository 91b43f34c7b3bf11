"""What a run is asked to do, and where it stands: orders and checkpoints."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from catalogue.facilities import Source
from harvester.errors import HarvestError
from harvester.windows import Window

Kind = Literal["incremental", "full", "selective"]
CHECKPOINT_VERSION = 1
CONFIGURED = "configured"
"""In a run's details: ``source_key`` of its source."""


class OrderError(HarvestError):
    """What was asked for cannot be done with this source."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is asked to do beyond "what is new".

    ``full``: everything again. ``set``, ``start``, ``end``, ``record``: only that; nothing is
    concluded about the rest. ``approved``: an operator agreed that this many records may go.
    """

    full: bool = False
    set: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    record: str | None = None
    approved: int | None = None

    @property
    def selective(self) -> bool:
        """Whether only a part is asked for."""
        return any(part is not None for part in (self.set, self.start, self.end, self.record))

    @property
    def kind(self) -> str:
        """For the list of runs."""
        if self.record is not None:
            return "record"
        if self.selective:
            return "selective"
        if self.approved is not None:
            return "approved"
        return "full" if self.full else "harvest"


def order_key(source: Source, order: Order) -> str:
    """Tells harvests apart whose checkpoints must not be mixed up: another endpoint, format, set
    or selection is another harvest."""
    parts = [source.protocol, source.url, source.format, order.set or source.set, order.record]
    parts += [None if end is None else end.isoformat() for end in (order.start, order.end)]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()


def source_key(source: Source) -> str:
    """Tells whether a source is what it was at its last run: all but when it is harvested, how far
    it is believed and who else asks it."""
    told = asdict(source)
    for name in ("enabled", "mode", "schedule", "trust"):
        del told[name]
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class Place:
    """Where a harvest stands: what its checkpoint holds.

    ``harvest`` is its identity over all runs that it takes. ``first_response`` is the responseDate
    of its first answer, from which the next one counts (fault B16); ``first_asked`` is when that
    was by our own clock. ``client`` is the protocol
    client's own place; ``todo`` the windows not yet finished, the present one first. ``unsure``:
    some list ended before its end, in this run or in one before.
    """

    harvest: str
    key: str
    kind: Kind
    first_response: datetime | None = None
    first_asked: datetime | None = None
    todo: list[Window] = field(default_factory=list)
    client: Mapping[str, Any] | None = None
    unfetched: list[str] = field(default_factory=list)
    gaps: list[Window] = field(default_factory=list)
    unsure: bool = False
    totals: Mapping[str, int] = field(default_factory=dict)
    resumed: bool = False

    def as_json(self) -> dict[str, Any]:
        """The checkpoint."""
        first, asked = self.first_response, self.first_asked
        return {
            "version": CHECKPOINT_VERSION,
            "harvest": self.harvest,
            "key": self.key,
            "kind": self.kind,
            "first_response": None if first is None else first.isoformat(),
            "first_asked": None if asked is None else asked.isoformat(),
            "todo": [window.as_json() for window in self.todo],
            "client": self.client,
            "unfetched": list(self.unfetched),
            "gaps": [window.as_json() for window in self.gaps],
            "unsure": self.unsure,
        }


def new_place(key: str, kind: Kind) -> Place:
    """The beginning of a harvest."""
    return Place(harvest=uuid.uuid4().hex, key=key, kind=kind)


def read_place(checkpoint: Mapping[str, Any] | None, key: str, order: Order) -> Place | None:
    """Where a run before stopped, if its harvest is the one asked for now; else ``None``.

    An unreadable checkpoint counts as none: the harvest begins again, which costs time and
    nothing else (fault H08).
    """
    if checkpoint is None or checkpoint.get("version") != CHECKPOINT_VERSION:
        return None
    if checkpoint.get("key") != key or (order.full and checkpoint.get("kind") != "full"):
        return None
    try:
        first, asked = checkpoint["first_response"], checkpoint.get("first_asked")
        return Place(
            harvest=str(checkpoint["harvest"]),
            key=key,
            kind=checkpoint["kind"],
            first_response=None if first is None else datetime.fromisoformat(first),
            first_asked=None if asked is None else datetime.fromisoformat(asked),
            todo=[Window.from_json(window) for window in checkpoint["todo"]],
            client=checkpoint["client"],
            unfetched=list(checkpoint["unfetched"]),
            gaps=[Window.from_json(window) for window in checkpoint["gaps"]],
            unsure=bool(checkpoint.get("unsure", False)),
            totals=dict(checkpoint.get("totals", {})),
            resumed=True,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def remembered_instant(memory: Mapping[str, Any], name: str) -> datetime | None:
    """An instant that an earlier run left in the source's memory."""
    text = memory.get(name)
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
