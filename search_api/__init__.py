"""How records get out: the PaNOSC Search API, our own API, the ontology service and the page.

The names below are loaded when first used, so that the command line need not wait for a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search_api.app import create_app
    from search_api.client import Client
    from search_api.errors import SearchApiError
    from search_api.settings import ServerSettings, settings_from

__all__ = ["Client", "SearchApiError", "ServerSettings", "create_app", "settings_from"]

_HOMES = {
    "Client": "client",
    "SearchApiError": "errors",
    "ServerSettings": "settings",
    "create_app": "app",
    "settings_from": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'search_api' has no attribute {name!r}")
    return getattr(import_module(f"search_api.{_HOMES[name]}"), name)
