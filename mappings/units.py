"""Units as facilities write them, to SI.

A unit is read by a small grammar of our own (tokens with exponents, ``/``, ``per``), and each token
is looked up in pint's registry, restricted to units of measurement: pint's full parser would
evaluate expressions and take ``k`` for Boltzmann's constant. Unknown units are ``None``, never an
exception (fault D09). Temperatures carry their offset (fault D10).
"""

from __future__ import annotations

import functools
import math
import re
import threading
import unicodedata
from dataclasses import dataclass
from typing import Any

MAX_UNIT_LENGTH = 40
MAX_SYMBOL_LENGTH = 4
SIGNIFICANT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Unit:
    """SI value = value · ``factor`` + ``offset``; ``dimension`` is a name such as ``energy``.

    Dimensions without a name are written with base units, e.g. ``kg^1·s^-4``.
    """

    dimension: str
    factor: float
    offset: float = 0.0

    def to_si(self, value: float) -> float:
        """In SI, rounded to 12 significant digits; NaN or infinite when out of range."""
        return round_value(value * self.factor + self.offset)

    def from_si(self, value: float) -> float:
        return round_value((value - self.offset) / self.factor)


def round_value(value: float) -> float:
    """Round to 12 significant digits, −0 to 0: in doubles 0.23 nm is not 2.3 Å (semantics 5.1)."""
    if not math.isfinite(value):
        return value
    return float(f"{value:.{SIGNIFICANT_DIGITS - 1}e}") + 0.0


# Exponents of (m, kg, s, A, K, mol, cd, rad). A wavenumber is spelt apart from a length because
# momentum transfers are sent in 1/Å.
_DIMENSIONS: dict[tuple[int, ...], str] = {
    (0, 0, 0, 0, 0, 0, 0, 0): "number",
    (1, 0, 0, 0, 0, 0, 0, 0): "length",
    (-1, 0, 0, 0, 0, 0, 0, 0): "wavenumber",
    (2, 0, 0, 0, 0, 0, 0, 0): "area",
    (3, 0, 0, 0, 0, 0, 0, 0): "volume",
    (0, 1, 0, 0, 0, 0, 0, 0): "mass",
    (0, 0, 1, 0, 0, 0, 0, 0): "time",
    (0, 0, -1, 0, 0, 0, 0, 0): "frequency",
    (0, 0, 0, 1, 0, 0, 0, 0): "current",
    (0, 0, 0, 0, 1, 0, 0, 0): "temperature",
    (0, 0, 0, 0, 0, 1, 0, 0): "amount",
    (0, 0, 0, 0, 0, 0, 1, 0): "luminous intensity",
    (0, 0, 0, 0, 0, 0, 0, 1): "angle",
    (0, 0, -1, 0, 0, 0, 0, 1): "angular velocity",
    (1, 0, -1, 0, 0, 0, 0, 0): "velocity",
    (1, 0, -2, 0, 0, 0, 0, 0): "acceleration",
    (1, 1, -2, 0, 0, 0, 0, 0): "force",
    (2, 1, -2, 0, 0, 0, 0, 0): "energy",
    (2, 1, -3, 0, 0, 0, 0, 0): "power",
    (-1, 1, -2, 0, 0, 0, 0, 0): "pressure",
    (-3, 1, 0, 0, 0, 0, 0, 0): "density",
    (0, 0, 1, 1, 0, 0, 0, 0): "charge",
    (2, 1, -3, -1, 0, 0, 0, 0): "voltage",
    (1, 1, -3, -1, 0, 0, 0, 0): "electric field",
    (2, 1, -3, -2, 0, 0, 0, 0): "resistance",
    (-2, -1, 4, 2, 0, 0, 0, 0): "capacitance",
    (0, 1, -2, -1, 0, 0, 0, 0): "magnetic flux density",
    (-1, 0, 0, 1, 0, 0, 0, 0): "magnetic field strength",
    (-3, 0, 0, 0, 0, 1, 0, 0): "concentration",
    (3, 0, -1, 0, 0, 0, 0, 0): "volume flow",
    (2, 0, -2, 0, 0, 0, 0, 0): "dose",
    (0, 0, -1, 0, 1, 0, 0, 0): "temperature rate",
}
_BASE_SYMBOLS = ("m", "kg", "s", "A", "K", "mol", "cd", "rad")

