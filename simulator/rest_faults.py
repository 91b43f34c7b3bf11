"""Faults of PaNOSC Search APIs: paging, filters, objects and scores (sections D, E, G)."""

from __future__ import annotations

import json
from typing import Any

from simulator.faults import kind, parse_number
from simulator.models import MODELS
from simulator.protocol import Answer, Exchange, RestError


def _is_list(exchange: Exchange) -> bool:
    return "/" not in exchange.verb


# --- paging -------------------------------------------------------------------------------------


@kind("ignores-skip", "request", "E03 E04")
def ignores_skip(exchange: Exchange, argument: str | None) -> None:
    """ignores-skip sends the first page for every page."""
    exchange.filter.pop("skip", None)


@kind("skip-from-one", "request", "E03")
def skip_from_one(exchange: Exchange, argument: str | None) -> None:
    """skip-from-one counts skip from 1: the first record is never sent."""
    if _is_list(exchange):
        exchange.filter["skip"] = int(exchange.filter.get("skip") or 0) + 1


@kind("cap-limit", "request", "E05")
def cap_limit(exchange: Exchange, argument: str | None) -> None:
    """cap-limit[:N] never sends more than N objects (10), also when no limit was asked for."""
    most = parse_number(argument, 10)
    asked = int(exchange.filter.get("limit") or 0)
    exchange.filter["limit"] = min(asked, most) if asked else most


@kind("ceiling", "request", "E04")
def ceiling(exchange: Exchange, argument: str | None) -> None:
    """ceiling[:N] repeats the last page below skip N (100) for ever."""
    limit = int(exchange.filter.get("limit") or 0)
    most = max(parse_number(argument, 100) - limit, 0)
    exchange.filter["skip"] = min(int(exchange.filter.get("skip") or 0), most)


@kind("ceiling-error", "request", "E04")
def ceiling_error(exchange: Exchange, argument: str | None) -> None:
    """ceiling-error[:N] answers 500 from skip N (100) on."""
    if int(exchange.filter.get("skip") or 0) >= parse_number(argument, 100):
        raise RestError(500, "Result window is too large")


@kind("ignores-order", "request", "E02")
def ignores_order(exchange: Exchange, argument: str | None) -> None:
    """ignores-order sends objects in the order of their ids whatever order says."""
    exchange.filter.pop("order", None)


@kind("order-400", "request", "E10")
def order_400(exchange: Exchange, argument: str | None) -> None:
    """order-400 refuses order."""
    if "order" in exchange.filter:
        raise RestError(400, "order is not supported.")


