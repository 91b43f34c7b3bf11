"""The HTTP application: routes from one table, and everything that all answers have in common.

Errors in the PaNOSC form and never a trace, CORS, security headers, request ids, deadlines, byte
limits, shedding under overload, ETag and conditional requests, compression.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from catalogue.catalogue import Catalogue
from catalogue.clock import utc_now
from catalogue.errors import CatalogueError, QueryError
from search_api.cache import AnswerCache, Position
from search_api.deadlines import Deadlines
from search_api.errors import (
    BadRequest,
    DeadlinePassed,
    Overloaded,
    Relayed,
    SearchApiError,
    TooManyRequests,
    UnknownThing,
    UriTooLong,
    WrongMethod,
    nearest_word,
)
from search_api.facilities import FacilityStates, header_text
from search_api.federation import via
from search_api.federation.metrics import FederationMeasurements
from search_api.federation.service import LiveService
from search_api.health import Measurements
from search_api.operator_key import HEADER, check_operator, read_operator_key
from search_api.pages.problem import problem_page
from search_api.rate import RateLimiter, address_of
from search_api.replies import (
    Call,
    Reply,
    Server,
    Stream,
    json_reply,
    prefers_html,
    read_pairs,
)
from search_api.responses import Finished, add_headers, finish, response_of
from search_api.routes import PAGE, ROUTES, Route
from search_api.settings import ServerSettings
from search_api.streaming import Sending

LOG = logging.getLogger("pan_commons.search_api")

SERVER: web.AppKey[Server] = web.AppKey("server", Server)
MAX_LINE_BYTES = 1_048_576
"""What the HTTP parser reads of one line; ``max_uri_bytes`` is checked with a better message."""
RETRY_AFTER_S = "5"
"""For what is out of order, and does not say itself when it may be in order again."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")


@dataclass(slots=True)
class Trace:
    """What is noted while one request is worked on: when it was seen first, which operation,
    milliseconds by step, the stream that it is answered by, and the status of an error that came
    too late for the headers. ``for_people``: what browsers are told here is a page."""

    request_id: str
    arrived_at: float
    operation: str = "none"
    timings: dict[str, float] = field(default_factory=dict)
    sending: Sending | None = None
    failed_with: int | None = None
    for_people: bool = False


