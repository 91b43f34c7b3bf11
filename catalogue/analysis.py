"""Words, stems and wholes: the one place where text becomes terms (semantics 6.1).

The indexer, the queries, the oracle, the re-scoring of live results and the highlighter all use
these functions, and the engines get terms that are already made, so nobody can disagree about a
word. Folding is NFKC, case folding and removal of accents; stems are Snowball English.
"""

from __future__ import annotations

import itertools
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import Stemmer

ANALYSIS_VERSION = 2
MAX_TERM_BYTES = 200
_SURELY_SHORT = MAX_TERM_BYTES // 4
SENTINEL = "§"
"""First term of every text field, so that both engines count every record (semantics 8.2). It is
no letter and no digit: no text and no query yields it."""

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_WORD = re.compile(rf"(?:[^\W_{_SUPERSCRIPTS}]|[\u0300-\u036f])+|[{_SUPERSCRIPTS}]+", re.UNICODE)
_ALPHANUMERIC = re.compile(r"[^\W_]+", re.UNICODE)
_ASCII_WORDS = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
"""Letters and digits in lower case, spaces for all else."""
_PIECES = re.compile(r"[/,;|]")
_JOINERS = re.compile(r"[-‐‑‒–—'’·]")
_ONLY_JOINED = re.compile(r"[^\W_]+(?:[-‐‑‒–—'’·][^\W_]+)+", re.UNICODE)
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi",
    "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi",
    "ω": "omega",
}  # fmt: skip

# Small words carry no meaning of their own in a question: they are indexed (phrases need them) but
# not required. The list is short on purpose: "on", "in" and the like never name a sample.
_SMALL = (
    "a an and are as at be been by can do does for from has have how in into is it its of on or "
    "that the their there these this to was were what when where which who why will with"
)
STOP_WORDS = frozenset(_SMALL.split())

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Token:
    """A folded word and where it stood in the original string (``start`` to ``end``)."""

    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """NFKC, case folded, accents removed: ``Müller`` and ``MULLER`` become ``muller``.

    Each letter by itself, so Korean stays in its single letters: composed again, what a letter
    becomes would depend on its neighbour.
    """
    return text.lower() if text.isascii() else _fold_foreign(text)


