"""One phrase to PaNET terms: a whole name, however written, or names inside it (semantics 4.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mappings.technique_matches import (
    SHORTEST_MISSPELT,
    Match,
    correct_spelling,
    find_matches,
    holds_refused,
    is_only_a_kind,
    length_of,
    may_stand,
    without_adjectives,
    without_flight,
    without_modifiers,
)
from mappings.technique_names import CONFIDENCE, Name, Names
from mappings.technique_words import (
    ENDINGS,
    FOREIGN,
    GENERAL,
    MODIFIERS,
    NEGATIONS,
    PROBE_WORDS,
    Word,
)
from mappings.techniques import load_panet

JOINTS = frozenset({"and", "or"})
LEFTOVER_PENALTY = 0.05
SPELLING_CONFIDENCE = 0.85
OF_A_KIND = "a kind of"
OF_A_KIND_CONFIDENCE = 0.7
LONGEST_OF_A_KIND = 6

SEPARATOR = re.compile(
    r"[,;/|\n+&]|:(?=\s)|\s[-–—]\s|\b(?:and|or|und|et|with(?!\s+(?:x[\s-]?ray|neutron|muon)))\b",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"\b(?:of|to|in|on|at|for|by|from|the)\b(?!\s+(?:situ|vivo|vitro|line|crystallo|meso))", re.I
)
_INVERSION = re.compile(r"[,:]|\s[-–—]\s")


@dataclass(frozen=True, slots=True)
class Link:
    """A PaNET term that a text names. ``id`` is short (``PaNET01188``), ``confidence`` in (0, 1],
    ``rule`` says in words how it was found, ``matched`` which part of the text was taken."""

    id: str
    label: str
    confidence: float
    rule: str
    matched: str


def links_of_name(
    name: Name, matched: str, rule: str, confidence: float | None = None
) -> tuple[Link, ...]:
    panet = load_panet()
    # What was taken off leaves 0.9099999999999999, which nobody wants to read in a record.
    sure = round(CONFIDENCE[name.origin] if confidence is None else confidence, 3)
    return tuple(Link(one, panet.term(one).label, sure, rule, matched) for one in name.ids)


def in_whole(names: Names, text: str) -> tuple[Link, ...]:
    """The whole text is one name: inverted ("diffraction, x-ray powder"), bracketed, misspelt."""
    words = names.read(text)
    key = tuple(word.text for word in words)
    if not words or key in names.refused:
        return ()
    name = names.whole(key) or names.whole(tuple(one for one in key if one not in JOINTS))
    if name is not None and _is_list(names, text) and _is_in_order(name, key, text):
        return ()
    if name is not None and may_stand(names, name, words, 0, len(words)):
        rule = name.origin if name.words == key else "word order"
        return links_of_name(name, text.strip(), rule)
    written_out = names.written_out(key)
    name = names.whole(written_out) if written_out != key else None
    if name is not None:
        return links_of_name(name, text.strip(), "acronym written out")
    for shortest in (SHORTEST_MISSPELT, SHORTEST_MISSPELT - 1)[: len(words)]:
        corrected = correct_spelling(names, words, shortest)
        name = names.whole(corrected) if corrected is not None else None
        if name is not None and not name.is_acronym:
            return links_of_name(name, text.strip(), "spelling error", SPELLING_CONFIDENCE)
    return ()


def _is_in_order(name: Name, key: Sequence[str], text: str) -> bool:
    """Whether the words come as in the name; only a comma, colon or dash may put the last first."""
    return _INVERSION.search(text) is None or name.words == tuple(
        one for one in key if one not in JOINTS
    )


def _is_list(names: Names, text: str) -> bool:
    """Whether a text only lists names: "Diffraction, Imaging" is not "diffraction imaging"."""
    parts = SEPARATOR.split(text)
    if len(parts) < 2:
        return False
    keys = [tuple(word.text for word in names.read(part)) for part in parts if part.strip()]
    return len(keys) > 1 and all(names.whole(key) is not None for key in keys)


def in_part(names: Names, segment: str) -> tuple[Link, ...]:
    words = names.read(segment)
    corrected = correct_spelling(names, words)
    if corrected is not None:
        words = [replace(w, text=t) for w, t in zip(words, corrected, strict=True)]
    words, matches = without_flight(names, words, find_matches(names, words))
    if all(match.name.is_head for match in matches):
        core = tuple(word.text for word in words if word.text not in MODIFIERS)
        name = names.whole(core) if 1 < len(core) < len(words) else None
        if name is not None and (
            holds_refused(names, words) or is_only_a_kind(name, len(core), len(words))
        ):
            name = None
        if name is not None:  # "infrared reflection absorption spectroscopy"
            sure = CONFIDENCE[name.origin] - LEFTOVER_PENALTY
            return links_of_name(name, segment.strip(), f"{name.origin} within", sure)
    better = without_modifiers(names, words, max((length_of(one) for one in matches), default=1))
    if better is not None:
        sure = CONFIDENCE[better.origin] - LEFTOVER_PENALTY
        return links_of_name(better, segment.strip(), f"{better.origin} within", sure)
    apart = _probe_apart(names, words, matches) or _both_in_one(names, words, matches)
    if apart is not None:
        return links_of_name(apart, segment.strip(), "word order")
    matches = without_adjectives(words, matches)
    links: list[Link] = []
    for match in matches:
        taken = words[match.first : match.last]
        matched = segment[taken[0].start : taken[-1].end]
        name = match.name
        sure = CONFIDENCE[name.origin] - (LEFTOVER_PENALTY if len(taken) < len(words) else 0)
        rule = f"{name.origin} within"
        upgraded = _with_probe_word(names, words, match)
        if upgraded is None and len(matches) == 1 and not name.is_head:
            upgraded = names.narrower(name, [word.text for word in words])
        if upgraded is not None:
            name, rule = upgraded, "word order"
        if corrected is not None:
            sure, rule = min(sure, SPELLING_CONFIDENCE), "spelling error"
        links += links_of_name(name, matched, rule, sure)
    if not links:
        return _of_a_kind(names, words, segment)
    exact = without_broader(links)
    return tuple(one for one in links if one in exact or _is_acronym_of_panet(one))


def _of_a_kind(names: Names, words: Sequence[Word], segment: str) -> tuple[Link, ...]:
    """What a name's last word says, where PaNET has nothing closer: "maskless lithography" is a
    lithography, "tissue imaging" an imaging; nothing that is probed with sound or resonance."""
    if not 0 < len(words) <= LONGEST_OF_A_KIND or holds_refused(names, words):
        return ()
    probes = {word.text for word in words if word.text in PROBE_WORDS}
    *before, last = [word for word in words if word.text not in PROBE_WORDS] or words
    ending = next((one for one in ENDINGS if last.text.endswith(one)), "")
    if last.text not in GENERAL and not (ending and len(last.text) > len(ending) + 2):
        return ()
    if not before and last.text in GENERAL:
        return ()
    if _PREPOSITION.search(segment, 0, last.start):  # "introduction to spectroscopy"
        return ()
    said = {word.text for word in before}
    name = names.by_words.get((ending if last.text not in GENERAL else last.text,))
    strange = said & (FOREIGN if name is None or name.words != ("lithography",) else NEGATIONS)
    if name is None or strange or said & NEGATIONS or last.raw.casefold().endswith("ic"):
        return ()
    probed = names.with_probe(name.ids[0], probes.pop()) if len(probes) == 1 else None
    return links_of_name(probed or name, segment.strip(), OF_A_KIND, OF_A_KIND_CONFIDENCE)


def without_broader(links: Sequence[Link]) -> tuple[Link, ...]:
    """Without the terms that only repeat a more exact one: the "HERFD" of "HERFD-XANES"."""
    if len(links) < 2:
        return tuple(links)
    panet = load_panet()
    said = frozenset[str]().union(*(panet.ancestors(one.id) - {one.id} for one in links))
    return tuple(one for one in links if one.id not in said)


def _is_acronym_of_panet(one: Link) -> bool:
    """A "SAXS" beside "USAXS" is meant; a "HERFD" beside "XANES" says how."""
    return one.rule.startswith("synonym") and one.matched.isupper() and one.matched.isalpha()


def _probe_apart(names: Names, words: Sequence[Word], matches: Sequence[Match]) -> Name | None:
    """The name of all words but a probe's that stands among them, and those that only qualify:
    "ptychographic X-ray imaging", "spin-echo wide-angle neutron scattering"."""
    probes = {word.text for word in words if word.text in PROBE_WORDS}
    if len(probes) != 1 or not matches:
        return None
    probe = probes.pop()
    found = {text for match in matches for text in match.name.words}
    rest = [word.text for word in words if word.text not in PROBE_WORDS]
    if len(matches) == 1 and MODIFIERS.issuperset(set(rest) - found):
        return None
    for key in (rest, [text for text in rest if text not in MODIFIERS or text in found]):
        name = names.by_words.get(tuple(key)) if len(key) > 1 else None
        if name is None or len(name.ids) != 1:
            continue
        own = load_panet().probe(name.ids[0])
        if own == PROBE_WORDS[probe] or (own is None and len(matches) > 1):
            return names.with_probe(name.ids[0], probe) or name
    return None


def _both_in_one(names: Names, words: Sequence[Word], matches: Sequence[Match]) -> Name | None:
    """The name that holds two found ones: what they are both parts of."""
    if len(matches) != 2:
        return None
    texts = [word.text for word in words[matches[0].first : matches[1].last]]
    first, second = (match.name for match in matches)
    return names.narrower(first, texts, second.words) or names.narrower(second, texts, first.words)


def _with_probe_word(names: Names, words: Sequence[Word], match: Match) -> Name | None:
    """A probe named elsewhere in the segment belongs to a neutral name ("X-ray pump-probe
    spectroscopy"), if PaNET has the two together."""
    if len(match.name.ids) != 1:
        return None
    texts = {word.text for word in (*words[: match.first], *words[match.last :])}
    for probe in texts & PROBE_WORDS.keys():
        name = names.in_any_order.get(frozenset((*match.name.words, probe)))
        name = name or names.with_probe(match.name.ids[0], probe)
        if name is not None:
            return name
    return None
