"""How few requests a question takes with Elasticsearch, and that joining them changes no answer."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import elasticsearch
import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from engine_servers import elasticsearch_url
from search_world import NOW, Entities

from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.engines.base import FacetRequest, PageRequest
from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.engines.elasticsearch_bodies import facet_groups, page_bodies
from catalogue.engines.elasticsearch_client import connect, translated
from catalogue.engines.elasticsearch_frequencies import (
    ALL_RECORDS,
    KEPT_S,
    Frequencies,
    missing,
)
from catalogue.engines.elasticsearch_searches import Searches
from catalogue.engines.elasticsearch_silence import Silence
from catalogue.errors import EngineError, EngineUnavailable
from catalogue.plan import All, AllOf, AnyOf, NoneOf, Numbers, Phrase, Terms
from catalogue.query import Facet, Search, Text, data_only

FACETS = (Facet("facility"), Facet("technique"), Facet("year"), Facet("access"))


# --- what is known beforehand ---------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def known() -> tuple[Frequencies, Clock]:
    """Of a thousand records, 500 have "often", 2 "rare" and 2 "scarce"."""
    clock = Clock()
    frequencies = Frequencies(clock)
    counts = [(ALL_RECORDS, 1_000), (("text", "often"), 500), (("text", "rare"), 2),
              (("text", "scarce"), 2)]  # fmt: skip
    frequencies.put("Document", counts, 7)
    return frequencies, clock


def word(stem: str) -> Terms:
    return Terms("text", frozenset({stem}))


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (AllOf((word("rare"), word("scarce"))), True),
        (AllOf((word("often"), word("rare"))), False),
        (AllOf((word("rare"), word("never asked"))), False),
        (AllOf((word("rare"), AnyOf((word("scarce"), word("often"))))), False),
        (AllOf((word("rare"), NoneOf(word("scarce")))), False),
        (AllOf((word("rare"), Phrase("text", ("often", "scarce")))), True),
        (AllOf((word("rare"), Terms("terms", frozenset({"kind:data"})))), False),
        (All(), False),
    ],
)
def test_words_that_hardly_meet_are_foreseen_and_what_is_not_known_is_not(
    plan: Any, expected: bool
) -> None:
    assert known()[0].foresee_nothing("Document", plan) is expected
    assert not known()[0].foresee_nothing("Dataset", plan)


def test_frequencies_hold_while_nothing_is_committed_and_else_for_half_a_minute() -> None:
    frequencies, clock = known()
    rare, title = ("text", "rare"), ("title", "rare")
    every = {ALL_RECORDS: 1_000, rare: 2}
    assert frequencies.known("Document", [rare], 8) == every
    clock.now += KEPT_S + 1
    assert frequencies.known("Document", [rare, title], 7) == every
    assert missing([rare, title], every) == [title]
    assert frequencies.known("Document", [rare], 8) == {}
    assert frequencies.known("Document", [rare], None) == {}
    assert missing([rare, rare], {}) == [ALL_RECORDS, rare]


# --- what is sent ---------------------------------------------------------------------------------


def test_a_facet_of_other_records_is_a_search_of_its_own() -> None:
    """Inside the page's it would go through the whole index for each question."""
    mine, theirs = Terms("terms", frozenset({"a"})), Terms("terms", frozenset({"b"}))
    request = PageRequest(
        "Document",
        mine,
        facets=(FacetRequest("f_year", 5, mine), FacetRequest("f_kind", 5, theirs)),
    )
    page, *others = page_bodies(request, facet_groups(request), ())
    assert list(page["aggs"]) == ["f_year"]
    assert [list(body["aggs"]) for body in others] == [["f_kind"]]
    assert "global" not in str((page, others))


def test_hits_are_read_from_columns_alone() -> None:
    request = PageRequest("Document", Numbers("ordinal", frozenset({1})))
    (body,) = page_bodies(request, facet_groups(request), ("change",))
    assert body["stored_fields"] == "_none_"
    assert body["docvalue_fields"] == ["change"]


# --- how many requests, on the real server --------------------------------------------------------


def world_of_words() -> Entities:
    """Forty Documents have "glass", of which one is about lysozyme, and another about ferritin."""
    world = Entities()
    for number in range(40):
        title = {3: "glass lysozyme", 5: "glass ferritin"}.get(number, "glass")
        world.document(f"d{number}", title=title, years={"first": 2019, "last": 2019})
    world.document("poster", title="glass poster lysozyme", kind="poster")
    return world


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    engine = ElasticsearchEngine(elasticsearch_url(), prefix=f"test-{secrets.token_hex(4)}")
    await engine.open()
    world: Any = world_of_words()
    made = Catalogue(world, engine, SnapshotFile(tmp_path))
    await made.indexer.index_once()
    yield made
    await engine.remove_all()
    await engine.close()


