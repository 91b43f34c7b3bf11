"""Techniques as conditions on a facility's rows, in the spellings it uses (semantics 4.1).

What its sample tags with a technique or one below it comes first, by id and by name, as it stands
there; then what PaNET calls them, those next to the asked ones first. An address has room for only
so many, so what is sent is likely, never sure; the oracle looks at what comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from catalogue import technique_scoring
from mappings.techniques import load_panet
from search_api.federation.profiles import ClassProfile

Where = Mapping[str, Any]

ROOM_BYTES = 5_000
"""Of an address, for all spellings: many servers take 8 kB in all."""
_BETWEEN = len("%22%22%2C")
_PREFIXES = ("http://purl.org/pan-science/PaNET/", "https://purl.org/pan-science/PaNET/", "")


def tagged_where(
    ids: Sequence[str], profile: ClassProfile, *others: ClassProfile
) -> tuple[Where, set[str]]:
    """The condition on rows that name one of the techniques or one below, and the operators that it
    needs.

    Args:
        profile: of the class that is asked; ``others``: further ones with samples of the same rows.
    """
    by_name = profile.can("or")
    pids: dict[str, None] = {}
    names: dict[str, None] = {}
    room = ROOM_BYTES
    for more, called in _spellings(tuple(ids), (profile, *others)):
        new = [one for one in more if one not in pids]
        named = [one for one in called if one not in names] if by_name else []
        size = sum(len(quote(one, safe="")) + _BETWEEN for one in (*new, *named))
        if size > room:
            continue
        room -= size
        pids.update(dict.fromkeys(new))
        names.update(dict.fromkeys(named))
    condition: Where = {"pid": {"inq": list(pids)}}
    if not by_name:
        return condition, {"inq"}
    # Some facilities name techniques and give no PaNET id.
    return {"or": [condition, {"name": {"inq": list(names)}}]}, {"inq", "or"}


def _spellings(
    ids: tuple[str, ...], profiles: Sequence[ClassProfile]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Ids and names of a technique at a time, the likeliest first."""
    wanted = _nearest_first(ids)
    for one in wanted:
        for profile in profiles:
            seen = profile.techniques.get(one) or {}
            yield seen.get("pids") or (), seen.get("names") or ()
    for one in wanted:
        yield [f"{before}{one}" for before in _PREFIXES], technique_scoring.names(one)


@lru_cache(maxsize=1_024)
def _nearest_first(ids: tuple[str, ...]) -> tuple[str, ...]:
    """Techniques and all below them, by how many steps below; ties by id."""
    panet = load_panet()
    found: dict[str, None] = {}
    level = set(ids)
    while level:
        found.update(dict.fromkeys(sorted(level)))
        level = {below for one in level for below in panet.children(one)} - found.keys()
    return tuple(found)


__all__ = ["ROOM_BYTES", "tagged_where"]
