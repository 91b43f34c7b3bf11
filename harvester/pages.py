"""What flows through a harvest: pages of raw records, and notes of what went wrong on the way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from harvester.deviations import is_known
from harvester.ledger import Ledger
from harvester.place import Place
from mappings.context import Header


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as fetched, not yet mapped.

    ``fault`` says why a record that exists could not be had; it goes to quarantine with that.
    """

    header: Header
    format: str
    payload: bytes | None
    deleted: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class RawPage:
    """Records that become durable together with the checkpoint that follows them.

    ``listed``: identifiers that the source says exist, beyond those of ``records``.
    """

    records: Sequence[RawRecord]
    checkpoint: Mapping[str, Any]
    listed: Sequence[str] = ()


@dataclass(slots=True)
class Journal:
    """Problems by reason with sample identifiers, and notes that are no problem.

    ``deviations``: what should have come and did not, by name with how much of it; with any, the
    run is partial. ``known`` are those that an operator acknowledged (see ``deviations``).
    """

    problems: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    deviations: dict[str, int] = field(default_factory=dict)
    known: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    on_event: Callable[[str], None] | None = None
    on_retry: Callable[[str], None] | None = None

    def problem(self, reason: str, *identifiers: str, incomplete: bool = True) -> None:
        """Note a problem with the records (or windows) it befell.

        Args:
            incomplete: something is missing for it.
        """
        self.problems.setdefault(reason, []).extend(identifiers or ("",))
        if incomplete:
            self._deviate(reason, len(identifiers) or 1)
        if self.on_event is not None:
            self.on_event(reason)

    def ended_early(self, name: str, missing: int, reason: str, identifier: str) -> bool:
        """Note a list that ended before its end; whether that is known of this source.

        Args:
            name: the same for every run, unlike ``reason``.
            missing: how many records are, as far as that can be told; else 1.
        """
        self.problem(reason, identifier, incomplete=False)
        self._deviate(name, missing)
        return is_known(name, self.deviations[name], self.known)

    def _deviate(self, name: str, size: int) -> None:
        self.deviations[name] = self.deviations.get(name, 0) + size

    def retried(self, error: Exception) -> None:
        """A request is tried again."""
        self.retries += 1
        if self.on_retry is not None:
            self.on_retry(type(error).__name__)

    def note(self, name: str, value: Any) -> None:
        """Note something worth knowing that is no problem."""
        self.notes[name] = value

    def drain(self) -> dict[str, list[str]]:
        """The problems so far, which are then forgotten here: they go to the store."""
        drained, self.problems = self.problems, {}
        return drained


class Sweep(Protocol):
    """One harvest of one source, as a protocol's client carries it out.

    ``pages`` may be iterated once. ``complete``: everything that this harvest asked for came, to
    the end of every list. ``whole``: it asked for all that the source has, so that what is not
    in it is gone. ``stop`` names why it ended.
    """

    journal: Journal
    place: Place
    complete: bool
    whole: bool
    stop: str

    def begin_again(self) -> None:
        """Forget the place of an earlier run: this harvest starts from its beginning."""

    def pages(self) -> AsyncGenerator[RawPage, None]:
        """The records, page by page, each with the checkpoint that follows it."""

    def memory(self) -> Mapping[str, Any]:
        """What the next harvest has to know; asked when this one is complete."""

    async def list_identifiers(self, ledger: Ledger) -> bool:
        """Bring the complete list of identifiers into the ledger; ``False`` when the source has
        no way to tell and deletions cannot be found."""

    async def look_up(self, identifier: str) -> Found:
        """Ask for one record that is missing in the list, or was never seen."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of asking for one record.

    ``state``: ``alive`` (``record`` is it), ``deleted``, ``left_set`` (it exists outside the set or
    format that this source harvests), ``unclear`` (``reason`` says why: nothing is concluded).
    """

    state: Literal["alive", "deleted", "left_set", "unclear"]
    record: RawRecord | None = None
    reason: str = ""
