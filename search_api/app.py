"""The HTTP application: routes from one table, and everything that all answers have in common.

Errors in the PaNOSC form and never a trace, CORS, security headers, request ids, deadlines, byte
limits, shedding under overload, ETag and conditional requests, compression.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from typing import Any

from aiohttp import web

from catalogue.catalogue import Catalogue
from catalogue.errors import CatalogueError, QueryError
from search_api.cache import AnswerCache, Position
from search_api.compression import choose_encoding, compress
from search_api.errors import (
    BadRequest,
    DeadlinePassed,
    Overloaded,
    Relayed,
    SearchApiError,
    UnknownThing,
    UriTooLong,
    WrongMethod,
)
from search_api.facilities import FacilityStates, header_text
from search_api.health import Measurements
from search_api.replies import Call, Reply, Server, json_reply, read_pairs
from search_api.routes import ROUTES, Route
from search_api.settings import ServerSettings

LOG = logging.getLogger("pan_commons.search_api")

SERVER: web.AppKey[Server] = web.AppKey("server", Server)
MAX_LINE_BYTES = 1_048_576
"""What the HTTP parser reads of one line; ``max_uri_bytes`` is checked with a better message."""

EXPOSED = (
    "ETag",
    "Link",
    "Retry-After",
    "Server-Timing",
    "X-Facilities-Ok",
    "X-Facilities-Silent",
    "X-Facilities-Total",
    "X-Limit",
    "X-Request-Id",
    "X-Total-Count",
    "X-Total-Count-Relation",
)
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")


@dataclass(slots=True)
class Trace:
    """What is noted while one request is worked on: which operation, milliseconds by step."""

    operation: str = "none"
    timings: dict[str, float] = field(default_factory=dict)


TRACE: ContextVar[Trace] = ContextVar("trace")

Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    catalogue: Catalogue,
    *,
    now: Callable[[], datetime] = utc_now,
    settings: ServerSettings | None = None,
) -> web.Application:
    """The application that serves a catalogue, which stays the caller's to close.

    Args:
        now: the clock, aware UTC; decides what is open and how old states are.
    """
    chosen = settings or ServerSettings()
    server = Server(
        catalogue,
        chosen,
        now,
        FacilityStates(catalogue.store, chosen.status_max_age_s),
        Measurements(),
        AnswerCache(chosen.cache_bytes, chosen.cache_s),
        Position(catalogue, chosen.look_again_s),
        software_version(),
        now(),
    )
    app = web.Application(middlewares=[_outermost], client_max_size=chosen.max_body_bytes)
    app[SERVER] = server
    for route in ROUTES:
        responder = _responder(server, route)
        for path in (route.path, *route.also):
            pattern = re.sub(r"\{(\w+)\}", r"{\1:.+}", path)
            for method in route.methods:
                if method == "GET":
                    app.router.add_get(pattern, responder)
                else:
                    app.router.add_route(method, pattern, responder)
    return app


def software_version() -> str:
    try:
        return distribution_version("pan-commons")
    except PackageNotFoundError:
        return "unknown"


def _responder(server: Server, route: Route) -> Responder:
    """The aiohttp handler of a route: shed, deadline, measure."""
    measured = server.measurements

    async def respond(request: web.Request) -> web.StreamResponse:
        TRACE.get().operation = route.operation
        if len(request.raw_path) > server.settings.max_uri_bytes:
            raise UriTooLong(
                f"The address is longer than {server.settings.max_uri_bytes} bytes; "
                f"send the filter as the body of a POST."
            )
        if not route.always and server.in_flight >= server.settings.max_in_flight:
            measured.shed.inc()
            raise Overloaded(server.settings.retry_after_s)
        server.in_flight += 1
        try:
            async with asyncio.timeout(server.settings.deadline_s):
                return await _answer(server, route, request)
        except TimeoutError:
            raise DeadlinePassed(server.settings.deadline_s) from None
        finally:
            server.in_flight -= 1

    return respond


async def _answer(server: Server, route: Route, request: web.Request) -> web.StreamResponse:
    started = time.perf_counter()
    call = Call(
        server,
        request,
        {name: value.removesuffix("/") for name, value in request.match_info.items()},
        read_pairs(request.rel_url.raw_query_string),
        server.clock(),
    )
    await server.states.refresh(call.now)
    reply = await _kept_or_made(server, route, call)
    call.timings["total"] = (time.perf_counter() - started) * 1000
    TRACE.get().timings = call.timings
    return _response(request, reply, server.settings)


async def _kept_or_made(server: Server, route: Route, call: Call) -> Reply:
    """The reply from the cache, else made and kept as long as it holds."""
    if not route.cached or call.request.method == "POST" or not server.cache.is_on:
        return await route.handler(call)
    position = await server.position.now()
    accept = call.request.headers.get("Accept", "")
    key = (call.request.raw_path, accept, position, server.states.version)
    reply = server.cache.get(key, call.now)
    if reply is None:
        reply = await route.handler(call)
        server.cache.put(key, reply, call.now, call.good_until)
    return reply


def _response(request: web.Request, reply: Reply, settings: ServerSettings) -> web.Response:
    """Turn a reply into a response: ETag, 304, compression."""
    headers = dict(reply.headers)
    headers["Content-Type"] = reply.content_type
    headers.setdefault("Vary", "Accept, Accept-Encoding, Origin")
    body = reply.body
    if reply.status == 200:
        tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
        headers["ETag"] = tag
        # Openness depends on the clock: what is kept must be asked about again (semantics 2.5).
        headers.setdefault("Cache-Control", "no-cache")
        if _matches(request.headers.get("If-None-Match", ""), tag):
            return web.Response(status=304, headers=headers)
    if len(body) > settings.compress_above_bytes:
        encoding = choose_encoding(request.headers.get("Accept-Encoding", ""))
        if encoding is not None:
            body = compress(body, encoding)
            headers["Content-Encoding"] = encoding
    return web.Response(body=body, status=reply.status, headers=headers)


def _matches(if_none_match: str, tag: str) -> bool:
    wanted = tag.removeprefix("W/")
    given = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return wanted in given or "*" in given


@web.middleware
async def _outermost(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Request id, CORS, security headers, measurements, and errors in one form."""
    server = request.app[SERVER]
    started = time.perf_counter()
    trace = Trace()
    TRACE.set(trace)
    given_id = request.headers.get("X-Request-Id", "")
    request_id = given_id if _REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex
    response: web.StreamResponse
    try:
        if request.method == "OPTIONS":
            response = _options(request)
        else:
            response = await handler(request)
    except (SearchApiError, CatalogueError, web.HTTPException) as error:
        response = error_response(_translated(error, request))
    except asyncio.CancelledError:
        raise
    except Exception:
        LOG.exception("request %s failed: %s %s", request_id, request.method, request.path)
        response = error_response(SearchApiError(f"Something went wrong here ({request_id})."))
    _add_headers(request, response, server.settings, request_id)
    elapsed_s = time.perf_counter() - started
    timings = trace.timings or {"total": elapsed_s * 1000}
    response.headers["Server-Timing"] = ", ".join(
        f"{name};dur={duration:.2f}" for name, duration in timings.items()
    )
    server.measurements.requests.labels(trace.operation, str(response.status)).inc()
    server.measurements.seconds.labels(trace.operation).observe(elapsed_s)
    return response


