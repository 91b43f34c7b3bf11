"""The photon and neutron techniques: PaNET as a graph, with what can be asked of it.

PaNET (CC BY 4.0, see ``panet/NOTICE.md``) is a directed acyclic graph with several parents a term.
Two graphs are answered from: the *official* one as published, for the ontology service, and the
*cut* one, in which edges that are false in the field are removed (``panet/exceptions.tsv``, each
with its reason; semantics 4.2), for filters, facets and scoring.

Information content is intrinsic, from the graph alone: N. Seco, T. Veale, J. Hayes, "An Intrinsic
Information Content Metric for Semantic Similarity in WordNet", ECAI 2004. Similarity is D. Lin,
"An Information-Theoretic Definition of Similarity", ICML 1998.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mappings.errors import UnknownTechnique, UnreadableOntology

FOLDER = Path(__file__).parent / "panet"
TERMS_VARIABLE = "PAN_COMMONS_PANET"
"""Environment variable naming a terms file to use in place of the shipped one."""

IRI_PREFIX = "http://purl.org/pan-science/PaNET/"
ROOT = "PaNET00001"

PROBES = {
    "PaNET00100": "photon",
    "PaNET00101": "neutron",
    "PaNET00102": "muon",
    "PaNET00107": "positron",
}

_ID = re.compile(r"PaNET[\s_:-]?(\d{5,7})(?!\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Term:
    """One term of PaNET. ``id`` is short (``PaNET01188``), ``iri`` the canonical PURL.

    ``parents`` are the direct ones of the official graph. Terms of the form PaNET2xxxxxx are
    specifiers (probes, processes, purposes): they describe techniques and are none.
    """

    id: str
    iri: str
    label: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]

    @property
    def is_technique(self) -> bool:
        return is_technique_id(self.id)


@dataclass(frozen=True, slots=True)
class GraphException:
    """``child`` is not below ``not_below``, whatever PaNET entails (semantics 4.2)."""

    child: str
    not_below: str
    reason: str


def is_technique_id(identifier: str) -> bool:
    """Whether a short id is that of a technique and not of a specifier (PaNET2xxxxxx)."""
    return len(identifier) == len(ROOT)


def find_id(text: str) -> str | None:
    """The first PaNET id in ``text`` in canonical short form, whatever IRI it is part of.

    ``https://purl.org/pan-science/PaNET/PaNET01188``, ``panet:PaNET01188`` and ``PaNET_01188`` are
    one thing. Nothing is looked up: the term may not exist.
    """
    found = _ID.search(text)
    return f"PaNET{found.group(1)}" if found else None


def find_ids(text: str) -> tuple[str, ...]:
    """All PaNET ids in ``text`` as ``find_id`` reads them, each once, in order."""
    return tuple(dict.fromkeys(f"PaNET{number}" for number in _ID.findall(text)))


def canonical_iri(identifier: str) -> str:
    """``PaNET01188`` to ``http://purl.org/pan-science/PaNET/PaNET01188``."""
    return IRI_PREFIX + identifier


