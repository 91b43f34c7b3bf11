"""SciCat's published data and datasets, over a small server of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from facility_http.errors import AccessRefused, NotOffered
from facility_http.panosc_client import RestOptions
from harvester.panosc_rest import RestPage
from harvester.scicat import ScicatClient
from mappings import FORMATS, Context, crosswalk
from tests.facility_http.http_world import INTERNAL, fetcher, serving

FORBIDDEN = {"statusCode": 403, "message": "Unauthorized access", "error": "Forbidden"}


def published(count: int = 23) -> list[dict[str, Any]]:
    return [
        {
            "doi": f"10.5072/{number:03}",
            "_id": f"10.5072/{number:03}",
            "title": f"Published {number}",
            "abstract": "Two   blanks",
            "creator": ["Jane Doe"],
            "publisher": "ESS",
            "publicationYear": 2019,
            "status": "registered",
            "pidArray": [f"20.500/{number % 7}", f"20.500/20.500/x{number}"],
        }
        for number in range(count)
    ]


@asynccontextmanager
async def scicat(*, cap: int = 100, refuses: str = "", blocks: bool = True) -> AsyncIterator[str]:
    """A backend with 23 published records; each names a shared dataset and one with a doubled
    prefix."""

    async def handle(request: web.Request) -> web.StreamResponse:
        parts = request.rel_url.raw_path.removeprefix("/api/v3/").split("/")
        if request.path.endswith("/publisheddata/count"):
            return web.json_response({"count": 23})
        if parts == ["publisheddata"]:
            limits = orjson.loads(request.query.get("filter", "{}")).get("limits", {})
            skip, limit = limits.get("skip", 0), min(limits.get("limit", 100), cap)
            found = sorted(
                published(), key=lambda one: one["doi"], reverse=":desc" in limits["order"]
            )
            return web.json_response(found[skip : skip + limit])
        name = request.rel_url.raw_path.split("/")[4] if len(parts) > 1 else ""
        pid = name.replace("%2F", "/")
        if parts[0] == "publisheddata":
            found_one = [one for one in published() if one["doi"] == pid]
            return web.json_response(found_one[0] if found_one else {}, status=200)
        if pid == refuses:
            return web.json_response(FORBIDDEN, status=403)
        if parts[0] == "datasets" and pid.startswith("20.500/20.500"):
            return web.json_response({"statusCode": 404, "message": "Not Found"}, status=404)
        if parts[-1] == "origdatablocks" and blocks:
            return web.json_response([{"dataFileList": [{"path": "raw/a.h5", "size": 5}]}])
        if parts[0] == "datasets" and len(parts) == 2:
            return web.json_response({"pid": pid, "datasetName": "run", "isPublished": True})
        return web.Response(text="<html>Cannot GET</html>", status=404, content_type="text/html")

    async with serving(handle) as url:
        yield f"{url}/api/v3"


async def sweep(url: str, page_size: int = 5, resume: Any = None) -> list[RestPage]:
    async with fetcher() as http:
        client = ScicatClient(http, url, access=INTERNAL, options=RestOptions(page_size=page_size))
        return [page async for page in client.pages(resume)]


def identifiers(pages: list[RestPage]) -> list[str]:
    return [one.header.identifier for page in pages for one in page.records]


@pytest.mark.parametrize("cap", [100, 3])
async def test_published_records_come_with_their_datasets_once(cap: int) -> None:
    """Fault E05: also when the server sends fewer than were asked for."""
    async with scicat(cap=cap) as url:
        pages = await sweep(url)
    found = identifiers(pages)
    assert len(found) == len(set(found))
    assert {one for one in found if one.startswith("Document/")} == {
        f"Document/10.5072/{number:03}" for number in range(23)
    }
    shared = {f"Dataset/20.500/{number}" for number in range(7)}
    single = {f"Dataset/20.500/x{number}" for number in range(23)}
    assert {one for one in found if one.startswith("Dataset/")} == shared | single
    assert (pages[-1].stop, pages[-1].last, pages[-1].seen) == ("end_of_class", True, 23)


async def test_every_record_is_of_a_format_that_has_a_crosswalk() -> None:
    async with scicat() as url:
        pages = await sweep(url)
    for one in (record for page in pages for record in page.records):
        assert one.format in FORMATS
        assert one.payload is not None
        mapped = crosswalk(one.format, one.payload, Context("ESS"), one.header)
        assert mapped.entities
    datasets = [one for page in pages for one in page.records if one.format == "scicat-dataset"]
    assert b"raw/a.h5" in (datasets[0].payload or b"")


async def test_a_refused_dataset_is_counted_and_the_rest_comes() -> None:
    """Crosswalks 2.3: a 403 in place of a dataset that a public record names."""
    async with scicat(refuses="20.500/3") as url:
        pages = await sweep(url)
        async with fetcher() as http:
            client = ScicatClient(http, url, access=INTERNAL)
            with pytest.raises(AccessRefused):
                await client.get("Dataset", "20.500/3")
    assert sum(page.notes.get("dataset_refused", 0) for page in pages) == 1
    assert "Dataset/20.500/3" not in identifiers(pages)
    assert "Document/10.5072/003" in identifiers(pages)


async def test_a_sweep_goes_on_behind_its_page() -> None:
    async with scicat() as url:
        whole = await sweep(url)
        rest = await sweep(url, resume=whole[1].checkpoint)
    both = set(identifiers(whole[:2])) | set(identifiers(rest))
    assert both == set(identifiers(whole))
    assert rest[-1].stop == "end_of_class"


async def test_single_records_are_found_or_not() -> None:
    async with scicat(blocks=False) as url, fetcher() as http:
        client = ScicatClient(http, url, access=INTERNAL)
        found = await client.get("Document", "10.5072/004")
        assert found is not None
        assert found.header.identifier == "Document/10.5072/004"
        assert await client.get("Document", "10.5072/none") is None
        dataset = await client.get("Dataset", "20.500/5")
        assert dataset is not None
        assert b"origdatablocks" not in (dataset.payload or b"")


async def test_another_kind_of_service_is_an_error() -> None:
    async with scicat() as url:
        with pytest.raises(NotOffered):
            await sweep(url + "/nothing")
