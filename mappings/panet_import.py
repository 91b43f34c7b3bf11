"""Reads an official PaNET file (OWL in RDF/XML or Turtle) and brings our table of terms up to it.

Parents are what the file entails between named terms: ``rdfs:subClassOf``, named operands of an
``owl:equivalentClass`` intersection, mutual equivalence, and membership in a class that is defined
as an intersection of named classes only. Nothing is lost: labels that change stay as synonyms, and
terms that the file no longer has stay as they were and are reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mappings.errors import UnreadableOntology
from mappings.techniques import GraphException, Panet, Term, canonical_iri, find_id

if TYPE_CHECKING:
    from rdflib import Graph
    from rdflib.term import Node, URIRef

MAX_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import gives: all terms, and what an operator should look at."""

    terms: tuple[Term, ...]
    added: tuple[str, ...]
    relabelled: tuple[str, ...]
    missing: tuple[str, ...]
    unnecessary_exceptions: tuple[GraphException, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    label: str
    synonyms: tuple[str, ...]
    parents: frozenset[str]


def import_owl(path: Path, known: Panet) -> Imported:
    """Terms of ``path`` upon those that are known.

    Raises:
        UnreadableOntology: no RDF, too large, no PaNET terms, or terms above themselves.
    """
    entries = _read(_load(path), path)
    terms = [_merged(identifier, entries, known) for identifier in sorted(entries)]
    missing = [term for identifier, term in known.terms.items() if identifier not in entries]
    everything = tuple(sorted((*terms, *missing), key=lambda term: (len(term.id), term.id)))
    graph = Panet(everything)  # refuses cycles and parents that are not there
    return Imported(
        terms=everything,
        added=tuple(term.id for term in terms if term.id not in known.terms),
        relabelled=tuple(
            term.id
            for term in terms
            if term.id in known.terms and known.terms[term.id].label != term.label
        ),
        missing=tuple(term.id for term in missing),
        unnecessary_exceptions=tuple(
            one
            for one in known.exceptions
            if one.child not in graph.terms
            or one.not_below not in graph.ancestors(one.child, official=True)
        ),
    )


def _load(path: Path) -> Graph:
    from rdflib import Graph

    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise UnreadableOntology(f"{path} has {size_bytes} bytes; {MAX_FILE_BYTES} at most.")
        text = path.read_bytes()
    except OSError as error:
        raise UnreadableOntology(f"{path} cannot be read: {error.strerror}.") from error
    form = "xml" if text.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") else "turtle"
    if b"<!ENTITY" in text and b"SYSTEM" in text[: text.find(b"<rdf:RDF") + 1]:
        raise UnreadableOntology(f"{path} asks for external entities, which are not read.")
    try:
        return Graph().parse(data=text, format=form)
    except Exception as error:  # rdflib's parsers raise whatever their libraries do
        raise UnreadableOntology(f"{path} is no OWL in RDF/XML or Turtle: {error}") from error


def _read(graph: Graph, path: Path) -> dict[str, _Entry]:
    from rdflib import OWL, RDF, RDFS, SKOS, URIRef

    exact = URIRef("http://www.geneontology.org/formats/oboInOwl#hasExactSynonym")
    ids = {
        subject: identifier
        for subject in graph.subjects(RDF.type, OWL.Class)
        if isinstance(subject, URIRef) and (identifier := find_id(str(subject))) is not None
    }
    if not ids:
        raise UnreadableOntology(f"{path} has no PaNET terms.")
    parents: dict[str, set[str]] = {identifier: set() for identifier in ids.values()}
    definitions: list[tuple[str, frozenset[str]]] = []
    for subject, identifier in ids.items():
        for above in graph.objects(subject, RDFS.subClassOf):
            parents[identifier] |= set(_named(graph, above, ids)[0])
        for same in graph.objects(subject, OWL.equivalentClass):
            operands, complete = _named(graph, same, ids)
            parents[identifier] |= set(operands)
            if complete and operands:
                definitions.append((identifier, frozenset(operands)))
    _infer(parents, definitions)
    entries = {}
    for subject, identifier in ids.items():
        labels = _texts(graph.objects(subject, RDFS.label))
        if not labels:
            continue
        others = (*labels[1:], *_texts(graph.objects(subject, SKOS.altLabel)))
        others += _texts(graph.objects(subject, exact))
        entries[identifier] = _Entry(
            labels[0], tuple(dict.fromkeys(others)), _direct(identifier, parents)
        )
    return entries


def _texts(values: Iterable[Node]) -> tuple[str, ...]:
    """Texts in English or without a language, sorted so that a file reads the same each time."""
    kept = (v for v in values if getattr(v, "language", None) in (None, "en"))
    return tuple(sorted(" ".join(str(value).split()) for value in kept))


def _named(graph: Graph, node: Node, ids: Mapping[URIRef, str]) -> tuple[tuple[str, ...], bool]:
    """The PaNET terms that a class expression is below, and whether they are all of it."""
    from rdflib import OWL, URIRef
    from rdflib.collection import Collection

    if isinstance(node, URIRef) and node in ids:
        return (ids[node],), True
    found: list[str] = []
    complete = True
    lists = list(graph.objects(node, OWL.intersectionOf))
    for head in lists:
        for part in Collection(graph, head):
            inner, whole = _named(graph, part, ids)
            found += inner
            complete = complete and whole
    return tuple(found), complete and bool(lists)


def _above(identifier: str, parents: Mapping[str, set[str]]) -> set[str]:
    """Everything above a term, the term itself only when it is above itself."""
    seen: set[str] = set()
    waiting = list(parents[identifier])
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += parents.get(one, ())
    return seen


def _infer(parents: dict[str, set[str]], definitions: list[tuple[str, frozenset[str]]]) -> None:
    """Put under a defined class whatever is below all that defines it, until nothing changes."""
    changed = True
    while changed:
        changed = False
        above = {identifier: _above(identifier, parents) for identifier in parents}
        for defined, operands in definitions:
            for identifier in parents:
                if (
                    identifier != defined
                    and operands <= above[identifier] | {identifier}
                    and defined not in above[identifier]
                    and identifier not in above[defined]
                ):
                    parents[identifier].add(defined)
                    changed = True


def _direct(identifier: str, parents: Mapping[str, set[str]]) -> frozenset[str]:
    """The parents that no other parent is below."""
    candidates = parents[identifier] - {identifier}
    above = {one: _above(one, parents) for one in candidates}
    return frozenset(
        one for one in candidates if not any(one in above[other] for other in candidates - {one})
    )


def _merged(identifier: str, entries: Mapping[str, _Entry], known: Panet) -> Term:
    entry = entries[identifier]
    before = known.terms.get(identifier)
    synonyms: Iterator[str] = iter(entry.synonyms)
    if before is not None:
        synonyms = iter((*entry.synonyms, before.label, *before.synonyms))
    kept = tuple(dict.fromkeys(text for text in synonyms if text != entry.label))
    parents = tuple(sorted(one for one in entry.parents if one in entries))
    return Term(identifier, canonical_iri(identifier), entry.label, kept, parents)
