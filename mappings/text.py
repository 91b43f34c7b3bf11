"""Cleaning of text as facilities send it: blanks, HTML, entities, words that mean "nothing here".

The rules are those that all formats share; see ``docs/crosswalks.md``. Everything here runs in
linear time: no pattern can look at the same character from many starting points.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from html import unescape

ABSENT_WORDS = frozenset(
    {
        # DataCite/ERC codes for unknown values, as icat.oaipmh and DataCite write them
        ":unav", ":null", ":tba", ":unkn", ":none", ":etal", ":unal", ":unap", ":unas", ":tbd",
        "(:unav)", "(:null)", "(:tba)", "(:unkn)", "(:none)", "(:etal)", "(:unal)", "(:unap)",
        "(:unas)", "(:tbd)",
        # words that people and form defaults leave behind
        "n/a", "none", "null", "not stated", "not available", "default", "string", "undefined",
    }
)  # fmt: skip
LONGEST_ABSENT = max(map(len, ABSENT_WORDS))

_BLOCK = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "center", "dd", "div", "dl", "dt",
        "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5",
        "h6", "head", "header", "hr", "html", "body", "li", "main", "nav", "ol", "option",
        "p", "pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr",
        "ul", "sec", "list", "list-item",
    }
)  # fmt: skip
_INLINE = frozenset(
    {
        "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data",
        "del", "dfn", "em", "font", "i", "img", "input", "ins", "kbd", "label", "link",
        "mark", "meta", "meter", "output", "picture", "progress", "q", "rp", "rt", "ruby",
        "s", "samp", "select", "small", "source", "span", "strike", "strong", "sub", "sup",
        "svg", "template", "textarea", "time", "track", "tt", "u", "var", "video", "wbr",
        "audio", "canvas", "embed", "iframe", "object", "param", "path", "italic", "bold",
        "sc", "monospace", "math", "mi", "mn", "mo", "mrow", "msub", "msup", "mtext",
    }
)  # fmt: skip
# A name, then attributes up to the closing bracket; "[^<>]" stops at the next tag, so every
# character is looked at once. "T<Tc" and "x < 5" are not tags: no HTML element has that name.
_TAG = re.compile(r"</?(?:jats:|mml:)?([A-Za-z][A-Za-z0-9-]*)((?:[\s/][^<>]*)?)>")
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\u00ad\u200b-\u200f\u2060\ufeff\ud800-\udfff]")
_SUPERSCRIPT = str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
_SUP = re.compile(r"<(?:jats:)?sup>([0-9+\-=()n]{1,12})</(?:jats:)?sup>", re.IGNORECASE)


def clean(text: str) -> str:
    """Plain text on one line: no tags, entities decoded once, blanks collapsed, NFC.

    ``10<sup>21</sup>`` becomes ``10²¹``, never ``1021``. What only looks like a tag
    (``T<Tc``) stays.
    """
    if "<" in text:
        text = _without_tags(text)
    if "&" in text:
        text = unescape(text)
    text = _INVISIBLE.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def known(text: object) -> str | None:
    """``clean(text)``, or ``None`` when it is no text, empty or a word for "nothing here"."""
    if not isinstance(text, str):
        return None
    # Written out for speed: this runs for every element and attribute of every record.
    text = text.strip()
    if not (
        text.isprintable()
        and "  " not in text
        and "<" not in text
        and "&" not in text
        and (text.isascii() or unicodedata.is_normalized("NFC", text))
    ):
        text = clean(text)
    if len(text) <= LONGEST_ABSENT and (not text or text.lower() in ABSENT_WORDS):
        return None
    return text


def _without_tags(text: str) -> str:
    text = _without_hidden(text)
    text = _SUP.sub(lambda found: found.group(1).translate(_SUPERSCRIPT), text)
    return _TAG.sub(_tag_replacement, text)


def _tag_replacement(found: re.Match[str]) -> str:
    name = found.group(1).lower()
    attributes = found.group(2).strip().rstrip("/")
    if len(name) == 1 and attributes and "=" not in attributes:
        return found.group(0)  # "a <b and c> d" compares letters; <b> and <a href=…> are tags
    if name in _BLOCK:
        return " "
    if name in _INLINE:
        return ""
    return found.group(0)


_HIDDEN_START = re.compile(r"<(script|style)\b", re.IGNORECASE)
_HIDDEN_END = {name: re.compile(rf"</{name}[^<>]*>", re.IGNORECASE) for name in ("script", "style")}


def _without_hidden(text: str) -> str:
    """Drop ``<script>`` and ``<style>`` with their content; an unclosed one drops the rest."""
    kept, position = [], 0
    while start := _HIDDEN_START.search(text, position):
        kept.append(text[position : start.start()])
        end = _HIDDEN_END[start.group(1).lower()].search(text, start.end())
        if end is None:
            return " ".join(kept)
        position = end.end()
    kept.append(text[position:])
    return " ".join(kept)


def is_only_url(text: str) -> bool:
    """Whether the text is one bare URL, as 453 of 455 ESS descriptions are: no summary."""
    return " " not in text and text.lower().startswith(("http://", "https://"))


def clip(value: object, limit: int = 200) -> str:
    """A value as short text for messages and evidence; never fails, whatever the value is."""
    text = value if isinstance(value, str) else _printed(value)
    text = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _printed(value: object) -> str:
    if isinstance(value, dict):
        return f"an object with {len(value)} members"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return "an integer of more than 30 digits"
    return str(value)


_OPENING, _CLOSING = "([{", ")]}"


def split_outside_brackets(text: str, separators: str) -> list[str]:
    """Cut at separators that stand outside brackets; pieces are trimmed, empty ones dropped.

    A bracket that is never closed does not swallow the rest: then all separators count.
    """
    if not any(separator in text for separator in separators):
        return [text.strip()] if text.strip() else []
    depth, start, pieces = 0, 0, []
    for position, letter in enumerate(text):
        if letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth = max(0, depth - 1)
        elif depth == 0 and letter in separators:
            pieces.append(text[start:position])
            start = position + 1
    pieces.append(text[start:])
    if depth:
        pieces = re.split(f"[{re.escape(separators)}]", text)
    return [piece.strip() for piece in pieces if piece.strip()]


# Commas of a chemical name stand between locants: "2,5-", "N,N-", "2,2'-".
_LOCANT_COMMA = re.compile(
    r"\b(?:[0-9]{1,2}|[A-Zα-ω])['′]{0,2},(?=(?:[0-9]{1,2}|[A-Zα-ω])['′]{0,2}[,-])"
)
_DECIMAL_COMMA = re.compile(r"[0-9],(?=[0-9])")


def split_list(text: str, *, decimals: bool = False) -> list[str]:
    """Cut at commas and semicolons, but not in brackets or between the locants of a chemical name.

    Args:
        text: the list.
        decimals: whether commas between digits belong to a number ("33,5 %").
    """
    whole = {found.end() - 1 for found in _LOCANT_COMMA.finditer(text)}
    if decimals:
        whole.update(found.end() - 1 for found in _DECIMAL_COMMA.finditer(text))
    balanced = sum(map(text.count, _OPENING)) == sum(map(text.count, _CLOSING))
    pieces: list[str] = []
    depth, start = 0, 0
    for position, letter in enumerate(text):
        if letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth = max(0, depth - 1)
        elif letter in ",;" and position not in whole and (depth == 0 or not balanced):
            pieces.append(text[start:position])
            start = position + 1
    pieces.append(text[start:])
    return [trimmed for piece in pieces if (trimmed := piece.strip())]


def split_samples(text: str) -> list[str]:
    """Names in a comma list of samples; ``No Sample`` and its like are dropped."""
    return [name for name in split_list(text, decimals=True) if not is_no_sample(name)]


@lru_cache(maxsize=4096)
def is_no_sample(name: str) -> bool:
    """Whether a sample name says that there was none (European XFEL: ``No Sample``)."""
    return name.lower().strip(" .-_") in {
        "", "no sample", "nosample", "no_sample", "no-sample", "without sample", "none", "n/a",
    }  # fmt: skip


def split_keywords(text: str, separator: str | None = None) -> list[str]:
    """Keywords in one string: by the source's separator, else at semicolons, else at commas.

    Commas inside brackets or chemical names do not cut. Pieces under two letters are dropped.
    """
    if separator:
        pieces = text.split(separator)
    elif ";" in text:
        pieces = split_outside_brackets(text, ";")
    elif "," in text:
        pieces = split_list(text)
    else:
        pieces = [text]
    return [word for piece in pieces if len(word := piece.strip()) >= 2]
