"""Bodies of facilities as objects: parsed once for each body, large ones off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import anyio
import anyio.to_thread

from facility_http.rest_json import (
    Objects,
    count_in,
    error_in,
    identifier_of,
    is_ghost,
    objects_in,
    parse_json,
    parse_json_in_steps,
)
from search_api.federation.questions import Question
from search_api.garbage import left_alone

LARGE_BYTES = 192_000
"""From here on a body would hold the event loop for some milliseconds."""
NOT_SMALL_BYTES = 16_000
"""From here on no two are parsed in one turn of the event loop."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A body as one question reads it: ``objects`` or, for a count, ``number``."""

    objects: Objects | None
    number: int | None
    digest: bytes

    @property
    def is_brief(self) -> bool:
        """Whether it must not stand for the whole for long: empty, or with oddities (fault G14)."""
        if self.objects is None:
            return not self.number
        return not self.objects.length or bool(self.objects.odd)


class Parser:
    """Parses bodies and keeps what came of the last ones, by what is in them.

    Args:
        most_bytes: of bodies whose objects are kept; as objects they take about six times that.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = 0
        self._kept: OrderedDict[tuple[bytes, str], tuple[Parsed, int]] = OrderedDict()
        self._one_at_a_time: anyio.CapacityLimiter | None = None
        self._turns = asyncio.Lock()

    async def parse(
        self, question: Question, body: bytes, *, status: int = 200, digest: bytes = b""
    ) -> Parsed:
        """Read a body.

        Args:
            status: of the HTTP answer.
            digest: its hash, where that is known already.

        Raises:
            NotAccepted, NotOffered, AccessRefused: an error object, by its status.
            MalformedResponse: no JSON, or not what was asked for.
        """
        is_large = len(body) >= LARGE_BYTES
        if len(body) >= NOT_SMALL_BYTES and not is_large:
            # Of many that come together the first goes on before the others are parsed: other
            # processes can be at work on it meanwhile.
            await self._turns.acquire()
            asyncio.get_running_loop().call_soon(self._turns.release)
        if not digest:
            digest = await anyio.to_thread.run_sync(_digest, body) if is_large else _digest(body)
        form = "count" if question.count else "object" if question.pid is not None else "list"
        key = (digest, form if question.pid is None else f"object {question.pid}")
        if status == 200 and key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        if is_large:
            # Python reads one at a time whatever the number of threads, and with each more of them
            # the event loop waits longer for its turn.
            if self._one_at_a_time is None:
                self._one_at_a_time = anyio.CapacityLimiter(1)
            parsed = await anyio.to_thread.run_sync(
                _read_large, question, body, status, digest, limiter=self._one_at_a_time
            )
        elif len(body) >= NOT_SMALL_BYTES:
            with left_alone():
                parsed = _read(question, *parse_json(body), status, digest)
        else:
            parsed = _read(question, *parse_json(body), status, digest)
        self._keep(key, parsed, len(body))
        return parsed

    def _keep(self, key: tuple[bytes, str], parsed: Parsed, size: int) -> None:
        if size > self._most_bytes // 4:
            return
        self._kept[key] = (parsed, size)
        self._held += size
        while self._held > self._most_bytes:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._held -= dropped


def _digest(body: bytes) -> bytes:
    # SHA-256 is in the processor: half of blake2b's time, which was more than parsing took.
    return sha256(body).digest()[:16]


def _read_large(question: Question, body: bytes, status: int, digest: bytes) -> Parsed:
    with left_alone():
        return _read(question, *parse_json_in_steps(body, _let_others_run), status, digest)


def _let_others_run() -> None:
    time.sleep(0)


def _read(
    question: Question, value: Any, mended: Counter[str], status: int, digest: bytes
) -> Parsed:
    error = error_in(value, status)
    if error is not None:
        raise error
    if question.count:
        return Parsed(None, count_in(value), digest)
    if question.pid is None:
        return Parsed(objects_in(value, mended), None, digest)
    # Another object than was asked for is none: some services answer with the first one they have.
    found = isinstance(value, dict) and not is_ghost(value)
    items = [value] if found and identifier_of(value) == question.pid else []
    return Parsed(Objects(items, len(items), mended=mended), None, digest)
