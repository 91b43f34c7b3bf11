"""Conditions on techniques: what a Dataset must be tagged with.

A technique is named by PaNET id, IRI, label or synonym and means the term and everything below it
(semantics 4.1). ``neq`` and ``nin`` mean "has none of them"; ``and`` asks for one tag in each set.
The result is a node about the Dataset, not about one of its technique rows.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from catalogue.query import Join, Node, Not, Nothing, OneOf, Or, TechniqueIn
from mappings.linking import link
from mappings.techniques import Panet, load_panet
from search_api.conditions import (
    NEGATIONS,
    Leaf,
    Reading,
    any_of,
    pattern_node,
    plain_node,
    read_tree,
)
from search_api.errors import BadRequest
from search_api.model import TECHNIQUE
from search_api.rows import holds

NAMES = frozenset({"pid", "panetId", "name", "synonym"})


@dataclass(frozen=True, slots=True)
class TechniqueCondition:
    """``node``: about the Dataset. ``rows``: which of its techniques an answer shows."""

    node: Node
    rows: Node


def read_technique_where(where: object, reading: Reading, path: str) -> TechniqueCondition:
    """Compile the ``where`` of a relation ``techniques``.

    Raises:
        BadRequest: unknown field or operator, impossible value.
    """
    shown: list[Node] = []

    def read_leaf(leaf: Leaf) -> Node:
        node = _leaf_node(leaf)
        if not isinstance(node, Not):
            shown.append(node)
        return node

    node = read_tree(TECHNIQUE, where, reading, path, read_leaf)
    # A Dataset with one tag in each set of an ``and`` shows all of these tags, although none of
    # them alone meets the whole condition.
    return TechniqueCondition(node, any_of(shown) if shown else node)


def _leaf_node(leaf: Leaf) -> Node:
    if leaf.field not in NAMES:
        raise BadRequest(
            f"What is tagged with a technique cannot be asked for by its {leaf.field}.",
            field=leaf.path,
            allowed=sorted(NAMES),
        )
    op = NEGATIONS.get(leaf.op, leaf.op)
    node: Node
    if op in ("eq", "inq"):
        node = any_of([_named(str(value)) for value in leaf.operands if value is not None])
    elif op in ("like", "ilike", "regexp"):
        node = _matching(leaf, op)
    else:
        node = Join("techniques", plain_node(leaf))
    return Not(node) if leaf.op in NEGATIONS else node


def _named(name: str) -> Node:
    """Tagged with the technique of this name; a name that PaNET does not know is compared with
    what the facility sent."""
    ids = technique_ids(name)
    if ids:
        return TechniqueIn(ids)
    return Join(
        "techniques", Or((OneOf("name", (name,)), OneOf("pid", (name,)), OneOf("panetId", (name,))))
    )


def _matching(leaf: Leaf, op: str) -> Node:
    """Tagged with a term whose label or synonym matches, or with a name as sent that does."""
    pattern = str(leaf.operands[0])
    by_pid = leaf.field in ("pid", "panetId")

    def on(*fields: str) -> Node:
        return pattern_node(fields, op, pattern, leaf.path)

    ids = _ids_matching(on("name"), by_pid)
    sent = on("pid", "panetId") if by_pid else on("name")
    return any_of([TechniqueIn(ids) if ids else Nothing(), Join("techniques", sent)])


@functools.lru_cache(maxsize=1024)
def _ids_matching(node: Node, by_pid: bool) -> tuple[str, ...]:
    """Techniques of PaNET with a name (or IRI) that meets the condition on ``name``."""
    return tuple(
        term.id
        for term in load_panet().terms.values()
        if term.is_technique
        and any(
            holds("Technique", node, {"name": name})
            for name in ((term.iri,) if by_pid else (term.label, *term.synonyms))
        )
    )


@functools.lru_cache(maxsize=4096)
def technique_ids(name: str) -> tuple[str, ...]:
    """The PaNET ids that ``name`` (id, IRI, label, synonym) stands for; empty when unknown."""
    panet: Panet = load_panet()
    term = panet.find(name)
    if term is not None:
        return (term.id,)
    named = [term.id for term in panet.named(name) if term.is_technique]
    if named:
        return tuple(named)
    return tuple(dict.fromkeys(found.id for found in link(name[:500])))
