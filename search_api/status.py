"""The status object that portals fetch at the root, in the form of the federated search service.

``data_providers`` is a list of PaNOSC Search API base URLs: portals show the facilities they find
there, and break where it is missing.
"""

from __future__ import annotations

from typing import Any

from search_api.facility_list import live_state_of, relations_missing
from search_api.pages.site import search_site
from search_api.replies import Call, Reply, json_reply, prefers_html

Json = dict[str, Any]


async def status_object(call: Call) -> Reply:
    """``GET /api/``."""
    return json_reply(status_json(call))


async def root(call: Call) -> Reply:
    """``GET /``: the search page for whoever prefers HTML, else the status object."""
    if prefers_html(call.request.headers.get("Accept", "")):
        return await search_site(call)
    return json_reply(status_json(call))


def status_json(call: Call) -> Json:
    """Real content in the FS form (crosswalks 2.3)."""
    server = call.server
    up_s = max(0, int((call.now - server.started_at).total_seconds()))
    states = server.states.all
    return {
        "uptime_seconds": up_s,
        "uptime": f"{up_s // 3600:02d}:{up_s // 60 % 60:02d}:{up_s % 60:02d}",
        "api_version": server.version,
        "docker_image_version": server.settings.docker_image_version,
        "hosting_facility": server.settings.hosting_facility,
        "environment": server.settings.environment,
        "data_providers": list(
            dict.fromkeys(state.facility.provider for state in states if state.facility.provider)
        ),
        "provider_timeout_ms": int(server.settings.deadline_s * 1000),
        "default_limit": server.settings.default_limit,
        "maximum_limit": server.settings.max_limit,
        "filter_invalid_scores": False,
        "scoring_enabled": True,
        "logging": {},
        "facilities": [
            {
                "name": state.facility.name,
                "provider": state.facility.provider,
                "state": state.state,
                "records": state.records,
                "live": live_state_of(server, state),
                "without": relations_missing(server, state),
            }
            for state in states
        ],
    }
