"""The page of one record: what is known of it, and which source said so when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from search_api.errors import UnknownThing
from search_api.pages.site import ACCESS_WORDS, page_of, render
from search_api.records import record_shown
from search_api.replies import Call, Reply

Json = dict[str, Any]

MOST_LINKED = 50
UNTOLD = frozenset({"class", "facility", "facilities", "key", "startSeconds", "endSeconds"})
"""Fields of ours: nobody outside said them."""


async def record_page(call: Call) -> Reply:
    """``GET /records/{key}``, for people; ``/api/records/{key}`` is the same for programs."""
    key = call.arguments["key"]
    names: Json = {
        "version": call.server.version,
        "access_words": ACCESS_WORDS,
        "address": f"/api{page_of(key)}",
        "record": None,
    }
    try:
        shown, headers = await record_shown(call, key)
    except UnknownThing as error:
        return render("record.html", status=error.status, **names, error=str(error))
    whole = shown["record"]
    names |= {
        "record": shown,
        "error": None,
        "facts": _facts(shown),
        "inside": _links(whole.get("datasets")),
        "around": _links(whole.get("documents")),
        "said": [(_spaced(n), one) for n, one in shown["provenance"].items() if n not in UNTOLD],
    }
    return replace(render("record.html", **names), headers=headers)


def _facts(shown: Json) -> list[tuple[str, str]]:
    """Names and values of what is known, in the order in which people ask."""
    years = shown.get("years")
    span = [years["first"], years["last"]] if years else []
    people = [
        " ".join(filter(None, (str(one.get("name") or ""), _in_brackets(one))))
        for one in shown.get("people") or ()
    ]
    facts = [
        ("Experiment", "–".join(str(year) for year in dict.fromkeys(span))),
        ("Instruments", ", ".join(shown["instruments"])),
        ("Samples", ", ".join(str(one["name"]) for one in shown["samples"] if one.get("name"))),
        ("People", ", ".join(people)),
        ("Keywords", ", ".join(map(str, shown.get("keywords") or ()))),
        ("File formats", ", ".join(map(str, shown.get("formats") or ()))),
        ("Licence", str(shown.get("license") or "")),
        ("Identifier", str(shown.get("doi") or shown.get("pid") or "")),
    ]
    return [(name, value) for name, value in facts if value]


def _in_brackets(person: Json) -> str:
    told = ", ".join(str(person[name]) for name in ("role", "affiliation") if person.get(name))
    return f"({told})" if told else ""


def _links(keys: object) -> Sequence[tuple[str, str]]:
    """What a record contains, or is contained in: its name and its page."""
    found = keys if isinstance(keys, list) else []
    return [(str(key).partition(":")[2], page_of(str(key))) for key in found[:MOST_LINKED]]


def _spaced(name: str) -> str:
    """``startDate`` as people write it."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
