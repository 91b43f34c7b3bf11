"""``/api/history``: every version that is kept of a record, for the operator (semantics 11.1).

Superseded and deleted versions, payloads as they were received: whoever asks must send the
operator's key, which the guard in ``operator_key`` has seen already.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from catalogue.records import StoredRecord
from catalogue.threads import in_thread
from search_api.errors import BadRequest, UnknownThing
from search_api.replies import Call, Reply, json_reply

Json = dict[str, Any]

NOT_STORED = {"Cache-Control": "no-store"}
MAX_RECORDS = 100
"""Source records of one entity that are shown; a merged one has two or three."""


async def history_by_key(call: Call) -> Reply:
    """``GET /api/history/{key}``."""
    key = call.arguments["key"]
    found = await in_thread(partial(_read, call.server.catalogue.store, key))
    if found is None:
        raise UnknownThing(f"There is no record {key[:300]!r}.")
    return json_reply(found, headers=NOT_STORED)


async def history_of_source(call: Call) -> Reply:
    """``GET /api/history?source=&identifier=``: what a source said before of one of its records,
    also of one that it has deleted and that belongs to nothing any more."""
    source, identifier = call.one("source"), call.one("identifier")
    if source is None or identifier is None:
        raise BadRequest(
            "Name the source and the identifier that the record has there.",
            field="source" if source is None else "identifier",
        )
    store = call.server.catalogue.store
    versions = await in_thread(partial(store.history, source, identifier))
    return json_reply(
        {
            "source": source,
            "identifier": identifier,
            "versions": [version_json(version) for version in versions],
        },
        headers=NOT_STORED,
    )


def _read(store: Any, key: str) -> Json | None:
    entity = store.entity(key)
    if entity is None:
        return None
    records = store.stored_records(entity.key)[:MAX_RECORDS]
    if entity.deleted and not records:
        records = store.last_records(entity.key)
    return {
        "key": entity.key,
        "type": entity.entity_class,
        "deleted": entity.deleted,
        "change": entity.change,
        "changed_at": entity.changed_at,
        "records": [
            {
                "source": record.source,
                "facility": record.facility,
                "identifier": record.header.identifier,
                "format": record.format,
                "state": record.state,
                "versions": [
                    version_json(record),
                    *map(version_json, store.history(record.source, record.header.identifier)),
                ],
            }
            for record in records
        ],
    }


def version_json(record: StoredRecord) -> Json:
    """One version of a source's record; ``payload`` is null where it is not kept."""
    payload = record.payload
    return {
        "datestamp": record.header.datestamp,
        "harvested_at": record.harvested_at,
        "payload": None if payload is None else payload.decode("utf-8", errors="replace"),
    }
