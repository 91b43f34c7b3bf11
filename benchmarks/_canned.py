"""Facilities that cost next to nothing: ready answers over bare HTTP/1.1, in an own process.

    python -m benchmarks._canned PORT [PORT …]

Each port is a Search API below ``/api`` that holds Documents whose titles share words, and answers
every list with as many of them as ``limit`` allows. The first port also takes orders:
``/_set?hits=100&delay_ms=5&hang=2&fresh=1`` (of all ports; ``hang``: so many of the last ones never
answer; ``slow``: only so many of the last ones take ``delay_ms``, 0 for all; ``fresh``: each
answer's Documents are new ones; ``vary``: which Documents come depends on the question) and
``/_seen`` (what was asked, by port, and how many connections are open).
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import orjson

TOTAL = 1_000
"""Documents that every facility says it has."""
SEEN = 10_000
MARK = b"00000000"
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n"
)


def document(place: int, number: int) -> dict[str, Any]:
    """A Document of about 900 bytes with a Dataset; ``00000000`` is where answers differ."""
    pid = f"10.5072/c{place}-00000000-{number}"
    return {
        "pid": pid,
        "doi": pid,
        "isPublic": True,
        "type": "proposal",
        "title": f"Lysozyme crystals under pressure, study {number} at place {place}",
        "summary": "Synthetic 00000000: structure and dynamics of lysozyme in water and glycerol "
        "near the glass transition, measured again with another sample and another beam. " * 2,
        "startDate": "2019-04-01T00:00:00.000Z",
        "releaseDate": "2022-04-01T00:00:00.000Z",
        "license": "CC-BY-4.0",
        "members": [
            {"role": "owner", "person": {"id": str(number), "fullName": f"Person {number}"}}
        ],
        "datasets": [
            {
                "pid": f"{pid}/1",
                "title": f"Run {number}",
                "isPublic": True,
                "creationDate": "2019-04-02T00:00:00.000Z",
                "techniques": [{"pid": "PaNET01188", "name": "small angle x-ray scattering"}],
            }
        ],
        "score": round(1 / (number + 2), 6),
    }


class Stage:
    """What all ports share: their orders, and what they have seen."""

    def __init__(self) -> None:
        self.hits, self.delay_s, self.hang, self.fresh, self.vary = 10, 0.0, 0, False, 0
        self.slow = 0
        self.places: list[Place] = []
        self.answers = 0

    def order(self, query: str) -> bytes:
        for name, (value, *_) in parse_qs(query).items():
            if name == "delay_ms":
                self.delay_s = float(value) / 1000
            elif name == "fresh":
                self.fresh = value == "1"
            else:
                setattr(self, name, int(value))
        for place in self.places:
            place.ready.clear()
            place.seen.clear()
        return b"{}"

    def seen(self) -> bytes:
        return orjson.dumps(
            [
                {"port": place.port, "asked": list(place.seen), "open": place.connections,
                 "hanging": place.hanging}
                for place in self.places
            ]
        )  # fmt: skip


class Place:
    """One port."""

    def __init__(self, stage: Stage, number: int, port: int) -> None:
        self.stage, self.number, self.port = stage, number, port
        self.seen: deque[str] = deque(maxlen=SEEN)
        self.ready: dict[str, bytes] = {}
        self.connections = 0
        self.hanging = 0

    def hangs(self) -> bool:
        return self.number >= len(self.stage.places) - self.stage.hang

    def is_slow(self) -> bool:
        slow = self.stage.slow
        return not slow or self.number >= len(self.stage.places) - slow

    def answer(self, target: str) -> bytes:
        """The body for a request target."""
        ready = self.ready.get(target)
        if ready is None:
            ready = self.make(target)
            if len(self.ready) < SEEN:
                self.ready[target] = ready
        if self.stage.fresh:
            self.stage.answers += 1
            return ready.replace(MARK, b"%08d" % self.stage.answers)
        return ready

    def make(self, target: str) -> bytes:
        parts = urlsplit(target)
        asked = parse_qs(parts.query)
        if parts.path.rstrip("/").endswith("/count"):
            return b'{"count":%d}' % self.stage.hits
        given = orjson.loads(asked.get("filter", ["{}"])[0])
        skip, limit = int(given.get("skip") or 0), int(given.get("limit") or 100)
        first = crc32(target.encode()) % (TOTAL // self.stage.hits) if self.stage.vary else 0
        begin = first * self.stage.hits
        numbers = range(begin + skip, begin + min(skip + limit, self.stage.hits))
        return orjson.dumps([document(self.number, number) for number in numbers])


class Connection(asyncio.Protocol):
    """Reads GET requests, one after another, and answers each."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.buffer = b""
        self.hanging = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.place.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.place.connections -= 1
        self.place.hanging -= self.hanging

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            line = self.buffer[: self.buffer.find(b"\r\n")].decode()
            self.buffer = self.buffer[end + 4 :]
            self.respond(line.split(" ")[1])

    def respond(self, target: str) -> None:
        stage = self.place.stage
        if target.startswith("/_set"):
            self.send(stage.order(urlsplit(target).query))
        elif target == "/_seen":
            self.send(stage.seen())
        else:
            self.place.seen.append(target)
            if self.place.hangs():
                self.hanging += 1
                self.place.hanging += 1
            elif stage.delay_s and self.place.is_slow():
                asyncio.get_running_loop().call_later(stage.delay_s, self.answer, target)
            else:
                self.answer(target)

    def answer(self, target: str) -> None:
        if not self.transport.is_closing():
            self.send(self.place.answer(target))

    def send(self, body: bytes) -> None:
        self.transport.write(_HEAD % len(body) + body)


async def serve(ports: list[int]) -> None:
    """Listen until the process is ended."""
    stage = Stage()
    loop = asyncio.get_running_loop()
    for number, port in enumerate(ports):
        place = Place(stage, number, port)
        stage.places.append(place)
        await loop.create_server(lambda place=place: Connection(place), "127.0.0.1", port)  # type: ignore[misc]
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve([int(port) for port in sys.argv[1:]]))
