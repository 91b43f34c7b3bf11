"""The page for people whom something cannot be answered; programs get the same as JSON."""

from __future__ import annotations

from search_api.errors import SearchApiError
from search_api.pages.site import render
from search_api.replies import Reply

LATER = (429, 500, 503)
"""What another attempt may bring."""


def problem_page(error: SearchApiError, version: str) -> Reply:
    """The error in words, with ways on."""
    return render(
        "problem.html", status=error.status, version=version, heading=_heading(error), error=error
    )


def _heading(error: SearchApiError) -> str:
    if error.status == 404:
        return "There is no such page"
    if error.status in LATER:
        return "This cannot be answered now"
    return "This cannot be asked"
