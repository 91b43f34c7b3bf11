"""Answers of facilities, kept as they were received (faults G14 and G15).

Full answers are good for a while, empty ones and those with oddities briefly; neither is lost when
it is no longer good, since it may be shown, with its age, while the facility fails. A brief answer
never takes the place of a full one. Failures are not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b

import orjson

from search_api.federation.questions import LiveSource, Question
from search_api.federation.serving_store import KeptBody

_OVERHEAD_BYTES = 600


@dataclass(frozen=True, slots=True)
class Kept:
    """A body, when it came, and until when it is good and may be shown (seconds since 1970).

    ``digest`` is that of ``parsing.Parsed``; empty where it has to be made again. ``lacks`` and
    ``without``: see ``questions.FacilityAnswer``.
    """

    body: bytes
    at: float
    good_until: float
    stale_until: float
    digest: bytes = b""
    lacks: str = ""
    without: tuple[str, ...] = ()

    def age_s(self, now: datetime) -> float:
        """How old it is; never 0, and never negative when the clock was set back."""
        return max(now.timestamp() - self.at, 0.001)


def key_of(live: LiveSource, question: Question, via: Sequence[str]) -> bytes:
    """Questions with this key in common have one answer.

    Servers that a question has passed are part of it: another node answers differently by them.
    """
    source = live.source
    what = [
        source.name, source.url, question.entity_class, question.count, question.pid,
        question.filter, list(via),
    ]  # fmt: skip
    return blake2b(orjson.dumps(what, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


class FacilityCache:
    """The memory of this process; ``take_new`` gives what other processes should see.

    Args:
        most_bytes: of all bodies together, each counted once, to however many questions it came.
        keep_s, brief_s: how long full and brief answers are good; 0 for ``keep_s`` keeps nothing.
        stale_s: how long after they came they may stand in for a failure.
    """

    def __init__(self, most_bytes: int, keep_s: float, brief_s: float, stale_s: float) -> None:
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._brief_s = min(brief_s, keep_s)
        self._stale_s = stale_s
        self._kept: OrderedDict[tuple[bytes, bool], Kept] = OrderedDict()
        self._held = 0
        self._bodies: dict[bytes, tuple[bytes, int]] = {}
        self._new: OrderedDict[bytes, KeptBody] = OrderedDict()
        self._new_bytes = 0

    @property
    def is_on(self) -> bool:
        return self._keep_s > 0 and self._most_bytes > 0

    def fresh(self, question: bytes, now: datetime) -> Kept | None:
        """The newest answer that is still good."""
        found = [
            kept
            for kept in (self._kept.get((question, False)), self._kept.get((question, True)))
            if kept is not None and kept.at <= now.timestamp() < kept.good_until
        ]
        if not found:
            return None
        newest = max(found, key=lambda kept: kept.at)
        self._kept.move_to_end((question, newest is self._kept.get((question, True))))
        return newest

    def stale(self, question: bytes, now: datetime) -> Kept | None:
        """What may be shown in place of a failure: the full answer before the brief one."""
        for brief in (False, True):
            kept = self._kept.get((question, brief))
            if kept is not None and now.timestamp() < kept.stale_until:
                return kept
        return None

    def put(
        self,
        question: bytes,
        source: str,
        body: bytes,
        now: datetime,
        *,
        brief: bool,
        digest: bytes = b"",
        lacks: str = "",
        without: tuple[str, ...] = (),
    ) -> None:
        """Keep an answer that has just come; one with gaps is not for other processes, which would
        have its body alone."""
        at = now.timestamp()
        good_s = self._brief_s if brief else self._keep_s
        kept = Kept(body, at, at + good_s, at + max(good_s, self._stale_s), digest, lacks, without)
        if self._put(question, kept, brief) and not brief and not without:
            held = self._kept[question, brief].body
            self._note_new(KeptBody(question, source, held, at, kept.stale_until))

    def put_back(self, found: KeptBody) -> Kept:
        """Take in what another process, or an earlier one, has kept."""
        kept = Kept(found.body, found.at, found.at + self._keep_s, found.stale_until)
        self._put(found.question, kept, False)
        return kept

    def take_new(self) -> list[KeptBody]:
        """The full answers that came since the last call."""
        taken = list(self._new.values())
        self._new.clear()
        self._new_bytes = 0
        return taken

    def _note_new(self, one: KeptBody) -> None:
        before = self._new.pop(one.question, None)
        self._new_bytes += len(one.body) - (len(before.body) if before else 0)
        self._new[one.question] = one
        # What nobody takes must not pile up beside the cache.
        while self._new_bytes > self._most_bytes // 4:
            self._new_bytes -= len(self._new.popitem(last=False)[1].body)

    def _put(self, question: bytes, kept: Kept, brief: bool) -> bool:
        size = len(kept.body) + _OVERHEAD_BYTES
        if not self.is_on or size > self._most_bytes // 4:
            return False
        self._drop((question, brief))
        self._kept[(question, brief)] = self._taken_in(kept)
        while self._held > self._most_bytes:
            self._drop(next(iter(self._kept)))
        return True

    def _taken_in(self, kept: Kept) -> Kept:
        """The answer with the body that is held already, where one is: facilities say the same to
        many questions."""
        self._held += _OVERHEAD_BYTES
        body, count = self._bodies.get(kept.digest, (kept.body, 0))
        if not count:
            self._held += len(body)
        if kept.digest:
            self._bodies[kept.digest] = (body, count + 1)
        return kept if body is kept.body else replace(kept, body=body)

    def _drop(self, key: tuple[bytes, bool]) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is None:
            return
        self._held -= _OVERHEAD_BYTES
        body, count = self._bodies.pop(dropped.digest, (dropped.body, 1))
        if count > 1:
            self._bodies[dropped.digest] = (body, count - 1)
        else:
            self._held -= len(body)
