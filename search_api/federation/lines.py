"""What a server process keeps for each source that it asks live."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from prometheus_client import Histogram

from catalogue.facilities import Source
from facility_http.answers import Limits
from facility_http.errors import MissingCredential
from facility_http.http import Access, access_for
from facility_http.proxies import BadProxy
from facility_http.waiting import Patience
from search_api.federation.bulkhead import Bulkhead
from search_api.federation.figures import Window
from search_api.federation.latencies import Bounds
from search_api.settings import ServerSettings

ONCE = Patience(attempts=1, longest_wait_s=float("inf"))
"""Nothing is tried again within a question: somebody waits, and the breaker remembers."""


@dataclass(slots=True)
class Line:
    """The way to one source.

    ``bounds``: between which it is learnt what one request may take. ``cannot``: why nothing can be
    asked at all. ``lower_case``: classes whose endpoint turned out to be written in lower case.
    ``seconds``: where times are counted.
    """

    source: Source
    access: Access
    bounds: Bounds
    bulkhead: Bulkhead
    window: Window
    cannot: str | None = None
    lower_case: set[str] = field(default_factory=set)
    seconds: Histogram | None = None


def bounds_of(source: Source, settings: ServerSettings) -> Bounds:
    """What may be learnt of how long a source takes; its own option leaves nothing to learn."""
    own_s = source.options.get("live_timeout_s")
    return Bounds(
        settings.facility_wait_s,
        float(settings.facility_timeout_s if own_s is None else own_s),
        settings.facility_longest_s,
        is_configured=own_s is not None,
    )


def line_to(
    source: Source,
    settings: ServerSettings,
    environment: Mapping[str, str],
    monotonic: Callable[[], float],
    before: Line | None = None,
) -> Line:
    """The line to a source as it is configured now.

    Args:
        before: the line as it was; its queue and its figures go on.
    """
    cannot = None
    try:
        access = access_for(
            source.url, internal=source.internal, options=source.options, environment=environment
        )
    except (MissingCredential, BadProxy) as error:
        # The messages name a variable or a file: for the operator, not for everybody.
        is_key = isinstance(error, MissingCredential)
        access, cannot = Access(), f"its {'key' if is_key else 'proxy'} is not configured here"
    access = replace(
        access,
        # Hedging has the limit of all attempts together; further timers would never ring.
        limits=Limits(None, None, math.inf, settings.facility_body_bytes),
        patience=ONCE,
        pace_s=0.0,
        pool=source.name,
    )
    return Line(
        source,
        access,
        bounds_of(source, settings),
        Bulkhead(settings.facility_at_once) if before is None else before.bulkhead,
        Window(monotonic) if before is None else before.window,
        cannot,
    )
