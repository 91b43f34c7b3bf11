"""``/api/openapi.json`` and ``/docs``: the description for machines and for people."""

from __future__ import annotations

import functools

import orjson

from search_api.operator_key import HEADER
from search_api.pages.site import render
from search_api.replies import Call, Reply


@functools.cache
def _description(version: str) -> bytes:
    # The description is made from the route table, which names the handlers below.
    from search_api.openapi import description

    return orjson.dumps(description(version))


async def openapi_json(call: Call) -> Reply:
    """``GET /api/openapi.json``."""
    return Reply(_description(call.server.version))


async def documentation(call: Call) -> Reply:
    """``GET /docs``: operations with forms to try them, nothing loaded from elsewhere."""
    described = orjson.loads(_description(call.server.version))
    operations = [
        {"path": path, "method": method.upper(), **operation}
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    groups = [
        (tag["name"], tag["description"], [o for o in operations if tag["name"] in o["tags"]])
        for tag in described["tags"]
    ]
    return render("docs.html", groups=groups, version=call.server.version, secret=HEADER)
