"""The search page: rendered here, escaped, usable without scripts or mouse."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from mappings.techniques import load_panet
from search_api.pages.site import day, marked, telling
from search_api.replies import prefers_html

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements of a page: tags with attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
async def server(catalogue: Catalogue, keep: Any, serve: Any) -> TestClient[Any, Any]:
    facility = Facility("A", f"Facility {EVIL}", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
    payloads = [
        (
            "panosc-document",
            {
                "pid": f"10.5072/{number:02}",
                "title": f'Neutron "{EVIL}" study {number}',
                "type": "proposal",
                "isPublic": number != 3,
                "releaseDate": "2030-01-02T00:00:00Z" if number == 3 else None,
                "startDate": "2018-01-01T00:00:00Z",
                "datasets": [
                    {
                        "pid": f"d{number}",
                        "title": "run",
                        "techniques": [{"name": "SANS"}],
                        "samples": [{"name": EVIL}],
                    }
                ],
            },
        )
        for number in range(25)
    ]
    await keep(catalogue, facility, source, payloads)
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


async def page(client: TestClient[Any, Any], path: str, status: int = 200) -> Page:
    response = await client.get(path, headers={"Accept": BROWSER})
    assert response.status == status
    assert response.content_type == "text/html"
    text = await response.text()
    assert EVIL not in text, "fault I06"
    return Page(text)


async def test_the_first_page_says_what_is_here(server: TestClient[Any, Any]) -> None:
    shown = await page(server, "/")
    assert "25 records of 1 facility." in shown.text
    assert any(field.get("name") == "q" for field in shown.all("input"))


async def test_where_nothing_is_kept_the_page_says_so(catalogue: Catalogue, serve: Any) -> None:
    shown = await page(await serve(catalogue), "/")
    assert "Nothing was harvested here yet." in shown.text


async def test_results_show_facility_techniques_access_and_links(
    server: TestClient[Any, Any],
) -> None:
    shown = await page(server, "/?q=SANS")
    assert "25 records" in shown.text
    assert "small angle neutron scattering" in shown.text
    assert "open" in shown.text
    assert "embargoed until 2 January 2030" in shown.text
    addresses = [link.get("href") or "" for link in shown.all("a")]
    assert "https://doi.org/10.5072/00" in addresses
    assert any("technique=PaNET01189" in address for address in addresses)
    assert any("skip=10" in address for address in addresses)


async def test_a_recognised_technique_is_a_chip_that_can_be_dropped(
    server: TestClient[Any, Any],
) -> None:
    shown = await page(server, "/?q=SANS")
    drop = [link for link in shown.all("a") if (link.get("aria-label") or "").startswith("Without")]
    assert drop[0]["href"] == "/?q=SANS&literal=SANS"
    shown = await page(server, "/?q=SANS&literal=SANS")
    (again,) = [one for one in shown.all("a") if one.get("aria-label") == "Without SANS"]
    assert again["href"] == "/?q=SANS", "and it can be taken up again"
    assert "as words" in shown.text


async def test_paging_and_facets_keep_the_question(server: TestClient[Any, Any]) -> None:
    shown = await page(server, "/?q=neutron&facility=A&skip=20")
    assert "21–25 of 25" in re.sub(r"\s+", " ", shown.text)
    chosen = [link for link in shown.all("a") if link.get("aria-current") == "true"]
    hrefs = [link["href"] for link in chosen]
    assert "/?q=neutron" in hrefs, "choosing again takes the filter away"


async def test_a_download_holds_the_whole_result_or_says_that_it_does_not(
    server: TestClient[Any, Any], catalogue: Catalogue, serve: Any
) -> None:
    shown = await page(server, "/?q=neutron&skip=10")
    assert "This result as" in shown.text
    address = next(link["href"] for link in shown.all("a") if "format=csv" in str(link["href"]))
    assert len((await (await server.get(str(address))).text()).splitlines()) == 1 + 25
    assert "format=csv" not in str((await page(server, "/?q=nothing-of-the-kind")).tags)
    small = await serve(catalogue, max_limit=5)
    shown = await page(small, "/?q=neutron")
    assert "The first 5 as" in shown.text
    address = next(link["href"] for link in shown.all("a") if "format=csv" in str(link["href"]))
    assert len((await (await small.get(str(address))).text()).splitlines()) == 1 + 5


async def test_a_record_has_a_page_that_says_what_is_known_and_by_whom(
    server: TestClient[Any, Any],
) -> None:
    key = "document:doi:10.5072/03"
    results = await page(server, "/?q=%22study+3%22")
    addresses = {link.get("href") for link in results.all("a")}
    assert f"/records/{key}" in addresses
    shown = await page(server, f"/records/{key}")
    text = re.sub(r"\s+", " ", shown.text)
    assert "study 3" in text
    assert "embargoed until 2 January 2030" in text
    assert "small angle neutron scattering" in text
    assert "Who said what" in text
    assert "panosc-document" in text
    links = [link.get("href") or "" for link in shown.all("a")]
    assert f"/api/records/{key}" in links
    (inside,) = [link for link in links if link.startswith("/records/dataset:")]
    around = await page(server, inside)
    assert f"/records/{key}" in {link.get("href") for link in around.all("a")}


async def test_a_record_that_is_not_there_is_told_on_a_page(server: TestClient[Any, Any]) -> None:
    shown = await page(server, "/records/document:doi:10.5072/none", 404)
    assert "There is no such record" in shown.text


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/nothing", 404, "There is no such page"),
        ("/docz", 404, "Did you mean '/docs'?"),
        ("/api/Documets", 404, "Did you mean '/api/Documents'?"),
        ("/techniques/unknown", 404, "Unknown"),
    ],
)
async def test_people_who_go_astray_are_told_on_a_page(
    path: str, status: int, told: str, server: TestClient[Any, Any]
) -> None:
    shown = await page(server, path, status)
    assert told in shown.text
    assert any(link["href"] == "/" for link in shown.all("a"))
    for accept in ("*/*", "application/json", "application/json, text/plain, */*"):
        response = await server.get(path, headers={"Accept": accept})
        assert response.status == status
        assert (await response.json())["error"]["statusCode"] == status


async def test_routes_of_data_tell_mistakes_as_data_to_browsers_too(
    server: TestClient[Any, Any],
) -> None:
    for path in ("/api/Documents?filter={oops", "/api/search?year=soon", "/api/records/unknown"):
        response = await server.get(path, headers={"Accept": BROWSER})
        assert response.content_type == "application/json"


async def test_a_crowded_server_tells_people_on_a_page(catalogue: Catalogue, serve: Any) -> None:
    client = await serve(catalogue, max_in_flight=0)
    response = await client.get("/docs", headers={"Accept": BROWSER})
    assert (response.status, response.content_type) == (503, "text/html")
    assert response.headers["Retry-After"]
    assert "This cannot be answered now" in await response.text()
    assert (await client.get("/", headers={"Accept": "*/*"})).content_type == "application/json"


async def test_people_read_the_tree_of_techniques_and_programs_get_it(
    server: TestClient[Any, Any],
) -> None:
    shown = await page(server, "/techniques")
    addresses = {link["href"] for link in shown.all("a")}
    assert "/techniques/PaNET01188" in addresses
    assert "small angle x-ray scattering" in shown.text
    for path in ("/techniques/PaNET01188", "/techniques/SAXS/"):
        shown = await page(server, path)
        addresses = {link["href"] for link in shown.all("a")}
        assert {"/?technique=PaNET01188", "/techniques/PaNET01124"} <= addresses
        assert "SAXS" in shown.text
    for path in (
        "/api/Techniques",
        "/api/techniques/SAXS",
        "/techniques?filter=%7B%22limit%22%3A1%7D",
        "/techniques/count",
        "/techniques/pan-ontology",
    ):
        response = await server.get(path, headers={"Accept": BROWSER})
        assert response.content_type == "application/json", path
    for accept in ("*/*", "application/json"):
        response = await server.get("/techniques", headers={"Accept": accept})
        assert len(await response.json()) == len(load_panet().terms)


async def test_a_mistake_is_told_on_the_page(server: TestClient[Any, Any]) -> None:
    shown = await page(server, "/?q=x&year=soon", 400)
    assert "is not a year" in shown.text


async def test_nothing_is_loaded_from_elsewhere(server: TestClient[Any, Any]) -> None:
    for path in ("/", "/?q=SANS", "/docs", "/records/document:doi:10.5072/03"):
        shown = await page(server, path)
        loaded = [one.get("src") for tag in ("script", "img") for one in shown.all(tag)]
        loaded += [one.get("href") for one in shown.all("link")]
        assert all(address and address.startswith("/static/") for address in loaded)
        assert not any(
            name.startswith("on") or name == "style"
            for _, attributes in shown.tags
            for name in attributes
        ), "the content security policy would refuse it"
        for address in loaded:
            assert (await server.get(str(address))).status == 200


async def test_pages_are_usable_without_seeing_them(server: TestClient[Any, Any]) -> None:
    record, missing = "/records/document:doi:10.5072/03", "/records/none"
    wrong = "/?q=x&year=soon"
    statuses = {missing: 404, wrong: 400, "/nothing": 404}
    techniques = ("/techniques", "/techniques/PaNET01188")
    for path in ("/", "/?q=SANS", "/docs", *techniques, record, missing, wrong, "/nothing"):
        shown = await page(server, path, statuses.get(path, 200))
        labels = {label.get("for") for label in shown.all("label")}
        for field in (*shown.all("input"), *shown.all("textarea")):
            assert field.get("type") == "hidden" or field.get("id") in labels
        assert shown.all("html")[0]["lang"] == "en"
        assert len([tag for tag, _ in shown.tags if tag == "h1"]) == 1
        assert all("alt" in image for image in shown.all("img"))
        identifiers = [found["id"] for _, found in shown.tags if "id" in found]
        assert len(identifiers) == len(set(identifiers))


async def test_the_documentation_lists_every_operation(server: TestClient[Any, Any]) -> None:
    shown = await page(server, "/docs")
    described = await (await server.get("/api/openapi.json")).json()
    for path in described["paths"]:
        assert path in shown.text


async def test_the_forms_of_the_documentation_offer_all_that_an_operation_takes(
    server: TestClient[Any, Any],
) -> None:
    shown = await page(server, "/docs")
    fields = {(one["id"] or "").partition("-")[0]: one for one in shown.all("input")}
    secret = fields["getHistory"]
    assert (secret["data-in"], secret["name"], secret["type"]) == (
        "header",
        "X-Operator-Key",
        "password",
    )
    modes = [one for one in shown.all("input") if one["name"] == "mode"]
    assert {one["placeholder"] for one in modes} == {"indexed, live or both"}


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("application/json, text/html;q=0.5", False),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
    ],
)
def test_html_is_for_whoever_prefers_it(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html


def test_days_are_written_as_people_write_them() -> None:
    assert day("2030-01-02T00:00:00Z") == "2 January 2030"
    assert day("soon") == "soon"
    assert day(None) == ""


def test_techniques_that_tell_nothing_are_left_out() -> None:
    counts = [
        {"id": "PaNET00001", "label": "root", "count": 9},
        {"id": "PaNET01124", "label": "small angle scattering", "count": 9},
        {"id": "PaNET01188", "label": "SAXS", "count": 4},
        {"id": "PaNET01189", "label": "SANS", "count": 5},
    ]
    assert [one["id"] for one in telling(counts)] == ["PaNET01124", "PaNET01188", "PaNET01189"]


def test_words_of_the_question_are_marked_and_everything_is_a_piece() -> None:
    text = "A study of <b> and bone, and of bone again"
    pieces = marked(text, [[19, 23], [32, 36]])
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, hit in pieces if hit] == [text[19:23], text[32:36]]
    assert marked(text) == [(text, False)]


def test_a_long_text_is_shown_around_the_first_word_found() -> None:
    text = "word " * 500 + "lysozyme and " + "more " * 500
    at = text.index("lysozyme")
    pieces = marked(text, [[at, at + 8]], 100)
    assert ("lysozyme", True) in pieces
    shown = "".join(piece for piece, _ in pieces)
    assert len(shown) < 140
    assert shown.startswith("… ")
    assert shown.endswith(" …")


@pytest.mark.parametrize("spans", [[[5, 3]], [[-1, 4]], [[90, 99]], [[0, 4], [2, 6]], [[3, 3]]])
def test_odd_spans_lose_no_text(spans: list[list[int]]) -> None:
    assert "".join(piece for piece, _ in marked("ten letters", spans)) == "ten letters"


async def test_marked_words_are_escaped_like_all_others(server: TestClient[Any, Any]) -> None:
    """fault I06"""
    response = await server.get("/?q=study", headers={"Accept": BROWSER})
    body = await response.text()
    assert "<mark>study</mark>" in body
    assert "<script>alert" not in body


async def test_the_page_offers_other_views_of_the_question(server: TestClient[Any, Any]) -> None:
    shown = await page(server, "/?q=neutron&open=true&sort=date")
    links = {one["href"]: one for one in shown.all("a")}
    assert "/?q=neutron&sort=date" in links, "not only open"
    assert links["/?q=neutron&open=true&sort=-date"].get("aria-current") is None
    assert links["/?q=neutron&open=true&sort=date"]["aria-current"] == "true"
    assert "/?q=neutron&open=true&type=datasets" in links


async def test_a_quantity_is_named_once_of_its_many_writings(server: TestClient[Any, Any]) -> None:
    shown = await page(server, "/?q=neutron+at+4+K")
    assert "4 K → sample temperature" in shown.text
    assert "Sample Temperature" not in shown.text


async def test_other_words_are_offered_with_the_filters_that_were_chosen(
    server: TestClient[Any, Any],
) -> None:
    """The link had lost them: who had narrowed to a facility was shown all of them."""
    shown = await page(server, "/?q=neutrom&facility=A&skip=10")
    assert "Did you mean neutron" in " ".join(shown.text.split())
    links = [attributes.get("href") for attributes in shown.all("a")]
    assert "/?facility=A&q=neutron" in links


async def test_what_is_written_from_right_to_left_is_shown_so_and_turns_nothing_else(
    catalogue: Catalogue, keep: Any, serve: Any
) -> None:
    """Harvested text decides its own direction, and no sign in it that of what stands beside."""
    facility = Facility("A", "Facility A", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
    title = "دراسة بلورات \u202elysozyme"
    payload = {"pid": "10.5072/1", "type": "proposal", "title": title, "summary": title}
    await keep(catalogue, facility, source, [("panosc-document", payload)])
    client = await serve(catalogue)
    found = await page(client, "/?q=lysozyme")
    (entry,) = [one for one in found.all("a") if one.get("dir")]
    assert entry["dir"] == "auto"
    assert [one.get("dir") for one in found.all("p") if one.get("class") == "summary"] == ["auto"]
    assert [one["dir"] for one in found.all("input") if one.get("type") == "search"] == ["auto"]
    record = await page(client, str(entry["href"]))
    assert [one.get("dir") for one in record.all("h1")] == ["auto"]
