"""Substrings and regular expressions in linear time (semantics 6.2, fault I07)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, Protocol, cast

import re2

from catalogue.errors import QueryError

MAX_MEMORY_BYTES = 8_000_000


class Compiled(Protocol):
    """What is asked of a compiled pattern: anything but ``None`` is a match."""

    def search(self, text: str) -> object | None: ...


@lru_cache(maxsize=256)
def compile_pattern(
    pattern: str, kind: Literal["substring", "regexp"], ignore_case: bool
) -> Compiled:
    """An RE2 expression for the pattern.

    Raises:
        QueryError: RE2 cannot read it.
    """
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    options.dot_nl = True
    options.literal = kind == "substring"
    try:
        return cast(Compiled, re2.compile(pattern, options))
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise QueryError(f"The pattern {pattern[:80]!r} cannot be read: {text}.") from error
