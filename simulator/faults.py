"""Faults that a simulated facility can be told to have: the mechanism.

A fault is written ``name[:argument][@condition…][xN]``, several are separated by commas::

    slow:2s                      every answer two seconds late
    error:503:120@page3x2        the third page of a list answers 503 twice, Retry-After 120
    error:500@GetRecord          one verb only (over REST a class: @Documents, @Documents/count)
    empty@page2+@every3          from page 2 on, each third request
    loop-token                   see the tables in ``oai_faults`` and ``rest_faults``

Conditions: ``pageN`` (the Nth page of a list), ``pageN+`` (from there on), ``everyN`` (each Nth
request that the other conditions meet), anything else is a verb or class. ``xN``: at most N times.
Kinds of fault register themselves in ``KINDS`` by the stage at which they act; their docstrings
name the entry of the project's catalogue of faults that they imitate.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from simulator.errors import UnknownFault
from simulator.protocol import Answer, Exchange, Page, Sleep

Stage = Literal["listen", "arrive", "request", "page", "rows", "answer"]
Rows = list[Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to fail. ``cites``: numbers in the catalogue of faults; ``summary``: one line."""

    name: str
    stage: Stage
    cites: str
    summary: str
    act: Callable[..., Any]


KINDS: dict[str, tuple[Kind, ...]] = {}
"""By name; a fault that acts at several stages has a part for each."""

Act = Callable[..., Any]


