"""What became of a page of hits: added, moved, changed, removed; and the page that results.

A page goes from one list of hits to another like this: what is ``removed`` or ``moved`` is taken
out, then what is ``added`` or ``moved`` is put where its ``position`` (from 0, in the new list)
says, smallest position first. ``changed`` are hits whose words are others, in full; ``rescored``
are those with another score only, by key.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]


def changes(before: Sequence[Json], after: Sequence[Json]) -> Json:
    """What leads from one page to the next; each hit is a JSON object with ``key``, ``score``."""
    old = {hit["key"]: hit for hit in before}
    new = {hit["key"]: place for place, hit in enumerate(after)}
    kept = [hit["key"] for hit in before if hit["key"] in new]
    staying = _longest_rising([new[key] for key in kept])
    rescored: dict[str, float] = {}
    changed: list[Json] = []
    for hit in after:
        was = old.get(hit["key"])
        if was is None or was == hit:
            continue
        if {**was, "score": hit["score"]} == hit:
            rescored[hit["key"]] = hit["score"]
        else:
            changed.append(hit)
    return {
        "added": [
            {"position": place, "hit": hit}
            for place, hit in enumerate(after)
            if hit["key"] not in old
        ],
        "moved": [
            {"position": place, "key": hit["key"]}
            for place, hit in enumerate(after)
            if hit["key"] in old and place not in staying
        ],
        "removed": [hit["key"] for hit in before if hit["key"] not in new],
        "changed": changed,
        "rescored": rescored,
    }


def applied(page: Sequence[Json], message: Mapping[str, Any]) -> list[Json]:
    """The page after a message of ``changes``."""
    hits = {hit["key"]: hit for hit in page}
    hits.update({hit["key"]: hit for hit in message["changed"]})
    for key, score in message["rescored"].items():
        hits[key] = {**hits[key], "score": score}
    put = [(one["position"], one["hit"]) for one in message["added"]]
    put += [(one["position"], hits[one["key"]]) for one in message["moved"]]
    out = {*message["removed"], *(one["key"] for one in message["moved"])}
    made = [hits[hit["key"]] for hit in page if hit["key"] not in out]
    for position, hit in sorted(put, key=lambda one: int(one[0])):
        made.insert(position, hit)
    return made


def _longest_rising(places: Sequence[int]) -> set[int]:
    """The members of a longest rising subsequence: what need not move (patience sorting)."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, place in enumerate(places):
        pile = bisect_left(tails, place)
        before.append(ends[pile - 1] if pile else -1)
        tails[pile : pile + 1] = [place]
        ends[pile : pile + 1] = [index]
    staying: set[int] = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        staying.add(places[at])
        at = before[at]
    return staying
