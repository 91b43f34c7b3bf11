"""The search page: rendered here, works without scripts, everything harvested is escaped.

What the page shows comes from the same question and answer as ``/api/search``; links on it are
addresses of this page with some parameters changed, so that every view can be shared.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2

from catalogue.errors import CatalogueError
from mappings.techniques import load_panet
from search_api.errors import SearchApiError, UnknownThing
from search_api.facility_list import live_state_of
from search_api.hits import is_safe_link
from search_api.replies import Call, Reply
from search_api.search import BY_NAME, read_search
from search_api.search_answer import show
from search_api.standings import MISSING, standing
from search_api.whole import ask_whole, read_asked

Json = dict[str, Any]
Pairs = Sequence[tuple[str, str]]
Piece = tuple[str, bool]

FOLDER = Path(__file__).parent
PAGE_SIZE = 10
SUMMARY = 320
REACH = 10_000
TECHNIQUES = 15
STATIC = {
    "style.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
FACETS = {
    "access": "Access",
    "facility": "Facility",
    "technique": "Technique",
    "instrument": "Instrument",
    "year": "Year of the experiment",
    "sample": "Sample",
}
ACCESS_WORDS = {
    "open": "open",
    "embargoed": "embargoed",
    "restricted": "restricted",
    "metadata_only": "metadata only",
    "unknown": "unknown",
}
LIVE_WORDS = {
    "not_asked": "asked live",
    "answering": "asked live",
    "failing": "asked live, failing at present",
    "probed": "asked live, coming back",
    "paused": "asked live, paused at present",
}
NOT_KEPT = ("q", "skip", "cursor", "recognise", "literal")
"""What a new text in the field does not take over."""
FOUND = {"documents": "proposals and data sets", "datasets": "single runs"}
ORDERS = {
    "relevance": "best first",
    "-date": "newest first",
    "date": "oldest first",
    "title": "by title",
    "-size": "largest first",
}
DATASET_ORDERS = ("relevance", "-date", "date", "title", "-size")
EXAMPLES = (
    "serial femtosecond crystallography of lysozyme",
    "SAXS",
    '"neutron reflectometry" -polymer',
    "lithium battery tomography",
)


@functools.cache
def environment() -> jinja2.Environment:
    """Templates with escaping always on; fields that a record lacks are blank."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["day"] = day
    made.filters["marked"] = marked
    made.filters["page_of"] = page_of
    made.filters["alternatives"] = alternatives
    made.filters["number"] = lambda value: f"{value:,}".replace(",", "\u202f")
    made.tests["safe_link"] = lambda value: isinstance(value, str) and is_safe_link(value)
    return made


def render(template: str, *, status: int = 200, **names: Any) -> Reply:
    body = environment().get_template(template).render(**names)
    return Reply(
        body.encode("utf-8", errors="replace"),
        content_type="text/html; charset=utf-8",
        status=status,
    )


def day(value: object) -> str:
    """The day of an instant, as people write it; text that is no instant stays as it is."""
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{found.day} {found:%B %Y}"


def alternatives(words: Sequence[object]) -> str:
    """``a, b or c``."""
    *most, last = map(str, words)
    return f"{', '.join(most)} or {last}" if most else last


