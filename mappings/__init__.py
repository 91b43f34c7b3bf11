"""The language of the house: PaNOSC schema, crosswalks, techniques, units, identifiers, dates.

Pure: data in, data out; nothing here touches the network, a clock or a file but its own data.
The names below are loaded when first used, so that importing one module stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mappings.context import Context, Entity, Header, Mapped, Problem, Unmapped
    from mappings.crosswalks import FORMATS, crosswalk
    from mappings.errors import MappingError, MappingsError, UnknownFormat
    from mappings.identifiers import entity_key
    from mappings.merging import SourceEntity, content_hash, merge_entities
    from mappings.rights import AccessState, access_at
    from mappings.versions import VERSIONS

__all__ = [
    "FORMATS",
    "VERSIONS",
    "AccessState",
    "Context",
    "Entity",
    "Header",
    "Mapped",
    "MappingError",
    "MappingsError",
    "Problem",
    "SourceEntity",
    "UnknownFormat",
    "Unmapped",
    "access_at",
    "content_hash",
    "crosswalk",
    "entity_key",
    "merge_entities",
]

_HOMES = {
    "FORMATS": "crosswalks",
    "crosswalk": "crosswalks",
    "VERSIONS": "versions",
    "AccessState": "rights",
    "access_at": "rights",
    "MappingError": "errors",
    "MappingsError": "errors",
    "UnknownFormat": "errors",
    "SourceEntity": "merging",
    "content_hash": "merging",
    "merge_entities": "merging",
    "entity_key": "identifiers",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mappings' has no attribute {name!r}")
    value = getattr(import_module(f"mappings.{_HOMES.get(name, 'context')}"), name)
    globals()[name] = value
    return value
