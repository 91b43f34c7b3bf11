"""PaN Commons asks PaN Commons: real processes that are each other's facilities."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.live import Place, check_all, configure, serving
from benchmarks.search_api import free_port
from pan_commons_terminal import Settings
from simulator import FULL_TEXT, REFERENCE, Facility, FacilitySpec, Record, RestOptions, running_all
from simulator.simulated_time import START
from tests.search_api.federation.live_world import documents


@asynccontextmanager
async def two_facilities() -> AsyncIterator[tuple[Facility, ...]]:
    made = list(documents(40))
    specs = [
        FacilitySpec(
            f"F{place}",
            records=[
                Record(f"oai:f{place}:{n}", START, document=document)
                for n, document in enumerate(made[place * 20 : place * 20 + 20])
            ],
            rest=RestOptions(dialect=(REFERENCE, FULL_TEXT)[place]),
        )
        for place in range(2)
    ]
    async with running_all(specs) as started:
        yield started


async def harvest(settings: Settings, source: str) -> None:
    """``pan-commons harvest SOURCE --index`` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pan_commons", "harvest", source,
        "--data", str(settings.data), "--config", str(settings.config),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0


async def get(url: str, **params: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url, params=params) as response:
        return response.status, await response.json()


def keys(answer: Any) -> set[str]:
    return {hit["key"] for hit in answer["hits"]}


async def test_a_harvested_node_is_a_facility_of_a_live_one(tmp_path: Path) -> None:
    """The first has harvested one facility; the second asks the first and another facility."""
    async with two_facilities() as (first, second):
        inner = configure(tmp_path / "inner", [Place("F0", first.api_url, "indexed")])
        await harvest(inner, "f0-live")
        with serving(inner) as node:
            places = [Place("NODE", node.url + "/api"), Place("F1", second.api_url)]
            outer = configure(tmp_path / "outer", places)
            assert await check_all(outer, places) == {}
            with serving(outer) as asking:
                status, answer = await get(f"{asking.url}/api/search", q="", limit="100")
                _, alone = await get(f"{node.url}/api/search", q="", limit="100")
                _, words = await get(f"{asking.url}/api/search", q="lysozyme", limit="100")
        assert status == 200
        assert {line["name"]: line["state"] for line in answer["facilities"]} == {
            "NODE": "answered", "F1": "answered"
        }  # fmt: skip
        assert len(keys(answer)) == 40
        assert keys(alone) < keys(answer)
        assert (answer["total"]["value"], answer["total"]["relation"]) == (40, "eq")
        assert words["total"]["value"] == sum("lysozyme" in d["title"] for d in documents(40))


async def test_what_a_node_lacks_the_node_that_asks_it_lacks_too(tmp_path: Path) -> None:
    """Faults G01, G05: silence behind a node that answers is no exact count."""
    async with two_facilities() as (first, second):
        gone = f"http://127.0.0.1:{free_port()}/api"
        inner = configure(
            tmp_path / "inner", [Place("F0", first.api_url, "indexed"), Place("GONE", gone)]
        )
        await harvest(inner, "f0-live")
        with serving(inner) as node:
            places = [Place("NODE", node.url + "/api"), Place("F1", second.api_url)]
            outer = configure(tmp_path / "outer", places)
            assert await check_all(outer, places) == {}
            with serving(outer) as asking:
                _, answer = await get(f"{asking.url}/api/search", q="", limit="100")
                _, again = await get(f"{asking.url}/api/search", q="", limit="100")
        for found in (answer, again):
            assert len(keys(found)) == 40
            assert (found["total"]["value"], found["total"]["relation"]) == (40, "gte")
            line = next(line for line in found["facilities"] if line["name"] == "NODE")
            assert (line["state"], line["total_relation"]) == ("answered", "gte")
            assert "GONE" in line["why"]


async def test_relations_that_a_node_cannot_get_are_named_by_the_node_that_asks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault G01: the facility behind it does not tell of which Documents its Datasets are, and has
    more than are read beside them."""
    monkeypatch.setenv("PAN_COMMONS_LIVE_WHOLE", "5")
    async with two_facilities() as (first, _):
        inner_places = [Place("F0", first.api_url)]
        inner = configure(tmp_path / "inner", inner_places)
        assert await check_all(inner, inner_places) == {}
        with serving(inner) as node:
            places = [Place("NODE", node.url + "/api")]
            outer = configure(tmp_path / "outer", places)
            assert await check_all(outer, places) == {}
            with serving(outer) as asking:
                _, alone = await get(f"{node.url}/api/search", type="datasets")
                _, answer = await get(f"{asking.url}/api/search", type="datasets")
        for found in (alone, answer):
            assert "documents" in found["facilities"][0]["missing"]
            assert found["hits"]


async def test_two_nodes_that_ask_each_other_come_to_an_end(tmp_path: Path) -> None:
    """A cycle: each has harvested one facility and asks the other; a question goes round once."""
    async with two_facilities() as (first, second):
        ports = free_port(), free_port()
        settings = []
        for number, facility in enumerate((first, second)):
            other = f"http://127.0.0.1:{ports[1 - number]}/api"
            places = [Place(facility.name, facility.api_url, "indexed"), Place("OTHER", other)]
            settings.append((configure(tmp_path / f"node{number}", places), places[1]))
            await harvest(settings[-1][0], places[0].source)
        with ExitStack() as stack:
            nodes = [
                stack.enter_context(serving(setting, port=port))
                for (setting, _), port in zip(settings, ports, strict=True)
            ]
            for setting, place in settings:
                assert await check_all(setting, [place]) == {}
            answers = [await get(f"{node.url}/api/search", q="", limit="100") for node in nodes]
            lists = [await get(f"{node.url}/api/Documents", limit="100") for node in nodes]
        for status, answer in answers:
            assert status == 200
            assert len(keys(answer)) == 40
            states = {line["name"]: line["state"] for line in answer["facilities"]}
            assert states["OTHER"] == "answered"
        assert [len(found) for _, found in lists] == [40, 40]


async def test_a_question_that_has_passed_two_nodes_is_answered_from_the_index(
    tmp_path: Path,
) -> None:
    """``X-Pan-Commons-Via``: the third node asks nobody, and says so."""
    async with two_facilities() as (first, second):
        places = [Place("F0", first.api_url, "indexed"), Place("F1", second.api_url)]
        settings = configure(tmp_path, places)
        await harvest(settings, "f0-live")
        await check_all(settings, places[1:])
        with serving(settings) as node:
            for via in ("a-node, another-node", "x, y, z"):
                second.requests.clear()
                async with (
                    aiohttp.ClientSession(headers={"X-Pan-Commons-Via": via}) as session,
                    session.get(f"{node.url}/api/search?limit=100") as response,
                ):
                    answer = await response.json()
                assert len(second.requests) == 0
                assert len(keys(answer)) == 20
                line = next(line for line in answer["facilities"] if line["name"] == "F1")
                assert line["state"] != "answered"
                assert line["why"]
