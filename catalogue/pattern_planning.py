"""Candidates for substrings and regular expressions (semantics 6.2).

A substring of a short field is a substring of one of its terms. One of prose (titles, summaries,
descriptions) has whole words inside, the end of a word before and the beginning of a word after
them. Both are looked up in an index's dictionaries; what is found is verified on the stored text.
"""

from __future__ import annotations

import re

from catalogue.analysis import Run, in_any_case, runs, spelled_out
from catalogue.engine_fields import CUT_WORDS, TITLE_WORDS
from catalogue.errors import QueryError
from catalogue.fields import Kind, kind_of
from catalogue.patterns import compile_pattern
from catalogue.plan import All, Like, LikePhrase, Plan, Terms, Undecided, both, either
from catalogue.query import Pattern
from catalogue.record_terms import PROSE, digest_head, names_of, sent_as

MAX_SCAN = 20_000
"""Records that a pattern without three literal characters in a row may look at (semantics 6.2)."""

MAX_PATTERN_LENGTH = 500

MAX_LOOKED_UP = 60
"""Characters of a literal that are looked up: a longer one has no fewer candidates."""

_DATES_AND_NUMBERS = frozenset({"instant", "number", "boolean", "public"})


def pattern_plan(node: Pattern, entity_class: str) -> Plan:
    """Candidates, to be verified on the stored string.

    Raises:
        QueryError: the pattern is too long or no regular expression that RE2 reads.
    """
    candidates = pattern_candidates(node, entity_class)
    if candidates is None:
        return Undecided(node, All(), MAX_SCAN)
    return Undecided(node, candidates)


def pattern_candidates(node: Pattern, class_name: str, prefix: str = "") -> Plan | None:
    """Records that hold all literal parts in one of the fields; ``None`` without three literal
    characters in a row, or where those of a prose field are no letters and digits.

    Args:
        prefix: that of the terms of the class: empty for a record's own fields.
    """
    if len(node.pattern) > MAX_PATTERN_LENGTH:
        raise QueryError(f"The pattern is longer than {MAX_PATTERN_LENGTH} characters.")
    compile_pattern(node.pattern, node.kind, node.ignore_case)
    parts = [node.pattern] if node.kind == "substring" else literals(node.pattern)
    parts = [part[:MAX_LOOKED_UP] for part in parts if len(part) > 2]
    if not parts:
        return None
    plans: list[Plan] = []
    kinds = {field: kind_of(class_name, field) for field in node.fields}
    prose = PROSE & kinds.keys()
    if prose:
        found = _in_prose(parts, titled=prose == {"title"} and not prefix)
        if found is None:
            return None
        plans.append(found)
    for field, kind in kinds.items():
        # Dates and numbers are no text and match nothing.
        if kind not in _DATES_AND_NUMBERS and field not in PROSE:
            plans.append(_in_terms(prefix + field, kind, parts, node.ignore_case))
    return either(*plans)


def _in_terms(name: str, kind: Kind, parts: list[str], ignore_case: bool) -> Plan:
    """By the terms of the field, of which those that are digests may stand for anything."""
    looked_for = [tuple(map(in_any_case, part)) if ignore_case else tuple(part) for part in parts]
    if name == "key":
        return both(*(Like("key", "", letters) for letters in looked_for))
    names = names_of(name)
    if kind in ("identifier", "any"):
        names += tuple(map(sent_as, names))
    plans: list[Plan] = []
    for one in names:
        plans.append(both(*(Like("terms", f"{one}=", letters) for letters in looked_for)))
        plans.append(Like("terms", digest_head(one), (), open_start=False))
    return either(*plans)


def _in_prose(parts: list[str], *, titled: bool) -> Plan | None:
    """By the words of the record, or for a title alone by words in a row."""
    plans = []
    for part in parts:
        found = _useful(runs(part))
        if found:
            plans.append(_words(TITLE_WORDS if titled else "words", found, in_a_row=titled))
    if not plans:
        return None
    # What is longer than a term may be was cut, and may hold anything.
    return either(both(*plans), Terms("terms", frozenset({CUT_WORDS})))


def _useful(found: list[Run]) -> list[Run]:
    """Without single letters at the ends, which begin and end words without number, where there is
    something else."""
    kept = [run for run in found if len(run.text) > 1 or not (run.open_start or run.open_end)]
    return kept or found


def _words(field: str, found: list[Run], *, in_a_row: bool) -> Plan:
    likes = [Like(field, "", tuple(run.text), run.open_start, run.open_end) for run in found]
    spelled = [spelled_out(run.text) for run in found]
    if in_a_row and len(likes) > 1 and not any(spelled):
        return LikePhrase(tuple(likes))
    return both(
        *(
            either(like, Terms(field, frozenset({word}))) if word else like
            for like, word in zip(likes, spelled, strict=True)
        )
    )


def literals(pattern: str) -> list[str]:
    """Runs of characters that every match of a regular expression holds; few, but never wrong.

    Alternatives, groups, counted characters and flags make a run uncertain: those are left out.
    """
    if "|" in pattern or "(?" in pattern or "\\Q" in pattern:
        return []
    found: list[str] = []
    depth = 0
    run = ""
    at = 0
    tokens = re.findall(
        r"\\x\{[^}]*\}|\\x..|\\[pP]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]])*\]|.", pattern, re.DOTALL
    )
    while at < len(tokens):
        piece = tokens[at]
        counted = at + 1 < len(tokens) and tokens[at + 1] in ("*", "?", "{", "+")
        literal = piece if len(piece) == 1 and piece not in r"^$.*+?()[]{}|\\" else ""
        if len(piece) == 2 and piece[0] == "\\" and not piece[1].isalnum():
            literal = piece[1]
        depth += (piece == "(") - (piece == ")")
        if literal and depth == 0 and not counted:
            run += literal
        else:
            found.append(run)
            run = ""
            if piece == "{":
                while at < len(tokens) and tokens[at] != "}":
                    at += 1
        at += 1
    return [*found, run]
