"""What can go wrong while facilities are asked live.

FederationError(SearchApiError)
├── FacilitySilent        one facility gave no answer: ``state``, ``reason``, ``until``
├── QuestionRefused       one facility does not take this question; the planner learns from it
├── NobodyAnswered        503: no facility answered and nobody speaks through the index
├── NobodyAsked           409: the chosen mode leaves nobody who could answer
└── TooDeep               400: a page deeper than facilities are asked live; use the cursor

The first two speak of one facility. They are raised by ``asking.Asker`` and never reach a client
as such: the answer says them in its line for the facility. Their texts are safe to show: no
address, no key, no word of the facility's own body beyond a short, redacted error message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self

from search_api.errors import SearchApiError

RETRY_AFTER_S = "5"
Silence = Literal["timed_out", "failed", "paused", "unsupported"]


class FederationError(SearchApiError):
    """Base of what live federation raises on purpose."""

    status = 503

    def again(self) -> Self:
        """The same for another one who asked: an error raised twice would grow two traces."""
        twin = type(self).__new__(type(self), *self.args)
        twin.args = self.args
        twin.__dict__.update(self.__dict__)
        return twin


class FacilitySilent(FederationError):
    """A facility gave no answer to one question.

    Args:
        source: name of the source that was asked.
        state: ``timed_out``: it did not answer within its limit or ours; ``failed``: it could not
            be reached or answered something that is no answer; ``paused``: it is not asked until
            ``until`` because of what happened before; ``unsupported``: it does not offer this.
        reason: in a form that is safe to show.
        until: when it is asked again, for ``paused``.
        elapsed_s: seconds from the call to now, our own queue included.
        ours: the time went by in our own queue, or the deadline came before the facility's own
            limit: nothing that the facility is to blame for.
    """

    def __init__(
        self,
        source: str,
        state: Silence,
        reason: str,
        *,
        until: datetime | None = None,
        elapsed_s: float = 0.0,
        ours: bool = False,
    ) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.state = state
        self.reason = reason
        self.until = until
        self.elapsed_s = elapsed_s
        self.ours = ours


class QuestionRefused(FederationError):
    """A facility is well, and does not take this question.

    Args:
        source: name of the source that was asked.
        message: what it said, shortened and redacted; empty when it said nothing.
        refused_with: the HTTP status: 400, 413, 414, 422; or 500 where the same question fails
            twice while a plain one is answered (fault E10).
    """

    def __init__(self, source: str, message: str, *, refused_with: int) -> None:
        super().__init__(f"{source} does not take this question ({refused_with}): {message}")
        self.source = source
        self.message = message
        self.refused_with = refused_with


class NobodyAnswered(FederationError):
    """No facility answered and no copy stands in: never an empty list (fault G01)."""

    status = 503

    def __init__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        said = "; ".join(f"{line['name']}: {line.get('why') or line['state']}" for line in lines)
        super().__init__(f"None of the facilities could answer ({said}).")
        self.lines = tuple(lines)

    def details(self) -> dict[str, Any]:
        return {"facilities": list(self.lines)}

    def headers(self) -> dict[str, str]:
        """A pause or a time-out is soon over."""
        return {"Retry-After": RETRY_AFTER_S, **_told(self.lines)}


class NobodyAsked(FederationError):
    """The mode that a request chose leaves nobody who could answer: who is only asked live is not
    to be asked, or who is only harvested. Never an empty list (fault G02); another moment changes
    nothing about it."""

    status = 409

    def __init__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        said = "; ".join(f"{line['name']}: {line.get('why') or line['state']}" for line in lines)
        super().__init__(f"With this mode nobody is asked ({said}).")
        self.lines = tuple(lines)

    def details(self) -> dict[str, Any]:
        return {"field": "mode", "facilities": list(self.lines)}

    def headers(self) -> dict[str, str]:
        return _told(self.lines)


def _told(lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The lines as headers, as answers have them, for a HEAD too."""
    return {
        "X-Facilities-Missing": ", ".join(str(line["name"]) for line in lines),
        "X-Facilities-States": ", ".join(f"{line['name']}={line['state']}" for line in lines),
    }


class TooDeep(FederationError):
    """``skip`` + ``limit`` beyond what one facility is asked for (issue: bounded for each)."""

    status = 400

    def __init__(self, most: int) -> None:
        super().__init__(
            f"Facilities are asked live for their first {most} at most (skip + limit); "
            "continue with the cursor of /api/search, or ask with mode=indexed."
        )

    def details(self) -> dict[str, Any]:
        return {"field": "skip"}
