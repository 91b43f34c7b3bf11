"""Words, stems and wholes: the one place where text becomes terms (semantics 6.1).

The indexer, the queries, the oracle, the re-scoring of live results and the highlighter all use
these functions, and the engines get terms that are already made, so nobody can disagree about a
word. Folding is NFKC, case folding and removal of accents and strokes; stems are Snowball English.
Chinese and Japanese are written without blanks, so each of their letters is a word: what is asked
for stands in a row, as in any phrase.
"""

from __future__ import annotations

import itertools
import re
import threading
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import Stemmer

ANALYSIS_VERSION = 4
MAX_TERM_BYTES = 200
_SURELY_SHORT = MAX_TERM_BYTES // 4
SENTINEL = "#"
"""First term of every text field, so that both engines count every record (semantics 8.2). It is
no letter and no digit: no text and no query yields it. In ASCII, as most documents then are: the
embedded engine takes those without writing them anew."""

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_UNSPACED = (
    "\u3005-\u3007\u3021-\u3029\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
"""Han, Hiragana and Katakana, in half width, too; none of their signs."""
_WORD = re.compile(
    rf"(?:[^\W_{_SUPERSCRIPTS}{_UNSPACED}]|[\u0300-\u036f])+|[{_UNSPACED}]|[{_SUPERSCRIPTS}]+",
    re.UNICODE,
)
_ALPHANUMERIC = re.compile(r"[^\W_]+", re.UNICODE)
_FOLDED_WORD = re.compile(rf"[^\W_{_UNSPACED}]+|[{_UNSPACED}]", re.UNICODE)
_STROKES = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe",
     "þ": "th"}
)  # fmt: skip
"""Letters that Unicode does not take apart, as they are written where a keyboard has none."""
_ASCII_WORDS = bytes(
    ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ")
    for code in range(256)
)
"""Letters and digits in lower case, spaces for all else. A table of bytes: looking a text up letter
by letter in one of characters costs four times as much."""
_ASCII_SIGNS = bytes(
    ord("a" if chr(code).isalnum() else " " if chr(code).isspace() else ".")
    if code < 128
    else ord(".")
    for code in range(256)
)
"""Letters and digits as ``a``, white space as spaces, signs as full stops."""
_LONG = b"a" * (_SURELY_SHORT + 1)
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
_tuple = tuple.__new__
"""Makes a named tuple of all its fields, without the call of a function in Python."""


@dataclass(frozen=True, slots=True)
class Token:
    """A folded word and where it stood in the original string (``start`` to ``end``)."""

    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """NFKC, case folded, accents and strokes removed: ``Müller`` and ``MULLER`` become ``muller``,
    ``Łódź`` becomes ``lodz``.

    Each letter by itself, so Korean stays in its single letters: composed again, what a letter
    becomes would depend on its neighbour.
    """
    return text.lower() if text.isascii() else _fold_foreign(text)


