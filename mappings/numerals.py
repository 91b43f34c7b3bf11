"""Numbers as facilities write them: ``1.34E+12``, ``20 ± 1``, ``1-2``, ``10..20``, ``1,5``.

A number or an interval, and the unit that follows it in the same text; never an exception. What is
ambiguous (``1,234``) or no number (``5x5``, a date, NaN) is ``None``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MAX_LENGTH = 80
LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Numeral:
    """``low`` to ``high`` in the sender's unit, equal for a single number; ``unit`` if written."""

    low: float
    high: float
    unit: str | None = None


_SIGNED = (
    r"[-+]?(?:\d+(?:[.,]\d+)*\.?|[.]\d+)(?:[eE][-+]?\d{1,3})?"
    r"(?:\s?[x×·*]\s?10\s?(?:\^|\*\*)?\s?[-+]?\d{1,3})?"
)
_POWER = r"10\s?(?:\^|\*\*)\s?[-+]?\d{1,3}"
_NUMBER = rf"(?:{_POWER}|{_SIGNED})"
_UNIT = r"(?!(?:to|and|bis)\b|[x×*]\s?\d)[^\d\s.,;:+\-±<>=~‒–—…][^\d<>=±;,]*?(?:\^?[-+]?\d)?"
_ABOUT = r"(?:~|≈|≃|∼|ca\.?|c\.|approx\.?|approximately|about|around)?\s*"

_ONE = re.compile(rf"{_ABOUT}({_NUMBER})(?:\((\d{{1,4}})\))?\s*({_UNIT})?", re.IGNORECASE)
_PLUS_MINUS = re.compile(
    rf"\(?\s*({_NUMBER})\s*({_UNIT})?\s*(?:±|\+/-|\+-|\+/−)\s*({_NUMBER})\s*\)?\s*({_UNIT})?",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"\[?\s*(?:from\s+|between\s+)?({_NUMBER})\s*({_UNIT})?\s*"
    rf"(?:-|–|—|\.{{2,3}}|…|~|\bto\b|\band\b|\bbis\b)\s*({_NUMBER})\s*\]?\s*({_UNIT})?",
    re.IGNORECASE,
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")


def read_numeral(value: object) -> Numeral | None:
    """Read a JSON number or a text; booleans, NaN, infinities and everything else are ``None``."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _finite(value, value, None)
    if not isinstance(value, str) or len(value) > MAX_LENGTH:
        return None
    text = re.sub(r"10([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: "10^" + m[1].translate(_SUPERSCRIPTS), value)
    # Hyphens and dashes that stand for a minus; figure and en dashes may also join a range.
    text = text.replace("−", "-").replace("‐", "-").replace("‑", "-").replace("\u00a0", " ").strip()
    text = re.sub(r"^[‒–—](?=\s?\d)", "-", text)
    return _read_one(text) or _read_plus_minus(text) or _read_range(text)


def read_number(text: str) -> float | None:
    """One number in any of the writings, or ``None``; a lone comma group is ambiguous."""
    text = re.sub(r"\s", "", text)
    power = re.fullmatch(r"10(?:\^|\*\*)([-+]?\d+)", text)
    if power:
        return _power_of_ten(1.0, int(power[1]))
    scaled = re.fullmatch(r"(.+?)[x×·*]10(?:\^|\*\*)?([-+]?\d+)", text)
    if scaled:
        factor = read_number(scaled[1])
        return None if factor is None else _power_of_ten(factor, int(scaled[2]))
    if "," in text:
        if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+\.\d+", text) or re.fullmatch(
            r"[-+]?\d{1,3}(,\d{3}){2,}", text
        ):
            text = text.replace(",", "")
        elif re.fullmatch(r"[-+]?\d+,\d+([eE][-+]?\d+)?", text) and not re.fullmatch(
            r"[-+]?[1-9]\d{0,2},\d{3}", text
        ):
            text = text.replace(",", ".")
        else:
            return None
    try:
        return float(text)
    except ValueError:
        return None


def _power_of_ten(factor: float, exponent: int) -> float | None:
    # Through text: 1.34 * 10**12 is not always the double nearest to 1.34e12.
    return float(f"{factor!r}e{exponent}") if "e" not in repr(factor) else factor * 10.0**exponent


def _read_one(text: str) -> Numeral | None:
    found = _ONE.fullmatch(text)
    if found is None:
        return None
    number = read_number(found[1])
    if number is None:
        return None
    if found[2]:
        # 20.15(3): the uncertainty counts in units of the last digit written.
        decimals = len(found[1].split(".")[1]) if "." in found[1] else 0
        if re.search(r"[eE×x^]", found[1]):
            return None
        spread = int(found[2]) / 10**decimals
        return _finite(number - spread, number + spread, found[3])
    return _finite(number, number, found[3])


def _read_plus_minus(text: str) -> Numeral | None:
    found = _PLUS_MINUS.fullmatch(text)
    if found is None:
        return None
    centre, spread = read_number(found[1]), read_number(found[3])
    if centre is None or spread is None or not _same_unit(found[2], found[4]):
        return None
    return _finite(centre - abs(spread), centre + abs(spread), found[4] or found[2])


def _read_range(text: str) -> Numeral | None:
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, second = read_number(found[1]), read_number(found[3])
    if first is None or second is None or not _same_unit(found[2], found[4]):
        return None
    if first >= 0 > second:
        # 1--2: a range in TeX's dashes or down to minus two, nobody can tell.
        return None
    return _finite(min(first, second), max(first, second), found[4] or found[2])


def _same_unit(first: str | None, second: str | None) -> bool:
    return not first or not second or first.strip() == second.strip()


def _finite(low: float, high: float, unit: str | None) -> Numeral | None:
    try:
        low, high = float(low), float(high)
    except OverflowError:
        return None
    if not (math.isfinite(low) and math.isfinite(high) and max(abs(low), abs(high)) <= LARGEST):
        return None
    return Numeral(low, high, (unit or "").strip() or None)
