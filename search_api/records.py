"""``/api/records/{key}``: one entity with its provenance, field by field (semantics 1.2, 11.1).

The raw payload of live records is public, with e-mail addresses removed; history and deleted
versions are for whoever operates the server, and are not served.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import anyio.to_thread

from catalogue.facilities import Source
from catalogue.records import EntityClass, StoredEntity, StoredRecord
from search_api.errors import BadRequest, UnknownThing
from search_api.federation.overlay import Kept
from search_api.hits import load_children, record_json
from search_api.panosc import find_one, missing_in_words
from search_api.replies import Call, Reply, json_reply
from search_api.whole import find_whole, read_asked

Json = dict[str, Any]

NAMED: Mapping[str, EntityClass] = {
    "document": "Document",
    "dataset": "Dataset",
    "instrument": "Instrument",
}
MAX_RECORDS = 100
MAX_PAYLOAD_BYTES = 1_000_000
_MAIL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63})+")


async def record_by_key(call: Call) -> Reply:
    """``GET /api/records/{key}``."""
    shown, headers = await record_shown(call, call.arguments["key"])
    return json_reply(shown, headers=headers)


async def record_named(call: Call) -> Reply:
    """``GET /api/records?key=`` or ``?pid=``, for who cannot put slashes into a path (fault E13).

    A pid that names a Document and its derived Dataset means the Document, unless ``type`` says
    otherwise.
    """
    key, pid = call.one("key"), call.one("pid")
    if (key is None) == (pid is None):
        raise BadRequest("Name the record by either key or pid.", field="key")
    if pid is None:
        shown, told = await record_shown(call, str(key))
        return json_reply(shown, headers=told)
    wanted = call.one("type")
    if wanted is not None and wanted not in NAMED:
        raise BadRequest(
            f"type cannot be {wanted[:50]!r}.", field="type", allowed=NAMED, given=wanted
        )
    facilities: Mapping[str, str] = {}
    for name in NAMED if wanted is None else (wanted,):
        try:
            entity, records, headers = await find_one(call, NAMED[name], pid, files=True)
            return json_reply(await _shown(call, entity, records), headers=headers)
        except UnknownThing as unknown:
            facilities = unknown.headers()
    raise UnknownThing(
        f"There is no record with the pid {pid[:300]!r}.{missing_in_words(facilities)}",
        facilities=facilities,
    )


async def record_shown(call: Call, key: str) -> tuple[Json, Mapping[str, str]]:
    """What is shown of a record, and headers about the facilities that were asked for it.

    Raises:
        UnknownThing: there is none.
    """
    headers: Mapping[str, str] = {}
    entity = await call.server.catalogue.get(key)
    if entity is not None and not entity.deleted:
        return await _shown(call, entity, call.server.catalogue.store), headers
    class_name, pid = _named_by(key)
    if class_name is not None:
        # A facility that is asked live may have what no index knows.
        asked = read_asked(call, files=True)
        found, records, headers = await find_whole(call, class_name, pid, asked)
        for one in found:
            if one.key == key:
                return await _shown(call, one, records), headers
    raise UnknownThing(
        f"There is no record {key[:300]!r}.{missing_in_words(headers)}", facilities=headers
    )


def _named_by(key: str) -> tuple[EntityClass | None, str]:
    """Class and pid that a key was made of: ``document:doi:10.5072/1``, ``document:ess:42``."""
    name, _, rest = key.partition(":")
    return NAMED.get(name), rest.partition(":")[2]


async def _shown(call: Call, entity: StoredEntity, records: Kept) -> Json:
    store = call.server.catalogue.store
    children = await load_children(records, [entity])
    stored = await anyio.to_thread.run_sync(store.stored_records, entity.key)
    sources = {
        source.name: source for state in call.server.states.all for source, _ in state.sources
    }
    shown = record_json(entity, children.get(entity.key), call.server.states, call.now)
    shown["record"] = {name: value for name, value in entity.record.items() if name != "provenance"}
    shown["provenance"] = _provenance(dict(entity.record.get("provenance") or {}), stored)
    shown["sources"] = [
        _stored_json(record, sources.get(record.source)) for record in stored[:MAX_RECORDS]
    ]
    shown["change"] = entity.change
    return shown


def _provenance(by_field: Json, stored: tuple[StoredRecord, ...]) -> Json:
    """For each field which source said it, in which format, and when that was harvested."""
    newest: dict[str, StoredRecord] = {}
    for record in stored:
        held = newest.get(record.source)
        if held is None or held.harvested_at < record.harvested_at:
            newest[record.source] = record
    shown: Json = {}
    for name, source in sorted(by_field.items()):
        said = newest.get(str(source))
        shown[name] = {"source": source}
        if said is not None:
            shown[name] |= {"format": said.format, "harvested_at": said.harvested_at}
    return shown


def _stored_json(record: StoredRecord, source: Source | None) -> Json:
    shown: Json = {
        "source": record.source,
        "facility": record.facility,
        "identifier": record.header.identifier,
        "datestamp": record.header.datestamp,
        "sets": list(record.header.sets),
        "format": record.format,
        "state": record.state,
        "harvested_at": record.harvested_at,
        "versions": dict(record.versions),
        "protocol": source.protocol if source else None,
    }
    if record.state == "live" and record.payload is not None:
        shown["payload"] = without_mail(
            record.payload[:MAX_PAYLOAD_BYTES].decode("utf-8", errors="replace")
        )
    return shown


def without_mail(text: str) -> str:
    """``text`` with e-mail addresses removed (semantics 11.1)."""
    return _MAIL.sub("[address removed]", text)
