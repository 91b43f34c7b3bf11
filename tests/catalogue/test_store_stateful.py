"""The store against a model that computes everything anew after each step (semantics 1.2-1.6)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_world import World, dataset, document, instrument, record, tombstone

from catalogue.records import StoredEntity
from mappings.merging import SourceEntity, merge_entities

DOCUMENTS = ("doi:10.5072/a", "doi:10.5072/b")
DATASETS = ("doi:10.5072/a", "doi:10.5072/s", "doi:10.5072/t")
INSTRUMENTS = ("local:ESS:I", "local:ESS:J")
SOURCES = {"ess-oai": ("ESS", 10), "ess-rest": ("ESS", 20), "ill-oai": ("ILL", 30)}

titles = st.sampled_from(["x", "y"])
some_datasets = st.lists(
    st.sampled_from([f"dataset:{k}" for k in DATASETS]), unique=True, max_size=2
)
some_documents = st.lists(
    st.sampled_from([f"document:{k}" for k in DOCUMENTS]), unique=True, max_size=2
)


@st.composite
def stated(draw: st.DrawFn) -> dict[str, Any]:
    """One entity as a record may state it."""
    kind = draw(st.sampled_from(["document", "dataset", "derived", "instrument"]))
    if kind == "document":
        key = draw(st.sampled_from(DOCUMENTS))
        return document(key, title=draw(titles), datasets=draw(some_datasets))
    if kind == "instrument":
        return instrument(draw(st.sampled_from(INSTRUMENTS)), pid=draw(titles))
    more: dict[str, Any] = {"documents": draw(some_documents)}
    if kind == "derived":
        more["derived"] = True
    elif draw(st.booleans()):
        more["instrumentKey"] = "instrument:" + draw(st.sampled_from(INSTRUMENTS))
    return dataset(draw(st.sampled_from(DATASETS)), title=draw(titles), **more)


statements = st.lists(stated(), min_size=1, max_size=3, unique_by=lambda entity: entity["key"])


@dataclass
class Held:
    """A record of the model."""

    order: int
    entities: list[dict[str, Any]]
    said_at: dict[str, str]


class Model:
    """All records; everything else is worked out when asked for."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Held] = {}

    def parts(self) -> dict[str, list[tuple[str, Held, dict[str, Any]]]]:
        found: dict[str, list[tuple[str, Held, dict[str, Any]]]] = {}
        for (source, _), held in self.records.items():
            for entity in held.entities:
                found.setdefault(entity["key"], []).append((source, held, entity))
        return found

    def links(self) -> set[tuple[str, str]]:
        pairs = set()
        for held in self.records.values():
            for entity in held.entities:
                pairs |= {(entity["key"], child) for child in entity.get("datasets", ())}
                pairs |= {(parent, entity["key"]) for parent in entity.get("documents", ())}
                if "instrumentKey" in entity:
                    pairs.add((entity["key"], entity["instrumentKey"]))
        return pairs

    def merged(self) -> dict[str, dict[str, Any]]:
        """Live entities with relations and instrument, as the engines are to see them."""
        entities = {key: self._merge(parts) for key, parts in self.parts().items()}
        links = self.links()
        for key in [key for key, entity in entities.items() if entity.get("derived")]:
            siblings = {
                child for parent, child in links for p, c in links if c == key and p == parent
            }
            if any(entities.get(s, {"derived": 1}).get("derived") is None for s in siblings):
                del entities[key]
        for key, entity in entities.items():
            down = sorted(child for parent, child in links if parent == key and child in entities)
            up = sorted(parent for parent, child in links if child == key and parent in entities)
            if entity["class"] == "Document":
                entity["datasets"] = down
            elif entity["class"] == "Dataset":
                entity["documents"] = up
                entity["instruments"] = [
                    (child, entities[child]["name"], entities[child].get("pid")) for child in down
                ]
        return entities

    def _merge(self, parts: list[tuple[str, Held, dict[str, Any]]]) -> dict[str, Any]:
        real = [part for part in parts if "derived" not in part[2]] or parts
        newest: dict[tuple[str, bytes], tuple[str, Held, dict[str, Any]]] = {}
        for part in sorted(real, key=lambda part: part[1].order):
            newest[part[0], orjson.dumps(part[2], option=orjson.OPT_SORT_KEYS)] = part
        words: dict[tuple[str, bytes], tuple[str, Held, dict[str, Any]]] = {}
        in_order = sorted(newest.items(), key=lambda i: (SOURCES[i[0][0]][1], i[1][1].order))
        for (source, body), part in in_order:
            words.setdefault((SOURCES[source][0], body), part)
        if len(words) == 1:
            ((source, _, entity),) = words.values()
            facility = SOURCES[source][0]
            return {**entity, "facility": facility, "facilities": [facility]}
        return merge_entities(
            [
                SourceEntity(source, *SOURCES[source], held.said_at[entity["key"]], entity)
                for source, held, entity in words.values()
            ]
        )