@kind("unstable-order", "rows", "E02")
def unstable_order(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """unstable-order turns each second page round."""
    return rows[::-1] if _is_list(exchange) and exchange.number % 2 == 0 else rows


@kind("moving", "request", "E01 E02")
def moving(exchange: Exchange, argument: str | None) -> None:
    """moving[:N] has the list slide N places (1) forward with each page: some come twice."""
    skip = int(exchange.filter.get("skip") or 0)
    if _is_list(exchange) and skip:
        exchange.filter["skip"] = max(skip - parse_number(argument, 1), 0)


@kind("sliding", "request", "E01")
def sliding(exchange: Exchange, argument: str | None) -> None:
    """sliding[:N] has the list slide N places (1) backward with each page: some never come."""
    skip = int(exchange.filter.get("skip") or 0)
    if _is_list(exchange) and skip:
        exchange.filter["skip"] = skip + parse_number(argument, 1)


@kind("empty", "rows", "E07")
def empty(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """empty sends 200 and no objects; now and then with empty@every3."""
    return [] if _is_list(exchange) else rows


@kind("short", "rows", "E07 E12")
def short(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """short[:N] leaves N objects (1) out at the end of a page."""
    return rows[: -parse_number(argument, 1)] if _is_list(exchange) else rows


@kind("twice", "rows", "E02 G10")
def twice(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """twice sends each page's first object two times."""
    return rows[:1] + rows if _is_list(exchange) else rows


# --- filters ------------------------------------------------------------------------------------


@kind("ignores-where", "request", "E08")
def ignores_where(exchange: Exchange, argument: str | None) -> None:
    """ignores-where drops conditions silently; with ``ignores-where:FIELD`` those on one field."""
    where = exchange.filter.get("where")
    if argument is None:
        exchange.filter.pop("where", None)
    elif isinstance(where, dict):
        where.pop(argument, None)


@kind("ignores-include", "request", "E12")
def ignores_include(exchange: Exchange, argument: str | None) -> None:
    """ignores-include sends no relations; with ``ignores-include:RELATION`` not this one."""
    entries = exchange.filter.get("include")
    if argument is None or not isinstance(entries, list):
        exchange.filter.pop("include", None)
        return
    exchange.filter["include"] = [
        entry
        for entry in entries
        if (entry if isinstance(entry, str) else entry.get("relation")) != argument
    ]


@kind("include-500", "request", "E10")
def include_500(exchange: Exchange, argument: str | None) -> None:
    """include-500[:RELATION] fails when something (or this relation) is to be included."""
    if argument is None and exchange.filter.get("include"):
        raise RestError(500, "Internal Server Error")
    if argument is not None and f'"{argument}"' in json.dumps(exchange.filter.get("include")):
        raise RestError(500, "Internal Server Error")


@kind("limit-0-empty", "request", "E05")
def limit_0_empty(exchange: Exchange, argument: str | None) -> None:
    """limit-0-empty takes limit 0 literally: nothing."""
    if exchange.filter.get("limit") == 0:
        exchange.filter["where"] = {"pid": {"inq": []}}


def _operators_in(value: Any) -> set[str]:
    """Every key of a condition, at any depth: names of fields and operators."""
    if isinstance(value, list):
        return set().union(*(_operators_in(each) for each in value))
    if isinstance(value, dict):
        return set(value).union(*(_operators_in(each) for each in value.values()))
    return set()


def _without(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_without(each, name) for each in value]
    if isinstance(value, dict):
        return {
            key: _without(each, name)
            for key, each in value.items()
            if key != name and not (isinstance(each, dict) and set(each) == {name})
        }
    return value


@kind("refuses-operator", "request", "E10")
def refuses_operator(exchange: Exchange, argument: str | None) -> None:
    """refuses-operator:NAME answers 400 to conditions with it, at any depth (like)."""
    name = argument or "like"
    if name in _operators_in([exchange.filter.get("where"), exchange.filter.get("include")]):
        raise RestError(400, f"Operator {name!r} is not supported.")


@kind("ignores-operator", "request", "E08")
def ignores_operator(exchange: Exchange, argument: str | None) -> None:
    """ignores-operator:NAME drops conditions with it silently, at any depth (like)."""
    for key in ("where", "include"):
        if key in exchange.filter:
            exchange.filter[key] = _without(exchange.filter[key], argument or "like")


@kind("where-500", "request", "E10")
def where_500(exchange: Exchange, argument: str | None) -> None:
    """where-500[:NAME] fails on any condition, or on those that name a field or operator."""
    named = _operators_in([exchange.filter.get("where"), exchange.filter.get("include")])
    if argument in named or (argument is None and exchange.filter.get("where")):
        raise RestError(500, "Internal Server Error")


def _depth(include: Any) -> int:
    if not isinstance(include, list):
        return 0
    scopes = [(each.get("scope") or {}) for each in include if isinstance(each, dict)]
    return 1 + max((_depth(scope.get("include")) for scope in scopes), default=0) if include else 0


def _cut_to(include: Any, depth: int) -> Any:
    if depth <= 0 or not isinstance(include, list):
        return []
    cut = []
    for entry in include:
        if isinstance(entry, dict) and "include" in (entry.get("scope") or {}):
            inner = _cut_to(entry["scope"]["include"], depth - 1)
            scope = {key: value for key, value in entry["scope"].items() if key != "include"}
            entry = {**entry, "scope": {**scope, "include": inner} if inner else scope}
        cut.append(entry)
    return cut


@kind("include-depth", "request", "E12")
def include_depth(exchange: Exchange, argument: str | None) -> None:
    """include-depth[:N] answers 400 to includes of more than N levels (1)."""
    if _depth(exchange.filter.get("include")) > parse_number(argument, 1):
        raise RestError(400, "include is nested too deeply.")


@kind("shallow-includes", "request", "E12")
def shallow_includes(exchange: Exchange, argument: str | None) -> None:
    """shallow-includes[:N] cuts includes silently to N levels (1)."""
    if "include" in exchange.filter:
        exchange.filter["include"] = _cut_to(exchange.filter["include"], parse_number(argument, 1))


# --- counts -------------------------------------------------------------------------------------


def _counts(exchange: Exchange) -> bool:
    return exchange.verb.endswith("/count")


@kind("count-number", "answer", "E04")
def count_number(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """count-number sends a bare number where {"count": n} is meant."""
    if _counts(exchange) and answer.status == 200:
        value = json.loads(answer.body)
        answer.body = str(value["count"] if isinstance(value, dict) else value).encode()


@kind("count-missing", "request", "E04")
def count_missing(exchange: Exchange, argument: str | None) -> None:
    """count-missing answers 404 to count."""
    if _counts(exchange):
        raise RestError(404, f"There is no method to handle GET /{exchange.verb}")


@kind("count-500", "request", "E10")
def count_500(exchange: Exchange, argument: str | None) -> None:
    """count-500 fails to count."""
    if _counts(exchange):
        raise RestError(500, "Internal Server Error")


@kind("count-all", "request", "E12 G05")
def count_all(exchange: Exchange, argument: str | None) -> None:
    """count-all counts everything, whatever the condition."""
    if _counts(exchange):
        exchange.filter.pop("where", None)


@kind("count-wrong", "rows", "G05")
def count_wrong(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """count-wrong[:N] counts N too many (10), or too few when negative."""
    return [rows[0] + parse_number(argument, 10)] if _counts(exchange) else rows


# --- objects ------------------------------------------------------------------------------------


@kind("nulls", "rows", "B22 G11")
def nulls(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """nulls sends null for every field that is missing; ``nulls:FIELD`` for this one always."""
    model = {"Documents": "Document", "Datasets": "Dataset", "Instruments": "Instrument"}
    name = model.get(exchange.verb.split("/")[0])
    if name is None or _counts(exchange):
        return rows
    if argument:
        return [{**row, argument: None} for row in rows]
    return [{**dict.fromkeys(MODELS[name].fields), **row} for row in rows]


@kind("null-rows", "rows", "G11")
def null_rows(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """null-rows puts a null among the objects."""
    return [None, *rows] if _is_list(exchange) else rows


@kind("ghosts", "rows", "G07 G11")
def ghosts(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """ghosts sends {"score": 0} in place of each Nth object (5)."""
    step = parse_number(argument, 5)
    return [{"score": 0} if i % step == step - 1 else row for i, row in enumerate(rows)]


@kind("forbidden", "rows", "D12")
def forbidden(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """forbidden sends a 403 object in place of each Nth object (5), under status 200."""
    step = parse_number(argument, 5)
    refused = {"statusCode": 403, "message": "Unauthorized access", "error": "Forbidden"}
    return [dict(refused) if i % step == step - 1 else row for i, row in enumerate(rows)]


@kind("nan", "answer", "D11")
def nan(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """nan[:WORD] writes NaN (or Infinity, -Infinity) as scores and sizes, which is no JSON."""
    word = (argument or "NaN").encode()
    answer.body = answer.body.replace(b'"score":0', b'"score":' + word)


@kind("odd-scores", "rows", "G06 G07")
def odd_scores(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """odd-scores sends null, -1, 1, 17.5, words, no score, 0, 1e300 in turn; ``odd-scores:X`` X."""
    odd: list[Any] = [None, -1, 1, 17.5, "high", ..., 0, 1e300, "0.9", {"value": 0.5}]
    if argument is not None:
        odd = [json.loads(argument)]
    if not _is_list(exchange):
        return rows
    scored = []
    for index, row in enumerate(rows):
        score = odd[index % len(odd)]
        changed = {name: value for name, value in row.items() if name != "score"}
        scored.append(changed if score is ... else {**changed, "score": score})
    return scored


@kind("scale-scores", "rows", "G06")
def scale_scores(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """scale-scores[:N] multiplies scores by N (100)."""
    factor = parse_number(argument, 100)
    return [
        {**row, "score": row["score"] * factor}
        if isinstance(row, dict) and isinstance(row.get("score"), int | float)
        else row
        for row in rows
    ]


@kind("missing-title", "rows", "D07 G11")
def missing_title(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """missing-title leaves title and name out of each page's first object."""
    if not rows or not _is_list(exchange):
        return rows
    first = {key: value for key, value in rows[0].items() if key not in ("title", "name")}
    return [first, *rows[1:]]


@kind("numeric-pids", "rows", "E09")
def numeric_pids(exchange: Exchange, argument: str | None, rows: list[Any]) -> list[Any]:
    """numeric-pids sends a number as pid and the pid as id, and a blank for doi, as ESRF does."""
    if not _is_list(exchange):
        return rows
    return [
        {**row, "pid": 1_000_000 + index, "id": row.get("pid"), "doi": " "}
        for index, row in enumerate(rows)
    ]


@kind("object", "answer", "G11")
def object_answer(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """object wraps a list into {"data": […]}."""
    if answer.body.startswith(b"["):
        answer.body = b'{"data":' + answer.body + b"}"


@kind("error-200", "answer", "A09 E10")
def error_200(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """error-200 sends an error object under status 200."""
    error = {"error": {"statusCode": 500, "name": "Error", "message": "Backend unavailable"}}
    answer.body = json.dumps(error).encode()
