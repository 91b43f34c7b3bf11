"""``/api/suggest``: completions of what is being typed, from techniques and the records' words."""

from __future__ import annotations

from typing import Any

from mappings.techniques import load_panet
from search_api.errors import BadRequest
from search_api.loopback import read_count
from search_api.replies import Call, Reply, json_reply

Json = dict[str, Any]

MOST = 50
DEFAULT = 10
MAX_CHARACTERS = 200


async def suggestions(call: Call) -> Reply:
    """``GET /api/suggest?q=``: techniques by label and synonym, then facilities, then texts of
    the records (titles, samples, instruments, people) that begin so."""
    typed = (call.one("q") or "").strip()
    if len(typed) > MAX_CHARACTERS:
        raise BadRequest(f"q is longer than {MAX_CHARACTERS} characters.", field="q")
    limit = min(read_count(call.one("limit"), "limit") or DEFAULT, MOST)
    if not typed:
        return json_reply({"suggestions": []})
    found = techniques(typed, limit) + _facilities(call, typed)
    if len(found) < limit:
        found += [
            {"kind": one.kind, "text": one.text, "count": one.count}
            for one in await call.server.catalogue.suggest(typed, limit)
        ]
    return json_reply({"suggestions": found[:limit]})


def techniques(typed: str, limit: int) -> list[Json]:
    """Techniques with a name, or a word in a name, that begins so; short names first."""
    wanted = typed.casefold()
    ranked = []
    for term in load_panet().terms.values():
        if not term.is_technique:
            continue
        rank = min(_rank(name.casefold(), wanted) for name in (term.label, *term.synonyms))
        if rank < 2:
            ranked.append((rank, len(term.label), term.label, term))
    ranked.sort(key=lambda entry: entry[:3])
    return [
        {
            "kind": "technique",
            "text": term.label,
            "id": term.id,
            "panetId": term.iri,
            "synonyms": list(term.synonyms),
        }
        for _, _, _, term in ranked[: max(1, limit // 2 + 1)]
    ]


def _rank(name: str, wanted: str) -> int:
    if name.startswith(wanted):
        return 0
    return 1 if f" {wanted}" in name.replace("-", " ") else 2


def _facilities(call: Call, typed: str) -> list[Json]:
    wanted = typed.casefold()
    return [
        {"kind": "facility", "text": facility.name, "title": facility.title}
        for facility in call.server.states.facilities
        if facility.name.casefold().startswith(wanted) or wanted in facility.title.casefold()
    ]