class Panet:
    """PaNET in memory: both graphs, ancestors and descendants, information content, similarity.

    Every method takes an id in any form that ``find_id`` reads and gives short ids; an id that
    PaNET does not have raises ``UnknownTechnique``.

    Args:
        terms: all terms; every parent must be among them.
        exceptions: entailments to cut. The child keeps what else its former parent entailed: what
            is cut is "femtosecond is synchrotron", not "femtosecond is crystallography".

    Raises:
        UnreadableOntology: a parent is missing, terms are above themselves, or an exception names
            an unknown term.
    """

    def __init__(self, terms: Iterable[Term], exceptions: Sequence[GraphException] = ()) -> None:
        self.terms: Mapping[str, Term] = {term.id: term for term in terms}
        self.exceptions = tuple(exceptions)
        official = {identifier: term.parents for identifier, term in self.terms.items()}
        for identifier, parents in official.items():
            missing = [parent for parent in parents if parent not in official]
            if missing:
                raise UnreadableOntology(f"{identifier} is below {missing[0]}, which is not there.")
        self._official = _Graph(official)
        self._cut = _Graph(_cut_parents(official, self.exceptions))
        # Only techniques count: specifiers hang beside them, and hold no data.
        self._technique_count = max(2, sum(term.is_technique for term in self.terms.values()))
        self._content = {identifier: self._measure_content(identifier) for identifier in self.terms}
        self._lin: dict[tuple[str, str], float] = {}

    def term(self, identifier: str) -> Term:
        return self.terms[self._known(identifier)]

    def find(self, identifier: str) -> Term | None:
        """The term of an id or IRI in any form, or ``None``."""
        found = find_id(identifier)
        return self.terms.get(found) if found else None

    def parents(self, identifier: str, *, official: bool = False) -> tuple[str, ...]:
        return self._graph(official).parents[self._known(identifier)]

    def children(self, identifier: str, *, official: bool = False) -> tuple[str, ...]:
        return self._graph(official).children[self._known(identifier)]

    def ancestors(self, identifier: str, *, official: bool = False) -> frozenset[str]:
        """All terms above, itself included."""
        return self._graph(official).above[self._known(identifier)]

    def descendants(self, identifier: str, *, official: bool = False) -> frozenset[str]:
        """All terms below, itself included: what a filter on the term contains (semantics 4.1)."""
        return self._graph(official).below[self._known(identifier)]

    def official_parents(self, identifier: str) -> tuple[str, ...]:
        return self.parents(identifier, official=True)

    def official_children(self, identifier: str) -> tuple[str, ...]:
        return self.children(identifier, official=True)

    def official_relatives(self, identifier: str) -> tuple[str, ...]:
        """Itself and all terms below, sorted, as the PaNOSC techniques service calls them."""
        return tuple(sorted(self.descendants(identifier, official=True)))

    def named(self, name: str) -> tuple[Term, ...]:
        """Terms whose label or synonym is ``name``, compared without case; labels first."""
        wanted = name.strip().casefold()
        by_label = [t for t in self.terms.values() if t.label.casefold() == wanted]
        by_synonym = [
            t
            for t in self.terms.values()
            if t not in by_label and any(s.casefold() == wanted for s in t.synonyms)
        ]
        return (*by_label, *by_synonym)

    def information_content(self, identifier: str) -> float:
        """0 for the root to 1 for a term with nothing below (Seco), over the cut graph."""
        return self._content[self._known(identifier)]

    def least_common_subsumers(self, first: str, second: str) -> tuple[str, ...]:
        """Shared ancestors that are above no other shared ancestor, most informative first."""
        shared = self.ancestors(first) & self.ancestors(second)
        least = [t for t in shared if len(self._cut.below[t] & shared) == 1]
        return tuple(sorted(least, key=lambda t: (-self._content[t], t)))

    def similarity(self, first: str, second: str) -> float:
        """Lin similarity in [0, 1]; 1 only for a term with itself."""
        first, second = self._known(first), self._known(second)
        if first == second:
            return 1.0
        pair = (first, second) if first < second else (second, first)
        known = self._lin.get(pair)
        if known is None:
            shared = self._cut.above[first] & self._cut.above[second]
            common = max((self._content[t] for t in shared), default=0.0)
            total = self._content[first] + self._content[second]
            known = self._lin[pair] = min(2 * common / total, 1.0) if total > 0 else 0.0
        return known

    def similar(
        self, identifier: str, *, at_least: float = 0.5, across_probes: bool = False
    ) -> tuple[tuple[str, float], ...]:
        """Techniques near to one, with their similarity, nearest first, itself not among them.

        Techniques of another probe are left out unless asked for: SAXS is 0.72 from SANS and a
        scientist would be misled (semantics 4.1).
        """
        own = self._known(identifier)
        own_probe = self.probe(own)
        near = []
        for other, term in self.terms.items():
            if other == own or not term.is_technique:
                continue
            probe = self.probe(other)
            if not across_probes and own_probe and probe and probe != own_probe:
                continue
            similarity = self.similarity(own, other)
            if similarity >= at_least:
                near.append((other, similarity))
        return tuple(sorted(near, key=lambda pair: (-pair[1], pair[0])))

    def probe(self, identifier: str) -> str | None:
        """``photon``, ``neutron``, ``muon`` or ``positron`` if the term says it, else ``None``."""
        above = self.ancestors(identifier)
        probes = [probe for term, probe in PROBES.items() if term in above]
        return probes[0] if len(probes) == 1 else None

    def _graph(self, official: bool) -> _Graph:
        return self._official if official else self._cut

    def _known(self, identifier: str) -> str:
        if identifier in self.terms:
            return identifier
        found = find_id(identifier)
        if found is None or found not in self.terms:
            raise UnknownTechnique(f"PaNET has no term {identifier[:100]!r}.")
        return found

    def _measure_content(self, identifier: str) -> float:
        below = sum(is_technique_id(t) for t in self._cut.below[identifier])
        return abs(1 - math.log(max(below, 1)) / math.log(self._technique_count))


