"""When an operator has to be asked before records are taken away (faults B12, H05, H07).

Pure. A server that lost its data, or marks everything deleted after one blank argument, looks
like a facility that withdrew its records; only a person can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DELETED_SHARE = 0.10
DELETED_RECORDS = 20
NEARLY_ALL = 0.90


@dataclass(frozen=True, slots=True)
class Guard:
    """Limits of one source: ``hold_share`` and ``hold_records`` of its options.

    A run that would take away more than ``share`` of the source *and* more than ``records``, or
    more than half of it, or all of it, is held.
    """

    share: float = DELETED_SHARE
    records: int = DELETED_RECORDS

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Guard:
        """The source's own limits, or ours."""
        return cls(
            float(options.get("hold_share", DELETED_SHARE)),
            int(options.get("hold_records", DELETED_RECORDS)),
        )

    def reason_to_hold(self, *, live: int, gone: int, approved: int | None = None) -> str | None:
        """Why this many must not go without being asked, in words; ``None`` lets them go.

        Args:
            live: records of the source in the store before the run.
            gone: how many of them the run would take away.
            approved: how many an operator agreed to. A few more may go than were seen then, by
                the same limits; many more ask again.
        """
        if gone <= 0:
            return None
        if approved is not None and gone <= approved + max(self.records, int(self.share * live)):
            return None
        if gone >= live:
            return f"would take away all {live} records"
        if gone * 2 > live:
            return f"would take away {gone} of {live} records, more than half"
        if gone > self.records and gone > self.share * live:
            return f"would take away {gone} of {live} records, more than {self.share:.0%}"
        return None

    def reason_to_doubt(
        self, *, live: int, listed: int, new: int, whole: bool = True
    ) -> str | None:
        """Why what came does not look like this source's (fault H07), in words.

        Args:
            live: records of the source before the run; without any this is a first harvest.
            listed: identifiers that came.
            new: how many of them the store did not know before the run.
            whole: everything was asked for. What is asked for because it is new *is* new; it is
                doubted when the source all but doubles by it.
        """
        if live == 0 or new <= self.records or new < NEARLY_ALL * listed:
            return None
        if not whole and new < NEARLY_ALL * live:
            return None
        return (
            f"{new} of the {listed} identifiers that came are new, while {live} others were known: "
            "did the facility change its identifiers?"
        )
