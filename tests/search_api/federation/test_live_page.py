"""The search page over facilities asked live: says who was asked, who is missing, and no more."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from yarl import URL

from tests.search_api.federation.federation_world import Part, documents
from tests.search_api.federation.served_world import Served, served
from tests.search_api.test_pages import Page

OLD = Part("Old", documents(0, 12), mode="indexed", harvested=True)
NOW = Part("Now", documents(12, 40))


async def page(there: Served, address: str) -> Page:
    response = await there.client.get(address, headers={"Accept": "text/html"})
    return Page(" ".join((await response.text()).split()))


async def test_the_page_names_who_was_asked_and_who_is_missing(tmp_path: Path) -> None:
    """faults G01, G02"""
    async with served(tmp_path, OLD, NOW) as there:
        found = await page(there, "/?q=lysozyme")
        assert "Asked now: Now answered in" in found.text
        assert "not in this answer" not in found.text
        there.there.facilities["Now"].faults.set("error:502")
        found = await page(there, "/?q=lysozyme")
        assert "Now is not in this answer: failed: HTTP 502" in found.text
        assert "at least" in found.text
        found = await page(there, "/?q=zirconium")
        assert "Nothing found at the facilities that answered" in found.text


async def test_the_start_page_tells_who_is_asked_live(tmp_path: Path) -> None:
    """fault G12"""
    async with served(tmp_path, OLD, NOW) as there:
        found = await page(there, "/")
        assert "asked live" in found.text
        assert "not harvested yet" not in found.text
        assert "0 records" not in found.text
        there.there.facilities["Now"].faults.set("error:401")
        await page(there, "/?q=lysozyme")
        assert "paused at present" in (await page(there, "/")).text


async def test_pages_go_as_deep_as_facilities_are_asked(tmp_path: Path) -> None:
    async with served(tmp_path, OLD, NOW, live_depth=30) as there:
        seen = []
        address = "/?q=water+iron+ice+film+lysozyme&match=any"
        while address:
            found = await page(there, address)
            seen.append(address)
            after = [one["href"] for one in found.all("a") if one.get("rel") == "next"]
            address = str(after[0]) if after else ""
        assert len(seen) == 3


async def test_links_of_lists_go_as_deep_as_facilities_are_asked(tmp_path: Path) -> None:
    """The next page is never one that is refused (fault E04)."""
    async with served(tmp_path, OLD, NOW, live_depth=30) as there:
        seen = 0
        given = {"query": "water iron ice film lysozyme", "limit": 8}
        address = f"/api/Documents?filter={quote(json.dumps(given))}"
        while address:
            response = await there.client.get(URL(address, encoded=True))
            assert response.status == 200, await response.text()
            seen += len(await response.json())
            address = response.headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert seen == 30
