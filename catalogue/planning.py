"""From the query tree to the physical plan (semantics 9.4).

Each node becomes lookups that settle it exactly, or an ``Undecided`` leaf: lookups that contain
every record that may satisfy it, to be looked at with the oracle's evaluator.
"""

from __future__ import annotations

import math
from datetime import datetime

from catalogue import technique_scoring
from catalogue.documents import CARRIED
from catalogue.errors import QueryError
from catalogue.fields import (
    FIELDS,
    Kind,
    comparable,
    kind_of,
    microseconds,
    relation_of,
)
from catalogue.parameter_terms import range_plan
from catalogue.pattern_planning import pattern_candidates, pattern_plan
from catalogue.plan import (
    All,
    AllOf,
    Empty,
    Linked,
    NumberRange,
    Plan,
    Terms,
    Undecided,
    both,
    either,
    leaves,
    negation,
)
from catalogue.query import (
    AccessIs,
    And,
    AtFacility,
    Compare,
    Everything,
    Exists,
    HasWords,
    InYears,
    Join,
    Node,
    Not,
    Nothing,
    OneOf,
    OpenAt,
    Or,
    ParameterRange,
    Pattern,
    Scalar,
    TechniqueIn,
    check_bounds,
)
from catalogue.record_terms import equality_term, names_of, number_name, term
from catalogue.records import EntityClass
from catalogue.text_query import filter_plan


def plan_filter(node: Node, entity_class: EntityClass, now: datetime) -> Plan:
    """The plan of a filter over entities of a class.

    Raises:
        QueryError: a field, relation or value that the class cannot have.
        QueryTooCostly: over the bounds of ``query.check_bounds``.
    """
    check_bounds(node)
    return _plan(node, entity_class, now)


def access_plan(state: str, instant: datetime) -> Plan:
    """Records that are in a state (or ``public``) at the instant."""
    return _during(state, instant)


def number_field(name: str) -> str:
    """The engine's field for a date or number of the class."""
    return number_name(name)


def _plan(node: Node, entity_class: EntityClass, now: datetime) -> Plan:
    match node:
        case Everything():
            return All()
        case Nothing():
            return Empty()
        case And(clauses):
            return both(*(_plan(clause, entity_class, now) for clause in clauses))
        case Or(clauses):
            return either(*(_plan(clause, entity_class, now) for clause in clauses))
        case Not(clause):
            return negation(_plan(clause, entity_class, now))
        case Compare() | OneOf() | Exists() | Pattern():
            return _plan_field(node, entity_class, now)
        case Join(relation, where):
            return _plan_join(relation, where, entity_class)
        case ParameterRange():
            return range_plan("all_params" if entity_class == "Document" else "params", node)
        case TechniqueIn(ids):
            return _techniques(ids)
        case OpenAt(instant):
            return _during("open", instant)
        case AccessIs(states, instant):
            return either(*(_during(state, instant) for state in states))
        case InYears(first, last):
            return both(
                NumberRange("first_year", None, last), NumberRange("last_year", first, None)
            )
        case AtFacility(names):
            return _terms(*(term("at", name.casefold()) for name in names))
        case HasWords(text):
            return filter_plan(text)
    raise QueryError(f"{type(node).__name__} is no condition.")


def _plan_field(node: Compare | OneOf | Exists | Pattern, entity_class: str, now: datetime) -> Plan:
    match node:
        case Exists(field):
            kind_of(entity_class, field)
            return _terms(f"has:{field}")
        case OneOf(field, values):
            return either(
                *(_plan_compare(Compare(field, "eq", v), entity_class, now) for v in values)
            )
        case Compare():
            return _plan_compare(node, entity_class, now)
        case Pattern(fields):
            for field in fields:
                kind_of(entity_class, field)
            return pattern_plan(node, entity_class)