# What pint does not read, or reads as something else in this field.
_SPELLINGS: dict[str, str] = {
    "°": "degree", "º": "degree", "degs": "degree", "deg.": "degree",
    "°C": "degC", "ºC": "degC", "C°": "degC", "℃": "degC", "oC": "degC",
    "degreeC": "degC", "degreesC": "degC", "deg.C": "degC", "Deg C": "degC", "DegC": "degC",
    "Deg": "degree",
    "deg c": "degC", "degc": "degC", "deg C": "degC", "centigrade": "degC", "celcius": "degC",
    "celsius": "degC", "degreecelsius": "degC",
    "degreescelsius": "degC", "degcelsius": "degC", "degreecelcius": "degC",
    "degreescelcius": "degC", "degreecentigrade": "degC", "degreescentigrade": "degC",
    "°F": "degF", "ºF": "degF", "℉": "degF", "fahrenheit": "degF", "degreeF": "degF",
    "degreesF": "degF", "degreefahrenheit": "degF", "degreesfahrenheit": "degF",
    "°K": "K", "ºK": "K", "degK": "K", "degreeK": "K", "degreesK": "K", "kelvins": "K",
    "degreekelvin": "K", "degreeskelvin": "K",
    "Å": "angstrom", "å": "angstrom", "Ang": "angstrom", "ang": "angstrom",
    "Ang.": "angstrom", "Angs": "angstrom", "Angst": "angstrom", "AA": "angstrom",
    "ångström": "angstrom", "ångstrom": "angstrom", "angström": "angstrom", "angstroem": "angstrom",
    "angstrøm": "angstrom", "ångstroms": "angstrom", "angstroms": "angstrom",
    "mu": "micrometer", "mum": "micrometer", "microns": "micron",
    "secs": "second", "sec": "second", "sec.": "second", "s.": "second", "mins": "minute",
    "hrs": "hour", "hr.": "hour", "yrs": "year", "msec": "millisecond", "usec": "microsecond",
    "nsec": "nanosecond", "psec": "picosecond", "fsec": "femtosecond", "µsec": "microsecond",
    "kev": "keV", "KeV": "keV", "KEV": "keV", "Kev": "keV", "ev": "eV", "EV": "eV", "Ev": "eV",
    "GEV": "GeV", "Gev": "GeV", "electronvolt": "eV", "electronvolts": "eV", "µeV": "ueV",
    "kiloelectronvolt": "keV", "kiloelectronvolts": "keV", "millielectronvolt": "meV",
    "millielectronvolts": "meV", "megaelectronvolt": "MeV", "gigaelectronvolt": "GeV",
    "mBar": "mbar", "MBAR": "mbar", "mbars": "mbar", "BAR": "bar", "Bar": "bar", "bars": "bar",
    "kBar": "kbar", "KBAR": "kbar", "Torr": "torr", "TORR": "torr", "mTorr": "mtorr", "pa": "Pa",
    "PA": "Pa", "hpa": "hPa", "kpa": "kPa", "gpa": "GPa", "Atm": "atm", "ATM": "atm",
    "HZ": "Hz", "hz": "Hz", "khz": "kHz", "KHz": "kHz", "KHZ": "kHz", "MHZ": "MHz",
    "ghz": "GHz", "thz": "THz", "Ohm": "ohm", "Ohms": "ohm", "OHM": "ohm", "Ω": "ohm",
    "kOhm": "kohm", "MOhm": "Mohm", "percent": "percent", "pct": "percent", "%": "percent",
    "ML": "mL", "cc": "cm3", "KG": "kg", "Kg": "kg", "gr": "g", "gram": "g", "grams": "g",
    "mT": "mT", "Oersted": "oersted", "G": "gauss", "kG": "kilogauss", "mG": "milligauss",
    "Gs": "gauss", "Gauss": "gauss", "kGauss": "kilogauss", "NM": "nm", "MM": "mm",
    "Da": "dalton", "kDa": "kilodalton", "MDa": "megadalton", "amu": "dalton",
}  # fmt: skip

# Words that only look like units here: dimension unknown, or no measure at all.
_REFUSED = frozenset(
    {
        "au",
        "a.u.",
        "arb",
        "arb.",
        "arb.u.",
        "arbitrary",
        "mev",
        "mEV",
        "px",
        "u",
        "a",
        "k",
        "c",
        "e",
    }
)

# Units of measurement among what pint knows; the second lot takes no prefix (ph is no picohour).
_SCALABLE = (
    "meter gram second ampere kelvin mole candela radian electron_volt joule calorie watt "
    "watt_hour newton pascal bar torr hertz becquerel gray sievert volt ohm farad coulomb siemens "
    "henry weber tesla liter molar dalton barn curie poise ampere_hour steradian"
)
_UNSCALABLE = (
    "minute hour day week month year degree_Celsius degree_Fahrenheit degree arcminute arcsecond "
    "angstrom micron inch foot standard_atmosphere millimeter_Hg meter_Hg "
    "pound_force_per_square_inch unified_atomic_mass_unit pound metric_ton percent ppm dyne erg"
)
_MEASURES = dict.fromkeys(_SCALABLE.split(), True) | dict.fromkeys(_UNSCALABLE.split(), False)

