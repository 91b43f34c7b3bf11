"""Suggestions: completion of what is typed, and "did you mean" for words without hits."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from catalogue import analysis
from catalogue.completions import suggested_text
from catalogue.engines.base import Reader
from catalogue.plan import Terms
from catalogue.records import EntityClass
from catalogue.settled import Settled

KINDS = ("title", "sample", "instrument", "person")
MAX_CANDIDATES = 5_000
MIN_WORD = 4


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A text that begins with what was typed, and how many records have it."""

    kind: str
    text: str
    count: int


async def suggestions(reader: Reader, typed: str, limit: int) -> list[Suggestion]:
    """Texts of the Documents that begin with ``typed``; kinds in turn, most frequent first."""
    folded = analysis.fold(" ".join(typed.split()))
    if not folded or limit < 1:
        return []
    found: list[Suggestion] = []
    for kind in KINDS:
        prefix = f"{kind}:{folded}"
        for term, count in await reader.prefixed("Document", "suggestions", prefix, limit):
            found.append(Suggestion(kind, suggested_text(term), count))
    return sorted(found, key=lambda one: (-one.count, KINDS.index(one.kind), one.text))[:limit]


async def did_you_mean(settled: Settled) -> str | None:
    """The sentence with every unknown word replaced by the nearest known one; ``None`` when there
    is nothing better to offer."""
    assert settled.text is not None
    assert settled.search.text is not None
    sentence = settled.search.text.words
    changed = False
    for word in dict.fromkeys(settled.text.plain):
        if len(word) < MIN_WORD or not word.isalpha():
            continue
        better = await _nearest(settled.reader, settled.search.entity_class, word)
        if better is None:
            continue
        for token in reversed(list(analysis.tokenize(sentence))):
            if token.text == word:
                sentence = sentence[: token.start] + better + sentence[token.end :]
                changed = True
    return sentence if changed else None


async def _nearest(reader: Reader, entity_class: EntityClass, word: str) -> str | None:
    known = Terms("text", frozenset({analysis.stem(word)}))
    if await reader.count(entity_class, known):
        return None
    allowed = 1 if len(word) < 6 else 2
    best: tuple[int, int, str] | None = None
    # A first letter is rarely wrong; so few candidates that plain dynamic programming will do.
    for candidate, count in await reader.prefixed(entity_class, "words", word[:1], MAX_CANDIDATES):
        if abs(len(candidate) - len(word)) > allowed:
            continue
        distance = edit_distance(word, candidate, allowed)
        if distance <= allowed and (best is None or (distance, -count, candidate) < best):
            best = (distance, -count, candidate)
    return unicodedata.normalize("NFC", best[2]) if best else None


def edit_distance(first: str, second: str, most: int) -> int:
    """Optimal string alignment distance (neighbouring letters swapped count once); ``most + 1``
    when it is larger."""
    before: list[int] = []
    previous = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            cost = min(
                previous[column] + 1,
                current[column - 1] + 1,
                previous[column - 1] + (letter != other),
            )
            swapped = (
                row > 1 and column > 1 and letter == second[column - 2] and first[row - 2] == other
            )
            if swapped:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        if min(current) > most:
            return most + 1
        before, previous = previous, current
    return min(previous[-1], most + 1)