def shown(entity: StoredEntity) -> dict[str, Any]:
    """A stored entity in the model's form."""
    return {
        name: value
        for name, value in entity.record.items()
        if name not in ("provenance", "provider", "instrument", "instrumentKey")
    }


class StoreMachine(RuleBasedStateMachine):
    """Puts and deletes records in random order."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.model = Model()
        self.ordinals: dict[str, int] = {}
        self.since = 0
        self.before: dict[str, Any] = {}
        self.places: dict[tuple[str, str], int] = {}

    @rule(
        source=st.sampled_from(sorted(SOURCES)),
        page=st.dictionaries(
            st.sampled_from(["r1", "r2", "r3"]), statements | st.none(), max_size=3
        ),
    )
    def put(self, source: str, page: dict[str, list[dict[str, Any]] | None]) -> None:
        self.before = self.engine_view()
        self.since = self.world.store.last_change()
        records = [
            tombstone(name) if entities is None else record(name, *entities)
            for name, entities in page.items()
        ]
        self.world.put(*records, of=source)
        # Records are numbered when first seen, a page's tombstones after what it brings.
        for name in sorted(page, key=lambda name: page[name] is None):
            self.places.setdefault((source, name), len(self.places))
        for name, entities in page.items():
            held = self.model.records.get((source, name))
            if entities is None:
                self.model.records.pop((source, name), None)
            elif held is None or held.entities != entities:
                now = self.world.now.isoformat()
                kept = {entity["key"]: entity for entity in held.entities} if held else {}
                self.model.records[source, name] = Held(
                    self.places[source, name],
                    entities,
                    {
                        entity["key"]: held.said_at[entity["key"]]
                        if held and kept.get(entity["key"]) == entity
                        else now
                        for entity in entities
                    },
                )

    @rule()
    def harvest_again(self) -> None:
        """The same once more changes nothing."""
        for source in SOURCES:
            held = [(n, h) for (s, n), h in self.model.records.items() if s == source]
            number = self.world.store.last_change()
            self.world.put(*(record(name, *one.entities) for name, one in held), of=source)
            assert self.world.store.last_change() == number

    def engine_view(self) -> dict[str, Any]:
        """What an engine would be given of each entity, children and all."""
        merged = self.model.merged()
        view: dict[str, Any] = {}
        for key, entity in merged.items():
            # In which other Documents its Datasets are is no content of a Document.
            children = [
                {k: v for k, v in self._content(merged[child]).items() if k != "documents"}
                for child in entity.get("datasets", ())
            ]
            view[key] = orjson.dumps(
                [self._content(entity), children],
                option=orjson.OPT_SORT_KEYS,
            )
        return view

    @staticmethod
    def _content(entity: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in entity.items() if name != "provenance"}

    @invariant()
    def store_shows_what_the_model_has(self) -> None:
        merged = self.model.merged()
        changes = self.world.store.changes_since(0)
        live = {c.entity.key: c for c in changes if not c.entity.deleted}
        assert live.keys() == merged.keys()
        for key, change in live.items():
            expected = self._content(merged[key])
            instruments = expected.pop("instruments", [])
            expected.pop("instrumentKey", None)
            assert {k: sorted(v) if k in ("datasets", "documents") else v
                    for k, v in shown(change.entity).items()} == expected  # fmt: skip
            if instruments:
                given = change.entity.record["instrument"]
                assert (given["key"], given["name"], given.get("pid")) in instruments
            children = sorted(child.key for child in change.children)
            assert children == expected.get("datasets", [])

    @invariant()
    def numbers_grow_and_reach_whatever_is_another(self) -> None:
        changes = self.world.store.changes_since(0)
        numbers = [change.entity.change for change in changes]
        assert numbers == sorted(set(numbers))
        after = self.engine_view()
        changed = self.world.changed(self.since)
        different = {
            key for key in self.before.keys() | after.keys()
            if self.before.get(key) != after.get(key)
        }  # fmt: skip
        assert different <= changed.keys()
        for change in changes:
            key, ordinal = change.entity.key, change.entity.ordinal
            assert self.ordinals.setdefault(key, ordinal) == ordinal

    @invariant()
    def what_was_read_before_is_read_as_it_is_now(self) -> None:
        """Entities are kept by change number, which must name all that they show (10.3)."""
        changes = {c.entity.key: c.entity for c in self.world.store.changes_since(0)}
        assert self.world.store.entities(changes) == changes

    @invariant()
    def store_is_sound(self) -> None:
        assert self.world.store.check().problems == ()

    def teardown(self) -> None:
        self.world.store.close()
        self.folder.cleanup()


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
test_any_sequence_of_puts_and_deletes = StoreMachine.TestCase