class _Graph:
    """Parents, children and their transitive closures of an acyclic graph, all sorted."""

    def __init__(self, parents: Mapping[str, tuple[str, ...]]) -> None:
        self.parents = {identifier: tuple(sorted(above)) for identifier, above in parents.items()}
        children: dict[str, list[str]] = {identifier: [] for identifier in parents}
        for identifier, above in parents.items():
            for parent in above:
                children[parent].append(identifier)
        self.children = {i: tuple(sorted(below)) for i, below in children.items()}
        self.above = _closures(self.parents)
        self.below = _closures(self.children)


def _closures(edges: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    closures: dict[str, frozenset[str]] = {}
    for start in edges:
        seen = {start}
        waiting = list(edges[start])
        while waiting:
            node = waiting.pop()
            if node == start:
                raise UnreadableOntology(f"{start} is above itself.")
            if node not in seen:
                seen.add(node)
                waiting.extend(edges[node])
        closures[start] = frozenset(seen)
    return closures


def _cut_parents(
    official: Mapping[str, tuple[str, ...]], exceptions: Sequence[GraphException]
) -> dict[str, tuple[str, ...]]:
    """Direct parents with exceptions applied: a cut parent is replaced by its own parents."""
    cut: dict[str, set[str]] = {}
    for exception in exceptions:
        for named in (exception.child, exception.not_below):
            if named not in official:
                raise UnreadableOntology(f"An exception names {named}, which PaNET does not have.")
        cut.setdefault(exception.child, set()).add(exception.not_below)
    parents = dict(official)
    for child, banned in cut.items():
        kept: list[str] = []
        seen: set[str] = set()
        waiting = list(official[child])
        while waiting:
            parent = waiting.pop(0)
            if parent in seen:
                continue
            seen.add(parent)
            if parent in banned:
                waiting.extend(official[parent])
            else:
                kept.append(parent)
        parents[child] = tuple(kept)
    return parents


def read_terms(path: Path) -> tuple[Term, ...]:
    """Read a table ``id, label, alt_labels, parents`` (tab separated, lists divided by ``|``)."""
    terms = []
    for row in read_table(path):
        identifier = row["id"]
        terms.append(
            Term(
                id=identifier,
                iri=canonical_iri(identifier),
                label=row["label"],
                synonyms=_divide(row["alt_labels"]),
                parents=_divide(row["parents"]),
            )
        )
    return tuple(terms)


def write_terms(path: Path, terms: Iterable[Term]) -> None:
    """Write the table that ``read_terms`` reads; an interruption leaves the former one."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
        writer.writerow(("id", "label", "alt_labels", "parents"))
        for term in terms:
            writer.writerow((term.id, term.label, "|".join(term.synonyms), "|".join(term.parents)))
    partial.replace(path)


def read_exceptions(path: Path) -> tuple[GraphException, ...]:
    return tuple(
        GraphException(row["child"], row["not_below"], row["reason"]) for row in read_table(path)
    )


def terms_path() -> Path:
    """The terms file in use: ``PAN_COMMONS_PANET``, else the shipped one."""
    named = os.environ.get(TERMS_VARIABLE)
    return Path(named) if named else FOLDER / "terms.tsv"


@functools.cache
def load_panet() -> Panet:
    """PaNET as shipped with the exceptions applied; read once a process (5 ms).

    Raises:
        UnreadableOntology: ``PAN_COMMONS_PANET`` names no table of terms.
    """
    path = terms_path()
    try:
        terms = read_terms(path)
    except (UnreadableOntology, ValueError, LookupError) as error:
        raise _no_table(path, error) from error
    return Panet(terms, read_exceptions(FOLDER / "exceptions.tsv"))


@functools.cache
def panet_version() -> str:
    """A fingerprint of terms, exceptions and linking tables: stored with every record."""
    digest = hashlib.sha256()
    for path in (terms_path(), *sorted(FOLDER.glob("*.tsv"))):
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise _no_table(path, error) from error
    return digest.hexdigest()[:12]


def _no_table(path: Path, error: Exception) -> UnreadableOntology:
    return UnreadableOntology(
        f"{path} is no table of PaNET's terms ({error}); {TERMS_VARIABLE} names another, and "
        "`pan-commons technique import` makes one."
    )


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a head, divided by tabs; empty lines and comments left out.

    Raises:
        UnreadableOntology: no such file, or not in UTF-8.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [line for line in stream if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableOntology(f"{path} cannot be read: {error}") from error
    return list(csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE))


def _divide(cell: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (cell or "").split("|") if part.strip())
