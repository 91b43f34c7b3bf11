"""Compressed answers: zstd where the client takes it, else gzip."""

from __future__ import annotations

import threading
import zlib

import zstandard

GZIP_LEVEL = 4
ZSTD_LEVEL = 3
_LOCAL = threading.local()


def choose_encoding(accept_encoding: str) -> str | None:
    """``zstd`` or ``gzip`` when the client accepts it; a quality of 0 refuses."""
    accepted = set()
    for part in accept_encoding.lower().split(","):
        name, _, options = part.strip().partition(";")
        quality = options.replace(" ", "").removeprefix("q=")
        if quality not in ("0", "0.0", "0.00", "0.000"):
            accepted.add(name.strip())
    for encoding in ("zstd", "gzip"):
        if encoding in accepted:
            return encoding
    return None


def compress(body: bytes, encoding: str) -> bytes:
    """``body`` in ``zstd`` or ``gzip``."""
    if encoding == "zstd":
        compressor = getattr(_LOCAL, "zstd", None)
        if compressor is None:
            compressor = _LOCAL.zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        compressed: bytes = compressor.compress(body)
        return compressed
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
