"""Finding technique names among the words of a text: longest first, judged by their neighbours.

Precision counts more than recall (semantics 4.3): a lone "imaging" needs everything beside it to
merely qualify it, acronyms with other meanings must stand alone, what is denied is not meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mappings.technique_names import AMBIGUOUS, ENGLISH, HEADS, Name, Names
from mappings.technique_words import (
    FLIGHT_WORDS,
    MODIFIERS,
    NEGATIONS,
    PROBE_WORDS,
    QUANTITIES,
    RESULTS,
    SAME_WORD,
    THINGS,
    Word,
    within_one_edit,
)

WORDS_FIRST = ENGLISH - {"sans"}
"""Never an acronym in small letters; alone, facilities do write "sans"."""
ADJECTIVES = ("scopic", "graphic", "metric")
VOWELS = frozenset("aeiouyäöü")
"""What a word has: "xrd" is none, in small letters either."""
EPONYMS = frozenset({"raman", "mössbauer"})
IN_A_LIST = frozenset(
    ["cd", "ct", "dct", "edd", "em", "ld", "mad", "mcd", "pci", "pcs", "pes", "sad", "stem",
     "tof", "ups"]
)  # fmt: skip
"""Acronyms that a list means only beside other techniques: not "CI/CD", nor "PDF, DOCX"."""
BEFORE_NOUNS = AMBIGUOUS | {"pes"}
"""Acronyms that are another thing's where a noun follows."""
BEAM_WORDS = frozenset({"soft", "hard", "tender", "high", "resolution", "time", "resolved"})
"""Words that may be taken out of a name although some names have them."""
FIRST_TECHNIQUE = "PaNET01"
"""Ids below are kinds: by probe, by process, by purpose."""
KINDS = frozenset(
    f"PaNET010{number}" for number in (24, 41, 42, 43, 44, 47, 48, 50, 52, 53, 54, 55)
)
"""Kinds among the techniques: coherent diffraction, emission, nuclear resonance, spin echo,
excitation."""
TIME_OF_FLIGHT = frozenset({"PaNET01000", "PaNET01001"})
SHORTEST_MISSPELT = 8
"""Typing tolerance begins at words of eight letters (semantics 4.3); within a longer name that is
otherwise complete, at seven ("inelastic neutorn scattering")."""


@dataclass(frozen=True, slots=True)
class Match:
    """A name found in ``words[first:last]``."""

    name: Name
    first: int
    last: int


def find_matches(names: Names, words: Sequence[Word], *, in_sentence: bool = False) -> list[Match]:
    """Names in a segment: longest first, from left to right, none over another."""
    texts = tuple(word.text for word in words)
    refused = _refused_spans(names, texts)
    taken: list[Match] = []
    place = 0
    while place < len(texts):
        step = 1
        for last in range(min(len(texts), place + names.longest), place, -1):
            key = texts[place:last]
            if key in names.refused:
                step = last - place
                break
            name = names.by_words.get(key) or (names.whole(key) if last - place > 1 else None)
            if name is None or is_only_a_kind(name, last - place, len(texts)):
                continue
            if any(place < first < last < end for first, end in refused):
                continue
            if _names_a_thing(words, last):
                step = last - place
                break
            if _is_made_of(taken, words, key, place) or may_stand(
                names, name, words, place, last, in_sentence=in_sentence
            ):
                taken.append(Match(name, place, last))
                step = last - place
                break
        place += step
    taken = _about_the_head(names, words, taken)
    if any(not match.name.is_head for match in taken):
        return [
            match
            for match in taken
            if not match.name.is_head or match.name.words == ("tomography",)
        ]
    return taken


def _names_a_thing(words: Sequence[Word], last: int) -> bool:
    """Whether the word right behind ``words[:last]`` makes a thing of them: a "SAXS detector", not
    the "microscopy of cells"."""
    if not 0 < last < len(words):
        return False
    if _is_an_adjective_of(words[last - 1], words[last]):
        return True
    ends = last + 1 == len(words) and words[last - 1].text in HEADS
    if words[last].text not in THINGS and not (ends and words[last].text in QUANTITIES):
        return False
    return words[last].start - words[last - 1].end <= 1


def _is_an_adjective_of(word: Word, after: Word) -> bool:
    """Whether a name's last word only tells of which kind something else is: a "crystallographic
    information file", not "spectroscopic imaging"."""
    known = any(after.text in some for some in (HEADS, MODIFIERS, PROBE_WORDS, RESULTS))
    return (
        word.raw.casefold().endswith(ADJECTIVES)
        and after.start - word.end <= 1
        and not known
        and len(after.text) > 3
    )