TRACE: ContextVar[Trace] = ContextVar("trace")

Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    catalogue: Catalogue,
    *,
    now: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
    settings: ServerSettings | None = None,
    contact: str | None = None,
    rates: memoryview | None = None,
) -> web.Application:
    """The application that serves a catalogue, which stays the caller's to close.

    Args:
        now: the clock, aware UTC; decides what is open and how old states are.
        monotonic: seconds; deadlines of facilities asked live. Goes as fast as the event loop's.
        contact: e-mail address for facilities asked live; else ``PAN_COMMONS_CONTACT``.
        rates: what several processes share to count the requests of clients, see ``rate``.
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
        RateLimiter(
            chosen.requests_per_s,
            chosen.request_burst,
            spare_loopback=not chosen.limit_loopback,
            memory=rates,
        ),
        read_operator_key(chosen),
        now(),
        monotonic=monotonic,
    )
    app = web.Application(middlewares=[_outermost], client_max_size=chosen.max_body_bytes)
    app[SERVER] = server
    app.cleanup_ctx.append(partial(_live_service, contact))
    deadlines = Deadlines(chosen.deadline_s)
    for route in ROUTES:
        responder = _responder(server, route, deadlines)
        for path in _spellings(route):
            pattern = re.sub(r"\{(\w+)\}", r"{\1:.+}", path)
            for method in route.methods:
                if method == "GET":
                    app.router.add_get(pattern, responder)
                else:
                    app.router.add_route(method, pattern, responder)
    return app


def _spellings(route: Route) -> list[str]:
    """All paths of a route, each with a slash at its end, too (fault E13); what ends in ``{pid}``
    takes that itself."""
    paths = [route.path, *route.also]
    slashed = [path + "/" for path in paths if not path.endswith(("/", "}"))]
    return list(dict.fromkeys([*paths, *slashed]))


async def _live_service(contact: str | None, app: web.Application) -> AsyncIterator[None]:
    """What asks facilities lives as long as the application."""
    server = app[SERVER]
    async with LiveService(
        server.catalogue,
        server.states,
        server.settings,
        now=server.clock,
        monotonic=server.monotonic,
        measurements=FederationMeasurements(server.measurements.registry),
        contact=contact,
        reading_processes=server.settings.live_readers,
    ) as live:
        server.live = live
        yield
    server.live = None


def software_version() -> str:
    try:
        return distribution_version("pan-commons")
    except PackageNotFoundError:
        return "unknown"


def _responder(server: Server, route: Route, deadlines: Deadlines) -> Responder:
    """The aiohttp handler of a route: who may, how often, shed, deadline, measure."""
    measured = server.measurements

    async def respond(request: web.Request) -> web.StreamResponse:
        trace = TRACE.get()
        trace.operation, trace.for_people = route.operation, PAGE in route.media_types
        if len(request.raw_path) > server.settings.max_uri_bytes:
            raise UriTooLong(
                f"The address is longer than {server.settings.max_uri_bytes} bytes; "
                f"send the filter as the body of a POST."
            )
        if not route.always:
            _admit(server, request)
            if server.in_flight >= server.settings.max_in_flight:
                measured.shed.inc()
                raise Overloaded(server.settings.retry_after_s)
        if route.operator:
            check_operator(server.operator_key, request.headers.get(HEADER))
        server.in_flight += 1
        deadline = deadlines.begin()
        try:
            return await _answer(server, route, request)
        except Overloaded:
            measured.shed.inc()
            raise
        except asyncio.CancelledError:
            if deadlines.end(deadline):
                raise DeadlinePassed(server.settings.deadline_s) from None
            raise
        except TimeoutError:
            raise DeadlinePassed(server.settings.deadline_s) from None
        finally:
            deadlines.end(deadline)
            server.in_flight -= 1

    return respond


def _admit(server: Server, request: web.Request) -> None:
    proxies = server.settings.trusted_proxies
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())) if proxies else ""
    try:
        server.limiter.take(address_of(request.remote, forwarded, proxies))
    except TooManyRequests:
        server.measurements.limited.inc()
        raise


async def _answer(server: Server, route: Route, request: web.Request) -> web.StreamResponse:
    started = time.perf_counter()
    trace = TRACE.get()
    call = Call(
        server,
        request,
        {name: value.removesuffix("/") for name, value in request.match_info.items()},
        read_pairs(request.rel_url.raw_query_string),
        server.clock(),
        trace.arrived_at,
    )
    await server.states.refresh(call.now)
    finished = await _kept_or_made(server, route, call)
    if isinstance(finished, Stream):
        trace.operation = f"{route.operation}Stream"
        trace.sending = Sending(request, finished, server.settings, trace.request_id)
        return await trace.sending.run()
    response = await response_of(finished, request.headers, server.settings)
    call.timings["total"] = (time.perf_counter() - started) * 1000
    trace.timings = call.timings
    return response


async def _kept_or_made(server: Server, route: Route, call: Call) -> Finished | Stream:
    """The reply from the cache, else made and kept as long as it holds; streams are not kept."""
    if not route.cached or call.request.method == "POST" or not server.cache.is_on:
        made = await route.handler(call)
        return made if isinstance(made, Stream) else finish(made)
    position = await server.position.now()
    headers = call.request.headers
    # Only some routes have several forms; who has asked before decides whether facilities are.
    accept = headers.get("Accept", "") if len(route.media_types) > 1 else ""
    asked = (call.request.raw_path, accept, headers.get(via.HEADER))
    key = (*asked, position, server.states.version)
    finished = server.cache.get(key, call.now)
    if finished is None:
        made = await route.handler(call)
        if isinstance(made, Stream):
            return made
        finished = finish(made)
        server.cache.put(key, finished, call.now, call.good_until)
    return finished


@web.middleware
async def _outermost(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Request id, CORS, security headers, measurements, and errors in one form."""
    server = request.app[SERVER]
    started = time.perf_counter()
    given_id = request.headers.get("X-Request-Id", "")
    request_id = given_id if _REQUEST_ID.fullmatch(given_id) else new_request_id()
    trace = Trace(request_id, server.monotonic())
    TRACE.set(trace)
    response: web.StreamResponse
    try:
        if request.method == "OPTIONS":
            response = _options(request)
        else:
            response = await handler(request)
    except (SearchApiError, CatalogueError, web.HTTPException) as error:
        response = await _failed(trace, _translated(error, request), request)
    except asyncio.CancelledError:
        raise
    except Exception:
        LOG.exception("request %s failed: %s %s", request_id, request.method, request.path)
        response = await _failed(
            trace, SearchApiError(f"Something went wrong here ({request_id})."), request
        )
    elapsed_s = time.perf_counter() - started
    if not response.prepared:
        add_headers(request, response.headers, server.settings, request_id)
        timings = trace.timings or {"total": elapsed_s * 1000}
        response.headers["Server-Timing"] = ", ".join(
            f"{name};dur={duration:.2f}" for name, duration in timings.items()
        )
    status = trace.failed_with or response.status
    server.measurements.note(trace.operation, status, elapsed_s)
    return response


