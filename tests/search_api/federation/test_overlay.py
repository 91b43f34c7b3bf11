"""Relations of an answer that is partly live: what facilities state, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from catalogue.readings import make_pool, read_objects
from catalogue.records import EntityClass, StoredEntity
from mappings.context import Context
from search_api.federation.overlay import Overlay

NOW = datetime(2026, 11, 26, tzinfo=UTC)
RUN = "dataset:doi:10.5072/run"
HARVESTED = "document:doi:10.5072/harvested"


class Kept:
    """A store that knows one Document of every Dataset."""

    def entities(self, keys: Sequence[str]) -> Mapping[str, StoredEntity]:
        return {}

    def parents(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]:
        return dict.fromkeys(keys, (HARVESTED,))

    def children(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]:
        return {}


def overlay(entity_class: EntityClass, item: Mapping[str, Any]) -> Overlay:
    context = Context(source="a", facility="A")
    return Overlay(make_pool([read_objects(entity_class, [item], context)], now=NOW), Kept())


def test_a_dataset_whose_service_names_no_document_has_the_harvested_one() -> None:
    """The reference provider answers 500 to the relation, and is therefore not asked for it."""
    live = overlay("Dataset", {"pid": "10.5072/run", "title": "Run"})
    assert live.parents([RUN], "datasets") == {RUN: (HARVESTED,)}


def test_a_document_that_is_named_live_stands_alone() -> None:
    run = {"pid": "10.5072/run", "title": "Run"}
    live = overlay("Document", {"pid": "10.5072/live", "title": "Live", "datasets": [run]})
    assert live.parents([RUN], "datasets") == {RUN: ("document:doi:10.5072/live",)}
