"""The words of technique names, brought to one form: case, hyphens, spelling, word endings.

A name becomes a sequence of words. What is compared is their canonical text, so that "Small-Angle
X-Ray Scattering", "small angle xray scattering" and "scattering, small angle, x-ray" meet.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mappings.techniques import FOLDER, read_table

_PIECE = re.compile(r"[^\W_]+", re.UNICODE)
_PREFIXED_ACRONYM = re.compile(r"([HST]R|GI|ED|[A-Za-z][a-z]{0,4})([A-Z]{3,6}|CT)")
_LETTER_BEFORE_ACRONYM = {"s": "soft", "q": "quick"}
MOST_PARTS = 4
LONGEST_PART = 30
_MICRO_SIGNS = "µμ"

SAME_WORD: Mapping[str, str] = {
    row["written"]: row["meant"] for row in read_table(FOLDER / "same_words.tsv")
}
"""One spelling for words that mean the same in a technique's name, in whatever language."""

PREFIXES = (
    "ultra",
    "tera",
    "micro",
    "nano",
    "quasi",
    "photo",
    "spectro",
    "non",
    "multi",
    "electro",
)
"""Written joined or apart ("nano-tomography"); joined where a known word results."""

JOIN_THEIR_NEIGHBOURS = frozenset({"x", "infra"})
"""What ``split_words`` takes together with a piece beside it: "x ray", "rayons x", "infra red"."""

_GENERIC = """
    computed computerized computer assisted technique techniques method methods methodology
    based experiment experiments experimental
    measurement measurements measuring analysis analyses study studies beamline beamlines
    instrument instruments instrumentation station endstation end data dataset setup mode
    sur aux du der mit mittels par using by with the a an of for on at in from via de des
    di dei dai da con por per los las le les der dem und et à mediante durch
    investigation investigations
    application applications facility type technology approach characterisation
    characterization performed probe probes investigate collected collection session
    sessions run condition conditions
"""
GENERIC = frozenset(_GENERIC.split())
"""Words that say nothing about which technique it is."""

_MODIFIERS = """
    situ insitu operando vivo vitro high low pressure temperature variable room cryo cryogenic
    time resolved fast quick rapid ultrafast ultra resolution throughput scanning mapping
    map maps micro nano microfocus nanofocus microfocused nanofocused micron synchrotron
    radiation source energy hard soft tender white pink beam monochromatic polychromatic
    polarized field magnetic 2d 3d 4d dimensional line inline automated automatic
    remote routine combined simultaneous standard conventional laboratory lab xfel fel sr tr
    hr is full bulk surface thin film films solution solid liquid state serial pump strain
    stress residual texture quantitative multi multimodal modal single shot angle dispersive
    depth profiling step chemical elemental biological bio thermal cold medium spatially
    angular position sensitive under advanced modern sub large small scale area wide space
    real reciprocal static dynamic kinetic non ambient near elastic macromolecular protein
    crystal powder and or propagation absorption phase contrast fluorescence transmission
    reflection bragg laue rietveld larmor diamond anvil cell spherical core level resonant
    valence band fixed target two tensor edge subtraction dark bright k l depolarization deep
    confocal table top focused focusing native sulfur s long short wavelength spectral
    engineering magnetism materials liquids horizontal vertical domain thomson
    millisecond microsecond nanosecond specular off axis circle four six biomedical medical
    inner shell crystalline amorphous fibre fiber coded aperture euv xuv vuv duv
    ultraviolet extreme vacuum optical spectroscopic interference coherent gas meso grain
    microcrystal fib element specific enhanced stimulated spontaneous confocal tip portable
    online coincidence polarization polarizing dependent
"""
MODIFIERS = frozenset(_MODIFIERS.split())
"""Words that qualify a technique and leave it what it is."""

_CONDITIONS = """
    situ operando vivo time resolved fast ultrafast high low resolution pressure temperature room
    energy static dynamic polarized
"""
CONDITIONS = frozenset(_CONDITIONS.split())
"""What says how, and shares no rest: "in-situ and operando diffraction" is one technique."""

ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "ed": ("energy", "dispersive"), "gi": ("grazing", "incidence"), "tof": ("time", "flight"),
    "tr": ("time", "resolved"), "hr": ("high", "resolution"), "sc": ("single", "crystal"),
    "res": ("resonant",),
}  # fmt: skip
"""Put before an acronym: "ED-XRD", "TR-SFX"."""

