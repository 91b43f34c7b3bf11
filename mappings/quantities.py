"""Measured quantities: a parameter's value and unit to SI, in mapping, query and oracle alike.

Values are rounded to 12 significant digits, intervals keep both ends, energy and wavelength stand
for each other when the particle is known (semantics 5). SI is computed here from what was sent; a
provider's own SI field is never trusted (fault D10). What is no quantity stays text, with a reason
that can be counted (faults D09, D11).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mappings.numerals import Numeral, read_numeral
from mappings.parameter_names import (
    BEAM_NAMES,
    DIMENSION_OF,
    ENERGY,
    ENERGY_OF_PARTICLE,
    NEUTRON_ENERGY,
    PHOTON_ENERGY,
    WAVELENGTH,
    announced_dimension,
    canonical_name,
    limit_of,
    names_of_dimension,
    parameter_names,
    particle_for,
    split_unit,
)
from mappings.units import Unit, read_unit, round_value

__all__ = [
    "EQUAL_WITHIN",
    "UNITS_VERSION",
    "Quantity",
    "QuantityInterval",
    "QuantityMention",
    "canonical_name",
    "from_si",
    "interval_for_query",
    "parameter_names",
    "particle_for",
    "recognise_quantities",
    "refusal",
    "to_quantities",
    "to_quantity",
]

UNITS_VERSION: Final = "2"
"""Version of units, number writings and the table of names: stored with every record (1.6)."""

EQUAL_WITHIN: Final = 1e-9
"""Relative tolerance of ``eq`` (semantics 5.1)."""

# CODATA 2018, exact by definition but for the neutron's mass.
PLANCK_JS: Final = 6.62607015e-34
LIGHT_M_PER_S: Final = 299792458.0
NEUTRON_MASS_KG: Final = 1.67492749804e-27


@dataclass(frozen=True, slots=True)
class Quantity:
    """An SI interval, ``low`` equal to ``high`` for a single value.

    ``canonical`` is the portal's name, such as ``incident_wavelength``; ``also`` holds the same
    beam as energy or wavelength, when the particle is known.
    """

    dimension: str
    low: float
    high: float
    canonical: str | None = None
    also: tuple[Quantity, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """In the entity's form (``Parameter.quantity``)."""
        json: dict[str, Any] = {"dimension": self.dimension, "low": self.low, "high": self.high}
        if self.canonical is not None:
            json["canonical"] = self.canonical
        if self.also:
            json["also"] = [twin.as_json() for twin in self.also]
        return json


@dataclass(frozen=True, slots=True)
class QuantityMention:
    """A quantity found in a sentence: the words it took and the condition that they state.

    ``text`` is ``sentence[start:end]``; ``condition.names`` are the listed names of its dimension.
    """

    start: int
    end: int
    text: str
    condition: QuantityInterval


@dataclass(frozen=True, slots=True)
class QuantityInterval:
    """A condition on a parameter in SI. ``None`` is open-ended; see ``ParameterRange``."""

    names: tuple[str, ...]
    dimension: str
    low: float | None
    high: float | None
    open_low: bool = False
    open_high: bool = False


def to_quantity(
    name: str, value: object, unit: str | None, *, particle: str | None = None
) -> Quantity | None:
    """The quantity that a parameter states, or ``None`` when it stays text; never raises.

    Args:
        name: as sent; it tells ``C`` in a temperature from coulomb, and may hold the unit
            (``energy [keV]``).
        value: JSON number or text (``"1.34E+12"``, ``"20 ± 1"``, ``"1-2"``, ``"12 keV"``).
        unit: as sent; without one, a bare number is not converted.
        particle: ``photon`` or ``neutron`` (see ``particle_for``), for the energy or wavelength
            that goes with the value.
    """
    read = _read(name, value, unit)
    if isinstance(read, str):
        return None
    return _quantity(name, read[0], read[1], particle_for(name) or particle)


def refusal(name: str, value: object, unit: str | None) -> str | None:
    """Why ``to_quantity`` gives ``None``, to be counted: ``no unit``, ``unknown unit``,
    ``no number``, ``out of range``; ``None`` when there is a quantity."""
    read = _read(name, value, unit)
    if isinstance(read, str):
        return read
    return None if _quantity(name, read[0], read[1], None) is not None else "out of range"