def kind(name: str, stage: Stage, cites: str) -> Callable[[Act], Act]:
    """Enter a fault into the table; the docstring's first line is its summary.

    By stage the function takes: ``listen`` nothing, for nobody listens; ``arrive`` (async:
    exchange, argument, sleep) and may return an Answer; ``request`` (exchange, argument), may
    raise OaiError or RestError; ``page`` (exchange, argument, Page); ``rows`` (exchange,
    argument, rows) returning rows; ``answer`` (exchange, argument, Answer).
    """

    def enter(act: Act) -> Act:
        summary = (act.__doc__ or "").strip().split("\n")[0]
        KINDS[name] = (*KINDS.get(name, ()), Kind(name, stage, cites, summary, act))
        return act

    return enter


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault switched on, and when it strikes."""

    name: str
    argument: str | None = None
    verb: str | None = None
    page: int | None = None
    onwards: bool = False
    every: int | None = None
    times: int | None = None

    def strikes(self, exchange: Exchange) -> bool:
        """Whether verb and page are those of the exchange."""
        if self.verb is not None and self.verb.lower() != exchange.verb.lower():
            return False
        if self.page is None:
            return True
        return exchange.page >= self.page if self.onwards else exchange.page == self.page


_TIMES = re.compile(r"x(\d+)\Z")
_PAGE = re.compile(r"page(\d+)(\+?)\Z")
_EVERY = re.compile(r"every(\d+)\Z")


def parse_fault(text: str) -> Fault:
    """Read one fault; UnknownFault when it is none."""
    head, *conditions = text.strip().split("@")
    times: int | None = None
    last = conditions[-1] if conditions else head
    found = _TIMES.search(last)
    if found and (conditions or last.split(":")[0] not in KINDS or ":" in last):
        # "loop-tokenx2" has its count at the name, "error:503x2" at the argument
        times = int(found[1])
        last = last[: found.start()]
        if conditions:
            conditions[-1] = last
        else:
            head = last
    name, _, argument = head.partition(":")
    if name not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise UnknownFault(f"There is no fault {name!r}; there are: {known}.")
    verb, page, onwards, every = None, None, False, None
    for condition in filter(None, conditions):
        if match := _PAGE.match(condition):
            page, onwards = int(match[1]), bool(match[2])
        elif match := _EVERY.match(condition):
            every = int(match[1])
        else:
            verb = condition
    return Fault(name, argument or None, verb, page, onwards, every, times)


def parse_faults(text: str | Iterable[str | Fault]) -> tuple[Fault, ...]:
    """Read comma-separated faults, or several such texts, or faults as they are."""
    pieces = [text] if isinstance(text, str) else list(text)
    found: list[Fault] = []
    for piece in pieces:
        if isinstance(piece, Fault):
            found.append(piece)
        else:
            found += (parse_fault(part) for part in piece.split(",") if part.strip())
    return tuple(found)


@dataclass(slots=True)
class _Switched:
    fault: Fault
    kind: Kind
    state: dict[str, Any]
    met: int = 0
    struck: int = 0


class Faults:
    """The faults of one facility, switchable while it runs.

    ``hits`` counts by name how often each has struck. ``seed``: what faults that draw lots draw
    them by.
    """

    def __init__(self, faults: str | Iterable[str | Fault] = (), *, seed: str = "") -> None:
        self.hits: Counter[str] = Counter()
        self._seed = seed
        self._switched: list[_Switched] = []
        self.set(faults)

    def set(self, *faults: str | Fault | Iterable[str | Fault]) -> None:
        """Have these faults and no others."""
        self._switched = []
        self.add(*faults)

    def add(self, *faults: str | Fault | Iterable[str | Fault]) -> None:
        """Have these faults too."""
        for piece in faults:
            parsed = parse_faults([piece] if isinstance(piece, Fault) else piece)
            for fault in parsed:
                state: dict[str, Any] = {"seed": f"{self._seed}/{fault.name}"}
                self._switched += (_Switched(fault, part, state) for part in KINDS[fault.name])

    def clear(self) -> None:
        """Be well again."""
        self._switched = []

    def __iter__(self) -> Iterator[Fault]:
        return iter([switched.fault for switched in self._switched])

    def __bool__(self) -> bool:
        return bool(self._switched)

    @property
    def touch_pages(self) -> bool:
        """Whether any fault acts on OAI-PMH pages, so that written ones cannot be kept."""
        return any(switched.kind.stage == "page" for switched in self._switched)

    @property
    def refuse_connections(self) -> bool:
        """Whether nobody listens."""
        return any(switched.kind.stage == "listen" for switched in self._switched)

    def _striking(self, stage: Stage, exchange: Exchange) -> Iterator[tuple[Kind, str | None]]:
        for switched in self._switched:
            fault = switched.fault
            if switched.kind.stage != stage or not fault.strikes(exchange):
                continue
            switched.met += 1
            if fault.every is not None and switched.met % fault.every:
                continue
            if fault.times is not None and switched.struck >= fault.times:
                continue
            switched.struck += 1
            self.hits[fault.name] += 1
            exchange.state = switched.state
            exchange.number = switched.met
            yield switched.kind, fault.argument

    async def arrive(self, exchange: Exchange, sleep: Sleep) -> Answer | None:
        """Before anything is computed: delays, and answers that are no answers."""
        for struck, argument in self._striking("arrive", exchange):
            act: Callable[..., Awaitable[Answer | None]] = struck.act
            answer = await act(exchange, argument, sleep)
            if answer is not None:
                return answer
        return None

    def alter(self, exchange: Exchange) -> None:
        """Misunderstand the request, or refuse it."""
        for struck, argument in self._striking("request", exchange):
            struck.act(exchange, argument)

    def distort(self, exchange: Exchange, page: Page) -> None:
        """Change an OAI-PMH page before it is written."""
        for struck, argument in self._striking("page", exchange):
            struck.act(exchange, argument, page)

    def warp(self, exchange: Exchange, rows: Rows) -> Rows:
        """Change the objects of a REST answer."""
        for struck, argument in self._striking("rows", exchange):
            rows = struck.act(exchange, argument, rows)
        return rows

    def spoil(self, exchange: Exchange, answer: Answer) -> None:
        """Change the bytes, headers or delivery of an answer."""
        for struck, argument in self._striking("answer", exchange):
            struck.act(exchange, argument, answer)


def parse_duration_s(text: str | None, default_s: float) -> float:
    """``2s``, ``200ms``, ``1.5`` (seconds), ``3m``; UnknownFault when it is no duration."""
    if not text:
        return default_s
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match:
        raise UnknownFault(f"{text!r} is no duration; 2s or 200ms is.")
    return float(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2] or "s"]


def parse_number(text: str | None, default: int) -> int:
    """A whole number; UnknownFault when it is none."""
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise UnknownFault(f"{text!r} is no whole number.") from error
