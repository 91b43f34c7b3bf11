"""The official client behind one boundary: its errors become ours, partial answers become errors.

Used without ``info()``, ``_reindex``, scripts or plug-in analyzers, so that a small server, or a
user with rights on our own indices only, is enough.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import elastic_transport
import elasticsearch
from elasticsearch import AsyncElasticsearch, Elasticsearch
from elasticsearch.serializer import OrjsonSerializer

from catalogue.errors import EngineDamaged, EngineError, EngineUnavailable, QueryTooCostly

API_KEY_VARIABLE = "ELASTICSEARCH_API_KEY"
CA_VARIABLE = "ELASTICSEARCH_CA_CERTS"
REQUEST_TIMEOUT_S = 30.0
OPENING_TIMEOUT_S = 5.0
"""For the first request, which costs a server nothing: one that takes connections and never answers
(its process is frozen, its machine swaps) is not waited for as long as for a large answer."""


class IncompleteAnswer(EngineUnavailable):
    """Some shards failed or ran out of time: what came is never taken for the whole."""


def nodes_of(urls: str) -> list[str]:
    """The addresses of the nodes, one by one."""
    return [url.strip() for url in urls.split(",") if url.strip()]


def connect(urls: str, environment: Mapping[str, str] = os.environ) -> AsyncElasticsearch:
    """A client for one or more nodes, given as URLs divided by commas.

    ``ELASTICSEARCH_API_KEY`` is sent when set; ``ELASTICSEARCH_CA_CERTS`` names a CA file for TLS.

    Raises:
        EngineError: an address cannot be read.
    """
    return _made(AsyncElasticsearch, urls, environment)


def connect_blocking(urls: str, environment: Mapping[str, str] = os.environ) -> Elasticsearch:
    """As ``connect``, for use in worker threads."""
    return _made(Elasticsearch, urls, environment)


def authorization(environment: Mapping[str, str] = os.environ) -> str | None:
    """The header that ``connect`` makes its client send."""
    key = environment.get(API_KEY_VARIABLE)
    return f"ApiKey {key}" if key else None


Client = TypeVar("Client")


def _made(kind: Callable[..., Client], urls: str, environment: Mapping[str, str]) -> Client:
    options: dict[str, Any] = {
        "request_timeout": REQUEST_TIMEOUT_S,
        "serializer": OrjsonSerializer(),
    }
    if environment.get(API_KEY_VARIABLE):
        options["api_key"] = environment[API_KEY_VARIABLE]
    if environment.get(CA_VARIABLE):
        options["ca_certs"] = environment[CA_VARIABLE]
    try:
        return kind(nodes_of(urls), **options)
    except (ValueError, TypeError) as error:
        raise EngineError(
            f"{without_password(urls)!r} is no address of Elasticsearch: {error}; "
            "write it as http://host:9200."
        ) from error


def without_password(urls: str) -> str:
    """The addresses as they may be shown (fault H12)."""
    shown = []
    for url in urls.split(","):
        scheme, separator, rest = url.strip().rpartition("://")
        shown.append(f"{scheme}{separator}{rest.rpartition('@')[2]}")
    return ",".join(shown)


@asynccontextmanager
async def translated(doing: str) -> AsyncIterator[None]:
    """Errors of the client as ours.

    Raises:
        EngineUnavailable: not reachable, overloaded, or no time.
        EngineDamaged: the index is not there.
        QueryTooCostly: the server refuses the question as too large.
        EngineError: everything else.
    """
    try:
        yield
    except elasticsearch.ConnectionTimeout as error:
        raise EngineUnavailable(f"Elasticsearch did not answer in time while {doing}.") from error
    except elasticsearch.UnsupportedProductError as error:
        raise EngineError("The address answers, but it is no Elasticsearch.") from error
    except elastic_transport.ApiError as error:
        raise _of_status(error, doing) from error
    except elastic_transport.TlsError as error:
        raise EngineUnavailable(
            f"Elasticsearch's certificate is not trusted while {doing}: name the file of its CA in "
            f"{CA_VARIABLE}."
        ) from error
    except elasticsearch.TransportError as error:
        message = f"Elasticsearch cannot be reached while {doing}: {type(error).__name__}"
        raise EngineUnavailable(message) from error


_OPENING = (
    "no_shard_available_action_exception",
    "illegal_index_shard_state_exception",
    "unavailable_shards_exception",
)
"""What a server says for seconds after its start, and for as long as a shard's node is away."""


def _of_status(error: elastic_transport.ApiError, doing: str) -> EngineError | QueryTooCostly:
    status = error.meta.status
    kind = error_type(error.body) or error.message
    if kind in _OPENING:
        return EngineUnavailable(
            f"Elasticsearch has not opened our indices yet, or lost them, while {doing} ({kind})."
        )
    if status in (429, 502, 503, 504) and kind != "cluster_block_exception":
        return EngineUnavailable(f"Elasticsearch is overloaded while {doing} ({kind}).")
    if kind == "cluster_block_exception":
        return EngineUnavailable(
            f"Elasticsearch takes no writes while {doing}: the index is blocked, most often "
            "because its disk is full."
        )
    if status == 404 and kind == "index_not_found_exception":
        return EngineDamaged(f"An index of ours is missing in Elasticsearch ({doing}).")
    if status in (401, 403):
        return EngineError(f"Elasticsearch refuses our user while {doing} ({kind}).")
    if status == 400 and kind in ("too_many_clauses", "too_many_buckets_exception"):
        return QueryTooCostly("The question expands to more terms than Elasticsearch allows.")
    return EngineError(f"Elasticsearch answered {status} while {doing}: {kind}")


def error_type(body: object) -> str | None:
    """The type that an error body names, if it does."""
    if isinstance(body, Mapping):
        error = body.get("error", body)
        if isinstance(error, Mapping):
            causes = error.get("root_cause") or [error]
            first = causes[0] if isinstance(causes, list) and causes else error
            return str(first.get("type")) if first.get("type") else None
    return None


def whole(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, if every shard gave its part in time.

    Raises:
        IncompleteAnswer: some did not (fault F10).
    """
    shards = answer.get("_shards", {})
    if answer.get("timed_out") or shards.get("failed"):
        raise IncompleteAnswer(
            f"Elasticsearch answered in part only: {shards.get('failed', 0)} of "
            f"{shards.get('total', 0)} shards failed"
            + (", and time ran out." if answer.get("timed_out") else ".")
        )
    return answer
