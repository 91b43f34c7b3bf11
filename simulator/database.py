"""PaNOSC objects in tables, as LoopBack's memory connector keeps them (``db.json``).

The reference provider's database loads as it is; nested PaNOSC documents are taken apart into the
same tables.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from simulator.errors import BadRecords
from simulator.models import MODELS, PAIR_TABLES, Relation, Row


class Database:
    """Tables of rows by id, with indices for relations that are made when first needed."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, Row]] = {name: {} for name in MODELS}
        self._pairs: dict[str, dict[tuple[Any, Any], None]] = {name: {} for name in PAIR_TABLES}
        self._indices: dict[tuple[str, str], dict[Any, list[Any]]] = {}
        self._order: dict[str, list[Row]] = {}
        self._next_id = 0
        self.version = 0

    @classmethod
    def from_memory(cls, stored: Mapping[str, Any]) -> Database:
        """From LoopBack's memory format (``models.{Class}.{id}`` holds JSON text).

        Raises BadRecords when it is of another form.
        """
        database = cls()
        try:
            for name, rows in stored["models"].items():
                decoded = [json.loads(r) if isinstance(r, str) else dict(r) for r in rows.values()]
                if name in MODELS:
                    key = MODELS[name].id
                    database.tables[name] = {row[key]: row for row in decoded}
                elif name in PAIR_TABLES:
                    ours, theirs = _pair_columns(name)
                    database._pairs[name] = {(r[ours], r[theirs]): None for r in decoded}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadRecords(f"No LoopBack memory database: {error!r}.") from error
        return database

    def _changed(self) -> None:
        self._indices.clear()
        self._order.clear()
        self.version += 1

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def put(self, model: str, row: Mapping[str, Any]) -> None:
        """Add or replace one object without relations."""
        self.tables[model][row[MODELS[model].id]] = dict(row)
        self._changed()

    def delete(self, model: str, pid: Any) -> None:
        """Remove one object, and its pairs; unknown ones are ignored."""
        self.tables[model].pop(pid, None)
        for table, pairs in self._pairs.items():
            models = {"DocumentDataset": ("Document", "Dataset")}.get(table, ("Dataset", ""))
            for place, name in enumerate(models):
                if name == model:
                    for pair in [pair for pair in pairs if pair[place] == pid]:
                        del pairs[pair]
        self._changed()

    def put_document(self, document: Mapping[str, Any]) -> None:
        """Take a nested PaNOSC document apart into rows, replacing what it had."""
        pid = document["pid"]
        pairs = self._pairs["DocumentDataset"]
        if pid in self.tables["Document"]:  # looked up first: filling thousands stays linear
            self._remove_parts("documentId", pid, "Member", "Parameter")
            for pair in [pair for pair in pairs if pair[0] == pid]:
                del pairs[pair]
        fields = MODELS["Document"].fields
        self.tables["Document"][pid] = {k: document[k] for k in fields if k in document}
        self._put_parameters(document.get("parameters", ()), "documentId", pid)
        for member in document.get("members", ()):
            self._put_member(member, pid)
        for dataset in document.get("datasets", ()):
            self.put_dataset(dataset)
            pairs[pid, dataset["pid"]] = None
        self._changed()

    def _remove_parts(self, column: str, pid: Any, *models: str) -> None:
        for model in models:
            table = self.tables[model]
            for key in self._index(model, column).get(pid, ()):
                table.pop(key, None)

    def _put_parameters(self, parameters: Iterable[Mapping[str, Any]], key: str, pid: Any) -> None:
        for parameter in parameters:
            number = self._new_id()
            self.tables["Parameter"][number] = {"id": number, **parameter, key: pid}

    def _put_member(self, member: Mapping[str, Any], pid: Any) -> None:
        row: Row = {"id": member.get("id") or self._new_id(), "documentId": pid}
        if "role" in member:
            row["role"] = member["role"]
        for name, model in (("affiliation", "Affiliation"), ("person", "Person")):
            part = member.get(name)
            if part:
                self.tables[model][part["id"]] = dict(part)
                row[f"{name}Id"] = part["id"]
        self.tables["Member"][row["id"]] = row

    def put_dataset(self, dataset: Mapping[str, Any]) -> None:
        """Take a nested dataset apart into rows, replacing what it had."""
        pid = dataset["pid"]
        if pid in self.tables["Dataset"]:
            self._remove_parts("datasetId", pid, "File", "Parameter")
            for table in ("DatasetTechnique", "DatasetSample"):
                pairs = self._pairs[table]
                for pair in [pair for pair in pairs if pair[0] == pid]:
                    del pairs[pair]
        fields = MODELS["Dataset"].fields
        row: Row = {k: dataset[k] for k in fields if k in dataset}
        instrument = dataset.get("instrument")
        if instrument:
            self.tables["Instrument"][instrument["pid"]] = dict(instrument)
            row["instrumentId"] = instrument["pid"]
        self.tables["Dataset"][pid] = row
        for name, model, table in (
            ("techniques", "Technique", "DatasetTechnique"),
            ("samples", "Sample", "DatasetSample"),
        ):
            for part in dataset.get(name, ()):
                self.tables[model][part["pid"]] = dict(part)
                self._pairs[table][pid, part["pid"]] = None
        self._put_parameters(dataset.get("parameters", ()), "datasetId", pid)
        for file in dataset.get("files", ()):
            number = file.get("id") or self._new_id()
            self.tables["File"][number] = {**file, "id": number, "datasetId": pid}

    def delete_document(self, pid: Any) -> None:
        """Remove a document, its members and parameters, and datasets no other document has."""
        pairs = self._pairs["DocumentDataset"]
        mine = [pair[1] for pair in pairs if pair[0] == pid]
        self._remove_parts("documentId", pid, "Member", "Parameter")
        self.delete("Document", pid)
        kept = {pair[1] for pair in pairs}
        for dataset in mine:
            if dataset not in kept:
                self._remove_parts("datasetId", dataset, "File", "Parameter")
                self.delete("Dataset", dataset)
        self._changed()

    def _index(self, model: str, column: str) -> dict[Any, list[Any]]:
        index = self._indices.get((model, column))
        if index is None:
            index = defaultdict(list)
            for key, row in self.tables[model].items():
                index[row.get(column)].append(key)
            self._indices[model, column] = index = dict(index)
        return index

    def _pair_index(self, table: str, key: str) -> dict[Any, list[Any]]:
        index = self._indices.get((table, key))
        if index is None:
            place = _pair_columns(table).index(key)
            index = defaultdict(list)
            for pair in self._pairs[table]:
                index[pair[place]].append(pair[1 - place])
            self._indices[table, key] = index = dict(index)
        return index

    def rows(self, model: str) -> list[Row]:
        """All rows of a class in the order of their ids (numbers before text)."""
        rows = self._order.get(model)
        if rows is None:
            key = MODELS[model].id
            rows = sorted(self.tables[model].values(), key=lambda row: _id_order(row[key]))
            self._order[model] = rows
        return rows

    def related(self, model: str, row: Row, relation: Relation) -> list[Row]:
        """The rows on the other side of a relation, in the order of their ids."""
        table = self.tables[relation.model]
        own = row.get(MODELS[model].id)
        if relation.kind == "one":
            found = table.get(row.get(relation.key))
            return [found] if found is not None else []
        if relation.kind == "many":
            keys = self._index(relation.model, relation.key).get(own, ())
        else:
            keys = self._pair_index(relation.table, relation.key).get(own, ())
        key = MODELS[relation.model].id
        found_rows = [table[k] for k in keys if k in table]
        return sorted(found_rows, key=lambda each: _id_order(each[key]))


def _pair_columns(table: str) -> tuple[str, str]:
    return {
        "DocumentDataset": ("documentId", "datasetId"),
        "DatasetTechnique": ("datasetId", "techniqueId"),
        "DatasetSample": ("datasetId", "sampleId"),
    }[table]


def _id_order(value: Any) -> tuple[bool, Any]:
    return (False, value) if isinstance(value, int | float) else (True, str(value))
