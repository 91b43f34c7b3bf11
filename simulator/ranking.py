"""How facilities rank: by which words, on which scale, and in what order without words."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

from simulator.database import Database
from simulator.dialects import Dialect
from simulator.models import Model, Row

Taste = Literal["id", "newest", "title", "shuffled"]
"""The order of lists when none is asked for: by id, by date, by title, or some other one."""

K1 = 1.2
B = 0.75

_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Lower-case words, a plural's s cut off."""
    return [
        word[:-1] if word.endswith("s") and len(word) > 3 else word
        for word in _WORD.findall(text.lower())
    ]


def shares(rows: Sequence[Row], key: str, query: str) -> dict[Any, float]:
    """Share of the query's words that occur in title and summary, in [0, 1), by id."""
    words = query.lower().split()
    scores: dict[Any, float] = {}
    for row in rows:
        text = f"{row.get('title') or ''} {row.get('summary') or ''}".lower()
        scores[row[key]] = round(sum(word in text for word in words) / (len(words) + 1), 6)
    return scores


class Bm25:
    """BM25 over the text fields of one class of one facility, by its own statistics only."""

    def __init__(self, model: Model, rows: Sequence[Row]) -> None:
        self._lengths: dict[Any, int] = {}
        self._postings: dict[str, dict[Any, int]] = {}
        for row in rows:
            words = [word for name in model.text for word in words_of(str(row.get(name) or ""))]
            key = row[model.id]
            self._lengths[key] = len(words)
            for word, times in Counter(words).items():
                self._postings.setdefault(word, {})[key] = times
        self._mean = sum(self._lengths.values()) / max(len(self._lengths), 1) or 1.0

    def scores(self, query: str) -> Mapping[Any, float]:
        """By id; rows that none of the query's words meet are left out."""
        found: defaultdict[Any, float] = defaultdict(float)
        count = len(self._lengths)
        for word in set(words_of(query)):
            postings = self._postings.get(word, {})
            idf = math.log(1 + (count - len(postings) + 0.5) / (len(postings) + 0.5))
            for key, times in postings.items():
                length = 1 - B + B * self._lengths[key] / self._mean
                found[key] += idf * times / (times + K1 * length)
        return found


def in_taste(model: Model, rows: list[Row], taste: Taste) -> list[Row]:
    """The rows in the order that the facility prefers; ``rows`` come in the order of their ids."""
    if taste == "newest":
        date = next((name for name in model.fields if name in model.dates), "")
        return sorted(rows, key=lambda row: str(row.get(date) or ""), reverse=True)
    if taste == "title":
        return sorted(rows, key=lambda row: str(row.get("title") or row.get("name") or "").lower())
    if taste == "shuffled":
        return sorted(rows, key=lambda row: blake2b(str(row[model.id]).encode()).digest())
    return rows


class Ranking:
    """What one Search API does with words and order; follows the database as it changes."""

    def __init__(self, database: Database, dialect: Dialect, taste: Taste) -> None:
        self._database, self._dialect, self._taste = database, dialect, taste
        self._of_version = -1
        self._bm25: dict[str, Bm25] = {}
        self._in_taste: dict[str, list[Row]] = {}

    def rows(self, model: Model) -> list[Row]:
        """All rows in the order of the facility's taste."""
        if self._taste == "id":
            return self._database.rows(model.name)
        self._forget_when_changed()
        rows = self._in_taste.get(model.name)
        if rows is None:
            rows = in_taste(model, self._database.rows(model.name), self._taste)
            self._in_taste[model.name] = rows
        return rows

    def scores(self, model: Model, rows: Sequence[Row], query: Any) -> dict[Any, Any] | None:
        """Scores by id where queries are scored; rows that do not match get ``unmatched_score``."""
        if not query or model.name not in self._dialect.scored:
            return None
        scores: Mapping[Any, float]
        if self._dialect.scoring == "bm25":
            self._forget_when_changed()
            bm25 = self._bm25.get(model.name)
            if bm25 is None:
                bm25 = self._bm25[model.name] = Bm25(model, self._database.rows(model.name))
            scores = bm25.scores(str(query))
        else:
            scores = shares(rows, model.id, str(query))
        unmatched = self._dialect.unmatched_score
        return {row[model.id]: scores.get(row[model.id]) or unmatched for row in rows}

    def _forget_when_changed(self) -> None:
        if self._of_version != self._database.version:
            self._of_version = self._database.version
            self._bm25.clear()
            self._in_taste.clear()
