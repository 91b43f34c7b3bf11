"""The PaNOSC Search API side of a simulated facility (crosswalks 2).

As the reference provider (LoopBack 3) answers, recorded oddities included: joins after ``limit``,
score 0, unknown fields and operators matching nothing, unknown relations as 500. ``dialects``
change that to what other implementations do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.database import Database
from simulator.dialects import REFERENCE, Dialect
from simulator.faults import Faults
from simulator.loopback import LOGICAL, OPERATORS, Anchored, fields_named, matches
from simulator.models import MODELS, Model, Relation, Row
from simulator.protocol import Answer, Exchange, RestError, ServerFault
from simulator.ranking import Ranking, Taste

JSON = "application/json; charset=utf-8"
CLASSES: Mapping[str, str] = {
    "Documents": "Document",
    "Datasets": "Dataset",
    "Instruments": "Instrument",
    "Techniques": "Technique",
}


@dataclass(frozen=True, slots=True)
class RestOptions:
    """How a Search API presents itself; ``path`` is its base below the host.

    ``default_limit``: what comes when no limit is asked for. ``taste``: the order of lists when
    none is asked for.
    """

    path: str = "/api"
    dialect: Dialect = REFERENCE
    default_limit: int | None = None
    taste: Taste = "id"


@dataclass(frozen=True, slots=True)
class Include:
    """One entry of ``include``, read: ``required`` drops parents without a match."""

    name: str
    relation: Relation
    where: Mapping[str, Any]
    scope: Mapping[str, Any]
    include: tuple[Include, ...]
    required: bool


class RestEndpoint:
    """Answers Search API requests over a database. No I/O: exchanges in, answers out."""

    def __init__(self, options: RestOptions, database: Database, faults: Faults) -> None:
        self.options = options
        self.database = database
        self._dialect = options.dialect
        self._faults = faults
        self._ranking = Ranking(database, options.dialect, options.taste)

    def answer(self, exchange: Exchange, path: Sequence[str]) -> Answer:
        """``path``: the decoded segments below the base, e.g. ``("Documents", "count")``."""
        try:
            exchange.filter = read_filter(exchange.pairs)
            self._faults.alter(exchange)
            status, value = 200, self._value(exchange, tuple(path))
        except RestError as error:
            status, value = error.status, error_body(error)
        except (ServerFault, TypeError, ValueError, AttributeError, re.error):
            # LoopBack lets such requests fall into its error handler without a word.
            status = 500
            value = {"error": {"statusCode": 500, "message": "Internal Server Error"}}
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        answer = Answer(body, JSON, status)
        self._faults.spoil(exchange, answer)
        return answer

    def _value(self, exchange: Exchange, path: tuple[str, ...]) -> Any:
        name = self._class_name(path[0]) if path else None
        if name is None or (name == "Techniques" and not self._dialect.techniques):
            raise RestError(404, f"There is no method to handle GET /{'/'.join(path)}")
        model = MODELS[CLASSES[name]]
        if len(path) == 1:
            return self._faults.warp(exchange, self.find(model, exchange.filter))
        if len(path) == 2 and path[1] == "count":
            return self._count(exchange, model, self.database.rows(model.name))
        if len(path) == 2:
            return self._one(exchange, model, path[1])
        if model.name == "Dataset" and path[2] == "files" and self._dialect.files:
            return self._files(exchange, path[1], path[3:])
        raise RestError(404, f"There is no method to handle GET /{'/'.join(path)}")

    def _class_name(self, segment: str) -> str | None:
        if segment in CLASSES:
            return segment
        if self._dialect.any_case:
            return next((name for name in CLASSES if name.lower() == segment.lower()), None)
        return None

    # --- finding --------------------------------------------------------------------------------

    def find(self, model: Model, asked: Mapping[str, Any]) -> list[Any]:
        """The objects for a filter: where, order, skip and limit, and only then the joins."""
        self._check_keys(asked)
        where = self._where(model, asked.get("where"))
        includes = self._includes(model, asked.get("include"))
        rows = self._ranking.rows(model)
        if where:
            rows = [row for row in rows if matches(model, row, where)]
        rows = self._ordered(model, rows, asked.get("order"))
        scores = self._ranking.scores(model, rows, asked.get("query"))
        skip = self._number(asked, "skip")
        limit = self._number(asked, "limit") or self.options.default_limit
        if scores is not None and self._dialect.unmatched_score is None:
            before = skip if self._dialect.skips_unscored else 0
            ranked = sorted(rows[before:], key=lambda row: -(scores[row[model.id]] or 0))
            rows = [row for row in ranked if scores[row[model.id]]]
            skip -= before
        rows = page_of(rows, skip, limit)
        found = []
        for row in rows:
            value = self._joined(model, row, includes)
            if value is None:
                continue
            value = self._projected(value, asked.get("fields"), includes)
            score = scores[row[model.id]] if scores is not None else self._dialect.unscored_score
            value["score"] = score
            found.append(value)
        return found

    def _count(self, exchange: Exchange, model: Model, rows: Sequence[Row]) -> Any:
        where = self._where(model, exchange.filter.get("where"))
        number: Any = sum(1 for row in rows if matches(model, row, where))
        number = self._faults.warp(exchange, [number])[0]
        return number if self._dialect.counts == "number" else {"count": number}

    def _one(self, exchange: Exchange, model: Model, pid: str) -> Any:
        row = self._by_id(model, pid)
        includes = self._includes(model, exchange.filter.get("include"))
        value = self._joined(model, row, includes, keep=True) or {}
        value = self._projected(value, exchange.filter.get("fields"), includes)
        return self._faults.warp(exchange, [value])[0]

    def _by_id(self, model: Model, pid: str) -> Row:
        table = self.database.tables[model.name]
        row = table.get(pid)
        if row is None and pid.isdigit():
            row = table.get(int(pid))
        if row is None:
            raise RestError(404, f'Unknown "{model.name}" id "{pid}".', "MODEL_NOT_FOUND")
        return row

    def _files(self, exchange: Exchange, pid: str, rest: Sequence[str]) -> Any:
        dataset, model = self._by_id(MODELS["Dataset"], pid), MODELS["File"]
        relation = MODELS["Dataset"].relations["files"]
        rows = self.database.related("Dataset", dataset, relation)
        if tuple(rest) == ("count",):
            return self._count(exchange, model, rows)
        if rest:
            raise RestError(404, f"There is no method to handle GET /Datasets/{pid}/files/…")
        where = self._where(model, exchange.filter.get("where"))
        rows = [row for row in rows if matches(model, row, where)]
        rows = page_of(
            rows, self._number(exchange.filter, "skip"), self._number(exchange.filter, "limit")
        )
        return self._faults.warp(exchange, [self._sent(model, row) for row in rows])

    # --- reading the filter ---------------------------------------------------------------------

    def _check_keys(self, asked: Mapping[str, Any]) -> None:
        allowed = self._dialect.filter_keys
        unknown = set(asked) - allowed if allowed is not None else set()
        if unknown:
            raise RestError(400, f"Unknown filter key: {', '.join(sorted(unknown))}.")

    def _number(self, asked: Mapping[str, Any], name: str) -> int:
        value = asked.get(name)
        if value is None:
            return 0
        label = "offset/skip" if name == "skip" else "limit"
        try:
            number = int(str(value))
        except ValueError as error:
            raise RestError(
                400, f"The {label} parameter {json.dumps(value)} is not valid"
            ) from error
        if number < 0:
            raise RestError(400, f"The {label} parameter {number} is not valid")
        return number

    def _where(self, model: Model, where: Any) -> dict[str, Any]:
        """The condition as this implementation understands it."""
        if where is None:
            return {}
        if not isinstance(where, dict):
            raise RestError(400, "The where clause is not an object.")
        if self._dialect.unknown_field == "400":
            for name in fields_named(where):
                if name != "text" and name not in model.fields:
                    raise RestError(400, f"{model.name} has no property {name!r}.")
        return self._understood(model, where)

    def _understood(self, model: Model, where: Mapping[str, Any]) -> dict[str, Any]:
        dialect = self._dialect
        understood: dict[str, Any] = {}
        constants = dialect.constants.get(model.name, {})
        for name, condition in where.items():
            if name in LOGICAL or name == "text":
                if name not in dialect.operators:
                    self._refuse(name, understood)
                elif name == "text":
                    understood[name] = condition
                else:
                    understood[name] = [self._understood(model, part) for part in condition]
            elif name in constants and model.name == "Document":
                continue  # SciCat removes these conditions silently (crosswalks 2.3)
            elif isinstance(condition, dict):
                if dialect.numbers_are_text and name == "value":
                    condition = {operator: as_text(each) for operator, each in condition.items()}
                kept = self._operators(condition, understood)
                if kept:
                    understood[name] = kept
            elif not (dialect.falsy_operands_ignored and condition in (0, "", False)):
                understood[name] = condition
        return understood

    def _operators(self, condition: Mapping[str, Any], understood: dict[str, Any]) -> Row:
        kept: Row = {}
        for operator, operand in condition.items():
            if operator in self._dialect.broken_operators:
                continue
            missing = operator in OPERATORS and operator not in self._dialect.operators
            if missing or (operator not in OPERATORS and self._dialect.unsupported == "400"):
                self._refuse(operator, understood)
            elif not (self._dialect.falsy_operands_ignored and operand in (0, "", False)):
                kept[operator] = self._operand(operator, operand)
        return kept

    def _operand(self, operator: str, operand: Any) -> Any:
        if self._dialect.sql_like and operator in ("like", "ilike", "nilike"):
            return Anchored(str(operand))
        return operand

    def _refuse(self, operator: str, understood: dict[str, Any]) -> None:
        if self._dialect.unsupported == "400":
            raise RestError(400, f"Operator {operator!r} is not supported.")
        if self._dialect.unsupported == "empty":
            understood["or"] = []

    def _includes(self, model: Model, include: Any) -> tuple[Include, ...]:
        if include is None:
            return ()
        if not isinstance(include, list):
            raise ServerFault("include is no list")
        return tuple(self._include(model, entry) for entry in include)

    def _include(self, model: Model, entry: Any) -> Include:
        if isinstance(entry, str):
            if not self._dialect.include_words:
                raise RestError(400, "include entries are objects with a relation.")
            entry = {"relation": entry}
        name = entry.get("relation")
        relation = self._relation(model, name)
        scope = entry.get("scope") or {}
        target = MODELS[relation.model]
        where = self._where(target, scope.get("where"))
        nested = self._includes(target, scope.get("include"))
        joined = any(below.required for below in nested)
        joined = joined or (self._dialect.nested_joins and bool(nested))
        required = bool(scope.get("where")) or joined
        return Include(name, relation, where, scope, nested, required)

    def _relation(self, model: Model, name: Any) -> Relation:
        relation = model.relations.get(name)
        if model.name == "Dataset" and name in ("documents", "document"):
            relation = model.relations["documents"] if name == self._dialect.parent else None
        if relation is None:
            if self._dialect.unknown_field == "400":
                raise RestError(400, f"{model.name} has no relation {name!r}.")
            raise ServerFault(f"no relation {name!r}")
        return relation

    # --- making objects -------------------------------------------------------------------------

    def _joined(
        self, model: Model, row: Row, includes: tuple[Include, ...], *, keep: bool = False
    ) -> Row | None:
        """The object with its relations; ``None`` when an inner join leaves nothing.

        Several entries for one relation must each be met; the last one is shown.
        """
        value = self._sent(model, row)
        for include in includes:
            of_document = include.name == "parameters" and model.name == "Document"
            if of_document and not self._dialect.document_parameters:
                value["parameters"] = []
                continue
            children = self._children(model, row, include)
            if include.required and not children and not keep:
                return None
            if include.relation.kind == "one" or include.name == "document":
                if children or self._dialect.nulls:
                    value[include.name] = children[0] if children else None
            else:
                value[include.name] = children
        return value

    def _children(self, model: Model, row: Row, include: Include) -> list[Row]:
        target = MODELS[include.relation.model]
        found: list[Row] = []
        for child in self.database.related(model.name, row, include.relation):
            compared = child
            if self._dialect.numbers_are_text and "value" in child:
                compared = {**child, "value": str(child["value"])}
            if include.where and not matches(target, compared, include.where):
                continue
            value = self._joined(target, child, include.include)
            if value is not None:
                found.append(value)
        if include.relation.kind == "many":  # the reference ignores it through a table of pairs
            found = page_of(
                found, self._number(include.scope, "skip"), self._number(include.scope, "limit")
            )
        if self._dialect.bare_members and target.name == "Member":
            found = [
                {"person": {"fullName": v["person"]["fullName"]}} for v in found if "person" in v
            ]
        return found

    def _sent(self, model: Model, row: Row) -> Row:
        dialect = self._dialect
        left_out = dialect.left_out.get(model.name, frozenset())
        value = {name: each for name, each in row.items() if name not in left_out}
        if dialect.release_by_year and value.get("releaseDate"):
            value["releaseDate"] = f"{str(value['releaseDate'])[:4]}-01-01T00:00:00.000Z"
        value.update(dialect.constants.get(model.name, {}))
        if not dialect.foreign_keys:
            for name in ("instrumentId", "datasetId", "documentId", "personId", "affiliationId"):
                value.pop(name, None)
        if dialect.nulls:
            value = {**dict.fromkeys(f for f in model.fields if not f.endswith("Id")), **value}
        if dialect.numeric_pids and model.name == "Document":
            value["id"] = value["pid"]
        if dialect.empty_relations:
            for name, relation in model.relations.items():
                value.setdefault(name, None if relation.kind == "one" else [])
        return value

    def _projected(self, value: Row, fields: Any, includes: tuple[Include, ...]) -> Row:
        if not fields or self._dialect.projection == "ignored":
            return value
        if self._dialect.projection == "400":
            raise RestError(400, "fields is not supported.")
        if isinstance(fields, dict):
            wanted = {name for name, on in fields.items() if on}
            if not wanted:
                return {name: each for name, each in value.items() if name not in fields}
        else:
            wanted = {fields} if isinstance(fields, str) else set(fields)
        wanted |= {include.name for include in includes}
        return {name: each for name, each in value.items() if name in wanted}

    def _ordered(self, model: Model, rows: list[Row], order: Any) -> list[Row]:
        if not order or self._dialect.ordering == "ignored":
            return rows
        if self._dialect.ordering == "400":
            raise RestError(400, "order is not supported.")
        for clause in reversed([order] if isinstance(order, str) else list(order)):
            name, _, direction = str(clause).strip().partition(" ")
            rows = sorted(
                rows,
                key=lambda row: (row.get(name) is None, str(row.get(name, ""))),
                reverse=direction.strip().upper() == "DESC",
            )
        return rows


def as_text(operand: Any) -> Any:
    """Numbers as the text that a column of text compares them by."""
    if isinstance(operand, list):
        return [as_text(each) for each in operand]
    return operand if operand is None else str(operand)


def page_of(rows: Sequence[Any], skip: int, limit: int | None) -> list[Any]:
    """``limit`` 0 or ``None`` is no limit (crosswalks 2.2)."""
    return list(rows[skip : skip + limit] if limit else rows[skip:])


def error_body(error: RestError) -> dict[str, Any]:
    content: dict[str, Any] = {
        "statusCode": error.status,
        "name": "Error",
        "message": error.message,
    }
    if error.code:
        content["code"] = error.code
    return {"error": content}


_BRACKETS = re.compile(r"\[([^\]]*)\]")


def read_filter(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The filter of a request: JSON in ``filter`` or ``where``, or ``filter[where][type]=…``.

    Raises RestError 400 when it is no JSON object.
    """
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name in ("filter", "where"):
            try:
                value = json.loads(text)
            except ValueError as error:
                raise RestError(400, "Value is not an object.") from error
            if not isinstance(value, dict):
                raise RestError(400, "Value is not an object.")
            found.update(value if name == "filter" else {"where": value})
        elif name.startswith(("filter[", "where[")):
            keys = _BRACKETS.findall(name)
            inner = found if name.startswith("filter[") else found.setdefault("where", {})
            for key in keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[keys[-1]] = text
        elif name == "query":
            found.setdefault("query", text)
    return found
