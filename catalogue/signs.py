"""Which terms may be among wholes, before those of identifiers are worked out (semantics 6.1).

Hardly a question finds a live record by a part of its identifier, and to work out what all of them
can be found by was a twelfth of reading them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from catalogue.analysis import stem


class Signs:
    """Which terms may be among wholes, told without working out those of identifiers: such a whole
    is a part of its identifier, without the signs that join or with them, and stemmed where it has
    letters alone.

    Args:
        wholes: terms, blanks around each.
        identifiers: plain ones (``identifiers_are_plain``) in lower case, blanks or ends of lines
            between them.
    """

    def __init__(self, wholes: Iterable[str], identifiers: Iterable[str]) -> None:
        self._wholes = "".join(wholes)
        text = "\n".join(identifiers)
        self._bare = _without_joiners(text)
        self._stems: frozenset[str] = frozenset()
        if b"a-a" in text.encode().translate(_KINDS):
            joined = map(_without_joiners, _JOINED_LETTERS.findall(text))
            self._stems = frozenset([stem(one) for one in joined])

    def may_have(self, term: str) -> bool:
        """Whether the term may be one of the wholes; surely not where it says no."""
        return (
            _without_joiners(term) in self._bare
            or term in self._stems
            or f" {term} " in self._wholes
        )


_JOINED_LETTERS = re.compile(r"(?<![0-9a-z])[a-z]+(?:['-][a-z]+)+(?![0-9a-z])")
_KINDS = bytes(
    ord("a" if ord("a") <= code <= ord("z") else "-" if chr(code) in "-'" else ".")
    for code in range(256)
)
"""Small letters as ``a``, the signs that join as hyphens, all else as full stops."""


def _without_joiners(text: str) -> str:
    return text.replace("-", "").replace("'", "")


def identifiers_are_plain(identifiers: str, count: int) -> bool:
    """Whether so many identifiers, in lower case and a line each, are such as ``Signs`` knows."""
    return identifiers.isascii() and "ray" not in identifiers and identifiers.count("\n") < count
