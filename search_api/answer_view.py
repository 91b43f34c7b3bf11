"""Answers for people at a terminal: a table of hits, and how each facility stands.

``LiveView`` shows an answer as it grows: a row for each facility, hits ranked anew below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pan_commons_terminal import console, emit_table, say, table_of
from search_api.page_changes import applied
from search_api.standings import MISSING, standing

Json = Mapping[str, Any]

COLUMNS = ("score", "title", "facility", "techniques", "access", "identifier")
NARROW = ("score", "title", "facility", "identifier")
LINE_COLUMNS = ("facility", "state", "hits", "found")


def hit_rows(hits: Sequence[Json]) -> list[tuple[str, ...]]:
    """The cells of ``COLUMNS``."""
    return [
        (
            f"{hit['score']:.3f}",
            str(hit.get("title") or ""),
            " · ".join(str(name) for name in hit["facilities"]),
            ", ".join(str(one["label"]) for one in hit["techniques"][:4]),
            _access(hit["access"]),
            str(hit.get("doi") or hit.get("pid") or ""),
        )
        for hit in hits
    ]


def line_rows(lines: Sequence[Json]) -> list[tuple[str, ...]]:
    """The cells of ``LINE_COLUMNS``."""
    rows: list[tuple[str, ...]] = []
    for line in lines:
        least = "≥ " if line.get("total_relation") == "gte" and line["total"] else ""
        rows.append((line["name"], standing(line), str(line["hits"]), f"{least}{line['total']}"))
    return rows


def print_answer(query: str, answer: Json) -> None:
    """A table of hits, and under it what else there is to know."""
    title = title_of(query, answer["total"])
    if answer["hits"]:
        emit_table(title, COLUMNS, hit_rows(answer["hits"]))
    else:
        console().print(title, markup=False, highlight=False)
    for hit in answer["hits"]:
        for line in explanation_lines(hit):
            say(line)
    say_more(answer)


def explanation_lines(hit: Json) -> list[str]:
    """How a hit's score came about, in words; nothing where it was not asked for."""
    told = hit.get("explanation")
    if not told:
        return []
    points = told["text"] + told["technique"]
    name = str(hit.get("doi") or hit.get("pid") or hit.get("title") or "")
    lines = [f"{name}: {hit['score']:.3f} = {points:.3f} of {told['best_possible']:.3f} points"]
    for part in told["parts"]:
        where = ", ".join(f"{one['where']} {one['points']:.3f}" for one in part.get("fields", ()))
        lines.append(f"  {part['points']:.3f}  {part['what']}" + (f" ({where})" if where else ""))
    return lines


def title_of(query: str, total: Json) -> str:
    if not total["value"]:
        where = " at the facilities that answered" if total["relation"] == "gte" else ""
        return "Nothing found" + (f" for {query}" if query else "") + where
    about = "at least " if total["relation"] == "gte" else ""
    return f"{about}{total['value']:,} found" + (f" for {query}" if query else "")


def say_more(answer: Json) -> None:
    """What the table does not tell."""
    for one in answer["recognised"]:
        say(f"Understood {one['text']!r} as {one['label']} ({one['id']}).")
    if answer["relaxed"]:
        say("No record has all of these words; these have some of them.")
    for kind, count in answer["not_data"].items():
        if count:
            say(f"Left out because not data: {count} × {kind}.")
    for line in answer["facilities"]:
        if line["state"] in MISSING:
            say(f"Missing: {line['name']}, {standing(line)}.")
    silent = [line["name"] for line in answer["facilities"] if line["state"] == "stale"]
    if silent:
        say(f"Not reached lately, answered from what they told us before: {', '.join(silent)}.")
    if answer.get("index_behind"):
        say(
            f"The search index is {answer['index_behind']:,} changes behind: what they brought is "
            "missing. A harvest or daemon that is at work brings it in; else run: "
            "pan-commons index rebuild"
        )
    if answer.get("suggestion"):
        say(f"Did you mean {answer['suggestion']!r}?")


def missing_of(answer: Json) -> list[str]:
    """Names of the facilities that an answer lacks."""
    return [line["name"] for line in answer["facilities"] if line["state"] in MISSING]


class LiveView:
    """Shows a stream's messages. On a terminal the tables change as messages come; into a file or a
    pipe goes the last state alone."""

    def __init__(self, query: str, to: Console | None = None) -> None:
        self._query = query
        self._console = to or console()
        changes = self._console.is_terminal
        self._live = Live(console=self._console, auto_refresh=False) if changes else None
        self._page: list[dict[str, Any]] = []
        self.last: Json | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    async def show(self, message: Json) -> None:
        """Take in one message."""
        self.last = message
        if message["event"] == "update":
            self._page = applied(self._page, message)
        if self._live is not None:
            self._live.update(self._tables(message), refresh=True)
        elif message["event"] == "end":
            self._console.print(self._tables(message))

    def _tables(self, message: Json) -> Group:
        facilities: Table = table_of("", LINE_COLUMNS, line_rows(message["facilities"]))
        title = title_of(self._query, message["total"])
        if not self._page:
            return Group(facilities, Text(title))
        if self._live is None:
            return Group(facilities, table_of(title, COLUMNS, hit_rows(self._page)))
        rows = [(row[0], row[1], row[2], row[-1]) for row in hit_rows(self._page)]
        return Group(facilities, table_of(title, NARROW, fitting(rows, self._console.width)))


def fitting(
    rows: Sequence[tuple[str, str, str, str]], width: int
) -> list[tuple[str, str, str, str]]:
    """The rows with titles cut to one line each: what changes in its place must fit."""
    columns = (*zip(*rows, strict=True),) if rows else ((),) * len(NARROW)
    others = sum(max(map(len, (NARROW[at], *columns[at]))) for at in (0, 2, 3))
    borders = 3 * 4 + 1
    room = max(12, width - others - borders)
    return [
        (row[0], row[1] if len(row[1]) <= room else row[1][: room - 1] + "…", row[2], row[3])
        for row in rows
    ]


def _access(access: Json) -> str:
    state = str(access["state"]).replace("_", " ")
    if access["state"] == "embargoed" and access.get("until"):
        return f"embargoed until {str(access['until'])[:10]}"
    return state