@pytest.fixture
def requests(catalogue: Catalogue) -> list[Sequence[Mapping[str, Any]]]:
    """The searches of each request from now on."""
    sent: list[Sequence[Mapping[str, Any]]] = []
    engine: Any = catalogue.engine
    answers = engine._searches.answers

    async def noted(bodies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        sent.append(bodies)
        found: list[Mapping[str, Any]] = await answers(bodies)
        return found

    engine._searches.answers = noted
    return sent


def asking(words: str, **more: Any) -> Search:
    return Search("Document", NOW, data_only(), Text(words), facets=FACETS, **more)


@pytest.mark.elasticsearch
async def test_hits_total_facets_and_frequencies_are_one_request(
    catalogue: Catalogue, requests: list[Sequence[Mapping[str, Any]]]
) -> None:
    answer = await catalogue.search(asking("glass lysozyme"))
    assert [hit.entity.record["pid"] for hit in answer.hits] == ["10.5072/d3"]
    assert dict(answer.not_data) == {"poster": 1}
    assert [one.count for one in answer.facets["year"]] == [1]
    assert [(one.id, one.count) for one in answer.facets["access"]] == [("unknown", 1)]
    assert len(requests) == 1


@pytest.mark.elasticsearch
async def test_words_known_to_be_rare_are_relaxed_in_the_same_request(
    catalogue: Catalogue, requests: list[Sequence[Mapping[str, Any]]]
) -> None:
    """Semantics 7.1; the answer is the one of two requests, but for what it took."""
    first = await catalogue.search(asking("lysozyme ferritin"))
    assert first.relaxed
    assert len(requests) == 2
    requests.clear()
    again = await catalogue.search(asking("lysozyme ferritin"))
    assert len(requests) == 1
    assert again == replace(first, cursor=again.cursor)
    assert [hit.entity.record["pid"] for hit in again.hits] == ["10.5072/d5", "10.5072/d3"]


@pytest.mark.elasticsearch
async def test_a_record_that_has_all_words_after_all_is_found_whatever_was_foreseen(
    catalogue: Catalogue, requests: list[Sequence[Mapping[str, Any]]]
) -> None:
    await catalogue.search(asking("lysozyme ferritin"))
    held = catalogue.engine._frequencies._held  # type: ignore[attr-defined]
    world: Any = catalogue.store
    world.document("both", title="ferritin and lysozyme")
    old = dict(held)
    await catalogue.indexer.index_once()
    held.update(old)
    requests.clear()
    answer = await catalogue.search(asking("lysozyme ferritin"))
    assert len(requests) == 1
    assert not answer.relaxed
    assert [hit.entity.record["pid"] for hit in answer.hits] == ["10.5072/both"]


@pytest.mark.elasticsearch
async def test_an_explanation_is_one_request_more(
    catalogue: Catalogue, requests: list[Sequence[Mapping[str, Any]]]
) -> None:
    """Semantics 8.4."""
    answer = await catalogue.search(asking("glass lysozyme", explain=True))
    (hit,) = answer.hits
    assert hit.explanation is not None
    given = sum(part["points"] for part in hit.explanation.parts)
    assert hit.score == pytest.approx(given / hit.explanation.best_possible, rel=1e-4)
    assert len(requests) == 2


@pytest.mark.elasticsearch
async def test_one_refused_search_of_several_refuses_them_all(catalogue: Catalogue) -> None:
    """Fault F10."""
    engine: Any = catalogue.engine
    reader = await engine.reader()
    good = {"size": 0, "pit": {"id": await reader._view.pit("Document")}}
    with pytest.raises(elasticsearch.BadRequestError, match="parsing_exception"):
        await engine._searches.answers([good, {**good, "query": {"no_such": {}}}])


@pytest.mark.elasticsearch
async def test_a_commit_amid_a_question_takes_nothing_from_its_scale(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 8.3: words that were known are not forgotten before the scores are weighed."""
    engine: Any = catalogue.engine
    before = await catalogue.search(asking("glass lysozyme ferritin"))
    engine._frequencies.clear()
    await catalogue.search(asking("glass lysozyme"))
    answers = engine._searches.answers

    async def while_somebody_commits(bodies: Any) -> Any:
        found = await answers(bodies)
        engine._frequencies.clear()
        return found

    monkeypatch.setattr(engine._searches, "answers", while_somebody_commits)
    after = await catalogue.search(asking("glass lysozyme ferritin"))
    assert after.hits
    assert [hit.score for hit in after.hits] == [hit.score for hit in before.hits]


async def test_an_answer_that_is_no_json_object_is_no_elasticsearch_s() -> None:
    """A proxy's page, say."""

    class Proxy:
        async def perform_request(self, *_: Any, **__: Any) -> tuple[Any, str]:
            meta = ApiResponseMeta(200, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "a", 1))
            return meta, "<html>sign in</html>"

    searches = Searches(cast(Any, Proxy()), None, Silence(connect("http://127.0.0.1:9"), 1))
    with pytest.raises(EngineError, match="no Elasticsearch"):
        async with translated("searching"):
            await searches.answers([{"size": 0}])


async def test_a_server_that_takes_connections_and_never_answers_is_not_waited_for_long() -> None:
    """A frozen process: its system goes on taking connections."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        hung = f"http://somebody:secret@127.0.0.1:{frozen.getsockname()[1]}"
        engine = ElasticsearchEngine(hung, read_only=True, opens_within_s=0.05)
        with pytest.raises(EngineUnavailable, match=r"within 0\.05 s: it hangs") as told:
            await engine.open()
        await engine.close()
        assert "secret" not in str(told.value)