# Not through pint: gauss and oersted have half-integer dimensions there (Gaussian units), and a
# revolution is an angle, while chopper speeds in rpm and Hz should compare.
_OWN: dict[str, tuple[float, tuple[int, ...]]] = {
    "gauss": (1e-4, (0, 1, -2, -1, 0, 0, 0, 0)),
    "kilogauss": (1e-1, (0, 1, -2, -1, 0, 0, 0, 0)),
    "milligauss": (1e-7, (0, 1, -2, -1, 0, 0, 0, 0)),
    "oersted": (1e3 / (4 * math.pi), (-1, 0, 0, 1, 0, 0, 0, 0)),
    "Oe": (1e3 / (4 * math.pi), (-1, 0, 0, 1, 0, 0, 0, 0)),
    "kOe": (1e6 / (4 * math.pi), (-1, 0, 0, 1, 0, 0, 0, 0)),
    "rpm": (1 / 60, (0, 0, -1, 0, 0, 0, 0, 0)),
    "RPM": (1 / 60, (0, 0, -1, 0, 0, 0, 0, 0)),
}

# In this field, always a momentum transfer: nobody sends inverse amperes.
_INVERSE_ANGSTROM = frozenset({"1/A", "A^-1", "A-1", "A**-1", "A^(-1)", "1/Ang", "Å^(-1)"})

_ANGLES = {"radian": 1.0, "degree": math.pi / 180, "arcminute": math.pi / 10800}
_ANGLES["arcsecond"] = math.pi / 648000

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_PIECE = re.compile(r"([^\W\d_°%℃℉Å]+|[°º]\s?[CFK]?|[%℃℉Å])(?:\s?(?:\^|\*\*)?\s?([-+]?\d{1,2}))?")
_OPERATOR = re.compile(r"\s*(/|\*|·|⋅|×|\s|\.)\s*")


@functools.lru_cache(maxsize=4096)
def read_unit(text: str, *, quantity: str | None = None) -> Unit | None:
    """Read a unit, or ``None`` when it is none that we know.

    Args:
        text: as sent: ``keV``, ``Å``, ``s^-1``, ``°C``, ``mg/ml``, ``Å⁻¹``.
        quantity: the dimension that the parameter's name announces, for the three symbols that
            depend on it: ``C`` and ``F`` are degrees of a temperature (else coulomb, farad), ``A``
            is an ångström of a length (else ampere).
    """
    cleaned = _clean(text)
    cleaned = _as_announced(cleaned, quantity)
    if not cleaned or len(cleaned) > MAX_UNIT_LENGTH or cleaned in _REFUSED:
        return None
    whole = _SPELLINGS.get(cleaned) or _SPELLINGS.get(cleaned.replace(" ", ""))
    whole = whole or _spell_word(re.sub(r"[\s_]", "", cleaned))
    if whole is None and cleaned in _INVERSE_ANGSTROM:
        whole = "1/angstrom"
    single = _look_up(whole or cleaned)
    if single is not None:
        factor, offset, exponents = single
    else:
        product = _read_product(whole or cleaned, quantity)
        if product is None:
            return None
        factor, exponents = product
        offset = 0.0
    return Unit(_name_dimension(exponents), factor, offset)


def _clean(text: str) -> str:
    if len(text) > 2 * MAX_UNIT_LENGTH:
        return ""
    text = text.strip().translate(_SUPERSCRIPTS)
    # NFKC after superscripts are known as exponents; it also makes the Kelvin and ångström signs
    # into letters, and one mu of two.
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("μ", "µ")
    for left, right in ("[]", "()", "{}"):
        if text.startswith(left) and text.endswith(right):
            text = text[1:-1].strip()
    return text


def _as_announced(unit: str, quantity: str | None) -> str:
    if quantity == "temperature":
        return {"C": "degC", "F": "degF", "c": "degC", "f": "degF", "k": "K"}.get(unit, unit)
    if quantity == "length" and unit in ("A", "a"):
        return "angstrom"
    return unit