NEGATIONS = frozenset({"no", "not", "without", "non", "except"})

_RESULTS = """
    spectrum spectra pattern patterns image images map maps mapping profile profiles curve curves
    scan scans scanning result results signal phasing situ operando
"""
RESULTS = frozenset(_RESULTS.split())
"""What a technique gives, and how: "PES spectra", "PDF in situ"."""

_QUANTITIES = """
    angle field energy line axis step source wavelength band edge depth level plane
"""
QUANTITIES = frozenset(_QUANTITIES.split())
"""What makes a quantity of a head where it ends a text: "diffraction angle"."""

CATEGORIES = frozenset(
    {
        "absorption", "diffraction", "dichroism", "emission", "imaging", "lithography",
        "microscopy", "photoelectron emission", "photoemission", "reflection",
        "scattering", "spectroscopy", "ion spectroscopy",
    }
)  # fmt: skip
"""What portals list techniques under."""
_GENERAL = """
    crystallography diffraction imaging lithography luminescence microscopy reflectivity
    spectroscopy tomography
"""
GENERAL = frozenset(_GENERAL.split())
"""Heads that stand for what PaNET has no closer term for, where they end a name."""
_FOREIGN = """
    ultrasound ultrasonic acoustic photoacoustic optoacoustic seismic resonance nmr epr esr
    impedance dielectric electrochemical electrical electron positron ion atom helium radar
    satellite thermal capacitance conductance radio gravity tunneling tunnelling tunnel force probe
    noise mechanical transient mobility alpha beta kikuchi pet spect mri fmri eeg meg sonar lidar
    stellar astronomical lorentz microelectrode gravitational contact
"""
FOREIGN = frozenset(_FOREIGN.split())
"""What probes with something that is no photon, neutron or muon, or is no probe's at all."""
ENDINGS = ("luminescence", "lithography", "imaging")
"""Heads that other words are written together with: "radioluminescence", "neuroimaging"."""

FLIGHT_WORDS = frozenset({"time", "flight", "tof"})

_THINGS = """
    detector detectors camera holder holders grating gratings mirror mirrors lens lenses optics
    source sources tube tubes grid grids membrane membranes software code package library script
    capillary capillaries length lengths density densities coefficient coefficients edge edges
    section sections factor factors monitor filter window windows cell cells effect effects law
    equation theory laser lasers cross plate plates cantilever cantilevers tip tips stub
"""
THINGS = frozenset(_THINGS.split())
"""What a technique's name before it makes a thing or a quantity: "SAXS detector", "TEM grid"."""

OTHER_WORD = {
    "spectrometry": "spectroscopy", "spectroscopy": "spectrometry", "ct": "tomography",
}  # fmt: skip
"""Often confused, but not always the same: tried only when the word itself gives nothing."""

_SHARERS = (
    r"x[\s-]?rays?|neutrons?|muons?",
    r"ultra[\s-]?small|very[\s-]small|small|wide",
    r"micro|nano",
    r"(?:far[\s-]|mid[\s-]|near[\s-])?infrared|thz|terahertz",
    r"inelastic|quasi[\s-]?elastic|elastic",
    r"linear|circular",
    r"powder|single[\s-]crystal",
    r"absorption|emission|fluorescence",
    r"photoemission|photoelectron",
)
PAIRS = tuple(
    re.compile(
        rf"\b({words})[\s-]*(?:\b(?:and|or)\b|/|&)\s*({words})(?:\b|(?<=micro)|(?<=nano))-?\s*",
        re.IGNORECASE,
    )
    for words in _SHARERS
)
"""Words of one kind that share the rest of a name when joined by "and"."""

