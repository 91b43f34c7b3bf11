"""An answer told as it grows: messages of ``/api/search`` as a stream, and of ``search --live``.

``update`` messages say what became of the page (``page_changes``), how many are known to match and
how each facility stands; the last message is ``end``, with all that an answer has besides its hits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from catalogue.catalogue import Catalogue
from search_api.facilities import FacilityStates
from search_api.federation.federated import Federation
from search_api.federation.participants import Asked
from search_api.federation.session import FederatedAnswer
from search_api.page_changes import changes
from search_api.replies import Emit
from search_api.search import SearchRequest
from search_api.search_answer import show
from search_api.whole import Whole, ask, whole_of

Json = dict[str, Any]
EVENT_STREAM = "text/event-stream"
LINES = "application/x-ndjson"


async def tell_answer(
    catalogue: Catalogue,
    states: FacilityStates,
    federation: Federation | None,
    request: SearchRequest,
    asked: Asked,
    emit: Emit,
) -> Whole:
    """Answer a question by messages; gives the last answer.

    Raises:
        What asking raises: before the first message when nobody has said anything, else later.
    """
    page: list[Json] = []

    async def update(whole: Whole, waiting: Sequence[str]) -> Json:
        nonlocal page
        answer = await show(whole, states, {}, request)
        hits = answer.pop("hits")
        message = {
            "event": "update",
            **changes(page, hits),
            "total": answer["total"],
            "recognised": answer["recognised"],
            "facilities": answer["facilities"],
            "waiting": list(waiting),
        }
        page = hits
        await emit(message)
        return answer

    async def arrived(answer: FederatedAnswer, waiting: Sequence[str]) -> None:
        await update(whole_of(answer), waiting)

    whole = await ask(catalogue, states, federation, request.search, asked, arrived)
    answer = await update(whole, ())
    missing = [line.name for line in whole.lines if line.is_missing]
    keys = [hit["key"] for hit in page]
    await emit({"event": "end", **answer, "missing": missing, "keys": keys})
    return whole


def as_line(message: Mapping[str, Any]) -> bytes:
    """One line of JSON (``application/x-ndjson``)."""
    return orjson.dumps(message, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def as_event(message: Mapping[str, Any]) -> bytes:
    """One server-sent event, named like the message (``text/event-stream``)."""
    data = orjson.dumps(message, option=orjson.OPT_UTC_Z)
    return b"event: %s\ndata: %s\n\n" % (str(message["event"]).encode(), data)


ENCODERS: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {
    EVENT_STREAM: as_event,
    LINES: as_line,
}

__all__ = ["ENCODERS", "EVENT_STREAM", "LINES", "as_event", "as_line", "tell_answer"]
