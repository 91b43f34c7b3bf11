"""One probe for each operator of a filter: a condition that must match, and one that cannot.

Each is made from objects that the service has just shown, so what has to come back is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facility_http.rest_json import identifier_of

Items = Sequence[Mapping[str, Any]]

NO_SUCH = "pan-commons-no-such-thing"
NO_OTHER = "pan-commons-no-other-thing"
_DATES = ("creationDate", "releaseDate", "startDate")
_TEXTS = ("title", "name")
_PAST, _FUTURE = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"
_WORD = re.compile(r"[A-Za-z]{4,}")
# More than query-string parsers take as a list (fault E11).
_LONG_LIST = 25


@dataclass(frozen=True, slots=True)
class Probe:
    """``where`` must find objects that are as ``expected``; ``impossible`` must find none."""

    where: Mapping[str, Any]
    expected: Callable[[Items], bool]
    impossible: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Sample:
    """Objects that exist, and the fields that conditions are made from.

    ``text_field`` and ``word``: a text field and a word in the first object that has one;
    ``date_field`` likewise.
    """

    pids: tuple[str, ...]
    text_field: str | None = None
    text: str = ""
    word: str = ""
    date_field: str | None = None

    @classmethod
    def of(cls, items: Items) -> Sample:
        """Choose from what a service shows."""
        pids = tuple(pid for item in items if (pid := identifier_of(item)))
        text_field, text, word = None, "", ""
        for item in items:
            for name in _TEXTS:
                value = item.get(name)
                found = _WORD.search(value) if isinstance(value, str) else None
                if found is not None and not word:
                    text_field, text, word = name, str(value), found.group()
        date_field = next(
            (name for name in _DATES if any(isinstance(item.get(name), str) for item in items)),
            None,
        )
        return cls(pids, text_field, text, word, date_field)


Probes = Iterator[tuple[str, Probe]]


def _only(pid: str) -> Callable[[Items], bool]:
    return lambda items: {identifier_of(item) for item in items} == {pid}


def _without(pid: str) -> Callable[[Items], bool]:
    return lambda items: pid not in {identifier_of(item) for item in items}


def _eq(sample: Sample) -> Probes:
    if sample.pids:
        pid = sample.pids[0]
        yield "", Probe({"pid": pid}, _only(pid), {"pid": NO_SUCH})


def _neq(sample: Sample) -> Probes:
    if len(sample.pids) > 1:
        pid = sample.pids[0]
        yield "", Probe({"pid": {"neq": pid}}, _without(pid), None)


def _inq(sample: Sample) -> Probes:
    if sample.pids:
        pid = sample.pids[0]
        others = [f"{NO_SUCH}-{number}" for number in range(_LONG_LIST)]
        yield "", Probe({"pid": {"inq": [*others, pid]}}, _only(pid), {"pid": {"inq": [NO_SUCH]}})


def _nin(sample: Sample) -> Probes:
    if len(sample.pids) > 1:
        pid = sample.pids[0]
        yield "", Probe({"pid": {"nin": [pid]}}, _without(pid), None)


def _comparison(operator: str) -> Callable[[Sample], Probes]:
    upwards = operator in ("gt", "gte")

    def probes(sample: Sample) -> Probes:
        name = sample.date_field
        low, high = _PAST, _FUTURE
        if name is None:
            # Not "": an empty operand is misread as none at ILL (crosswalks 2.3).
            name, low, high = "pid", "!", "\uffee"
        inside, outside = (low, high) if upwards else (high, low)
        # Whatever lies between the ends of time: all that has the field.
        yield "", Probe({name: {operator: inside}}, bool, {name: {operator: outside}})

    return probes


def _between(sample: Sample) -> Probes:
    if sample.date_field is not None:
        none = ["9998-01-01T00:00:00.000Z", _FUTURE]
        name = sample.date_field
        yield "", Probe({name: {"between": [_PAST, _FUTURE]}}, bool, {name: {"between": none}})


def _names_in(item: Mapping[str, Any], name: str) -> str:
    """What a condition on a text may be met by: ontology services look at synonyms of a name, too
    (crosswalks 2.4)."""
    synonyms = item.get("synonym") if name == "name" else None
    others = synonyms if isinstance(synonyms, list) else ()
    return " ".join(str(text) for text in (item.get(name), *others) if text)


def _has_word(sample: Sample) -> Callable[[Items], bool]:
    name, word = str(sample.text_field), sample.word.lower()
    return lambda items: all(word in _names_in(item, name).lower() for item in items)


def _like(operator: str, change: Callable[[str], str]) -> Callable[[Sample], Probes]:
    def probes(sample: Sample) -> Probes:
        if sample.text_field is None:
            return
        name, word = sample.text_field, change(sample.word)
        for variant, pattern in (("contains", "{}"), ("sql", "%{}%")):
            impossible = {name: {operator: pattern.format(NO_SUCH)}}
            where = {name: {operator: pattern.format(word)}}
            yield variant, Probe(where, _has_word(sample), impossible)

    return probes


def _unlike(operator: str) -> Callable[[Sample], Probes]:
    def probes(sample: Sample) -> Probes:
        if sample.text_field is None:
            return
        # Of a condition that every object meets nothing can be concluded, so one is excluded.
        name, excluded = sample.text_field, sample.text.lower()

        def lack_it(items: Items) -> bool:
            return all(excluded not in str(item.get(name) or "").lower() for item in items)

        for variant, pattern in (("contains", "{}"), ("sql", "%{}%")):
            yield variant, Probe({name: {operator: pattern.format(sample.text)}}, lack_it, None)

    return probes


def _regexp(sample: Sample) -> Probes:
    if sample.text_field is not None:
        name = sample.text_field
        yield (
            "",
            Probe(
                {name: {"regexp": f"{sample.word[:2]}.*"}},
                lambda items: all(
                    sample.word[:2].lower() in _names_in(item, name).lower() for item in items
                ),
                {name: {"regexp": f"^{NO_SUCH}$"}},
            ),
        )


def _text(sample: Sample) -> Probes:
    if sample.word:
        yield "", Probe({"text": sample.word}, bool, {"text": NO_SUCH})


def _and(sample: Sample) -> Probes:
    if len(sample.pids) > 1:
        one, other = sample.pids[:2]
        yield (
            "",
            Probe(
                {"and": [{"pid": one}, {"pid": {"neq": other}}]},
                _only(one),
                {"and": [{"pid": one}, {"pid": other}]},
            ),
        )


def _or(sample: Sample) -> Probes:
    if sample.pids:
        pid = sample.pids[0]
        yield (
            "",
            Probe(
                {"or": [{"pid": pid}, {"pid": NO_SUCH}]},
                _only(pid),
                {"or": [{"pid": NO_SUCH}, {"pid": NO_OTHER}]},
            ),
        )


PROBES: Mapping[str, Callable[[Sample], Probes]] = {
    "eq": _eq,
    "neq": _neq,
    "gt": _comparison("gt"),
    "gte": _comparison("gte"),
    "lt": _comparison("lt"),
    "lte": _comparison("lte"),
    "between": _between,
    "inq": _inq,
    "nin": _nin,
    "like": _like("like", str),
    "nlike": _unlike("nlike"),
    "ilike": _like("ilike", str.swapcase),
    "nilike": _unlike("nilike"),
    "regexp": _regexp,
    "text": _text,
    "and": _and,
    "or": _or,
}
OPERATORS = tuple(PROBES)
