"""The records of ``tests/data/mappings`` and how tests map them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mappings import Context, Header, Mapped, crosswalk

DATA = Path(__file__).parents[1] / "data" / "mappings"
HEADER = Header("oai:example.org:1", "2026-01-01T00:00:00Z")


def payload(name: str) -> bytes:
    """The bytes of a file."""
    return (DATA / name).read_bytes()


def mapped(
    format_name: str, name: str, context: Context | None = None, header: Header = HEADER
) -> Mapped:
    """A file's record through its crosswalk."""
    return crosswalk(format_name, payload(name), context or Context("Demo"), header)


def dc(inner: str) -> bytes:
    """A Dublin Core record around some elements."""
    return (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{inner}</oai_dc:dc>'
    ).encode()


def resource(inner: str) -> bytes:
    """A DataCite resource around some elements."""
    return f'<resource xmlns="http://datacite.org/schema/kernel-4">{inner}</resource>'.encode()


def only(result: Mapped) -> dict[str, Any]:
    """The one entity of a result."""
    (entity,) = result.entities
    return entity


def reasons(result: Mapped) -> dict[str, str]:
    """Reason by path of what could not be read."""
    return {problem.path: problem.reason for problem in result.problems}


def unused(result: Mapped) -> dict[str, str]:
    """Value by path of what no field took."""
    return {piece.path: piece.value for piece in result.unmapped}
