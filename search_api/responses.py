"""A reply becomes an HTTP response: ETag and 304, compression, and the headers that all have.

What can be done once for a reply is done once: its tag and its compressed forms stay with it in the
cache of answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from catalogue.threads import in_thread
from search_api.compression import choose_encoding, compress
from search_api.replies import Reply
from search_api.settings import ServerSettings

EXPOSED = ", ".join(
    (
        "ETag",
        "Link",
        "Retry-After",
        "Server-Timing",
        "X-Facilities-Missing",
        "X-Facilities-Ok",
        "X-Facilities-Silent",
        "X-Facilities-States",
        "X-Facilities-Total",
        "X-Facilities-Without",
        "X-Limit",
        "X-Request-Id",
        "X-Total-Count",
        "X-Total-Count-Relation",
    )
)
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
SECURITY: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "DENY",
}
ON_THE_LOOP_BYTES = 32_768
"""Bodies that are compressed at once, in some 0.1 ms; larger ones in a worker thread."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A reply with what is worked out once for all who get it."""

    reply: Reply
    tag: str | None
    encoded: dict[str, bytes] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return len(self.reply.body) + sum(map(len, self.encoded.values()))


def finish(reply: Reply) -> Finished:
    """Work out the tag of a reply; answers that are no success have none."""
    if reply.status != 200:
        return Finished(reply, None)
    return Finished(reply, f'W/"{sha256(reply.body).hexdigest()[:24]}"')


async def response_of(
    finished: Finished, asked: Mapping[str, str], settings: ServerSettings
) -> web.Response:
    """The response for a client that sent the headers ``asked``."""
    reply = finished.reply
    headers = CIMultiDict(reply.headers)
    headers["Content-Type"] = reply.content_type
    headers.setdefault("Vary", "Accept, Accept-Encoding, Origin")
    body = reply.body
    if finished.tag is not None:
        headers["ETag"] = finished.tag
        # Openness depends on the clock: what is kept must be asked about again (semantics 2.5).
        headers.setdefault("Cache-Control", "no-cache")
        if (known := asked.get("If-None-Match")) and _matches(known, finished.tag):
            return web.Response(status=304, headers=headers)
    if len(body) > settings.compress_above_bytes and (accepted := asked.get("Accept-Encoding")):
        encoding = choose_encoding(accepted)
        if encoding is not None:
            body = await _compressed(finished, encoding)
            headers["Content-Encoding"] = encoding
    return web.Response(body=body, status=reply.status, headers=headers)


async def _compressed(finished: Finished, encoding: str) -> bytes:
    held = finished.encoded.get(encoding)
    if held is None:
        body = finished.reply.body
        if len(body) > ON_THE_LOOP_BYTES:
            held = await in_thread(partial(compress, body, encoding))
        else:
            held = compress(body, encoding)
        finished.encoded[encoding] = held
    return held


def _matches(if_none_match: str, tag: str) -> bool:
    wanted = tag.removeprefix("W/")
    given = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return wanted in given or "*" in given


def add_headers(
    request: web.Request,
    headers: CIMultiDict[str],
    settings: ServerSettings,
    request_id: str,
) -> None:
    """What every response carries: its number, security headers, and CORS where allowed."""
    headers["X-Request-Id"] = request_id
    is_page = headers.get("Content-Type", "").startswith("text/html")
    origin = request.headers.get("Origin") if settings.cors_origins != "*" else None
    headers.update(
        _same_for_all(origin, settings.cors_origins, is_page, request.method == "OPTIONS")
    )


@lru_cache(maxsize=256)
def _same_for_all(
    origin: str | None, configured: str, is_page: bool, is_preflight: bool
) -> CIMultiDictProxy[str]:
    """The headers that do not depend on the answer."""
    headers = CIMultiDict({"Server": "PaN Commons", **SECURITY})
    headers["Content-Security-Policy"] = PAGE_POLICY if is_page else DATA_POLICY
    allowed = allowed_origin(origin, configured)
    if allowed is not None:
        headers["Access-Control-Allow-Origin"] = allowed
        headers["Access-Control-Expose-Headers"] = EXPOSED
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if is_preflight:
            headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
            headers["Access-Control-Allow-Headers"] = (
                "Accept, Content-Type, If-None-Match, X-Request-Id"
            )
            headers["Access-Control-Max-Age"] = "86400"
    return CIMultiDictProxy(headers)


def allowed_origin(origin: str | None, configured: str) -> str | None:
    """The value of ``Access-Control-Allow-Origin``; ``None`` where the origin may not read."""
    if configured == "*":
        return "*"
    allowed = [part.strip() for part in configured.split(",") if part.strip()]
    if "*" in allowed:
        return "*"
    return origin if origin is not None and origin in allowed else None
