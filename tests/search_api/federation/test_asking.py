"""One facility asked live: what it says, what it cannot say, and what is never told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from aiohttp import web

from facility_http.rest_json import Objects
from search_api.federation.errors import FacilitySilent, QuestionRefused
from search_api.federation.questions import Question
from search_api.federation.via import HEADER
from tests.facility_http.http_world import serving as server
from tests.search_api.federation.asking_world import (
    COUNT,
    EVERY,
    asking,
    expected,
    facility,
    live,
    of,
    pids,
)


async def test_a_list_comes_with_its_digest_and_time() -> None:
    async with facility() as here, asking() as world:
        answer = await world.ask(live(here))
        again = await world.ask(live(here))
    assert pids(answer) == expected()
    assert answer.digest == again.digest != b""
    assert answer.elapsed_s > 0
    assert (answer.age_s, answer.stale, answer.number) == (0.0, False, None)


async def test_conditions_and_joins_travel_as_one_json_value() -> None:
    question = of("Document", where={"pid": "10.5072/3"}, include=[{"relation": "datasets"}])
    async with facility() as here, asking() as world:
        answer = await world.ask(live(here), question)
    assert answer.objects is not None
    assert [one["datasets"][0]["pid"] for one in answer.objects.items] == ["20.500/3"]


@pytest.mark.parametrize("dialect", ["reference", "ill"])
async def test_counts_are_numbers_in_every_dialect(dialect: str) -> None:
    async with facility(dialect=dialect) as here, asking() as world:
        found = await world.ask(live(here), Question("Document", {"where": {}}, count=True))
    assert (found.number, found.objects) == (COUNT, None)


async def test_a_count_that_the_service_does_not_say_is_unknown() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"total": 7})

    async with server(handle) as url, asking() as world:
        found = await world.ask(live(url), Question("Document", {}, count=True))
    assert found.number is None


@pytest.mark.parametrize("classes", [None, {"Document": {"path": "Documents", "by_path": False}}])
async def test_one_object_is_found_by_its_pid(classes: dict[str, Any] | None) -> None:
    question = Question("Document", {"include": [{"relation": "datasets"}]}, pid="10.5072/2")
    async with facility() as here, asking() as world:
        answer = await world.ask(live(here, classes=classes), question)
        paths = [request.path for request in here.requests]
    assert pids(answer) == ["10.5072/2"]
    assert answer.objects is not None
    assert answer.objects.items[0]["datasets"]
    assert ("/api/Documents/10.5072/2" in "".join(paths).replace("%2F", "/")) == (classes is None)


@pytest.mark.parametrize("status", [400, 404])
async def test_a_pid_that_the_path_cannot_carry_is_asked_for_as_a_condition(status: int) -> None:
    """Fault E13."""

    async def handle(request: web.Request) -> web.Response:
        if "%2F" in request.raw_path.split("?")[0]:
            return web.Response(text="<html>Not Found</html>", status=status)
        return web.json_response([{"pid": "10.1/a/b", "title": "x"}])

    async with server(handle) as url, asking() as world:
        answer = await world.ask(live(url), Question("Document", {}, pid="10.1/a/b"))
        other = await world.ask(live(url), Question("Document", {}, pid="10.1/a/c"))
    assert pids(answer) == ["10.1/a/b"]
    # A service that ignores the condition has not found what was asked for (fault E08).
    assert pids(other) == []


async def test_an_endpoint_in_lower_case_is_found_where_nobody_has_checked() -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path != "/documents":
            return web.Response(text="no such page", status=404)
        return web.json_response([{"pid": "1"}])

    async with server(handle) as url, asking() as world:
        assert pids(await world.ask(live(url))) == ["1"]
        assert pids(await world.ask(live(url))) == ["1"]


@pytest.mark.parametrize(
    ("faults", "odd"),
    [("null-rows", {"null": 1}), ("ghosts:3", {"ghost": 2}), ("forbidden:3", {"refused": 2})],
)
async def test_odd_entries_are_counted_and_the_others_stay(faults: str, odd: Any) -> None:
    """Fault G11."""
    async with facility(faults) as here, asking() as world:
        answer = await world.ask(live(here))
    assert answer.objects is not None
    assert dict(answer.objects.odd) == odd
    assert len(answer.objects.items) == COUNT - sum(n for k, n in odd.items() if k != "null")


@pytest.mark.parametrize("faults", ["missing-title", "nulls:title", "nulls", "odd-scores", "nan"])
async def test_odd_values_break_nothing(faults: str) -> None:
    """Fault G11: titles and scores that are null, missing or no numbers."""
    async with facility(faults) as here, asking() as world:
        assert pids(await world.ask(live(here))) == expected()


async def test_our_name_our_contact_and_the_nodes_passed_are_told() -> None:
    async with facility() as here, asking(node="ours") as world:
        await world.asker.ask(
            live(here), EVERY, deadline=world.asker.monotonic() + 5, via=("theirs",)
        )
        sent = here.requests[-1].headers
    assert sent[HEADER] == "theirs, ours"
    assert "mailto:tests@example.org" in sent["User-Agent"]


async def test_what_a_source_does_not_offer_is_not_asked_for() -> None:
    refused = {"Dataset": {"state": "not_offered"}}
    async with facility() as here, asking() as world:
        with pytest.raises(FacilitySilent) as silence:
            await world.ask(live(here, classes=refused), of("Dataset"))
        assert not here.requests
    assert silence.value.state == "unsupported"


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_an_endpoint_that_is_not_there_is_unsupported_and_no_failure(status: int) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text="<html>no</html>", status=status)

    async with server(handle) as url, asking() as world:
        for _ in range(10):
            with pytest.raises(FacilitySilent) as silence:
                await world.ask(live(url))
            assert silence.value.state == "unsupported"
        assert world.asker.figures("test").breaker == "closed"


@pytest.mark.parametrize(
    ("dialect", "question"),
    [
        ("ill", of("Document", where={"title": {"regexp": "x"}})),
        ("datagateway", of("Document", order="title ASC")),
        ("ill", of("Document", where={"nonsense": 1})),
    ],
)
async def test_a_question_that_is_not_taken_is_told_and_blames_nobody(
    dialect: str, question: Question
) -> None:
    async with facility(dialect=dialect) as here, asking() as world:
        for _ in range(10):
            with pytest.raises(QuestionRefused) as refusal:
                await world.ask(live(here), question)
        figures = world.asker.figures("test")
    assert refusal.value.refused_with == 400
    assert refusal.value.message
    assert (figures.breaker, figures.error_rate) == ("closed", 0.0)
    assert figures.last_contact is not None


async def test_a_500_that_follows_the_question_is_a_refusal() -> None:
    """Fault E10: the same question fails twice while a plain one between is answered."""
    question = of("Document", include=[{"relation": "datasets"}], limit=10)
    async with facility("include-500:datasets") as here, asking() as world:
        with pytest.raises(QuestionRefused) as refusal:
            await world.ask(live(here), question)
        assert len(here.requests) == 3
    assert refusal.value.refused_with == 500


async def test_a_500_that_passes_is_answered() -> None:
    question = of("Document", where={"type": "proposal"})
    async with facility("error:500x1") as here, asking() as world:
        assert pids(await world.ask(live(here), question)) == expected()


async def test_a_service_that_fails_on_everything_is_not_taken_for_picky() -> None:
    question = of("Document", where={"type": "proposal"})
    async with facility("error:500") as here, asking() as world:
        with pytest.raises(FacilitySilent, match="HTTP 500") as silence:
            await world.ask(live(here), question)
        assert len(here.requests) == 2
    assert silence.value.state == "failed"


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ("html", "challenge page"),
        ("html:403", "challenge page"),
        ("error:403", "access refused"),
        ("error:502", "HTTP 502"),
        ("empty-body", "none of a Search API"),
        ("error-200", "none of a Search API"),
        ("object", "not what was asked for"),
        ("break-off", "broke off"),
        ("reset", "no connection"),
        ("redirect", "circle"),
        ("redirect:http://169.254.169.254/", "may not be asked"),
    ],
)
async def test_every_failure_has_words_that_are_safe_to_show(faults: str, reason: str) -> None:
    async with facility(faults) as here, asking() as world:
        with pytest.raises(FacilitySilent, match=reason) as silence:
            await world.ask(live(here))
    assert silence.value.state == "failed"
    assert not silence.value.ours
    assert "127.0.0.1" not in str(silence.value)
    assert "http://" not in str(silence.value)


async def test_nobody_is_led_into_the_internal_network() -> None:
    """Faults I01 and I02: a source that is not listed as internal reaches no private address."""
    async with facility() as here, asking() as world:
        with pytest.raises(FacilitySilent, match="may not be asked"):
            await world.ask(live(here, internal=False))
        assert not here.requests


async def test_a_body_beyond_the_cap_is_let_go_and_nobody_paused() -> None:
    """Fault I04, and bodies that are merely large: asking for less helps, waiting does not."""
    async with facility() as here, asking(facility_body_bytes=300) as world:
        for _ in range(8):
            with pytest.raises(FacilitySilent, match="too large"):
                await world.ask(live(here))
        assert pids(await world.ask(live(here), of("Document", limit=1))) == ["10.5072/0"]
        assert world.asker.figures("test").breaker == "closed"


async def test_a_bomb_is_not_unpacked() -> None:
    """Fault I04."""
    async with facility("bomb:64") as here, asking(facility_body_bytes=1 << 20) as world:
        with pytest.raises(FacilitySilent, match="too large"):
            await world.ask(live(here))


KEY = "s3cret-Key/with+signs"


@pytest.mark.parametrize("faults", ["", "error:500", "error:403", "reset", "empty-body", "html"])
async def test_a_key_is_sent_and_never_told(faults: str, caplog: pytest.LogCaptureFixture) -> None:
    """Fault H12: not in answers, errors, figures or logs."""
    environment = {"TEST_KEY": KEY}
    said: list[str] = []
    caplog.set_level(logging.DEBUG)
    async with facility(faults) as here, asking(environment=environment) as world:
        source = live(here, api_key_variable="TEST_KEY", api_key_header="X-Api-Key")
        for question in (EVERY, Question("Document", {}, count=True)):
            try:
                said.append(repr(await world.ask(source, question)))
            except (FacilitySilent, QuestionRefused) as problem:
                said += [str(problem), repr(problem), repr(vars(problem))]
                said += [repr(problem.__cause__), repr(problem.__context__)]
        said.append(repr(world.asker.figures("test")))
        assert {request.headers["X-Api-Key"] for request in here.requests} == {KEY}
    everything = "\n".join([*said, caplog.text])
    assert KEY not in everything
    assert "s3cret" not in everything


async def test_a_service_that_repeats_our_key_does_not_publish_it() -> None:
    """Fault H12: the service's own message is redacted and short."""

    async def handle(request: web.Request) -> web.Response:
        said = f"bad key {request.headers['X-Api-Key']}\r\n" + "x" * 5000
        return web.json_response({"error": {"statusCode": 400, "message": said}}, status=400)

    async with server(handle) as url, asking(environment={"TEST_KEY": KEY}) as world:
        source = live(url, api_key_variable="TEST_KEY", api_key_header="X-Api-Key")
        with pytest.raises(QuestionRefused) as refusal:
            await world.ask(source)
    assert KEY not in str(refusal.value)
    assert "[redacted]" in refusal.value.message
    assert len(refusal.value.message) <= 200
    assert refusal.value.message.isprintable()