PROBE_WORDS = {"xray": "photon", "photon": "photon", "neutron": "neutron", "muon": "muon"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: canonical form, as written, and where."""

    text: str
    raw: str
    start: int
    end: int

    @property
    def shouts(self) -> bool:
        """Written as acronyms are: at least two capitals, and at least as many as small letters."""
        capitals = sum(letter.isupper() for letter in self.raw)
        return capitals >= 2 and 2 * capitals >= sum(letter.isalpha() for letter in self.raw)

    @property
    def is_symbol(self) -> bool:
        """Two letters, the second small, as elements are written: "Nd" is no "ND"."""
        return len(self.raw) == 2 and self.raw[0].isupper() and self.raw[1].islower()


def split_words(text: str) -> list[Word]:
    """Pieces of letters and digits, canonical one by one, "x ray" and the micro sign resolved."""
    words: list[Word] = []
    for found in _PIECE.finditer(text):
        raw, start, end = found.group(), found.start(), found.end()
        if raw[0] in _MICRO_SIGNS:
            words.append(Word("micro", raw[0], start, start + 1))
            raw, start = raw[1:], start + 1
            if not raw:
                continue
        folded = raw if raw.isascii() else unicodedata.normalize("NFKC", raw)
        folded = folded.casefold()
        if folded == "x" and words and words[-1].raw.casefold() in ("rayons", "rayos", "raggi"):
            first = words.pop()
            words.append(Word("xray", text[first.start : end], first.start, end))
            continue
        if folded == "red" and words and words[-1].raw.casefold() == "infra":
            first = words.pop()
            words.append(Word("infrared", text[first.start : end], first.start, end))
            continue
        if folded in ("ray", "rays") and words and words[-1].text == "x":
            first = words.pop()
            words.append(Word("xray", text[first.start : end], first.start, end))
            continue
        words.append(Word(SAME_WORD.get(folded, folded), raw, start, end))
    return words


def join_and_split(words: Sequence[Word], vocabulary: frozenset[str]) -> list[Word]:
    """Join prefixes to what follows, singular for plural, "smallangle" apart — where known words
    result."""
    joined: list[Word] = []
    for word in words:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.text in PREFIXES
            and SAME_WORD.get(last.text + word.text, last.text + word.text) in vocabulary
        ):
            text = last.text + word.text
            joined[-1] = Word(
                SAME_WORD.get(text, text), f"{last.raw}{word.raw}", last.start, word.end
            )
        else:
            joined += _known_forms(word, vocabulary)
    return joined


def _known_forms(word: Word, vocabulary: frozenset[str]) -> Iterable[Word]:
    text = word.text
    if text in vocabulary or text in GENERIC or text in MODIFIERS or len(text) < 4:
        return (word,)
    prefixed = _PREFIXED_ACRONYM.fullmatch(word.raw)
    if prefixed is not None and (prefixed[2] == "CT" or prefixed[2].casefold() in vocabulary):
        first = prefixed[1].casefold()
        first = _LETTER_BEFORE_ACRONYM.get(first, first)
        if len(prefixed[1]) == 1 and prefixed[1].isupper() and not prefixed[2].startswith("X"):
            first = ""  # "SINS" is infrared nanospectroscopy, no soft INS; "SXAS" is soft XAS
        if first in MODIFIERS or first in ABBREVIATIONS:
            middle = word.start + len(prefixed[1])
            return (
                Word(first, prefixed[1], word.start, middle),
                Word(prefixed[2].casefold(), prefixed[2], middle, word.end),
            )
    singular = text[:-1] if text.endswith("s") else ""
    if len(singular) > 3 and singular in vocabulary:
        return (Word(singular, word.raw, word.start, word.end),)
    return _compounds(word, vocabulary, MOST_PARTS) or (word,)


def _compounds(word: Word, vocabulary: frozenset[str], parts: int) -> tuple[Word, ...]:
    """The known words that a word is made of, none where it is not: "smallangle", and
    "Röntgenabsorptionsspektroskopie"."""
    text = word.text
    for cut in range(min(len(text) - 4, LONGEST_PART), 3, -1):
        first = SAME_WORD.get(text[:cut], text[:cut])
        if first not in vocabulary:
            continue
        middle = word.start + min(cut, word.end - word.start)
        rest = SAME_WORD.get(text[cut:], text[cut:])
        second = Word(rest, word.raw[cut:], middle, word.end)
        known: tuple[Word, ...] = (second,) if rest in vocabulary else ()
        if not known and parts > 2:
            known = _compounds(replace(second, text=text[cut:]), vocabulary, parts - 1)
        if known:
            return (Word(first, word.raw[:cut], word.start, middle), *known)
    return ()


def within_one_edit(first: str, second: str) -> bool:
    """Whether one letter more, less, other, or two neighbours swapped make them equal."""
    if first == second:
        return True
    short, long = sorted((first, second), key=len)
    if len(long) - len(short) > 1:
        return False
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    if len(short) == len(long):
        swapped = short[start + 1 : start + 2] + short[start : start + 1] + short[start + 2 :]
        return short[start + 1 :] == long[start + 1 :] or swapped == long[start:]
    return short[start:] == long[start + 1 :]