@lru_cache(maxsize=50_000)
def _fold_foreign(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(
        letter
        for letter in unicodedata.normalize("NFD", folded)
        if not unicodedata.combining(letter)
    )


def tokenize(text: str) -> Iterator[Token]:
    """The words of a text in order. Superscripts are words of their own: 10²¹ is ``10 21``."""
    for match in _WORD.finditer(text):
        raw = match.group()
        if raw.isascii():
            yield Token(cut(raw.lower()), match.start(), match.end())
            continue
        for part in _foreign_words(raw):
            yield Token(cut(part), match.start(), match.end())


def words(text: str) -> list[str]:
    """The folded, unstemmed words of a text, in order."""
    if text.isascii():
        found = text.translate(_ASCII_WORDS).split()
    else:
        found = []
        for raw in _WORD.findall(text):
            if raw.isascii():
                found.append(raw.lower())
            else:
                found.extend(_foreign_words(raw))
    if found and max(map(len, found)) > _SURELY_SHORT:
        return [cut(word) for word in found]
    return found


@lru_cache(maxsize=20_000)
def _foreign_words(raw: str) -> tuple[str, ...]:
    return tuple(_GREEK.get(part, part) for part in _ALPHANUMERIC.findall(fold(raw)))


class _Stems(dict[str, str]):
    """Stems by word, worked out when first asked for: a look-up costs a quarter of what
    ``lru_cache`` takes, and there is one for each word of each record."""

    def __missing__(self, word: str) -> str:
        if len(self) >= MAX_STEMS:
            self.clear()
        found = self[word] = _stem(word)
        return found


MAX_STEMS = 200_000
_stems = _Stems()


def stem(word: str) -> str:
    """The Snowball English stem; words with digits or foreign letters stay as they are."""
    return _stems[word]


def _stem(word: str) -> str:
    if not (word.isascii() and word.isalpha()):
        return word
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:
        # A PyStemmer object must not be shared between threads.
        stemmer = _local.stemmer = Stemmer.Stemmer("english", 0)
    return str(stemmer.stemWord(word))


def stemmed(listed: Iterable[str]) -> str:
    """The stems of words as one line."""
    return " ".join(map(_stems.__getitem__, listed))


def stems(text: str) -> list[str]:
    """The stems of a text's words, positions as in the text."""
    return [stem(word) for word in words(text)]


def wholes(text: str, listed: Sequence[str] | None = None) -> set[str]:
    """Compounds, identifiers and formulas kept whole, without positions.

    ``x-ray`` gives ``x-ray`` and ``xray``; ``10.5072/a-b`` gives itself and ``a-b``, ``ab``. The
    words ``x ray`` side by side give ``xray``, too. Plain words give nothing.

    Args:
        listed: ``words(text)``, where the caller has them.
    """
    found: set[str] = set()
    for chunk in [chunk for chunk in text.split() if not chunk.isalnum()]:
        if chunk[:-1].isalnum() and chunk.isascii():
            continue  # a word and one sign after it
        found.update(_wholes_again(chunk) if len(chunk) <= 40 else wholes_of_chunk(chunk))
    if "ray" in text or "RAY" in text or "Ray" in text:
        if listed is None:
            listed = words(text)
        for first, second in itertools.pairwise(listed):
            if first == "x" and second in ("ray", "rays"):
                found.add("xray")
    return found


def wholes_of_chunk(chunk: str) -> set[str]:
    """The wholes of one piece of text without white space."""
    folded = _folded_chunk(chunk)
    found = _compound(folded)
    if not folded[:-1].isalnum():
        pieces = _PIECES.split(folded)
        if len(pieces) > 1:
            for piece in pieces:
                found |= _compound(piece)
    return found


@lru_cache(maxsize=8_192)
def _wholes_again(chunk: str) -> frozenset[str]:
    return frozenset(wholes_of_chunk(chunk))


def whole_forms(chunk: str) -> set[str]:
    """The wholes of the entire piece and of none of its parts: what a query for it looks up."""
    return _compound(_folded_chunk(chunk))


def _folded_chunk(chunk: str) -> str:
    # NFKC makes spaces of some signs (¯ is a space with a macron); a whole has none.
    return "".join(fold(chunk).split())


def _compound(piece: str) -> set[str]:
    trimmed = _trim(piece)
    if not trimmed or trimmed.isalnum():
        return set()
    found = {cut(trimmed)}
    if trimmed.isascii() and "-" not in trimmed and "'" not in trimmed:
        return found
    if _ONLY_JOINED.fullmatch(trimmed):
        found.add(cut(stem(_JOINERS.sub("", trimmed))))
    return found


@lru_cache(maxsize=2_048)
def identifier_wholes(identifier: str) -> frozenset[str]:
    """The wholes of an identifier: itself, and each of its parts, so that a proposal number finds
    the DOI that holds it."""
    folded = fold(identifier.strip())
    parts = _ALPHANUMERIC.findall(folded)
    found = {cut(part) for part in parts if len(part) > 2}
    if folded.split() == [folded]:
        found.add(cut(folded))
    return frozenset(found | wholes(identifier))


def cut(term: str) -> str:
    """A term of at most 200 bytes of UTF-8, cut between characters (fault F08)."""
    if len(term) * 4 <= MAX_TERM_BYTES:
        return term
    encoded = term.encode()
    if len(encoded) <= MAX_TERM_BYTES:
        return term
    return encoded[:MAX_TERM_BYTES].decode(errors="ignore")


class Run(NamedTuple):
    """A word of a text, or as much of it as a part of the text shows: ``open_start`` when the word
    may begin earlier, ``open_end`` when it may go on."""

    text: str
    open_start: bool
    open_end: bool


def runs(part: str) -> list[Run]:
    """The words that each text has in a row which has ``part`` somewhere (semantics 6.2).

    Words begin and end, and are folded, letter by letter, whatever stands beside: so what is inside
    the part is known, and only its two ends are open.
    """
    found: list[Run] = []
    for match in _WORD.finditer(part):
        pieces = _ALPHANUMERIC.findall(fold(match.group()))
        last = len(pieces) - 1
        for place, piece in enumerate(pieces):
            open_start = place == 0 and match.start() == 0
            found.append(Run(piece, open_start, place == last and match.end() == len(part)))
    return found


def spelled_out(word: str) -> str | None:
    """What a word that is a single Greek letter is indexed as."""
    return _GREEK.get(word)


def may_be_cut(words: Iterable[str]) -> bool:
    """Whether one of the words may have been longer than ``MAX_TERM_BYTES``."""
    return any(
        len(word) > _SURELY_SHORT and len(word.encode()) > MAX_TERM_BYTES - 4 for word in words
    )


@lru_cache(maxsize=4_096)
def in_any_case(letter: str) -> str:
    """The letter with all that differ from it by case only, as RE2 and Unicode see it."""
    if letter.isascii() and not letter.isalpha():
        return letter
    return "".join(sorted(_letters_by_case().get(letter, {letter})))


_END_OF_ALPHABETS = 0x20000
"""Beyond it there are Chinese characters and no scripts with capitals."""


@cache
def _letters_by_case() -> Mapping[str, set[str]]:
    kin: dict[str, set[str]] = {}
    for code in range(_END_OF_ALPHABETS):
        letter = chr(code)
        for other in {letter.lower(), letter.upper(), letter.casefold()} - {letter}:
            if len(other) == 1:
                both = kin.get(letter, {letter}) | kin.get(other, {other})
                kin.update(dict.fromkeys(both, both))
    return kin


def highlights(text: str, wanted_stems: frozenset[str]) -> list[tuple[int, int]]:
    """Where words with one of the stems stand in ``text``, as (start, end) offsets."""
    if text.isascii():
        # A stem keeps its word's first letter, so that few words have to be stemmed at all.
        begin = "".join(sorted({one[0] for one in wanted_stems if one and one.isascii()}))
        return [
            match.span()
            for match in (_words_beginning(begin).finditer(text) if begin else ())
            if stem(cut(match.group().lower())) in wanted_stems
        ]
    return [
        (token.start, token.end) for token in tokenize(text) if stem(token.text) in wanted_stems
    ]


@lru_cache(maxsize=1_024)
def _words_beginning(letters: str) -> re.Pattern[str]:
    """ASCII words that begin with one of the letters or digits."""
    return re.compile(rf"(?<![a-z0-9])[{letters}][a-z0-9]*", re.IGNORECASE | re.ASCII)


def _trim(piece: str) -> str:
    if piece and piece[0].isalnum() and piece[-1].isalnum():
        return piece
    start, end = 0, len(piece)
    while start < end and not piece[start].isalnum():
        start += 1
    while end > start and not piece[end - 1].isalnum():
        end -= 1
    return piece[start:end]