def _refused_spans(names: Names, texts: Sequence[str]) -> list[tuple[int, int]]:
    """Where refused phrases stand: a name that only runs into one ("neutron scattering length",
    "X-ray absorption edge") is no name there."""
    if not names.refused_words.intersection(texts):
        return []
    return [
        (first, last)
        for first in range(len(texts))
        for last in range(first + 2, min(len(texts), first + names.longest) + 1)
        if tuple(texts[first:last]) in names.refused
    ]


def is_only_a_kind(name: Name, length: int, words: int) -> bool:
    """Whether a name inside a longer one is of PaNET's kinds of techniques, which say little there:
    "forward-scattering ptychography" is no propagation technique."""
    return length < words and (name.ids[0] < FIRST_TECHNIQUE or name.ids[0] in KINDS)


def _about_the_head(names: Names, words: Sequence[Word], taken: list[Match]) -> list[Match]:
    """The last word says what a technique is: "X-ray phase contrast tomography" is "phase contrast
    tomography" with X-rays, not "X-ray phase contrast" beside a tomography."""
    end = len(words)
    if (
        not taken
        or (words[-1].text not in HEADS and words[-1].text != "ct")
        or (taken[-1].last == end and length_of(taken[-1]) > 1)
    ):
        return taken
    texts = tuple(word.text for word in words)
    for first in range(max(0, end - names.longest), end - 1):
        name = names.whole(texts[first:end])
        if name is None or texts[first:end] in names.refused:
            continue
        if any(match.last > first and length_of(match) > end - first for match in taken):
            continue
        before = [
            match
            for match in taken
            if match.last <= first and not MODIFIERS.issuperset(match.name.words)
        ]
        return [*before, Match(name, first, end)]
    return taken


def without_adjectives(words: Sequence[Word], taken: list[Match]) -> list[Match]:
    """A "holographic nanotomography" is one, and no holography beside it."""
    return [
        match
        for place, match in enumerate(taken)
        if place + 1 == len(taken)
        or taken[place + 1].name.is_head
        or taken[place + 1].first != match.last
        or not words[match.last - 1].raw.casefold().endswith("ic")
    ]


def length_of(match: Match) -> int:
    return match.last - match.first


def _is_made_of(taken: Sequence[Match], words: Sequence[Word], key: Sequence[str], at: int) -> bool:
    """Tomography made with another technique ("XANES tomography", "SAXS-CT") is both."""
    if tuple(key) not in (("tomography",), ("ct",)) or not taken or taken[-1].name.is_head:
        return False
    return all(_is_harmless(word) for word in words[taken[-1].last : at])


def may_stand(
    names: Names,
    name: Name,
    words: Sequence[Word],
    first: int,
    last: int,
    *,
    in_sentence: bool = False,
) -> bool:
    """Whether a name found in ``words[first:last]`` is meant as such, judging by its neighbours."""
    others = (*words[:first], *words[last:])
    if first and (words[first - 1].text in NEGATIONS or _is_denied(words[:first])):
        return False
    if name.is_head and _is_no_noun(words, first, last):
        return False
    if name.is_head:
        probed = first > 0 and words[first - 1].text in PROBE_WORDS
        beside = words[max(first - 1, 0) : first] if in_sentence else others
        if probed:  # "stroboscopic neutron imaging of fuel cells"
            beside = ()
        return all(_is_harmless(word) for word in beside)
    if name.words[0] in EPONYMS and len(name.words) == 1 and _is_a_person(names, words, first):
        return False
    if not name.is_acronym:
        return True
    word = words[first]
    if word.is_symbol or (word.text in WORDS_FIRST and not word.shouts):
        return False
    if word.text in BEFORE_NOUNS and _is_an_adjective(names, words, last):
        return False
    if word.text in AMBIGUOUS:
        alone = all(
            _is_harmless(other)
            or other.text in FLIGHT_WORDS
            or (len(word.text) > 2 and names.is_technique(other))
            for other in others
        )
        return word.shouts and (alone or in_sentence) if others else word.shouts or not in_sentence
    if word.text in ENGLISH or len(word.text) < (3 if in_sentence else 4):
        return word.shouts or not others or (len(word.text) > 2 and VOWELS.isdisjoint(word.text))
    return True


