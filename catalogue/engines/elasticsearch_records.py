"""The record store's reading side, answered from Elasticsearch alone (semantics 10.4).

For API nodes that have an empty data folder and only the URL: entities come with their documents
in the index, the rest from the small notes that the indexer keeps beside them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import elastic_transport
from elasticsearch import Elasticsearch, NotFoundError

from catalogue import analysis
from catalogue.engines import shared_state
from catalogue.engines.elasticsearch_client import connect_blocking, error_type, nodes_of, whole
from catalogue.engines.elasticsearch_mapping import document_id
from catalogue.engines.elasticsearch_silence import limits_of
from catalogue.errors import EngineUnavailable, StoreReadOnly
from catalogue.facilities import Facility, Source
from catalogue.fields import ENTITY_CLASSES, canonical_identifier, strings
from catalogue.record_terms import equality_term, names_of
from catalogue.records import Change, EntityClass, SourceStatus, StoredEntity, StoredRecord
from mappings.identifiers import GLOBAL_SCHEMES, PREFIXES, entity_key, identify

STATE_KEPT_S = 2.0
STEP = 1_000
"""Records in one answer."""


class ElasticsearchRecords:
    """What rooms above read of the store; writing is refused. Blocking, for worker threads."""

    read_only = True

    def __init__(self, urls: str, prefix: str, folder: Path) -> None:
        limits = limits_of(len(nodes_of(urls)))
        self._client: Elasticsearch = connect_blocking(urls).options(**limits)
        self._prefix = prefix
        self._state: tuple[float, Mapping[str, Any]] = (0.0, {})
        self.folder = folder

    def close(self) -> None:
        self._client.close()

    # --- what is known of the sources -----------------------------------------------------------

    def _shared(self) -> Mapping[str, Any]:
        moment, held = self._state
        if held and time.monotonic() - moment < STATE_KEPT_S:
            return held
        found = self._note("state") or {}
        self._state = (time.monotonic(), found)
        return found

    def _note(self, name: str, index: str = "meta") -> Mapping[str, Any] | None:
        with _available():
            try:
                found = self._client.get(index=f"{self._prefix}-{index}", id=name)
            except NotFoundError as error:
                if index == "raw" and error_type(error.body) is not None:
                    raise  # the index itself is missing; notes are not there before the first fill
                return None
        value: Mapping[str, Any] = found["_source"]["value"]
        return value

    @property
    def demo(self) -> bool | None:
        value: bool | None = self._shared().get("demo")
        return value

    def facilities(self) -> tuple[Facility, ...]:
        return shared_state.facilities_from(self._shared())

    def sources(self) -> tuple[Source, ...]:
        return shared_state.sources_from(self._shared())

    def source_status(self, source: str) -> SourceStatus:
        return shared_state.status_from(self._shared(), source)

    def last_change(self) -> int:
        return int(self._shared().get("last_change", 0))

    def stored_records(self, key: str) -> tuple[StoredRecord, ...]:
        return shared_state.raw_from(self._note(document_id(key), "raw") or {})

    def history(self, source: str, identifier: str) -> tuple[StoredRecord, ...]:
        """Versions that were superseded are in no index, where whoever may read it could see them,
        and from where nothing that is forgotten would be taken out (semantics 10.4)."""
        raise StoreReadOnly(
            f"What {source} said of {identifier} before is not in Elasticsearch: ask a node that "
            "has the record store."
        )

    def last_records(self, key: str) -> tuple[StoredRecord, ...]:
        """As ``history``: the versions of what is gone."""
        raise StoreReadOnly(
            f"What was said last of {key} is not in Elasticsearch: ask a node that has the record "
            "store."
        )

    # --- entities -------------------------------------------------------------------------------

    def entities(self, keys: Iterable[str]) -> dict[str, StoredEntity]:
        wanted: dict[str, list[str]] = {}
        for key in keys:
            wanted.setdefault(_class_of(key), []).append(document_id(key))
        found: dict[str, StoredEntity] = {}
        steps = [
            (name, ids[at : at + STEP])
            for name, ids in wanted.items()
            for at in range(0, len(ids), STEP)
        ]
        for name, ids in steps:
            with _available():
                answer = self._client.mget(index=self._index(name), ids=ids)
            for one in answer["docs"]:
                if "error" in one:
                    raise EngineUnavailable(
                        f"Elasticsearch does not give the records: {error_type(one)}"
                    )
                if one.get("found"):
                    entity = _entity(one["_source"], name)
                    found[entity.key] = entity
        return found

    def entity(self, key: str) -> StoredEntity | None:
        return self.entities((key,)).get(key)

    def find(self, entity_class: EntityClass, pid: str) -> tuple[StoredEntity, ...]:
        """Live entities that a pid, DOI or alternate identifier names, at whichever facility."""
        keys = {entity_key(entity_class, pid, facility.name) for facility in self.facilities()}
        clauses = [{"terms": {"key": sorted(keys)}}, *_naming(pid)]
        query = {"bool": {"should": clauses, "minimum_should_match": 1}}
        wanted = entity_key(entity_class, pid, "")
        found = [
            entity
            for entity in self._search(entity_class, query)
            if entity.key in keys
            or wanted in {entity_key(entity_class, name, "") for name in _names(entity.record)}
        ]
        return tuple(sorted(found, key=lambda entity: entity.key))

    def children(self, keys: Iterable[str], relation: str) -> dict[str, tuple[str, ...]]:
        """Datasets of Documents (``datasets``), Instruments of Datasets (``instrument``)."""
        found = self.entities(keys)
        if relation == "datasets":
            return {key: tuple(e.record.get("datasets") or ()) for key, e in found.items()}
        return {
            key: (str(e.record["instrumentKey"]),)
            for key, e in found.items()
            if e.record.get("instrumentKey")
        }

    def parents(self, keys: Iterable[str], relation: str) -> dict[str, tuple[str, ...]]:
        """Documents of Datasets (``datasets``), Datasets of Instruments (``instrument``)."""
        wanted = list(keys)
        if relation == "datasets":
            found = self.entities(wanted)
            return {key: tuple(e.record.get("documents") or ()) for key, e in found.items()}
        return {
            key: tuple(e.key for e in self._search("Dataset", {"term": {"f_instrument_key": key}}))
            for key in wanted
        }

    def changes_of(self, keys: Iterable[str]) -> dict[str, Change]:
        found = self.entities(keys)
        links = self.children(found, "datasets")
        below = self.entities({child for many in links.values() for child in many})
        return {
            key: Change(entity, tuple(below[c] for c in links.get(key, ()) if c in below))
            for key, entity in found.items()
        }

    def changes_since(self, number: int, limit: int = 1_000) -> tuple[Change, ...]:
        """Nothing to be indexed comes from here."""
        del number, limit
        return ()

    def count(self, entity_class: EntityClass, *, derived: bool = True) -> int:
        query: dict[str, Any] = {"bool": {"filter": [{"term": {"deleted": False}}]}}
        if not derived:
            term = equality_term("derived", 1, "boolean")
            query["bool"]["must_not"] = [{"term": {"terms": term}}]
        with _available():
            answer = self._client.count(index=self._index(entity_class), query=query)
        return int(whole(answer.body)["count"])

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise StoreReadOnly(
            f"This process has no record store of its own, only Elasticsearch: {name} is not "
            "possible here."
        )

    def _index(self, entity_class: str) -> str:
        return f"{self._prefix}-{entity_class.lower()}"

    def _search(self, entity_class: EntityClass, query: Mapping[str, Any]) -> list[StoredEntity]:
        live = {"bool": {"filter": [{"term": {"deleted": False}}, query]}}
        found: list[StoredEntity] = []
        after: dict[str, Any] = {}
        while True:
            with _available():
                answer = self._client.search(
                    index=self._index(entity_class), query=live, size=STEP,
                    sort=[{"ordinal": "asc"}], allow_partial_search_results=False, **after,
                )  # fmt: skip
            hits = whole(answer.body)["hits"]["hits"]
            found += [_entity(hit["_source"], entity_class) for hit in hits]
            if len(hits) < STEP:
                return found
            after = {"search_after": hits[-1]["sort"]}


def _names(record: Mapping[str, Any]) -> list[str]:
    return strings(record, "pid", "doi", "alternateIds")


def _naming(pid: str) -> list[Mapping[str, Any]]:
    """Look-ups of which one at least holds for each record that the identifier names."""
    canonical = canonical_identifier(pid)
    names = dict.fromkeys(one for field in ("pid", "doi") for one in names_of(field))
    terms = {equality_term(name, canonical, "identifier") for name in names}
    terms |= {equality_term("alternateIds", text, "text") for text in (pid, pid.strip())}
    identifier = identify(pid)
    wholes: list[str] = []
    if identifier.scheme in GLOBAL_SCHEMES:
        # Without case: as alternate identifiers come in any.
        folded = analysis.fold(identifier.canonical)
        wholes = [analysis.cut(before + folded) for before in ("", *PREFIXES)]
    return [{"terms": {"terms": sorted(terms)}}, {"terms": {"wholes": wholes}}]


def _class_of(key: str) -> str:
    head = key.partition(":")[0].capitalize()
    return head if head in ENTITY_CLASSES else "Document"


def _entity(source: Mapping[str, Any], entity_class: str) -> StoredEntity:
    name: Any = entity_class
    record = source.get("record") or {"class": name, "key": source["key"]}
    changed = source.get("changed_at")
    return StoredEntity(
        source["key"],
        name,
        source["ordinal"],
        source["change"],
        source["deleted"],
        record,
        datetime.fromisoformat(changed) if changed else None,
    )


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (elastic_transport.TransportError, elastic_transport.ApiError) as error:
        raise EngineUnavailable(
            f"Elasticsearch does not give the records: {type(error).__name__}"
        ) from error
