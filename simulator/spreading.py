"""One world of Documents spread over facilities, some of them held by several.

Copies of a Document share a DOI and differ in everything else: spelling of the DOI, words of the
title, what is missing. What is true of the union is told with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from simulator.records import Document

Spelling = Callable[[str], str]
SPELLINGS: tuple[Spelling, ...] = (
    lambda doi: doi,
    lambda doi: f"https://doi.org/{doi}",
    lambda doi: doi.upper(),
    lambda doi: f"doi:{doi}",
    lambda doi: f"http://dx.doi.org/{doi}",
)


@dataclass(frozen=True, slots=True)
class Spread:
    """``held``: by facility, the Documents in the form in which it holds them. ``holders``: by
    DOI as it was given, the numbers of the facilities that hold it."""

    held: tuple[tuple[Document, ...], ...]
    holders: dict[str, tuple[int, ...]]


def spread(
    documents: Iterable[Document], facilities: int, random: Random, *, shared: float = 0.2
) -> Spread:
    """Give each Document to one facility, and a share of them to one or two more.

    Documents carry a ``doi`` (else their pid counts as one); copies get a local pid of their own.
    """
    held: list[list[Document]] = [[] for _ in range(facilities)]
    holders: dict[str, tuple[int, ...]] = {}
    for number, document in enumerate(documents):
        doi = str(document.get("doi") or document["pid"])
        copies = random.choice((2, 3)) if random.random() < shared else 1
        chosen = random.sample(range(facilities), min(copies, facilities))
        holders[doi] = tuple(sorted(chosen))
        held[chosen[0]].append(document)
        for place in chosen[1:]:
            held[place].append(copy_of(document, doi, f"local-{place}-{number}", random))
    return Spread(tuple(tuple(each) for each in held), holders)


def copy_of(document: Document, doi: str, pid: str, random: Random) -> Document:
    """The same Document as another facility would describe it."""
    copy: dict[str, Any] = {**document, "pid": pid, "doi": random.choice(SPELLINGS)(doi)}
    copy["title"] = f"{document.get('title') or ''} (mirror)"
    for name in random.sample(("summary", "license", "keywords", "members", "parameters"), 2):
        copy.pop(name, None)
    copy["datasets"] = _copied(document.get("datasets", ()), pid)
    return copy


def _copied(datasets: Sequence[Document], pid: str) -> list[dict[str, Any]]:
    """Datasets of a copy, under pids that are its own."""
    return [{**dataset, "pid": f"{pid}/{n}"} for n, dataset in enumerate(datasets)]