def to_quantities(
    parameters: Sequence[tuple[str, object, str | None]],
    *,
    panet_ids: Sequence[str] = (),
    probes: Sequence[str] = (),
) -> tuple[Quantity | None, ...]:
    """The quantities of one record's parameters, in order; ``x_min`` with ``x_max`` is an interval.

    Both ends of a pair state the whole interval (semantics 5.1), so that either matches by overlap.

    Args:
        parameters: (name, value, unit) as sent.
        panet_ids: techniques of the record, for the particle.
        probes: of the facility or instrument, for the particle.
    """
    quantities = [
        to_quantity(name, value, unit, particle=particle_for(name, panet_ids, probes))
        for name, value, unit in parameters
    ]
    ends: dict[str, dict[str, int]] = {}
    for index, (name, _value, _unit) in enumerate(parameters):
        limit = limit_of(name)
        if limit is not None and quantities[index] is not None:
            ends.setdefault(limit.base, {}).setdefault(limit.end, index)
    for base, pair in ends.items():
        if len(pair) < 2:
            continue
        low, high = quantities[pair["low"]], quantities[pair["high"]]
        if low is None or high is None or low.dimension != high.dimension or low.low > high.high:
            continue
        particle = particle_for(base, panet_ids, probes)
        whole = _with_twin(base, low.dimension, low.low, high.high, particle)
        quantities[pair["low"]] = quantities[pair["high"]] = whole
    return tuple(quantities)


def from_si(value: float, dimension: str, unit: str) -> float | None:
    """An SI value in ``unit``, or ``None`` where that is no unit of ``dimension`` (5.5)."""
    target = read_unit(unit, quantity=dimension)
    if target is None or target.dimension != dimension:
        return None
    converted = target.from_si(value)
    return converted if math.isfinite(converted) else None


def interval_for_query(
    name: str, op: str, value: object, unit: str | None
) -> QuantityInterval | None:
    """A condition ``name op value unit`` as an SI interval over all spellings of the name.

    Args:
        op: ``eq``, ``gt``, ``gte``, ``lt``, ``lte`` or ``between`` (value: two ends, in order or
            not); a negation is the caller's.
        value: number or numeric text, as portals send numbers as text.
        unit: without one the value is compared as sent, which is no interval: ``None``.

    Returns:
        ``None`` when value and unit make no quantity. ``eq`` is widened by ``EQUAL_WITHIN``.
    """
    measured = _measure(name, value, unit, op)
    if measured is None:
        return None
    dimension, low, high = measured
    names = _names_for_query(name, dimension)
    if op in ("eq", "between"):
        return QuantityInterval(names, dimension, _widen(low, -1), _widen(high, 1))
    if op in ("gt", "gte"):
        return QuantityInterval(names, dimension, low, None, open_low=op == "gt")
    return QuantityInterval(names, dimension, None, high, open_high=op == "lt")


def _measure(
    name: str, value: object, unit: str | None, op: str
) -> tuple[str, float, float] | None:
    if op not in ("eq", "gt", "gte", "lt", "lte", "between"):
        return None
    values: Sequence[object] = (value,)
    if op == "between":
        if not isinstance(value, list | tuple) or len(value) != 2:
            return None
        values = value
    quantities = [to_quantity(name, single, unit) for single in values]
    first, last = quantities[0], quantities[-1]
    if first is None or last is None or first.dimension != last.dimension:
        return None
    if op == "between":
        return first.dimension, min(first.low, last.low), max(first.high, last.high)
    return first.dimension, first.low, last.high


def _names_for_query(name: str, dimension: str) -> tuple[str, ...]:
    """Spellings of ``name``; a wavelength asked for in keV is looked up among the energies."""
    names = parameter_names(name)
    canonical = canonical_name(name)
    if canonical == WAVELENGTH and dimension == "energy":
        return tuple(dict.fromkeys((*names, *parameter_names(ENERGY))))
    if canonical in (ENERGY, PHOTON_ENERGY, NEUTRON_ENERGY) and dimension == "length":
        return tuple(dict.fromkeys((*names, *parameter_names(WAVELENGTH))))
    return names