def _is_no_noun(words: Sequence[Word], first: int, last: int) -> bool:
    """Whether a head is something else where it stands alone: an "emission" is of a gas, a
    "scatter" a plot."""
    raw = words[first].raw.casefold()
    return (last - first, len(words)) == (1, 1) and raw in ("emission", "emissions", "scatter")


def _is_a_person(names: Names, words: Sequence[Word], last: int) -> bool:
    """Whether given names or initials stand before a surname that is a technique's as well, and
    nothing else stands there: "C. V. Raman"."""
    return last > 0 and all(
        word.raw[0].isupper()
        and not (word.shouts or word.is_symbol)
        and word.text not in MODIFIERS
        and word.text not in PROBE_WORDS
        and word.text not in names.vocabulary
        for word in words[:last]
    )


def _is_an_adjective(names: Names, words: Sequence[Word], last: int) -> bool:
    """Whether the noun right behind an ambiguous acronym takes it for its own: an "EM field", a
    "PES polymer"; not a "PES spectrum", "EM imaging", "SEM/EDX"."""
    if last == len(words) or words[last].start - words[last - 1].end > 1:
        return False
    after = words[last]
    known = after.text in RESULTS or after.text in HEADS or after.text.isdigit()
    return not (known or names.is_technique(after) or after.text in FLIGHT_WORDS)


def _is_denied(before: Sequence[Word]) -> bool:
    """Whether a denial stands before a name, with words between that only qualify it."""
    for word in reversed(before):
        if word.text in NEGATIONS - MODIFIERS:
            return True
        if word.text not in MODIFIERS and word.text not in PROBE_WORDS:
            return False
    return False


def _is_harmless(word: Word) -> bool:
    return word.text in MODIFIERS or word.text in PROBE_WORDS or word.text.isdigit()


def holds_refused(names: Names, words: Sequence[Word]) -> bool:
    texts = tuple(word.text for word in words)
    return any((text,) in names.refused for text in texts) or bool(_refused_spans(names, texts))


def without_flight(
    names: Names, words: list[Word], matches: list[Match], *, in_sentence: bool = False
) -> tuple[list[Word], list[Match]]:
    """Time of flight says how neutrons are sorted: it counts only where nothing else is named."""
    if not any(TIME_OF_FLIGHT.issuperset(match.name.ids) for match in matches):
        return words, matches
    rest = [word for word in words if word.text not in FLIGHT_WORDS]
    others = find_matches(names, rest, in_sentence=in_sentence)
    if others:
        return rest, others
    alone = all(_is_harmless(word) or word.text in FLIGHT_WORDS for word in words)
    return words, matches if alone or in_sentence else []


def without_modifiers(names: Names, words: Sequence[Word], length: int) -> Name | None:
    """The longest name of more than ``length`` words that is left when words which only qualify a
    technique are taken out: "cryo soft X-ray microscopy"."""
    if len(words) > 8:
        return None
    texts = [word.text for word in words]
    if any(text in NEGATIONS for text in texts) or holds_refused(names, words):
        return None
    places = [
        place
        for place, text in enumerate(texts)
        if text in BEAM_WORDS or (text in MODIFIERS and text not in names.vocabulary)
    ]
    for dropped in range(1, min(len(places), len(texts) - length - 1, 3) + 1):
        for out in combinations(places, dropped):
            key = tuple(text for place, text in enumerate(texts) if place not in out)
            name = names.by_words.get(key)
            if name is not None and not name.is_head and not is_only_a_kind(name, 0, 1):
                return name
    return None


def correct_spelling(
    names: Names, words: Sequence[Word], shortest: int = SHORTEST_MISSPELT
) -> tuple[str, ...] | None:
    """The words with one typing error each mended, where that is certain; None without any."""
    mended = False
    texts = []
    for word in words:
        text = word.text
        if (
            len(text) >= shortest
            and text not in names.vocabulary
            and text not in MODIFIERS
            and text.isalpha()
            and not word.shouts
        ):
            near = _near(names, text, shortest)
            if near is not None:
                text, mended = near, True
        texts.append(text)
    return tuple(texts) if mended else None


def _near(names: Names, text: str, shortest: int) -> str | None:
    near = [one for one in names.near(text) if within_one_edit(one, text)]
    meant = {SAME_WORD.get(one, one) for one in near if len(one) >= shortest}
    return meant.pop() if len(meant) == 1 else None