async def test_a_key_that_is_missing_is_our_fault_and_names_no_place() -> None:
    async with facility() as here, asking() as world:
        with pytest.raises(FacilitySilent) as silence:
            await world.ask(live(here, api_key_variable="SECRET_PLACE"))
        assert not here.requests
    assert silence.value.ours
    assert "SECRET_PLACE" not in str(silence.value)


async def test_a_source_of_another_protocol_is_unsupported() -> None:
    from dataclasses import replace

    async with facility() as here, asking() as world:
        source = live(here)
        other = replace(source, source=replace(source.source, protocol="oai-pmh"))
        with pytest.raises(FacilitySilent) as silence:
            await world.ask(other)
    assert silence.value.state == "unsupported"


async def test_large_bodies_are_read_as_small_ones_are() -> None:
    async def handle(request: web.Request) -> web.Response:
        padding = "x" * 2000
        return web.json_response(
            [{"pid": str(number), "title": padding} for number in range(500)] + [None]
        )

    async with server(handle) as url, asking() as world:
        answer = await world.ask(live(url))
    assert isinstance(answer.objects, Objects)
    assert pids(answer) == [str(number) for number in range(500)]
    assert dict(answer.objects.odd) == {"null": 1}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-Facilities-Missing": ""}, ""),
        ({"X-Facilities-Missing": "Far, Near"}, "Far, Near"),
        ({"x-total-count-relation": "gte"}, "does not know all"),
        ({"X-Total-Count-Relation": "eq"}, ""),
    ],
)
async def test_what_an_answer_lacks_by_its_own_word_is_known(
    headers: dict[str, str], said: str
) -> None:
    """Faults G01, G14: a node like ours says so in its headers; kept only briefly, and as such."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response([{"pid": "1"}], headers=headers)

    keeping = {"facility_cache_s": 60.0, "facility_cache_brief_s": 3.0}
    async with server(answer) as url, asking(**keeping) as world:
        first = await world.ask(live(url))
        world.clock.move(1)
        second = await world.ask(live(url))
        world.clock.move(5)
        third = await world.ask(live(url))
    assert second.age_s > 0
    assert (third.age_s > 0) is not bool(said)
    for found in (first, second, third):
        assert said in found.lacks
        assert bool(found.lacks) is bool(said)


async def test_relations_that_a_node_could_not_get_are_known_from_what_is_kept_too() -> None:
    """Fault G01: empty relations prove nothing there; only words of the model are passed on."""
    told = "FNS=documents, LRL=samples, LRL=documents, X=<b>, =, odd"

    async def answer(request: web.Request) -> web.Response:
        return web.json_response([{"pid": "1"}], headers={"X-Facilities-Without": told})

    async with server(answer) as url, asking(facility_cache_s=60.0) as world:
        first = await world.ask(live(url))
        world.clock.move(1)
        second = await world.ask(live(url))
    assert second.age_s > 0
    for found in (first, second):
        assert found.without == ("documents", "odd", "samples")
        assert found.lacks == ""