def _read_product(text: str, quantity: str | None) -> tuple[float, tuple[int, ...]] | None:
    """Factors with exponents: ``mg/ml``, ``s^-1``, ``1/angstrom``, ``counts per second``."""
    text = re.sub(r"\bper\b", "/", text)
    text = re.sub(r"^(?:inv(?:erse)?|reciprocal)[\s_]", "1/", text)
    factor = 1.0
    exponents = [0] * len(_BASE_SYMBOLS)
    sign = 1
    position = 0
    if text.startswith("1") and text[1:].lstrip().startswith("/"):
        position = 1
    first = position == 0
    while position < len(text):
        if not first:
            operator = _OPERATOR.match(text, position)
            if operator is None:
                return None
            # As written in the field, everything after a solidus divides: J/kg K is J/(kg K).
            if operator.group(1) == "/":
                sign = -1
            position = operator.end()
        first = False
        piece = _PIECE.match(text, position)
        if piece is None:
            return None
        found = _look_up(_spell(piece.group(1), quantity))
        if found is None:
            return None
        power = sign * int(piece.group(2) or 1)
        if abs(power) > 9:
            return None
        factor *= found[0] ** power
        exponents = [e + power * f for e, f in zip(exponents, found[2], strict=True)]
        position = piece.end()
    if not math.isfinite(factor) or factor == 0:
        return None
    return _tidy(factor), tuple(exponents)


def _tidy(factor: float) -> float:
    """Without the last digit's noise: a mmol/l is 1 mol/m³ and not 0.9999999999999999."""
    return float(f"{factor:.14e}")


def _spell(token: str, quantity: str | None) -> str:
    token = token.strip()
    if quantity in ("wavenumber", "length") and token == "A":  # noqa: S105 (a unit, no secret)
        return "angstrom"
    return _SPELLINGS.get(token) or _spell_word(token) or token


def _spell_word(word: str) -> str | None:
    """Words are written in any case, symbols are not (mPa, MPa)."""
    return _SPELLINGS.get(word.casefold()) if len(word) > MAX_SYMBOL_LENGTH else None


@functools.lru_cache(maxsize=1024)
def _look_up(token: str) -> tuple[float, float, tuple[int, ...]] | None:
    """Factor, offset and exponents of one unit, prefix included."""
    own = _OWN.get(token)
    if own is not None:
        return own[0], 0.0, own[1]
    if token in _REFUSED or not token or not re.fullmatch(r"[^\W\d]+|%", token):
        return None
    registry = _registry()
    prefix, name = _parse_name(token)
    if name is None:
        return None
    if name in _ANGLES:
        scale = float(registry.get_base_units(prefix + name)[0]) / _base_angle(name)
        return _ANGLES[name] * scale, 0.0, (0, 0, 0, 0, 0, 0, 0, 1)
    if name in ("degree_Celsius", "degree_Fahrenheit"):
        if prefix:
            return None
        zero = float(registry.Quantity(0.0, name).to("kelvin").magnitude)
        one = float(registry.Quantity(1.0, f"delta_{name}").to("kelvin").magnitude)
        return one, round_value(zero), (0, 0, 0, 0, 1, 0, 0, 0)
    factor, base = registry.get_base_units(prefix + name)
    exponents = _exponents(registry, base)
    return None if exponents is None else (_tidy(factor), 0.0, exponents)


def _base_angle(name: str) -> float:
    return float(_registry().get_base_units(name)[0])


def _parse_name(token: str) -> tuple[str, str | None]:
    """Prefix and name in pint, when it is a unit of measurement; ``min`` is no milli-inch."""
    readings = _registry().parse_unit_name(token)
    for prefix, name, _plural in readings:
        if name in _MEASURES and (_MEASURES[name] or not prefix or name == "meter_Hg"):
            return str(prefix), str(name)
    # Written-out names come in any case: Kelvin, PASCAL, Tesla. Symbols do not: mPa is no MPa.
    if len(token) > MAX_SYMBOL_LENGTH and token != token.lower():
        return _parse_name(token.lower())
    return "", None


def _exponents(registry: Any, base: Any) -> tuple[int, ...] | None:
    names = {
        "[length]": 0, "[mass]": 1, "[time]": 2, "[current]": 3,
        "[temperature]": 4, "[substance]": 5, "[luminosity]": 6,
    }  # fmt: skip
    exponents = [0] * len(_BASE_SYMBOLS)
    for dimension, power in registry.get_dimensionality(base).items():
        if dimension not in names or power != int(power):
            return None
        exponents[names[dimension]] = int(power)
    return tuple(exponents)


def _name_dimension(exponents: tuple[int, ...]) -> str:
    known = _DIMENSIONS.get(exponents)
    if known is not None:
        return known
    return "·".join(
        f"{symbol}^{power}" for symbol, power in zip(_BASE_SYMBOLS, exponents, strict=True) if power
    )


_making_registry = threading.Lock()


def _registry() -> Any:
    # Two threads that both find none would each take their half second.
    with _making_registry:
        return _only_registry()


@functools.cache
def _only_registry() -> Any:
    # Imported late: pint costs half a second that `--help` should not pay.
    import pint

    return pint.UnitRegistry()