_PROCESS = secrets.token_hex(6)
_NUMBERS = itertools.count(secrets.randbits(24))


def new_request_id() -> str:
    """Unlike any other: random for the process, counted within it."""
    return f"{_PROCESS}{next(_NUMBERS):08x}"


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
        near = nearest_word(path, (route.path for route in ROUTES))
        hint = f". Did you mean {near!r}?" if near is not None else ""
        return UnknownThing(f"There is no method to handle {request.method} {path}{hint}")
    if isinstance(error, web.HTTPException):
        return Relayed(error.reason or "The request cannot be read.", error.status, "HttpError")
    if isinstance(error, QueryError):
        return BadRequest(str(error), field=error.field)
    return Relayed(str(error), error.status, type(error).__name__)


async def _failed(trace: Trace, error: SearchApiError, request: web.Request) -> web.StreamResponse:
    """An error as the answer, or as the last message of a stream that has begun."""
    if trace.sending is not None and trace.sending.has_begun:
        trace.failed_with = error.status
        return await trace.sending.fail(error_body(error))
    is_astray = request.match_info.http_exception is not None
    if (is_astray or trace.for_people) and prefers_html(request.headers.get("Accept", "")):
        return error_response(error, problem_page(error, request.app[SERVER].version))
    return error_response(error)


def error_body(error: SearchApiError) -> dict[str, Any]:
    """``{"statusCode", "name", "message", …}``."""
    body: dict[str, Any] = {
        "statusCode": error.status,
        "name": getattr(error, "name", type(error).__name__),
        "message": str(error),
        **error.details(),
    }
    if error.code is not None:
        body["code"] = error.code
    return body


def error_response(error: SearchApiError, page: Reply | None = None) -> web.Response:
    """The PaNOSC error form: ``{"error": {"statusCode", "name", "message", …}}``, or a page."""
    reply = page or json_reply({"error": error_body(error)})
    headers = {"Content-Type": reply.content_type, "Cache-Control": "no-store"}
    headers |= {name: header_text(value) for name, value in error.headers().items()}
    if error.status == 503:
        headers.setdefault("Retry-After", RETRY_AFTER_S)
    return web.Response(body=reply.body, status=error.status, headers=headers)


def of_ours(record: logging.LogRecord) -> bool:
    """Whether something to be logged is more than a request that is no HTTP: that is answered with
    400, and comes by the hundred from whoever looks for open doors."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, web.RequestPayloadError))


def runner_options(settings: ServerSettings) -> Mapping[str, Any]:
    """How aiohttp runs the application: handlers end when their client leaves."""
    logger = logging.getLogger("pan_commons.search_api.http")
    logger.addFilter(of_ours)
    return {
        "logger": logger,
        "handler_cancellation": True,
        "max_line_size": MAX_LINE_BYTES,
        "max_field_size": 65_536,
        "access_log": None,
        # aiohttp's own is an hour: a thousand connections that say nothing would leave none.
        "keepalive_timeout": settings.idle_timeout_s,
        "shutdown_timeout": settings.deadline_s,
    }