def _widen(value: float, direction: int) -> float:
    return value + direction * abs(value) * EQUAL_WITHIN


def _read(name: str, value: object, unit: str | None) -> tuple[Numeral, Unit] | str:
    numeral = read_numeral(value)
    if numeral is None:
        return "no number"
    sent = unit.strip() if isinstance(unit, str) else ""
    written = sent or numeral.unit or split_unit(name)[1] or ""
    if not written:
        return "no unit"
    announced = announced_dimension(name)
    known = read_unit(written, quantity=announced)
    if known is None:
        return "unknown unit"
    if sent and numeral.unit and read_unit(numeral.unit, quantity=announced) != known:
        # "12 keV" with unit "eV": one of them is wrong, and we cannot know which.
        return "unknown unit"
    return numeral, known


def _quantity(name: str, numeral: Numeral, unit: Unit, particle: str | None) -> Quantity | None:
    ends = unit.to_si(numeral.low), unit.to_si(numeral.high)
    low, high = min(ends), max(ends)
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return _with_twin(name, unit.dimension, low, high, particle)


def _with_twin(
    name: str, dimension: str, low: float, high: float, particle: str | None
) -> Quantity:
    canonical = canonical_name(name)
    if canonical in BEAM_NAMES and dimension in ("energy", "length"):
        canonical = _beam_name(canonical, dimension, particle)
        twin = _twin(dimension, low, high, particle)
        return Quantity(dimension, low, high, canonical, (twin,) if twin else ())
    if canonical is not None and DIMENSION_OF.get(canonical, dimension) != dimension:
        canonical = None
    return Quantity(dimension, low, high, canonical)


def _beam_name(canonical: str | None, dimension: str, particle: str | None) -> str:
    if dimension == "length":
        return WAVELENGTH
    if canonical in (PHOTON_ENERGY, NEUTRON_ENERGY):
        return canonical
    return ENERGY_OF_PARTICLE.get(particle or "", ENERGY)


def _twin(dimension: str, low: float, high: float, particle: str | None) -> Quantity | None:
    if particle not in ENERGY_OF_PARTICLE or low <= 0:
        return None
    convert = _energy_of_wavelength if dimension == "length" else _wavelength_of_energy
    ends = convert(high, particle), convert(low, particle)
    if not all(math.isfinite(end) and end > 0 for end in ends):
        return None
    if dimension == "length":
        return Quantity("energy", ends[0], ends[1], ENERGY_OF_PARTICLE[particle])
    return Quantity("length", ends[0], ends[1], WAVELENGTH)


def _energy_of_wavelength(wavelength_m: float, particle: str) -> float:
    """E = hc/λ for a photon, h²/(2mλ²) for a neutron, in J."""
    if particle == "photon":
        return round_value(PLANCK_JS * LIGHT_M_PER_S / wavelength_m)
    momentum = PLANCK_JS / wavelength_m
    return round_value(momentum * momentum / (2 * NEUTRON_MASS_KG))


def _wavelength_of_energy(energy_j: float, particle: str) -> float:
    if particle == "photon":
        return round_value(PLANCK_JS * LIGHT_M_PER_S / energy_j)
    return round_value(PLANCK_JS / math.sqrt(2 * NEUTRON_MASS_KG * energy_j))


MAX_SENTENCE_LENGTH = 1000