def _plan_compare(node: Compare, entity_class: str, now: datetime) -> Plan:
    field, op, value = node.field, node.op, node.value
    kind = kind_of(entity_class, field)
    if op == "neq":
        return negation(_plan_compare(Compare(field, "eq", value), entity_class, now))
    if value is None:
        return negation(_terms(f"has:{field}")) if op == "eq" else Empty()
    wanted = comparable(kind, value, field)
    if kind == "public":
        return _public(op, int(wanted), now)
    if kind in ("instant", "number"):
        assert not isinstance(wanted, str)
        return _number_range(number_name(field), op, wanted)
    if op == "eq":
        if field == "key":
            return Terms("key", frozenset({str(wanted)}))
        return _terms(*(equality_term(name, wanted, kind) for name in names_of(field)))
    return Undecided(node, _terms(f"has:{field}"))


def _public(op: str, wanted: int, now: datetime) -> Plan:
    public = _during("public", now)
    holds = {
        "eq": (wanted == 0, wanted == 1),
        "gt": (wanted < 0, wanted < 1),
        "gte": (wanted <= 0, wanted <= 1),
        "lt": (wanted > 0, wanted > 1),
        "lte": (wanted >= 0, wanted >= 1),
    }[op]
    return either(
        negation(public) if holds[0] else Empty(),
        public if holds[1] else Empty(),
    )


def _number_range(field: str, op: str, wanted: float) -> Plan:
    if math.isinf(wanted):
        always = (op in ("lt", "lte")) == (wanted > 0) and op != "eq"
        return NumberRange(field, None, None) if always else Empty()
    floor, ceiling = math.floor(wanted), math.ceil(wanted)
    if op == "eq":
        return NumberRange(field, floor, floor) if floor == ceiling else Empty()
    if op in ("gt", "gte"):
        return NumberRange(field, ceiling if op == "gte" else floor + 1, None)
    return NumberRange(field, None, floor if op == "lte" else ceiling - 1)


def _plan_join(relation: str, where: Node, entity_class: str) -> Plan:
    found = relation_of(entity_class, relation)
    if not found.linked:
        return _plan_part(relation, where, found.target, f"{relation}.", Join(relation, where))
    if entity_class == "Document" and relation == "datasets":
        carried = _plan_carried(where)
        if carried is not None:
            return carried
    return Linked(relation, found.target, where)


def _plan_carried(where: Node) -> Plan | None:
    """A single positive condition that the Document's own terms answer exactly, if it is one."""
    match where:
        case Everything():
            return _terms("has:datasets")
        case TechniqueIn(ids):
            return _techniques(ids)
        case Or(clauses):
            plans = [_plan_carried(clause) for clause in clauses]
            return None if None in plans else either(*(plan for plan in plans if plan))
        case Join(relation, inner) if relation in CARRIED:
            target = relation_of("Dataset", relation).target
            prefix = f"datasets.{relation}."
            plan = _plan_part(f"datasets.{relation}", inner, target, prefix, where)
            return None if any(isinstance(leaf, Undecided) for leaf in leaves(plan)) else plan
    return None


def _plan_part(path: str, where: Node, class_name: str, prefix: str, whole: Node) -> Plan:
    """A condition on some part of the record itself (member, sample, file …).

    ``whole`` is the condition as the record's own, for looking at it.
    """
    positive = _part_lookup(path, where, class_name, prefix)
    exact = positive is not None
    lookup = positive if positive is not None else _part_candidates(path, where, class_name, prefix)
    root = path.split(".")[1 if path.startswith("datasets.") else 0]
    crowd = Terms("terms", frozenset({f"many:{root}"}))
    if path.startswith("datasets."):
        return lookup if exact else Undecided(whole, lookup)
    if exact and isinstance(where, Everything):
        return lookup
    if exact:
        return either(lookup, Undecided(whole, crowd))
    return Undecided(whole, either(lookup, crowd))


