"""Parameters as order-preserving terms (semantics 5.4).

A value of a parameter is one term: name and dimension (a digest: letters and digits only), then the
SI value as 16 hexadecimal digits whose order is the order of the numbers. Each value is also
indexed at coarser precisions (a trie, as Lucene's old numeric fields had), so a range over any
number of distinct values becomes at most 90 lookups and three narrow term ranges.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from catalogue.plan import Empty, Plan, TermRange, Terms, either
from catalogue.query import ParameterRange

CODING_VERSION = 2
COARSE_DIGITS = (6, 5, 4, 3)
"""How many of the 16 hexadecimal digits the coarser terms keep. Three digits are sign and exponent:
of those there are too few different ones in an index to need anything coarser. Six are 12 bits of
the mantissa: values that share them differ by a four-thousandth."""

_ALL_BITS = (1 << 64) - 1
_TOP = 1 << 63
_UNSIGNED = struct.Struct(">Q")
_DOUBLE = struct.Struct(">d")


def number_code(value: float) -> int:
    """A 64-bit number whose order is the order of the doubles; −0 is 0."""
    bits: int = _UNSIGNED.unpack(_DOUBLE.pack(value + 0.0))[0]
    return bits ^ _ALL_BITS if bits & _TOP else bits | _TOP


@lru_cache(maxsize=65_536)
def name_code(name: str, dimension: str) -> str:
    """Name and dimension as twelve lower-case letters and digits: 60 bits, far too many for two of
    some thousands of names to meet."""
    digest = blake2b(f"{name}\0{dimension}".encode(), digest_size=8).digest()
    return base64.b32encode(digest).decode()[:12].lower()


def intervals(parameters: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, float, float]]:
    """(name, dimension, low, high) of every parameter with a quantity, under its name as sent and
    its canonical one, energies and wavelengths as each other too (semantics 5.2, 5.3)."""
    found: list[tuple[str, str, float, float]] = []
    for parameter in parameters:
        quantity = parameter.get("quantity")
        if not quantity:
            continue
        for one in (quantity, *quantity.get("also", ())):
            low, high = float(one["low"]), float(one["high"])
            if not (math.isfinite(low) and math.isfinite(high)):
                continue
            names = {str(one.get("canonical") or parameter.get("name", ""))}
            if one is quantity:
                names.add(str(parameter.get("name", "")))
            found.extend((name, str(one["dimension"]), low, high) for name in sorted(names))
    return found


def parameter_terms(parameters: Iterable[Mapping[str, Any]]) -> set[str]:
    """All index terms of a record's parameters."""
    terms: set[str] = set()
    for name, dimension, low, high in intervals(parameters):
        head = name_code(name, dimension)
        terms.update([head + tail for tail in _tails(low, high)])
        if low != high:
            first, last = number_code(low), number_code(high)
            terms.update(_cover(head, min(first, last), max(first, last)))
    return terms


@lru_cache(maxsize=8_192)
def _tails(low: float, high: float) -> tuple[str, ...]:
    """What follows the name in the terms of an interval's ends. Remembered: a value has two names
    as a rule, a Document has the terms of its Datasets, and the same few temperatures come again.
    """
    tails: list[str] = []
    for end in (low,) if low == high else (low, high):
        digits = f"{number_code(end):016x}"
        tails.append("p" + digits)
        tails.extend([head + digits[:kept] for kept, head in _COARSE])
    return tuple(tails)


_COARSE = tuple((kept, f"c{kept}") for kept in COARSE_DIGITS)


def range_plan(field: str, wanted: ParameterRange) -> Plan:
    """The lookups for a range over one of the parameter fields (``params``, ``all_params``)."""
    low = number_code(-math.inf if wanted.low is None else wanted.low)
    high = number_code(math.inf if wanted.high is None else wanted.high)
    low += int(wanted.open_low and wanted.low is not None)
    high -= int(wanted.open_high and wanted.high is not None)
    if low > high:
        return Empty()
    parts: list[Plan] = []
    for name in wanted.names:
        head = name_code(name, wanted.dimension)
        parts.append(_points(field, head, low, high))
        parts.append(Terms(field, frozenset(_covering(head, low))))
    return either(*parts)


def overlaps(parameters: Sequence[Mapping[str, Any]], wanted: ParameterRange) -> bool:
    """The same question asked plainly of the parameters of a record."""
    low = -math.inf if wanted.low is None else wanted.low
    high = math.inf if wanted.high is None else wanted.high
    if low > high or (low == high and (wanted.open_low or wanted.open_high)):
        return False
    for name, dimension, first, last in intervals(parameters):
        if name not in wanted.names or dimension != wanted.dimension:
            continue
        above = last > low if wanted.open_low else last >= low
        below = first < high if wanted.open_high else first <= high
        if above and below:
            return True
    return False


def _points(field: str, head: str, low: int, high: int) -> Plan:
    """Ends of intervals within [low, high]: edge buckets by term range, the middle by the trie."""
    shift = 4 * (16 - COARSE_DIGITS[0])
    first, last = low >> shift, high >> shift
    if first == last:
        return TermRange(field, f"{head}p{low:016x}", f"{head}p{high:016x}")
    parts: list[Plan] = []
    if low & ((1 << shift) - 1):
        parts.append(
            TermRange(field, f"{head}p{low:016x}", f"{head}p{((first + 1) << shift) - 1:016x}")
        )
        first += 1
    if (high + 1) & ((1 << shift) - 1):
        parts.append(TermRange(field, f"{head}p{last << shift:016x}", f"{head}p{high:016x}"))
        last -= 1
    nodes, top = _climb(first, last, COARSE_DIGITS[0], COARSE_DIGITS[-1])
    terms = frozenset(f"{head}c{kept}{digits:0{kept}x}" for kept, digits in nodes)
    if top:
        kept = COARSE_DIGITS[-1]
        lowest, highest = (f"{head}c{kept}{digits:0{kept}x}" for digits in top)
        parts.append(TermRange(field, lowest, highest))
    return either(*parts, Terms(field, terms))


def _cover(head: str, low: int, high: int) -> set[str]:
    """Terms that together cover an indexed interval, so that a point inside finds it."""
    nodes, top = _climb(low, high, 16, 1)
    if top:
        nodes += [(1, digits) for digits in range(top[0], top[1] + 1)]
    return {f"{head}i{kept}x{digits:0{kept}x}" for kept, digits in nodes}


def _climb(
    first: int, last: int, kept: int, top: int
) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
    """Nodes of the trie that together are ``first`` to ``last``: (digits kept, their value), and
    what is left of the range at the level of ``top`` digits.

    At each level the ragged ends are taken, and the even middle is handed upwards.
    """
    nodes: list[tuple[int, int]] = []
    while kept > top:
        while first <= last and first & 15:
            nodes.append((kept, first))
            first += 1
        while first <= last and last & 15 != 15:
            nodes.append((kept, last))
            last -= 1
        if first > last:  # ends that crossed within one node would meet again once shifted
            return nodes, None
        first, last, kept = first >> 4, last >> 4, kept - 1
    return nodes, (first, last) if first <= last else None


def _covering(head: str, code: int) -> list[str]:
    """All covers that a point may lie in."""
    digits = f"{code:016x}"
    return [f"{head}i{kept}x{digits[:kept]}" for kept in range(1, 17)]