def marked(text: str, spans: Sequence[Sequence[int]] = (), most: int = SUMMARY) -> list[Piece]:
    """A text in pieces, each with whether the question's words are in it: around the first of them,
    ``most`` characters at most. The template escapes every piece."""
    start = 0
    if spans and spans[0][1] > most:
        start = text.rfind(" ", 0, max(0, spans[0][0] - most // 3)) + 1
    end = len(text)
    if end - start > most:
        end = max(text.rfind(" ", start, start + most), start + most // 2)
    pieces: list[Piece] = [("… ", False)] if start else []
    at = start
    for low, high in sorted((int(span[0]), int(span[1])) for span in spans):
        if at <= low < high <= end:
            pieces += [(text[at:low], False), (text[low:high], True)]
            at = high
    pieces.append((text[at:end] + (" …" if end < len(text) else ""), False))
    return [piece for piece in pieces if piece[0]]


async def search_site(call: Call) -> Reply:
    """The page at ``/``; without a question it says what is here and who is silent."""
    pairs = [(name, value) for name, value in call.pairs if value.strip() and name in BY_NAME]
    asked = any(name not in ("sort", "skip", "limit", "type") for name, _ in pairs)
    states = call.server.states
    names: Json = {
        "query": next((value for name, value in pairs if name == "q"), ""),
        "kept": [(n, v) for n, v in pairs if n not in NOT_KEPT],
        "facilities": states.all,
        "records": sum(state.records for state in states.all),
        "silent": [state for state in states.all if state.state == "silent"],
        "examples": [(text, link([("q", text)])) for text in EXAMPLES],
        "version": call.server.version,
        "live": {
            state.facility.name: LIVE_WORDS[found]
            for state in states.all
            if (found := live_state_of(call.server, state)) is not None
        },
        "access_words": ACCESS_WORDS,
        "error": None,
    }
    if not asked:
        return render("search.html", **names, answer=None)
    try:
        wanted = [pair for pair in pairs if pair[0] not in ("format", "facets", "limit", "cursor")]
        wanted += [("facets", ",".join(FACETS)), ("limit", str(PAGE_SIZE))]
        request = read_search(call.reading(), wanted, PAGE_SIZE)
        whole = await ask_whole(call, request.search, read_asked(call))
        answer = await show(whole, states, call.timings, request)
    except (SearchApiError, CatalogueError) as error:
        names |= {"answer": None, "error": str(error), "later": error.status >= 500}
        return render("search.html", status=error.status, **names)
    reach = _reach(call, answer)
    most = min(call.settings.max_limit, reach)
    shown = _answered(pairs, request.search.skip, answer, reach, most)
    return render("search.html", **names, **shown)


def _answered(pairs: Pairs, skip: int, answer: Json, reach: int, most: int) -> Json:
    """What the page shows of an answer, of which a download holds ``most`` records."""
    rest = _without(pairs, "skip", "limit", "format", "cursor")
    return {
        "answer": answer,
        "chips": _chips(pairs, answer),
        "facets": _facets(pairs, answer),
        "related": [
            (one, link(changed(pairs, [("technique", one["id"])], drop=("q", "skip"))))
            for one in answer["related"][:6]
        ],
        "suggested": link(changed(pairs, [("q", answer.get("suggestion", ""))], drop=NOT_KEPT)),
        "pages": _pages(pairs, skip, answer, reach),
        "first": skip + 1,
        "last": skip + len(answer["hits"]),
        "downloads": [
            (form, "/api/search?" + urlencode([*rest, ("limit", str(most)), ("format", form)]))
            for form in ("json", "csv", "bibtex", "ris")
        ],
        "first_only": most if answer["total"]["value"] > most else None,
        "not_data": _not_data(pairs, answer),
        "views": _views(pairs),
        "missing": [
            (line["name"], standing(line))
            for line in answer["facilities"]
            if line["state"] in MISSING
        ],
        "asked_now": [
            (line["name"], standing(line))
            for line in answer["facilities"]
            if line["live"] and line["state"] not in MISSING
        ],
    }


def page_of(key: str) -> str:
    """The address of a record's page; proxies may refuse an encoded slash (fault E13)."""
    return f"/records/{quote(key, safe=':/')}"


def link(pairs: Pairs) -> str:
    return "/?" + urlencode(pairs)


def changed(pairs: Pairs, added: Pairs, drop: Sequence[str] = ("skip",)) -> Pairs:
    """The parameters of another view: some dropped, some added."""
    return [*(pair for pair in pairs if pair[0] not in drop), *added]


def _without(pairs: Pairs, *names: str) -> Pairs:
    return [pair for pair in pairs if pair[0] not in names]


def _chips(pairs: Pairs, answer: Json) -> list[Json]:
    """What was recognised in the sentence and what is filtered by, each with a way to drop it."""
    chips = [
        {
            "text": _understood(one),
            "what": one["kind"],
            "drop": link(changed(pairs, [("literal", one["text"])])),
        }
        for one in answer["recognised"]
    ]
    for pair in pairs:
        name, value = pair
        if name in ("q", "sort", "skip", "type", "match", "recognise", "related", "explain"):
            continue
        rest = [other for other in pairs if other != pair and other[0] != "skip"]
        what = "as words" if name == "literal" else name.replace("_", " ")
        chips.append({"text": _spoken(name, value), "what": what, "drop": link(rest)})
    return chips


def _understood(one: Json) -> str:
    """What was taken for a technique or a quantity, and for which: of a quantity's many writings
    the first is enough."""
    label = str(one["label"])
    if one["kind"] == "quantity":
        label = label.split(",", 1)[0].replace("_", " ")
    return one["text"] if one["text"] == label else f"{one['text']} → {label}"


def _views(pairs: Pairs) -> list[Json]:
    """Other views of the same question: what is found, in which order, whether only open data."""
    here = dict(pairs)
    kind, order = here.get("type", "documents"), here.get("sort", "relevance")
    orders = (
        ["relevance", "-date", "date", "title"] if kind == "documents" else list(DATASET_ORDERS)
    )
    groups = [
        {
            "title": "Find",
            "entries": [
                {
                    "label": label,
                    "chosen": kind == value,
                    "link": link(changed(pairs, [("type", value)], drop=("skip", "type", "sort"))),
                }
                for value, label in FOUND.items()
            ],
        },
        {
            "title": "Order",
            "entries": [
                {
                    "label": ORDERS[one],
                    "chosen": order == one,
                    "link": link(changed(pairs, [("sort", one)], drop=("skip", "sort"))),
                }
                for one in orders
            ],
        },
    ]
    only = ("open", "true") in pairs
    other = _without(pairs, "open", "skip") if only else changed(pairs, [("open", "true")])
    entry = {"label": "only open data", "chosen": only, "link": link(other)}
    return [*groups, {"title": "Show", "entries": [entry]}]


def _spoken(name: str, value: str) -> str:
    if name == "technique":
        term = load_panet().find(value)
        return term.label if term is not None else value
    if name == "access":
        return ACCESS_WORDS.get(value, value)
    return value if name != "open" else "open now"


def _facets(pairs: Pairs, answer: Json) -> list[Json]:
    facets = []
    for name, title in FACETS.items():
        entries = []
        counts = answer["facets"].get(name, ())
        for one in telling(counts) if name == "technique" else counts:
            pair = (name, one["id"])
            chosen = pair in pairs
            if chosen:
                view = [other for other in pairs if other != pair and other[0] != "skip"]
            else:
                # A question has one span of years; other facets add up.
                drop = ("skip", "year") if name == "year" else ("skip",)
                view = list(changed(pairs, [pair], drop=drop))
            label = one["label"]
            if name == "access":
                label = ACCESS_WORDS.get(label, label)
            entries.append(
                {"label": label, "count": one["count"], "chosen": chosen, "link": link(view)}
            )
        if entries:
            facets.append({"name": name, "title": title, "entries": entries})
    return facets


def telling(counts: Sequence[Json]) -> list[Json]:
    """The technique counts that tell something: of a term and one below it with the same count,
    the one below; "photon and neutron technique" of everything tells nothing."""
    panet = load_panet()
    kept = []
    for one in counts:
        below = panet.descendants(one["id"]) - {one["id"]}
        if not any(other["id"] in below and other["count"] == one["count"] for other in counts):
            kept.append(one)
    return [
        one
        for one in kept
        if panet.ancestors(one["id"]) != {one["id"]} and not one["label"].startswith("defined by ")
    ][:TECHNIQUES]


def _reach(call: Call, answer: Json) -> int:
    """How deep pages go: facilities asked live are asked for so many records at most."""
    is_live = any(line["live"] for line in answer["facilities"])
    return min(REACH, call.settings.live_depth) if is_live else REACH


def _pages(pairs: Pairs, skip: int, answer: Json, reach: int) -> Mapping[str, str | None]:
    rest = _without(pairs, "skip")
    before, after = max(0, skip - PAGE_SIZE), skip + PAGE_SIZE
    total, is_full = answer["total"], len(answer["hits"]) == PAGE_SIZE
    known = after < total["value"] or (is_full and total["relation"] == "gte")
    more = known and after + PAGE_SIZE <= reach
    return {
        "before": link([*rest, ("skip", str(before))]) if skip else None,
        "after": link([*rest, ("skip", str(after))]) if more else None,
    }


def _not_data(pairs: Pairs, answer: Json) -> list[tuple[str, int, str]]:
    """Kinds left out of the result, with their number and a way to see them."""
    return [
        (kind, count, link(changed(pairs, [("kind", kind)], drop=("kind", "skip"))))
        for kind, count in answer["not_data"].items()
        if count
    ]


@functools.cache
def _static_body(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


async def static_file(call: Call) -> Reply:
    """``GET /static/{name}``: only the files that the table names."""
    name = call.arguments["key"]
    media_type = STATIC.get(name)
    if media_type is None:
        raise UnknownThing(f"There is no file {name[:100]!r}.")
    return Reply(
        _static_body(name), content_type=media_type, headers={"Cache-Control": "max-age=3600"}
    )