def _part_lookup(path: str, where: Node, class_name: str, prefix: str) -> Plan | None:
    """Lookups that settle the condition exactly: it is a single positive one."""
    match where:
        case Everything():
            return _terms(f"has:{path}")
        case Nothing():
            return Empty()
        case Or(clauses):
            plans = [_part_lookup(path, clause, class_name, prefix) for clause in clauses]
            return None if None in plans else either(*(plan for plan in plans if plan))
        case And(clauses):
            return _part_lookup(path, clauses[0], class_name, prefix) if len(clauses) == 1 else None
        case Compare(field, "neq", None):
            kind_of(class_name, field)
            return _terms(f"has:{prefix}{field}")
        case Compare(field, "eq", value) if value is not None:
            return _part_equality(field, value, class_name, prefix)
        case OneOf(field, values) if None not in values:
            return either(*(_part_equality(field, v, class_name, prefix) for v in values))
        case Exists(field):
            kind_of(class_name, field)
            return _terms(f"has:{prefix}{field}")
        case TechniqueIn(ids) if class_name == "Technique":
            return _techniques(ids)
        case ParameterRange() if class_name == "Parameter" and prefix == "parameters.":
            return range_plan("params", where)
        case Join(relation, inner):
            target = relation_of(class_name, relation)
            if target.linked:
                return None
            return _part_lookup(f"{prefix}{relation}", inner, target.target, f"{prefix}{relation}.")
    return None


def _part_equality(field: str, value: Scalar, class_name: str, prefix: str) -> Plan:
    kind: Kind = kind_of(class_name, field)
    return _terms(equality_term(prefix + field, comparable(kind, value, field), kind))


def _part_candidates(path: str, where: Node, class_name: str, prefix: str) -> Plan:
    """Lookups that hold wherever some part may satisfy the condition."""
    exact = _part_lookup(path, where, class_name, prefix)
    if exact is not None:
        return exact
    match where:
        case And(clauses):
            return both(*(_part_candidates(path, c, class_name, prefix) for c in clauses))
        case Or(clauses):
            return either(*(_part_candidates(path, c, class_name, prefix) for c in clauses))
        case Pattern(fields):
            for field in fields:
                kind_of(class_name, field)
            return both(
                _terms(f"has:{path}"), pattern_candidates(where, class_name, prefix) or All()
            )
        case Compare(field, op, value):
            kind = kind_of(class_name, field)
            if value is not None:
                comparable(kind, value, field)
            return _terms(f"has:{path}" if op in ("eq", "neq") else f"has:{prefix}{field}")
        case Not(clause):
            _part_candidates(path, clause, class_name, prefix)
            return _terms(f"has:{path}")
        case Join(relation, inner):
            target = relation_of(class_name, relation)
            if target.linked:
                raise QueryError(f"{relation} cannot be followed from inside {path}.", field=path)
            _part_candidates(f"{prefix}{relation}", inner, target.target, f"{prefix}{relation}.")
            return _terms(f"has:{prefix}{relation}")
        case OneOf(field, values):
            kind = kind_of(class_name, field)
            for value in values:
                if value is not None:
                    comparable(kind, value, field)
            return _terms(f"has:{path}")
    raise QueryError(
        f"{type(where).__name__} is no condition on {path}; its fields are "
        f"{', '.join(FIELDS[class_name])}.",
        field=path,
    )


def _techniques(ids: tuple[str, ...]) -> Plan:
    found = {technique_scoring.known(one) for one in ids}
    return Terms("panet", frozenset(one for one in found if one)) if any(found) else Empty()


def _during(state: str, instant: datetime) -> Plan:
    moment = microseconds(instant, "now")
    return AllOf(
        (
            NumberRange(f"{state}_from", None, moment),
            NumberRange(f"{state}_until", moment + 1, None),
        )
    )


def _terms(*terms: str) -> Plan:
    return Terms("terms", frozenset(terms)) if terms else Empty()