@lru_cache(maxsize=50_000)
def _fold_foreign(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    letters = unicodedata.normalize("NFD", folded)
    return "".join(itertools.filterfalse(unicodedata.combining, letters)).translate(_STROKES)


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
    found = _spaced(text).split() if text.isascii() else _words_of_chunks(text.split())
    if found and max(map(len, found)) > _SURELY_SHORT:
        return [cut(word) for word in found]
    return found


def _spaced(text: str) -> str:
    """The words of an ASCII text, folded, with a space in the place of each other character."""
    return text.encode().translate(_ASCII_WORDS).decode()


def _words_of_chunks(chunks: Iterable[str]) -> list[str]:
    """The words of pieces without white space: no word goes beyond one, and most are ASCII."""
    found: list[str] = []
    for chunk in chunks:
        if not chunk.isascii():
            found.extend(_foreign_words(chunk))
        elif chunk.isalnum():
            found.append(chunk.lower())
        else:
            found.extend(_spaced(chunk).split())
    return found


@lru_cache(maxsize=20_000)
def _foreign_words(chunk: str) -> tuple[str, ...]:
    found: list[str] = []
    for raw in _WORD.findall(chunk):
        if raw.isascii():
            found.append(raw.lower())
        else:
            found.extend(_GREEK.get(part, part) for part in _FOLDED_WORD.findall(fold(raw)))
    return tuple(found)


def is_unspaced(word: str) -> bool:
    """Whether a folded word is one letter of a script that is written without blanks."""
    return _ONE_UNSPACED.fullmatch(word) is not None


_ONE_UNSPACED = re.compile(f"[{_UNSPACED}]", re.UNICODE)


class Line(NamedTuple):
    """A line of text as it is indexed: ``stems`` in one string; ``cut`` when one of the words may
    be longer than what is kept of it."""

    stems: str
    words: list[str]
    wholes: Collection[str]
    cut: bool


def line(text: str) -> Line:
    """All that ``words``, ``stems`` and ``wholes`` give, in one go."""
    chunks: list[str] | None = None
    if text.isascii():
        written = text.encode()
        spaced = written.translate(_ASCII_WORDS).decode()
        listed = spaced.split()
        signs = written.translate(_ASCII_SIGNS)
        # In most texts signs stand at the ends of words alone, and no word is long.
        if signs.count(b".") != signs.count(b". ") + signs.endswith(b"."):
            chunks = text.split()
        may_be_long = len(text) > _SURELY_SHORT and _LONG in signs
        may_be_xray = "ray" in spaced
    else:
        chunks = text.split()
        listed = _words_of_chunks(chunks)
        may_be_long = may_be_xray = True  # Folding makes several letters of one.
    long = may_be_long and bool(listed) and max(map(len, listed)) > _SURELY_SHORT
    if long:
        listed = [cut(word) for word in listed]
    found: set[str] = set()
    if chunks:
        _add_wholes(chunks, found)
    if may_be_xray and "x" in listed:
        _add_xray(listed, found)
    return Line(stemmed(listed), listed, found or _NOTHING, long and may_be_cut(listed))


_NOTHING: frozenset[str] = frozenset()


def name_line(text: str) -> Line:
    """``line`` of the name of somebody, two words mostly: those before had the same."""
    pieces = list(map(_parts.__getitem__, text.split()))
    if len(pieces) != 2:
        return line(text)
    (first, words, some, is_cut), (last, more, others, are_cut) = pieces
    if "x" in words or "x" in more:  # perhaps with rays, the one look across blanks
        return line(text)
    stems = f"{first} {last}" if first and last else first or last
    wholes = {*some, *others} if some and others else some or others
    return _tuple(Line, (stems, words + more, wholes, is_cut or are_cut))


class _Parts(dict[str, Line]):
    """The lines of pieces of text without white space. Bounded."""

    def __missing__(self, part: str) -> Line:
        if len(self) >= MAX_PARTS:
            self.clear()
        made = line(part)
        if len(part) <= MAX_PART_LETTERS:
            self[part] = made
        return made


MAX_PARTS = 16_384
MAX_PART_LETTERS = 40
_parts = _Parts()


class _Stems(dict[str, str]):
    """Stems by word, worked out when first asked for: a look-up costs a quarter of what
    ``lru_cache`` takes, and there is one for each word of each record."""

    def __missing__(self, word: str) -> str:
        if not (word.isascii() and word.isalpha()):
            # Numbers and identifiers are without end, and would drive out the words.
            if len(word) <= _SHORT_NUMBER:
                self[word] = word
            return word
        if len(self) >= MAX_STEMS:
            self.clear()
        stem = _stem(word)
        # One string for both where they are equal: what costs here is the way to the memory.
        found = self[word] = word if stem == word else stem
        return found


MAX_STEMS = 200_000
_SHORT_NUMBER = 3
_stems = _Stems()


def stem(word: str) -> str:
    """The Snowball English stem; words with digits or foreign letters stay as they are."""
    return _stems[word]


def _stem(word: str) -> str:
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
    _add_wholes(text.split(), found)
    if listed is None:
        listed = words(text)
    if "x" in listed:
        _add_xray(listed, found)
    return found


def _add_wholes(chunks: Iterable[str], found: set[str]) -> None:
    for chunk in [chunk for chunk in chunks if not chunk.isalnum()]:
        if chunk[:-1].isalnum() and chunk.isascii():
            continue  # a word and one sign after it
        found.update(_wholes_again(chunk) if len(chunk) <= 40 else wholes_of_chunk(chunk))


def _add_xray(listed: Sequence[str], found: set[str]) -> None:
    for first, second in itertools.pairwise(listed):
        if first == "x" and second in ("ray", "rays"):
            found.add("xray")


def wholes_of_chunk(chunk: str) -> set[str]:
    """The wholes of one piece of text without white space."""
    found: set[str] = set()
    _add_wholes_of_chunk(_folded_chunk(chunk), found)
    return found


def _add_wholes_of_chunk(folded: str, found: set[str]) -> None:
    _add_compound(folded, found)
    if not folded[:-1].isalnum():
        pieces = _pieces(folded)
        if len(pieces) > 1:
            for piece in pieces:
                if not piece.isalnum():
                    _add_compound(piece, found)


def _pieces(folded: str) -> list[str]:
    if "," in folded or ";" in folded or "|" in folded:
        return _PIECES.split(folded)
    return folded.split("/")


@lru_cache(maxsize=8_192)
def _wholes_again(chunk: str) -> frozenset[str]:
    return frozenset(wholes_of_chunk(chunk))


def whole_forms(chunk: str) -> set[str]:
    """The wholes of the entire piece and of none of its parts: what a query for it looks up."""
    found: set[str] = set()
    _add_compound(_folded_chunk(chunk), found)
    return found


def _folded_chunk(chunk: str) -> str:
    if chunk.isascii():
        return chunk.lower()
    # NFKC makes spaces of some signs (¯ is a space with a macron); a whole has none.
    return "".join(fold(chunk).split())


def _add_compound(piece: str, found: set[str]) -> None:
    trimmed = _trim(piece)
    if not trimmed or trimmed.isalnum():
        return
    found.add(trimmed if len(trimmed) <= _SURELY_SHORT else cut(trimmed))
    if trimmed.isascii():
        # As the expression says, where there are but two signs that join, at a third of its price.
        if "-" in trimmed or "'" in trimmed:
            joined = trimmed.replace("'", "-").split("-")
            if "" not in joined and (whole := "".join(joined)).isalnum():
                found.add(cut(stem(whole)) if len(whole) > _SURELY_SHORT else _stems[whole])
    elif _ONLY_JOINED.fullmatch(trimmed):
        found.add(cut(stem(_JOINERS.sub("", trimmed))))


def identifier_wholes(identifier: str) -> frozenset[str]:
    """The wholes of an identifier: itself, and each of its parts, so that a proposal number finds
    the DOI that holds it."""
    found = _identifier_wholes.get(identifier)
    if found is None:
        if len(_identifier_wholes) >= _MAX_IDENTIFIERS:
            _identifier_wholes.clear()
        found = _identifier_wholes[identifier] = _wholes_of_identifier(identifier)
    return found


_MAX_IDENTIFIERS = 4_096
_identifier_wholes: dict[str, frozenset[str]] = {}
"""A Dataset's identifiers come again with its Documents."""


def _wholes_of_identifier(identifier: str) -> frozenset[str]:
    folded = fold(identifier.strip())
    if not identifier.isascii() or folded.split() != [folded] or "ray" in folded:
        found = {cut(part) for part in _ALPHANUMERIC.findall(folded) if len(part) > 2}
        found.update(wholes(identifier), [cut(folded)] if folded.split() == [folded] else ())
        return frozenset(found)
    parts = _spaced(folded).split()
    if len(folded) > _SURELY_SHORT:
        parts = list(map(cut, parts))
    found = {part for part in parts if len(part) > 2}
    found.add(cut(folded))
    _add_wholes_of_chunk(folded, found)
    return frozenset(found)


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
        pieces = _FOLDED_WORD.findall(fold(match.group()))
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


def _trim(piece: str) -> str:
    if piece and piece[0].isalnum() and piece[-1].isalnum():
        return piece
    start, end = 0, len(piece)
    while start < end and not piece[start].isalnum():
        start += 1
    while end > start and not piece[end - 1].isalnum():
        end -= 1
    return piece[start:end]
