"""Records made ready for the store: hashed, rendered as JSON, compressed.

Pure, and worth doing where the crosswalk ran: a ``ReadyRecord`` is bytes, which cross the border
between processes for a fraction of what its entities would cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from catalogue.records import ReadyRecord, SourceRecord
from catalogue.store.parts import part_of
from catalogue.store.payloads import Dictionary, Payloads, payloads_here
from mappings.errors import MappingError


def ready(
    records: Iterable[SourceRecord], facility: str, dictionary: Dictionary | None = None
) -> list[ReadyRecord]:
    """Render a page of one facility's records for ``Store.commit_page``.

    Args:
        facility: short name, as in the configuration.
        dictionary: what ``Store.dictionary`` gave for the source and format; without it the store
            compresses the payloads itself.
    """
    here = payloads_here() if dictionary is not None else None
    return [ready_record(record, facility, here, dictionary) for record in records]


def ready_record(
    record: SourceRecord,
    facility: str,
    payloads: Payloads | None = None,
    dictionary: Dictionary | None = None,
) -> ReadyRecord:
    """Render one record; compress its payload where ``payloads`` is given."""
    payload, mapped = record.payload, record.mapped
    gone = record.deleted or payload is None
    packed = None
    if payloads is not None and payload is not None and not gone:
        packed = payloads.pack(payload, dictionary)
    rejection = None
    parts: tuple[Any, ...] = ()
    problems: tuple[str, ...] = ()
    if isinstance(mapped, MappingError):
        rejection = (mapped.path, str(mapped), mapped.expected)
    elif mapped is not None and not gone:
        parts = parts_of(mapped.entities, facility)
        problems = tuple(f"{problem.path}: {problem.reason}" for problem in mapped.problems)
    return ReadyRecord(
        header=record.header,
        format=record.format,
        deleted=gone,
        payload=None if gone else payload,
        payload_hash=None if payload is None or gone else payload_hash(payload),
        packed=packed,
        parts=parts,
        rejection=rejection,
        problems=problems,
    )


def parts_of(entities: Sequence[Mapping[str, Any]], facility: str) -> tuple[Any, ...]:
    """The parts of one record, one for each entity that is kept as such."""
    made = [part_of(entity, facility) for entity in entities]
    return tuple(part for part in made if part is not None)


def payload_hash(payload: bytes) -> bytes:
    """What tells whether a payload is the one that is stored."""
    return sha256(payload).digest()[:16]
