"""A record as an OAI-PMH answer gives it."""

from __future__ import annotations

from dataclasses import dataclass

from mappings.context import Header


@dataclass(frozen=True, slots=True)
class OaiRecord:
    """One record as received.

    ``payload`` is the one element under ``<metadata>``, UTF-8, with all its namespaces; ``None``
    for a deletion. ``problem`` is the reason why the record cannot be used as it is (it belongs
    into quarantine); ``repairs`` names what a repair mended in it.
    """

    header: Header
    deleted: bool
    payload: bytes | None
    problem: str | None = None
    repairs: tuple[str, ...] = ()
