"""Bodies as they arrive: decompressed here, with caps that a bomb cannot pass (fault I04)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from facility_http.errors import BodyRefused, BrokenBody

# One step of inflating; the most that a hostile body can make us hold beyond the caps.
_STEP_BYTES = 256 * 1024

ACCEPTED_ENCODINGS = "gzip, deflate"


class Caps:
    """Decoded bytes and compression ratio that a body may reach.

    The ratio counts only beyond ``ratio_floor_bytes``: small repetitive pages compress well.
    """

    def __init__(self, max_bytes: int, max_ratio: float, ratio_floor_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.max_ratio = max_ratio
        self.ratio_floor_bytes = ratio_floor_bytes
        self.received = 0
        self.decoded = 0

    def count(self, received: int, decoded: int) -> None:
        """Add to the two sums.

        Raises:
            BodyRefused: a cap is passed.
        """
        self.received += received
        self.decoded += decoded
        if self.decoded > self.max_bytes:
            raise BodyRefused(f"the body is larger than {self.max_bytes} bytes")
        if self.decoded > self.ratio_floor_bytes and self.decoded > self.max_ratio * max(
            self.received, 1
        ):
            raise BodyRefused(f"the body expands more than {self.max_ratio:g}-fold: refused")


class Decoder(Protocol):
    """Turns received bytes into decoded ones, in steps of bounded size."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Plain:
    """No content coding."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._caps.count(len(data), len(data))
        yield data

    def close(self) -> None:
        """Nothing to check: HTTP framing has been checked already."""


class Inflating:
    """gzip (several members too) or deflate (with zlib wrapper or bare, as servers send it)."""

    def __init__(self, coding: str, caps: Caps) -> None:
        self._caps = caps
        self._coding = coding
        self._inflate = zlib.decompressobj(31 if coding == "gzip" else 15)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield decoded pieces.

        Raises:
            BodyRefused: corrupt data (permanent) or a cap passed.
        """
        self._caps.count(len(data), 0)
        more = bool(data)
        while more:
            if self._inflate.eof:
                if not data.strip(b"\0"):
                    return
                if self._coding != "gzip":
                    raise BodyRefused("bytes after the end of the compressed body")
                self._inflate = zlib.decompressobj(31)
            piece = self._step(data)
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            if piece:
                self._caps.count(0, len(piece))
                yield piece
            # A full step may have left output inside zlib although all input is taken.
            more = bool(data) or (len(piece) == _STEP_BYTES and not self._inflate.eof)

    def _step(self, data: bytes) -> bytes:
        try:
            piece = self._inflate.decompress(data, _STEP_BYTES)
        except zlib.error as error:
            if self._begun or self._coding != "deflate":
                raise BodyRefused(f"corrupt {self._coding} compression: {error}") from error
            self._inflate = zlib.decompressobj(-15)
            try:
                piece = self._inflate.decompress(data, _STEP_BYTES)
            except zlib.error as second:
                raise BodyRefused(f"corrupt deflate compression: {second}") from second
        self._begun = True
        return piece

    def close(self) -> None:
        """Check that the compressed stream came to its end.

        Raises:
            BrokenBody: it did not; transient.
        """
        if self._begun and not self._inflate.eof:
            raise BrokenBody(f"the {self._coding} body ends early")


def decoder_for(coding: str, caps: Caps) -> Decoder:
    """Choose the decoder for a Content-Encoding header.

    Raises:
        BodyRefused: a coding that was not asked for.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return Plain(caps)
    if name in ("gzip", "x-gzip"):
        return Inflating("gzip", caps)
    if name == "deflate":
        return Inflating("deflate", caps)
    raise BodyRefused(f"content coding {coding[:40]!r} was not asked for")
