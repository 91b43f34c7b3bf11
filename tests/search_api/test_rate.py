"""One client cannot take all of the server: a bucket for each (fault I08)."""

from __future__ import annotations

from typing import Any

import pytest

from catalogue.catalogue import Catalogue
from search_api.errors import TooManyRequests
from search_api.rate import RateLimiter, address_of, client_of, prepare_table, table_bytes


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def asked(limiter: RateLimiter, address: str | None, times: int) -> int:
    """How many of so many requests are let through."""
    passed = 0
    for _ in range(times):
        try:
            limiter.take(address)
            passed += 1
        except TooManyRequests:
            pass
    return passed


def test_a_client_may_burst_and_then_keeps_to_its_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(2, 5, clock=clock)
    assert asked(limiter, "192.0.2.1", 10) == 5
    clock.now += 1
    assert asked(limiter, "192.0.2.1", 10) == 2
    clock.now += 3600
    assert asked(limiter, "192.0.2.1", 10) == 5


def test_the_refusal_says_when_to_come_again() -> None:
    limiter = RateLimiter(0.25, 1, clock=Clock())
    limiter.take("192.0.2.1")
    with pytest.raises(TooManyRequests) as refused:
        limiter.take("192.0.2.1")
    assert refused.value.headers() == {"Retry-After": "4"}


def test_one_clients_requests_do_not_count_for_another() -> None:
    limiter = RateLimiter(1, 1, clock=Clock())
    assert [asked(limiter, f"192.0.2.{last}", 2) for last in (1, 2, 3)] == [1, 1, 1]


def test_no_rate_is_no_limit() -> None:
    assert asked(RateLimiter(0, 1, clock=Clock()), "192.0.2.1", 1000) == 1000


def test_this_machine_is_spared_unless_it_is_not() -> None:
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert asked(RateLimiter(1, 1, clock=Clock()), address, 9) == 9
        assert asked(RateLimiter(1, 1, spare_loopback=False, clock=Clock()), address, 9) == 1


def test_an_ipv6_client_is_its_network() -> None:
    assert client_of("2001:db8::1", True) == client_of("2001:db8::2:3", True)
    assert client_of("2001:db8::1", True) != client_of("2001:db8:0:1::1", True)
    assert client_of("fe80::1%eth0", True) == client_of("fe80::1", True)
    assert client_of("::ffff:192.0.2.1", True) == "192.0.2.1"
    assert client_of(None, True) == "unknown"
    assert len(client_of("no address " * 1_000, True) or "") <= 64


def test_clients_that_come_and_go_do_not_fill_the_memory() -> None:
    limiter = RateLimiter(1, 1, clock=Clock(), most_clients=10)
    for number in range(100):
        limiter.take(f"192.0.2.{number}")
    assert asked(limiter, "192.0.2.99", 1) == 0
    assert asked(limiter, "192.0.2.0", 1) == 1, "forgotten, so it starts anew"


def test_nobody_gets_more_by_pushing_others_out() -> None:
    """As many clients as there are rows, which some have to share: each asks twice in a row."""
    memory = memoryview(bytearray(table_bytes(1_000)))  # with a secret that is always the same
    limiter = RateLimiter(1, 1, clock=Clock(), most_clients=1_000, memory=memory)
    clients = [f"198.51.{number // 256}.{number % 256}" for number in range(1_000)]
    assert sum(asked(limiter, client, 2) for client in clients) == 1_000
    assert sum(asked(limiter, client, 1) for client in clients) < 300


def test_processes_that_share_a_table_count_together() -> None:
    memory = memoryview(bytearray(table_bytes()))
    prepare_table(memory)
    clock = Clock()
    one, other = (RateLimiter(2, 6, clock=clock, memory=memory) for _ in "12")
    assert [asked(one, "192.0.2.1", 2), asked(other, "192.0.2.1", 9)] == [2, 4]
    assert asked(one, "192.0.2.1", 1) == 0
    assert asked(other, "192.0.2.2", 9) == 6
    clock.now += 1
    assert [asked(other, "192.0.2.1", 1), asked(one, "192.0.2.1", 9)] == [1, 1]


def test_a_row_that_another_process_gave_away_is_looked_for_anew() -> None:
    memory = memoryview(bytearray(table_bytes(8)))
    prepare_table(memory)
    clock = Clock()
    one, other = (RateLimiter(1, 1, clock=clock, most_clients=8, memory=memory) for _ in "12")
    assert asked(one, "192.0.2.1", 1) == 1
    for number in range(100, 108):
        assert asked(other, f"192.0.2.{number}", 1) == 1
    assert asked(one, "192.0.2.1", 9) == 1, "forgotten, so it starts anew"
    assert sum(asked(one, f"192.0.2.{number}", 1) for number in range(100, 108)) <= 2


def test_only_ones_own_proxies_are_believed() -> None:
    lied = "203.0.113.9, 198.51.100.7"
    assert address_of("192.0.2.1", lied, 0) == "192.0.2.1"
    assert address_of("192.0.2.1", lied, 1) == "198.51.100.7"
    assert address_of("192.0.2.1", "198.51.100.7, 192.0.2.2", 2) == "198.51.100.7"
    assert address_of("192.0.2.1", "", 1) == "192.0.2.1"
    assert address_of("192.0.2.1", "198.51.100.7", 2) == "198.51.100.7"


async def test_who_asks_too_often_is_told_so_and_health_still_answers(
    catalogue: Catalogue, serve: Any
) -> None:
    server = await serve(catalogue, requests_per_s=0.001, request_burst=2, limit_loopback=True)
    statuses = [(await server.get("/api/Documents")).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    refused = await server.get("/api/")
    assert (await refused.json())["error"]["name"] == "TooManyRequests"
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    assert (await server.get("/health/live")).status == 200
    assert "pan_commons_requests_limited_total 3.0" in await (await server.get("/metrics")).text()


async def test_behind_a_proxy_each_of_its_clients_has_its_own_limit(
    catalogue: Catalogue, serve: Any
) -> None:
    server = await serve(catalogue, requests_per_s=0.001, request_burst=1, trusted_proxies=1)

    async def status(client: str) -> int:
        response = await server.get("/api/", headers={"X-Forwarded-For": f"192.0.2.99, {client}"})
        return int(response.status)

    assert [await status("198.51.100.1") for _ in "12"] == [200, 429]
    assert await status("198.51.100.2") == 200


async def test_what_a_client_claims_is_not_believed_without_a_proxy(
    catalogue: Catalogue, serve: Any
) -> None:
    server = await serve(catalogue, requests_per_s=0.001, request_burst=1, limit_loopback=True)
    statuses = [
        (await server.get("/api/", headers={"X-Forwarded-For": f"192.0.2.{n}"})).status
        for n in range(3)
    ]
    assert statuses == [200, 429, 429]
