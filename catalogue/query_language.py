"""The small language of text queries: words, ``"phrases"``, ``-excluded``, ``+required``,
``prefix*``.

Any string is a query: what is not syntax is a word, and no engine's parser ever sees it (fault
F14). Read left to right, once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from catalogue.errors import QueryTooCostly

MAX_CHARACTERS = 2_000
MAX_UNITS = 64

Sign = Literal["", "+", "-"]
Shape = Literal["word", "phrase", "prefix"]

_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "\0": " "})
_BARE_WORDS = re.compile(r"[\w\s.,:;/()]*")
_CHUNK = re.compile(r"\S+")
_UNIT = re.compile(r'([+\-]?)"([^"]*)(?:"|$)|(\S+)')


class Unit(NamedTuple):
    """One thing that is asked for, at offsets ``start`` to ``end`` of the sentence."""

    text: str
    shape: Shape
    sign: Sign
    start: int
    end: int


@lru_cache(maxsize=1_024)
def parse_words(sentence: str) -> tuple[Unit, ...]:
    """The units of a sentence, in order; a quotation mark that is never closed ends at the end.

    Raises:
        QueryTooCostly: more than 2,000 characters or 64 units.
    """
    if len(sentence) > MAX_CHARACTERS:
        raise QueryTooCostly(
            f"The text has {len(sentence):,} characters; at most {MAX_CHARACTERS:,} are read.",
            field="query",
        )
    units: list[Unit] = []
    if _BARE_WORDS.fullmatch(sentence):
        units = [Unit(one.group(), "word", "", *one.span()) for one in _CHUNK.finditer(sentence)]
        return _not_too_many(units)
    for match in _UNIT.finditer(sentence.translate(_QUOTES)):
        sign, quoted, bare = match.groups()
        if bare is not None:
            units.extend(_bare(bare, match.start()))
        elif quoted.strip():
            units.append(
                Unit(quoted, _quoted_shape(quoted), _sign(sign), match.start(), match.end())
            )
    return _not_too_many(units)


def _not_too_many(units: Sequence[Unit]) -> tuple[Unit, ...]:
    if len(units) > MAX_UNITS:
        raise QueryTooCostly(
            f"The text asks for {len(units)} things; at most {MAX_UNITS} are looked for.",
            field="query",
        )
    return tuple(units)


def _quoted_shape(quoted: str) -> Shape:
    """A phrase, unless it is one compound such as a DOI, which is kept whole like a word's."""
    compound = len(quoted.split()) == 1 and not quoted.strip().isalnum()
    return "word" if compound else "phrase"


def _bare(chunk: str, start: int) -> list[Unit]:
    quote = chunk.find('"', 1)
    if quote > 0:
        # A quotation mark inside a word opens no phrase: it only separates (5"disk, beam"line).
        head, tail = chunk[:quote], chunk[quote:].strip('"')
        parts = _bare(head, start)
        return parts + (_bare(tail, start + quote) if tail else [])
    sign: Sign = ""
    body = chunk
    # "-196" is a temperature, not the exclusion of 196.
    if len(body) > 1 and body[0] in "+-" and (body[1].isalpha() or body[1] in "([{"):
        sign, body = _sign(body[0]), body[1:]
    end = start + len(chunk)
    if len(body) > 1 and body.endswith("*") and body[-2].isalnum():
        return [Unit(body[:-1], "prefix", sign, start, end)]
    return [Unit(body, "word", sign, start, end)]


def _sign(character: str) -> Sign:
    return "+" if character == "+" else "-" if character == "-" else ""
