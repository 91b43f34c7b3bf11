"""Terms of a record made field by field, as one would write it down: what the fast walk of
``catalogue.record_terms`` and the remembered parts of ``catalogue.documents`` must agree with."""

from __future__ import annotations

import base64
import itertools
import math
import re
import struct
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from catalogue import analysis
from catalogue.access import FOREVER, public_at, state_at
from catalogue.documents import EngineDocument
from catalogue.fields import FIELDS, RELATIONS, elements, microseconds, stored_value
from catalogue.parameter_terms import COARSE_DIGITS, intervals, name_code
from catalogue.plan import All, AllOf, AnyOf, Like, LikePhrase, Plan, Terms
from catalogue.record_terms import MAX_PARTS


def plain_term(name: str, value: str | float) -> str:
    if isinstance(value, str):
        text = value
    elif math.isfinite(value) and value == int(value):
        text = str(int(value))
    else:
        text = repr(float(value))
    encoded = f"{name}={text}".encode(errors="replace")
    if len(encoded) <= (32 if name.endswith(("title", "summary", "description")) else 200):
        return f"{name}={text}"
    digest = base64.b64encode(blake2b(encoded, digest_size=9).digest()).decode()
    return f"{name}=#{digest}"


def plain_terms(record: Mapping[str, Any], class_name: str, prefix: str, most: int) -> set[str]:
    """Terms of fields and parts."""
    found: set[str] = set()
    for name, kind in FIELDS[class_name].items():
        value = record.get(name)
        if value is None:
            continue
        found.add(f"has:{prefix}{name}")
        if kind in ("instant", "public") or (kind == "number" and not prefix):
            continue
        for one in value if isinstance(value, list) else [value]:
            held = stored_value(kind, one)
            if held is not None:
                marked = kind == "any" and not isinstance(held, str)
                found.add(plain_term(f"{prefix}{name}{'#' if marked else ''}", held))
            if kind in ("identifier", "any") and isinstance(one, str) and held != one:
                found.add(plain_term(f"{prefix}{name}~", one))
    for name, relation in RELATIONS.get(class_name, {}).items():
        parts = [] if relation.linked else elements(record, name)
        if parts:
            found.add(f"has:{prefix}{name}")
        if len(parts) > most:
            found.add(f"many:{prefix}{name}")
        else:
            for part in parts:
                found |= plain_terms(part, relation.target, f"{prefix}{name}.", most)
    return found


def plain_strings(
    record: Mapping[str, Any], class_name: str, prefix: str = ""
) -> list[tuple[str, str, str, str]]:
    """Strings that a substring condition may name: (class, prefix, field, string)."""
    found = []
    for name, kind in FIELDS[class_name].items():
        value = record.get(name)
        if kind in ("text", "identifier", "any"):
            listed = value if isinstance(value, list) else [value]
            found += [(class_name, prefix, name, one) for one in listed if isinstance(one, str)]
    for name, relation in RELATIONS.get(class_name, {}).items():
        parts = [] if relation.linked else elements(record, name)
        if len(parts) <= MAX_PARTS:
            for part in parts:
                found += plain_strings(part, relation.target, f"{prefix}{name}.")
    return found


def may_match(plan: Plan, document: EngineDocument) -> bool:
    """Whether an engine would give the document as a candidate."""
    match plan:
        case All():
            return True
        case AllOf(parts):
            return all(may_match(part, document) for part in parts)
        case AnyOf(parts):
            return any(may_match(part, document) for part in parts)
        case Terms(field, terms):
            return bool(terms & set(_terms_of(document, field)))
        case Like(field):
            return any(_is_like(plan, term) for term in _terms_of(document, field))
        case LikePhrase(likes):
            lines = [line.split() for line in document.title_words]
            return any(
                all(map(_is_like, likes, line[at : at + len(likes)]))
                for line in lines
                for at in range(len(line) - len(likes) + 1)
            )
    raise TypeError(type(plan).__name__)


def _terms_of(document: EngineDocument, field: str) -> list[str]:
    if field == "key":
        return [document.key]
    if field == "title_words":
        return [word for line in document.title_words for word in line.split()]
    return list(getattr(document, field))


def _is_like(like: Like, term: str) -> bool:
    letters = "".join(f"[{re.escape(one)}]" for one in like.letters)
    before, after = ".*" if like.open_start else "", ".*" if like.open_end else ""
    expression = re.escape(like.head) + before + letters + after
    return re.fullmatch(expression, term, re.DOTALL) is not None


def plain_points(parameters: Iterable[Mapping[str, Any]]) -> set[str]:
    """Terms of the ends of parameters' intervals, without the covers between two ends."""
    found = set()
    for name, dimension, low, high in intervals(parameters):
        head = name_code(name, dimension)
        for end in (low, high):
            (bits,) = struct.unpack(">Q", struct.pack(">d", end + 0.0))
            digits = f"{bits ^ ((1 << 64) - 1) if bits >> 63 else bits | (1 << 63):016x}"
            found.add(f"{head}p{digits}")
            found |= {f"{head}c{kept}{digits[:kept]}" for kept in COARSE_DIGITS}
    return found


def plain_spans(record: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The spans of states and of ``public``, each state asked for at each moment."""
    access = record.get("access") or {}
    moments = [datetime.fromisoformat("1900-01-01T00:00:00Z")]
    for name in ("openFrom", "embargoUntil"):
        if name in access:
            moment = datetime.fromisoformat(access[name])
            moments += [moment, moment + timedelta(microseconds=1)]
    moments.sort()
    starts = [-FOREVER, *(microseconds(moment, "") for moment in moments[1:]), FOREVER]
    spans: dict[str, tuple[int, int]] = {}
    for moment, (start, end) in zip(moments, itertools.pairwise(starts), strict=True):
        for name in (state_at(record, moment), "public" if public_at(record, moment) else ""):
            if name:
                spans[name] = (spans.get(name, (start, 0))[0], end)
    return spans


def plain_words(text: str) -> list[str]:
    """The words of a text by the tokens that the highlighter uses."""
    return [token.text for token in analysis.tokenize(text)]


def plain_identifier_wholes(identifier: str) -> set[str]:
    """An identifier, its parts, and its wholes as a text."""
    folded = analysis.fold(identifier.strip())
    found = {analysis.cut(part) for part in re.findall(r"[^\W_]+", folded) if len(part) > 2}
    if folded and not re.search(r"\s", folded):
        found.add(analysis.cut(folded))
    return found | plain_wholes(identifier)


def plain_wholes(text: str) -> set[str]:
    """Compounds, identifiers and formulas of a text, piece by piece."""
    joiners = "-‐‑‒–—'’·"
    found: set[str] = set()
    for chunk in re.findall(r"\S+", text):
        if chunk.isalnum():  # also such as ¼, which only becomes 1⁄4 when folded
            continue
        folded = "".join(analysis.fold(chunk).split())
        for piece in (folded, *re.split(r"[/,;|]", folded)):
            places = [place for place, letter in enumerate(piece) if letter.isalnum()]
            whole = piece[places[0] : places[-1] + 1] if places else ""
            if not whole or whole.isalnum():
                continue
            found.add(analysis.cut(whole))
            if re.fullmatch(rf"[^\W_]+(?:[{joiners}][^\W_]+)+", whole):
                found.add(analysis.cut(analysis.stem(re.sub(f"[{joiners}]", "", whole))))
    for first, second in itertools.pairwise(plain_words(text)):
        if first == "x" and second in ("ray", "rays"):
            found.add("xray")
    return found