def _options(request: web.Request) -> web.Response:
    """``OPTIONS``, preflight requests of browsers included."""
    problem = request.match_info.http_exception
    if isinstance(problem, web.HTTPMethodNotAllowed):
        allowed = sorted({*problem.allowed_methods, "OPTIONS"})
        return web.Response(status=204, headers={"Allow": ", ".join(allowed)})
    raise problem or web.HTTPNotFound


def _translated(
    error: SearchApiError | CatalogueError | web.HTTPException, request: web.Request
) -> SearchApiError:
    """Any error as one of ours, the catalogue's with its own status and words."""
    if isinstance(error, SearchApiError):
        return error
    if isinstance(error, web.HTTPMethodNotAllowed):
        return WrongMethod(request.method, {*error.allowed_methods, "OPTIONS"})
    if isinstance(error, web.HTTPNotFound):
        path = request.path[:300]
        return UnknownThing(f"There is no method to handle {request.method} {path}")
    if isinstance(error, web.HTTPException):
        return Relayed(error.reason or "The request cannot be read.", error.status, "HttpError")
    if isinstance(error, QueryError):
        return BadRequest(str(error), field=error.field)
    return Relayed(str(error), error.status, type(error).__name__)


def error_response(error: SearchApiError) -> web.Response:
    """The PaNOSC error form: ``{"error": {"statusCode", "name", "message", …}}``."""
    body: dict[str, Any] = {
        "statusCode": error.status,
        "name": getattr(error, "name", type(error).__name__),
        "message": str(error),
        **error.details(),
    }
    if error.code is not None:
        body["code"] = error.code
    reply = json_reply({"error": body})
    headers = {"Content-Type": reply.content_type, "Cache-Control": "no-store"}
    headers |= {name: header_text(value) for name, value in error.headers().items()}
    return web.Response(body=reply.body, status=error.status, headers=headers)


def _add_headers(
    request: web.Request,
    response: web.StreamResponse,
    settings: ServerSettings,
    request_id: str,
) -> None:
    headers = response.headers
    headers["X-Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    headers["X-Frame-Options"] = "DENY"
    is_page = headers.get("Content-Type", "").startswith("text/html")
    headers["Content-Security-Policy"] = PAGE_POLICY if is_page else DATA_POLICY
    origin = allowed_origin(request.headers.get("Origin"), settings.cors_origins)
    if origin is None:
        return
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
        headers["Access-Control-Allow-Headers"] = (
            "Accept, Content-Type, If-None-Match, X-Request-Id"
        )
        headers["Access-Control-Max-Age"] = "86400"


def allowed_origin(origin: str | None, configured: str) -> str | None:
    """The value of ``Access-Control-Allow-Origin``; ``None`` where the origin may not read."""
    allowed = [part.strip() for part in configured.split(",") if part.strip()]
    if "*" in allowed:
        return "*"
    return origin if origin is not None and origin in allowed else None


def runner_options(settings: ServerSettings) -> Mapping[str, Any]:
    """How aiohttp runs the application: handlers end when their client leaves."""
    return {
        "handler_cancellation": True,
        "max_line_size": MAX_LINE_BYTES,
        "max_field_size": 65_536,
        "access_log": None,
        "shutdown_timeout": settings.deadline_s,
    }
