"""Items of a list that came live, put into JSON once for all the questions that they answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from catalogue.answers import Hit
from catalogue.records import StoredEntity
from search_api.cache import FOREVER, next_opening
from search_api.facilities import FacilityStates
from search_api.federation.overlay import Overlay
from search_api.model import PanoscClass
from search_api.presentation import list_items


class _Written(NamedTuple):
    """What stands before and behind the score of an item: good for one version of the facilities'
    states, from one instant to another."""

    version: int
    since: datetime
    until: datetime
    before: bytes
    behind: bytes


def written_items(
    panosc_class: PanoscClass,
    hits: Sequence[Hit],
    records: Overlay,
    states: FacilityStates,
    now: datetime,
) -> tuple[list[orjson.Fragment], datetime]:
    """What ``list_items`` gives of all fields, as JSON; and until when that stays so."""
    good_until = FOREVER
    items = []
    for hit in hits:
        entity = hit.entity
        name = f"item {entity.key}"
        known: _Written | None = records.remembered.get(name)
        if known is None or known.version != states.version or not known.since <= now < known.until:
            known = _written(panosc_class, entity, states, now)
            if records.has_all((entity.key,)):
                records.remember(name, known)
        good_until = min(good_until, known.until)
        text = b'%b"score":%b,%b' % (known.before, orjson.dumps(hit.score), known.behind)
        items.append(orjson.Fragment(text))
    return items, good_until


def _written(
    panosc_class: PanoscClass, entity: StoredEntity, states: FacilityStates, now: datetime
) -> _Written:
    record = entity.record
    (item,) = list_items(panosc_class, [(record, 0.0)], now, states.provider_of)
    names = list(item)
    at = names.index("score")
    before = orjson.dumps({name: item[name] for name in names[:at]})[:-1]
    behind = orjson.dumps({name: item[name] for name in names[at + 1 :]})[1:]
    return _Written(
        states.version,
        now,
        next_opening(record, now),
        before + b"," if at else before,
        behind,
    )
