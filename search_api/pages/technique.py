"""The pages of techniques, for people; programs get the same terms from the same addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mappings.techniques import Panet, Term, load_panet
from search_api.pages.site import link, render
from search_api.replies import Call, Handler, Reply, Stream, prefers_html
from search_api.techniques import technique_named

Json = dict[str, Any]

ROOT = "PaNET00001"
"""The technique above all techniques; beside it PaNET has the specifiers, which are none."""
ADDRESS = "/techniques"


def for_people(page: Handler, data: Handler) -> Handler:
    """The page for browsers that ask without a condition at ``/techniques``, else the data."""

    async def choose(call: Call) -> Reply | Stream:
        request = call.request
        is_page = (
            request.method in ("GET", "HEAD")
            and request.path.startswith(ADDRESS)
            and not call.pairs
            and prefers_html(request.headers.get("Accept", ""))
        )
        return await (page if is_page else data)(call)

    return choose


async def techniques_page(call: Call) -> Reply:
    """``GET /techniques``: the upper levels of the tree, and all terms by name."""
    panet = load_panet()
    by_name = sorted(panet.terms.values(), key=lambda term: (term.label.casefold(), term.id))
    return render(
        "techniques.html",
        version=call.server.version,
        branches=[(one, _shown(_below(panet, one["id"]))) for one in _shown(_below(panet, ROOT))],
        terms=_shown(by_name),
    )


async def technique_page(call: Call) -> Reply:
    """``GET /techniques/{pid}``: one term, what is above and below it."""
    panet = load_panet()
    term = technique_named(call.arguments["pid"])
    above = [panet.term(one) for one in panet.official_parents(term.id)]
    return render(
        "technique.html",
        version=call.server.version,
        term=term,
        found=link([("technique", term.id)]),
        above=_shown(above),
        below=_shown(_below(panet, term.id)),
    )


def _below(panet: Panet, identifier: str) -> list[Term]:
    terms = [panet.term(one) for one in panet.official_children(identifier)]
    return sorted(terms, key=lambda term: term.label.casefold())


def _shown(terms: Iterable[Term]) -> list[Json]:
    return [
        {
            "id": term.id,
            "label": term.label,
            "synonyms": ", ".join(term.synonyms),
            "address": f"{ADDRESS}/{term.id}",
        }
        for term in terms
    ]
