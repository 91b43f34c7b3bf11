"""Numbers of a record: sizes in bytes, parameters with unit and quantity.

A parameter keeps name, value and unit as sent; its quantity in SI stands beside them where it can
be computed. What cannot be converted stays text and spoils nothing else (faults D08–D11).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mappings.quantities import refusal, to_quantities
from mappings.text import known

_UNITS = {
    "": 1, "b": 1, "byte": 1, "bytes": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_SIZE = re.compile(
    r"([0-9]{1,18}(?:\.[0-9]{1,18})?(?:e\+?[0-9]{1,2})?)\s*([a-z]{0,5})", re.ASCII | re.IGNORECASE
)
_LARGEST = 2**63


def size_in_bytes(value: object, unit: str | None = None) -> int | None:
    """Bytes from ``9074975744``, ``5.70 MiB``, ``147 MB``, ``1.2e9``; 0 and others: ``None``.

    KiB is 1024, kB is 1000. Zero means "unknown" where it was seen (SciCat).
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 < value < _LARGEST else None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and 0 < value < _LARGEST else None
    if not isinstance(value, str):
        return None
    digits, _, word = value.partition(" ")
    factor = _UNITS.get((word or unit or "").lower())
    if factor is not None and len(digits) <= 18 and digits.isascii():
        # "5.70 MiB" and "9074975744", the commonest writings, without a pattern.
        whole, point, fraction = digits.partition(".")
        if whole.isdigit() and (fraction.isdigit() or not point):
            size = int(float(digits) * factor) if point else int(digits) * factor
            return size if 0 < size < _LARGEST else None
    return _size_written_otherwise(value, unit)


def _size_written_otherwise(value: str, unit: str | None) -> int | None:
    found = _SIZE.fullmatch(value.strip().replace(",", ""))
    if found is None:
        return None
    factor = _UNITS.get((found.group(2) or unit or "").lower())
    if factor is None:
        return None
    digits = found.group(1)
    size = int(digits) * factor if digits.isdigit() else int(float(digits) * factor)
    return size if 0 < size < _LARGEST else None


RawParameter = tuple[str, "str | int | float", "str | None"]
"""Name, value and unit of a parameter as sent."""


def parameters(
    raw: Sequence[RawParameter], tags: Sequence[Mapping[str, Any]], probes: Sequence[str]
) -> tuple[list[dict[str, Any]], list[tuple[RawParameter, str]]]:
    """Parameters in JSON form, with ``quantity`` where the value is one.

    Args:
        raw: as sent.
        tags: the record's techniques, which tell the particle of a beam (semantics 5.2).
        probes: the facility's.

    Returns:
        The parameters in order, and those with a unit that could not be converted, with why:
        they stay text and are counted (fault D09).
    """
    panet_ids = [tag["panet"] for tag in tags if "panet" in tag]
    quantities = to_quantities(raw, panet_ids=panet_ids, probes=probes)
    made: list[dict[str, Any]] = []
    refused: list[tuple[RawParameter, str]] = []
    for (name, value, unit), quantity in zip(raw, quantities, strict=True):
        one: dict[str, Any] = {"name": name, "value": value}
        if unit is not None:
            one["unit"] = unit
        if quantity is not None:
            one["quantity"] = quantity.as_json()
        elif unit is not None:
            refused.append(((name, value, unit), refusal(name, value, unit) or "no quantity"))
        made.append(one)
    return made, refused


def scalar(value: object) -> str | int | float | None:
    """A JSON scalar that a parameter can hold; NaN, infinity, null, objects: ``None``.

    Booleans become words; integers beyond what JSON readers keep exactly become floats.
    """
    if isinstance(value, str):
        return known(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if -(2**53) < value < 2**53:
            return value
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None


_VALUE_KEYS = ("value", "v")
_UNIT_KEYS = ("unit", "u", "units")


def measured(value: object) -> tuple[object, str | None] | None:
    """Value and unit of ``{value, unit}``, ``{v, u}`` or a bare scalar (fault D08).

    ``None`` when it is another object. A provider's own SI fields are ignored: 20 °C was sent as
    20 K (fault D10).
    """
    if not isinstance(value, Mapping):
        return value, None
    for name in _VALUE_KEYS:
        if name in value:
            unit = next((value[key] for key in _UNIT_KEYS if key in value), None)
            return value[name], known(unit)
    return None
