"""A server that takes requests and gives no answer: its process is frozen, its machine swaps.

Whoever asks a question must not wait for it as long as a writer may for a large commit. With
several nodes another one is asked; and while nobody answers, one request at a time finds that out
for all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import elasticsearch
from elasticsearch import AsyncElasticsearch

from catalogue.engines.elasticsearch_client import translated
from catalogue.errors import EngineUnavailable

ANSWERS_WITHIN_S = 8.0
"""What a question takes of the ten seconds that an answer has (``PAN_COMMONS_DEADLINE_S``)."""

NODES_ASKED = 3


class Limits(TypedDict):
    """Of one request, as the client and its transport call them; seconds."""

    request_timeout: float
    retry_on_timeout: bool
    max_retries: int


def limits_of(nodes: int, within_s: float = ANSWERS_WITHIN_S) -> Limits:
    """With those an answer is waited for so long, all nodes that are asked together."""
    tries = min(nodes, NODES_ASKED)
    return Limits(
        request_timeout=within_s / tries, retry_on_timeout=tries > 1, max_retries=max(tries - 1, 1)
    )


class Silence:
    """What one process knows of it.

    Args:
        client: whose nodes are asked.
        nodes: how many there are.
        within_s: how long is waited for an answer, all nodes together.

    Attributes:
        limits: of each request.
        lasts: whether nobody answered when it was asked last.
        times: how often nobody did.
        asking: the client for what is asked, in place of what is written. One that hangs is left
            out for a while by the client's pool (its ``dead`` nodes).
    """

    def __init__(
        self, client: AsyncElasticsearch, nodes: int, within_s: float = ANSWERS_WITHIN_S
    ) -> None:
        self.limits = limits_of(nodes, within_s)
        self.asking = client.options(**self.limits)
        self.lasts = False
        self.times = 0
        self._answered = 0
        self._is_tried = False

    def heed(self, since: int) -> None:
        """For whoever waited while another asked: raise ``EngineUnavailable`` where that one was
        given no answer, either.

        Args:
            since: ``times`` when the waiting began.
        """
        if self.lasts and self.times != since:
            raise self._foreseen("waiting for a view")

    @staticmethod
    def _foreseen(doing: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"Elasticsearch gave no answer in time when it was asked last; it was not asked again "
            f"while {doing}."
        )

    @asynccontextmanager
    async def broken_by(self, doing: str) -> AsyncIterator[None]:
        """As ``translated``, for one request.

        Raises:
            EngineUnavailable: at once, too, while another request tries whether there is an answer
                again. Else see ``translated``.
        """
        if self.lasts and self._is_tried:
            raise self._foreseen(doing)
        tries, answered = self.lasts, self._answered
        self._is_tried = self._is_tried or tries
        try:
            async with translated(doing):
                yield
        except Exception as error:
            if isinstance(error.__cause__, elasticsearch.ConnectionTimeout):
                # A question that is too much says nothing of others, which were answered meanwhile.
                self.lasts = self._answered == answered
                self.times += self.lasts
            else:
                self._heard()
            raise
        else:
            self._heard()
        finally:
            if tries:
                self._is_tried = False

    def _heard(self) -> None:
        self._answered += 1
        self.lasts = False
