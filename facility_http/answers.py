"""An answer being read: its status and headers, and its body, decoded, timed and capped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from facility_http.bodies import Caps, Decoder, decoder_for
from facility_http.errors import TimedOut
from facility_http.exchanges import Exchange

# Enough of a body to name what it is when it is not what was asked for.
_EXCERPT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one attempt; queueing for the host is not counted (fault A05).

    ``connect_s``, ``read_gap_s``: ``None`` where whoever asks has a limit of its own for both.
    """

    connect_s: float | None = 15.0
    read_gap_s: float | None = 60.0
    whole_s: float = 900.0
    max_body_bytes: int = 1 << 30
    max_ratio: float = 200.0
    ratio_floor_bytes: int = 8 << 20
    redirects: int = 5


@dataclass(slots=True)
class Response:
    """One answer being read; use inside ``async with fetcher.open(...)``.

    ``url`` is where it finally came from; ``moved_to`` the new address when every hop was a
    permanent redirect. ``excerpt`` holds the first bytes once they were read.

    Args:
        began: when the request was made, on ``monotonic``.
        clean: takes secrets out of an address, for messages.
    """

    raw: aiohttp.ClientResponse | Exchange
    url: str
    queue_s: float
    limits: Limits
    began: float
    monotonic: Callable[[], float]
    clean: Callable[[str], str]
    moved_to: str | None = None
    credential_lost_at: str | None = None
    excerpt: bytes = b""
    network_s: float = 0.0

    @property
    def status(self) -> int:
        return self.raw.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self.raw.headers

    @property
    def charset(self) -> str | None:
        """The encoding that the server named."""
        return self.raw.get_encoding() if self.raw.charset else None

    @property
    def content_type(self) -> str:
        return self.raw.content_type.lower()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the decoded body as it arrives.

        Raises:
            BrokenBody, TimedOut, BodyRefused, ConnectionFailed: as their names say.
        """
        decoder = self._decoder()
        while data := await self._received():
            for piece in decoder.feed(data):
                self._note(piece)
                yield piece
        decoder.close()

    async def body(self) -> bytes:
        """Read the whole decoded body; raises what ``chunks`` does."""
        decoder = self._decoder()
        content = self.raw.content
        pieces: list[bytes] = []
        while data := await self._received():
            for piece in decoder.feed(data):
                self._note(piece)
                pieces.append(piece)
            if content.at_eof() and content.exception() is None:
                break  # A small body comes in one piece, and its end with it.
        decoder.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _decoder(self) -> Decoder:
        limits = self.limits
        caps = Caps(limits.max_body_bytes, limits.max_ratio, limits.ratio_floor_bytes)
        self.network_s = self.monotonic() - self.began
        return decoder_for(self.raw.headers.get("Content-Encoding", ""), caps)

    async def _received(self) -> bytes:
        """What has come; nothing at the end. Only time on the network counts."""
        asked = self.monotonic()
        data = await self.raw.content.readany()
        self.network_s += self.monotonic() - asked
        if self.network_s > self.limits.whole_s:
            raise TimedOut(
                f"took longer than {self.limits.whole_s:g} s in all",
                url=self.clean(self.url),
                limit="whole",
            )
        return data

    def _note(self, piece: bytes) -> None:
        if len(self.excerpt) < _EXCERPT_BYTES:
            self.excerpt += piece[: _EXCERPT_BYTES - len(self.excerpt)]
