"""Searches sent together: several in one request, as bytes.

The official client's pool of nodes, retries and TLS are used as they are; its methods above them
cost more of the interpreter than all else that a question needs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import elastic_transport
import elasticsearch
import orjson
from elastic_transport import AsyncTransport, HttpHeaders
from elasticsearch.exceptions import HTTP_EXCEPTIONS

from catalogue.engines.elasticsearch_silence import Silence

_WHOLE = {"search_type": "dfs_query_then_fetch", "allow_partial_search_results": False}
"""Statistics over all shards, or the same record would score differently on each."""

_ALONE = "/_search?search_type=dfs_query_then_fetch&allow_partial_search_results=false"
_TOGETHER = "/_msearch"
_LINE = orjson.dumps(_WHOLE)
_JSON = "application/vnd.elasticsearch+json; compatible-with=8"
_LINES = "application/vnd.elasticsearch+x-ndjson; compatible-with=8"


class Searches:
    """Sends searches that name a point in time.

    Args:
        authorization: the header's value, where one is sent.
        silence: how long an answer is waited for.
    """

    def __init__(
        self, transport: AsyncTransport, authorization: str | None, silence: Silence
    ) -> None:
        self._transport = transport
        self.silence = silence
        always = {"accept": _JSON} | ({"authorization": authorization} if authorization else {})
        self._alone = HttpHeaders({**always, "content-type": _JSON}).freeze()
        self._together = HttpHeaders({**always, "content-type": _LINES}).freeze()

    async def answers(self, bodies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The answer to each body.

        Raises:
            elastic_transport.ApiError, elastic_transport.TransportError: as the client's own; the
                first that any of the searches met.
            elasticsearch.UnsupportedProductError: somebody else answers.
        """
        if len(bodies) == 1:
            return [await self._sent(_ALONE, orjson.dumps(bodies[0]), self._alone)]
        lines = b"".join(b"%s\n%s\n" % (_LINE, orjson.dumps(body)) for body in bodies)
        found: list[Mapping[str, Any]] = (await self._sent(_TOGETHER, lines, self._together))[
            "responses"
        ]
        return found

    async def _sent(self, target: str, body: bytes, headers: HttpHeaders) -> Mapping[str, Any]:
        meta, answer = await self._transport.perform_request(
            "POST",
            target,
            body=body,
            headers=headers,
            **self.silence.limits,
        )
        status = meta.status
        if status < 300 and not isinstance(answer, Mapping):
            raise elasticsearch.UnsupportedProductError("no JSON object", meta=meta, body=answer)
        failed = answer
        if status < 300:
            failed = next((one for one in answer.get("responses", ()) if "error" in one), None)
            if failed is None:
                found: Mapping[str, Any] = answer
                return found
            status = int(failed.get("status", 500))
        raise _refusal(status, meta, failed)


def _refusal(
    status: int, meta: elastic_transport.ApiResponseMeta, body: Any
) -> elasticsearch.ApiError:
    error = body.get("error") if isinstance(body, Mapping) else None
    kind = error.get("type") if isinstance(error, Mapping) else None
    told = elastic_transport.ApiResponseMeta(
        status, meta.http_version, meta.headers, meta.duration, meta.node
    )
    raised = HTTP_EXCEPTIONS.get(status, elasticsearch.ApiError)
    return raised(str(kind or body), meta=told, body=body)
