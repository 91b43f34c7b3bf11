"""Small entities with links between them, as the outbox would give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from catalogue.records import Change, EntityClass, StoredEntity

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

SAXS, SANS, SFX, SSX = "PaNET01188", "PaNET01189", "PaNET01168", "PaNET01169"


def technique(panet: str, name: str = "", **more: Any) -> dict[str, Any]:
    return {"pid": f"http://purl.org/pan-science/PaNET/{panet}", "name": name or panet,
            "panet": panet, **more}  # fmt: skip


def parameter(name: str, value: Any, unit: str | None = None, **quantity: Any) -> dict[str, Any]:
    """A parameter; with ``dimension`` and ``low`` (``high``) it has a quantity."""
    made: dict[str, Any] = {"name": name, "value": value}
    if unit:
        made["unit"] = unit
    if quantity:
        made["quantity"] = {"high": quantity["low"], **quantity}
    return made


def person(name: str, role: str = "member") -> dict[str, Any]:
    return {"role": role, "person": {"fullName": name}, "affiliation": {"name": f"{name} lab"}}


class Entities:
    """A catalogue in memory that answers as the record store does."""

    def __init__(self) -> None:
        self.held: dict[str, StoredEntity] = {}
        self.links: dict[str, dict[str, None]] = {}
        self._change = 0

    def put(self, entity_class: EntityClass, name: str, /, **fields: Any) -> str:
        """Add or change an entity; whatever contains it gets a new change number, too."""
        key = f"{entity_class.lower()}:doi:10.5072/{name}"
        record: dict[str, Any] = {
            "class": entity_class, "key": key, "pid": f"10.5072/{name}", "facility": "ESS",
            "facilities": ["ESS"], "provider": "https://ess.example/api", **fields,
        }  # fmt: skip
        if entity_class != "Instrument":
            record.setdefault("access", {"evidence": []})
            record.setdefault("kind", "data")
        self._write(key, entity_class, record, deleted=False)
        if entity_class == "Document":
            self.links[key] = dict.fromkeys(fields.get("datasets", ()))
        for parent, children in self.links.items():
            if key in children and parent in self.held:
                self._write(parent, "Document", dict(self.held[parent].record), deleted=False)
        return key

    def document(self, name: str, /, **fields: Any) -> str:
        return self.put("Document", name, **fields)

    def dataset(self, name: str, /, **fields: Any) -> str:
        return self.put("Dataset", name, **fields)

    def delete(self, key: str) -> None:
        held = self.held[key]
        self._write(key, held.entity_class, {"class": held.entity_class, "key": key}, deleted=True)
        self.links.pop(key, None)
        for parent, children in self.links.items():
            if key in children:
                self._write(parent, "Document", dict(self.held[parent].record), deleted=False)

    def _write(
        self, key: str, entity_class: EntityClass, record: Mapping[str, Any], *, deleted: bool
    ) -> None:
        self._change += 1
        ordinal = self.held[key].ordinal if key in self.held else len(self.held) + 1
        self.held[key] = StoredEntity(key, entity_class, ordinal, self._change, deleted, record)

    # --- as the store answers -----------------------------------------------------------------

    def changes(self) -> list[Change]:
        return self.changes_since(0, 1_000_000)

    def changes_since(self, number: int, limit: int = 1_000) -> list[Change]:
        ordered = sorted(self.held.values(), key=lambda entity: entity.change)
        return [self._as_change(e) for e in ordered if e.change > number][:limit]

    def _as_change(self, entity: StoredEntity) -> Change:
        children = [
            self.held[key]
            for key in self.links.get(entity.key, ())
            if key in self.held and not self.held[key].deleted
        ]
        parents = [
            parent
            for parent, names in self.links.items()
            if entity.key in names and not self.held[parent].deleted
        ]
        return Change(entity, tuple(children), tuple(parents))

    def changes_of(self, keys: Iterable[str]) -> dict[str, Change]:
        return {key: self._as_change(self.held[key]) for key in keys if key in self.held}

    def last_change(self) -> int:
        return self._change

    def entities(self, keys: Sequence[str]) -> dict[str, StoredEntity]:
        return {key: self.held[key] for key in keys if key in self.held}

    def entity(self, key: str) -> StoredEntity | None:
        return self.held.get(key)

    def close(self) -> None:
        return None
