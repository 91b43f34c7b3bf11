"""Where requests go: questions to one place differ in their query alone, so that what has to be
found out of the place is found out once."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from yarl import URL


class Target(NamedTuple):
    """``place`` is all before the question mark; ``query`` follows it, percent-encoded."""

    place: URL
    query: str

    @property
    def text(self) -> str:
        return f"{self.place}?{self.query}" if self.query else str(self.place)

    @property
    def url(self) -> URL:
        return URL(self.text, encoded=True)


def read_target(url: str) -> Target:
    """An address that a request can go to; a fragment is nobody's business there.

    Raises:
        ValueError: it is none.
    """
    if "#" in url:
        url = url.partition("#")[0]
    place, _, query = url.partition("?")
    return Target(_read_place(place), query)


@lru_cache(maxsize=1_024)
def _read_place(text: str) -> URL:
    place = URL(text, encoded=True)
    # Looked at only when asked for, and what cannot be a port or a name raises then.
    _ = place.host, place.port
    return place