_DIGIT = re.compile(r"\d")
_NUMBER_IN_TEXT = r"[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,2})?"
_UNIT_IN_TEXT = (
    r"(?:[kMGmuµ]?eV|kev|KeV|Å|Å|angstroms?|Angstroms?|ångströms?|nm|nanomet(?:er|re)s?|pm|"
    r"m?K|kelvins?|Kelvin|°\s?[CFK]|℃|deg\s?C|degrees\s[Cc](?:elsius)?|[cC]elsius|"
    r"[mkMGh]?Pa|[mkM]?bars?|torr|Torr|mTorr|atm|m?T|[Tt]esla)"
)
_MENTION = re.compile(
    rf"""
    (?P<between>\b(?:between|from)\s+)?
    (?P<sign>(?:\b(?:below|under|less\ than|lower\ than|up\ to|at\ most|not\ above|
              above|over|more\ than|higher\ than|greater\ than|at\ least|not\ below|
              about|around|approximately|approx\.?|ca\.)\s+)|[<>≤≥~≈]=?\s*)?
    (?<![\w.])(?P<first>{_NUMBER_IN_TEXT})\s?(?P<first_unit>{_UNIT_IN_TEXT}(?![\w^⁻]))?
    (?:\s*(?:-|–|—|\.\.\.?|…|\bto\b|(?P<and>\band\b)|(?P<spread>±|\+/-))\s*
       (?P<second>{_NUMBER_IN_TEXT})\s?(?P<second_unit>{_UNIT_IN_TEXT}(?![\w^⁻])))?
    """,
    re.VERBOSE,
)
_BELOW = frozenset(
    {"below", "under", "less than", "lower than", "up to", "at most", "not above", "<", "≤", "<="}
)
_ABOVE = frozenset(
    {"above", "over", "more than", "higher than", "greater than", "at least", "not below"}
    | {">", "≥", ">="}
)
_END_INCLUDED = frozenset(
    {"up to", "at most", "not above", "≤", "<=", "at least", "not below", "≥", ">="}
)


def recognise_quantities(sentence: str) -> tuple[QuantityMention, ...]:
    """Quantities inside a sentence: ``12 keV``, ``below 10 K``, ``between 1 and 2 nm``.

    Only energies, lengths that can be wavelengths, temperatures, pressures and magnetic fields:
    they have listed parameter names to which a quantity without a name can apply (semantics 5.3).
    ``about 12 keV`` is half a unit of the last digit written to either side.
    """
    if _DIGIT.search(sentence) is None:
        return ()
    mentions = []
    text, place = sentence[:MAX_SENTENCE_LENGTH], 0
    while found := _MENTION.search(text, place):
        if _are_two_things(found):
            # "77 K and 2 bar": each for itself.
            found = _MENTION.search(text, found.start(), found.end("first_unit")) or found
        place = found.end()
        mention = _mention(found)
        if mention is not None:
            mentions.append(mention)
    return tuple(mentions)


def _are_two_things(found: re.Match[str]) -> bool:
    if found["between"] or not (found["and"] and found["first_unit"]):
        return False
    first, second = read_unit(found["first_unit"]), read_unit(found["second_unit"])
    return first is None or second is None or first.dimension != second.dimension


def _mention(found: re.Match[str]) -> QuantityMention | None:
    unit_text = found["second_unit"] or found["first_unit"]
    if not unit_text:
        return None
    unit = read_unit(unit_text)
    names = names_of_dimension(unit.dimension) if unit else ()
    if unit is None or not names:
        return None
    spelt = tuple(dict.fromkeys(s for name in names for s in parameter_names(name)))
    sign = " ".join((found["sign"] or "").split()).casefold()
    first = float(found["first"].replace("−", "-"))
    last = float(found["second"].replace("−", "-")) if found["second"] else first
    if found["spread"]:
        first, last = first - abs(last), first + abs(last)
    elif found["second"] and found["first_unit"] not in (None, found["second_unit"]):
        other = read_unit(found["first_unit"])
        if other is None or other.dimension != unit.dimension:
            return None
        first = unit.from_si(other.to_si(first))
    elif not found["second"] and sign in ("about", "around", "approximately", "approx", "~", "≈"):
        half = _half_a_digit(found["first"])
        first, last = first - half, first + half
    low, high = sorted((unit.to_si(first), unit.to_si(last)))
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    included = sign in _END_INCLUDED
    if sign in _BELOW:
        condition = QuantityInterval(spelt, unit.dimension, None, high, open_high=not included)
    elif sign in _ABOVE:
        condition = QuantityInterval(spelt, unit.dimension, low, None, open_low=not included)
    else:
        condition = QuantityInterval(spelt, unit.dimension, _widen(low, -1), _widen(high, 1))
    start = found.start()
    return QuantityMention(start, found.end(), found.group(), condition)


def _half_a_digit(written: str) -> float:
    mantissa, _e, exponent = written.casefold().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** (int(exponent or 0) - decimals)
