"""Compressed answers: zstd where the client takes it, else gzip."""

from __future__ import annotations

import threading
import zlib
from functools import lru_cache

import zstandard

GZIP_LEVEL = 4
ZSTD_LEVEL = 3
_LOCAL = threading.local()


@lru_cache(maxsize=256)
def choose_encoding(accept_encoding: str) -> str | None:
    """``zstd`` or ``gzip``, which the client ranks higher (``zstd`` when both alike); ``None`` when
    it takes neither, or would rather have the answer as it is."""
    ranks: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, options = part.strip().partition(";")
        quality = options.replace(" ", "").removeprefix("q=")
        try:
            ranks[name.strip()] = float(quality) if options.strip() else 1.0
        except ValueError:
            ranks[name.strip()] = 0.0
    others = ranks.get("*", 0.0)
    best = max(("zstd", "gzip"), key=lambda name: ranks.get(name, others))
    rank = ranks.get(best, others)
    return best if rank > 0 and rank >= ranks.get("identity", 0.0) else None


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
