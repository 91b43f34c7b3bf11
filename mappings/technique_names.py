"""Every name that a PaNET term goes by, ready to be looked up by its words.

Names come from PaNET's labels and alternative labels, from ``panet/spellings.tsv`` (what facilities
write and PaNET does not know) and from ``panet/not_techniques.tsv`` (phrases that must not be taken
for a technique although they contain a technique's words).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mappings.technique_words import (
    ABBREVIATIONS,
    GENERIC,
    MODIFIERS,
    OTHER_WORD,
    PROBE_WORDS,
    SAME_WORD,
    Word,
    join_and_split,
    split_words,
)
from mappings.techniques import FOLDER, Term, load_panet, read_table

Origin = Literal["label", "synonym", "spelling"]
Key = tuple[str, ...]

CONFIDENCE: Mapping[Origin, float] = {"label": 0.98, "synonym": 0.96, "spelling": 0.95}

HEADS = frozenset(
    [
        "absorption", "crystallography", "diffraction", "emission", "holography", "imaging",
        "lithography", "luminescence", "microscopy", "radiography", "reflectivity", "scattering",
        "spectroscopy", "spectrometry", "tomography", "topography", "polarimetry",
        "fluorescence", "photoemission", "dichroism", "spectromicroscopy", "interferometry",
    ]
)  # fmt: skip
"""Names of one word that many other techniques end with: "electron diffraction" is none of ours."""

ENGLISH = frozenset(
    ["sans", "mad", "sad", "pes", "ede", "cd", "ld", "mr", "em", "tem", "sem", "drifts", "sins"]
)
"""Acronyms that are words or syllables in small letters; taken only when written as acronyms."""

AMBIGUOUS = frozenset(
    ["cd", "ct", "em", "ld", "mad", "mcd", "mx", "nd", "nr", "nis", "nfs", "nrs", "pci", "pcs",
     "dls", "pdf", "px", "sad", "sas", "sx", "tof", "ups", "ins", "stem", "tem", "sem", "xrs"]
)  # fmt: skip
"""Acronyms with other meanings: taken only where nothing else stands beside them."""

LONGEST_WORD = 40
READ_KEPT = 256
"""Texts whose words are kept: a phrase is read several times while it is linked."""
BROADEST = re.compile(r"versus |obtain |characterize |defined by |photon and neutron technique")


@dataclass(frozen=True, slots=True)
class Name:
    """One name: the words it is made of, the terms it means (two for "SWAXS"), where it is from."""

    words: Key
    ids: tuple[str, ...]
    origin: Origin

    @property
    def is_acronym(self) -> bool:
        return len(self.words) == 1 and len(self.words[0]) <= 6 and self.words[0] not in HEADS

    @property
    def is_head(self) -> bool:
        """A single word that tells little: needs everything beside it to be harmless."""
        return len(self.words) == 1 and self.words[0] in HEADS


class Names:
    """All names, looked up in the order of their words or in any order."""

    def __init__(self, terms: Iterable[Term]) -> None:
        listed = list(_all_names(terms))
        pieces = [split_words(spelling) for spelling, _, _ in listed]
        refused = [split_words(row["phrase"]) for row in read_table(FOLDER / "not_techniques.tsv")]
        self.vocabulary = frozenset(
            word.text for words in (*pieces, *refused) for word in words if len(word.text) > 2
        )
        self._near: dict[str, list[str]] = {}
        for word in sorted(self.vocabulary | SAME_WORD.keys()):
            for shortened in one_letter_less(word):
                self._near.setdefault(shortened, []).append(word)
        self.refused = frozenset(self.key(words) for words in refused)
        self.refused_words = frozenset(key[-1] for key in self.refused if len(key) > 1)
        self.by_words: dict[Key, Name] = {}
        self.in_any_order: dict[frozenset[str], Name | None] = {}
        self.exact: dict[str, Name] = {}
        for (spelling, identifier, origin), words in zip(listed, pieces, strict=True):
            self._enter(spelling, self.key(words), identifier, origin)
        for name in self.by_words.values():
            bag = frozenset(name.words)
            known = self.in_any_order.setdefault(bag, name)
            if known is not name and known is not None and known.ids != name.ids:
                self.in_any_order[bag] = None
        self.named = frozenset(word for key in self.by_words for word in key) | OTHER_WORD.keys()
        self.longest = max(map(len, (*self.by_words, *self.refused)))
        self._read = functools.lru_cache(maxsize=READ_KEPT)(self._read_once)
        self.acronyms = self._collect_acronyms()
        self.of_term: dict[str, list[Name]] = {}
        for name in self.by_words.values():
            if len(name.ids) == 1 and len(name.words) > 1:
                self.of_term.setdefault(name.ids[0], []).append(name)

    def _enter(self, spelling: str, key: Key, identifier: str, origin: Origin) -> None:
        known = self.exact.get(fold(spelling))
        ids = (*known.ids, identifier) if known and known.origin == origin else (identifier,)
        if known is None or known.origin == origin == "spelling":
            self.exact[fold(spelling)] = Name(key, tuple(dict.fromkeys(ids)), origin)
        if not key or BROADEST.match(spelling) or _says_little(key, spelling):
            return
        earlier = self.by_words.get(key)
        if earlier is None:
            self.by_words[key] = Name(key, (identifier,), origin)
        elif origin == "spelling" and earlier.origin == "spelling":
            both = tuple(dict.fromkeys((*earlier.ids, identifier)))
            self.by_words[key] = Name(key, both, origin)

    def _collect_acronyms(self) -> dict[str, Key]:
        """The label's words for each acronym of one term; those with other meanings are left."""
        labels = {name.ids: key for key, name in self.by_words.items() if name.origin == "label"}
        return {
            key[0]: labels[name.ids]
            for key, name in self.by_words.items()
            if name.is_acronym and name.ids in labels and key[0] not in AMBIGUOUS
        }

    def near(self, text: str) -> set[str]:
        """The known words that may be one typing error away: those that meet with one letter less
        on either side."""
        return {
            word for shortened in one_letter_less(text) for word in self._near.get(shortened, ())
        }

    def narrower(self, name: Name, words: Sequence[str], beside: Sequence[str] = ()) -> Name | None:
        """The longest name below ``name`` that stands among the words with only words of ``name``
        between, and with the last word of either: "small molecule diffraction" in "small molecule
        single crystal diffraction". With
        the words of a second name ``beside`` it, other names of the same term count as well, and
        must have the last of these: "Fourier transform infrared absorption spectroscopy"."""
        if len(name.ids) != 1 or len(words) <= len(name.words):
            return None
        best, length = None, len(name.words) + bool(beside)
        said, own = set(words), set(name.words)
        terms = load_panet().descendants(name.ids[0])
        for identifier in (*terms, *name.ids) if beside else terms:
            for one in self.of_term.get(identifier, ()):
                if len(one.words) < length or not said.issuperset(one.words):
                    continue
                if beside and beside[-1] not in one.words:
                    continue
                if one.words[-1] not in own and name.words[-1] not in one.words:
                    continue
                places = [place for place, word in enumerate(words) if word in one.words]
                between = set(words[places[0] : places[-1] + 1])
                if between <= own.union(one.words, beside) and not own.issuperset(one.words):
                    best, length = one, len(one.words) + 1
        return best

    def is_technique(self, word: Word) -> bool:
        """Whether a word is an acronym that means one technique and nothing else: the "SAXS" beside
        a "DLS", the "EDX" after a "SEM"."""
        name = self.by_words.get((word.text,))
        return name is not None and name.is_acronym and word.shouts and word.text not in AMBIGUOUS

    def written_out(self, key: Key) -> Key:
        """A key with its acronyms as words, each word once: "surface XRD", "ED-XRD", "TR-SFX"."""
        if len(key) < 2 or sum(word in self.acronyms for word in key) != 1:
            return key
        words: list[str] = []
        for word in key:
            words += ABBREVIATIONS.get(word) or self.acronyms.get(word) or (word,)
        return tuple(dict.fromkeys(words))

    def with_probe(self, identifier: str, probe: str) -> Name | None:
        """The name of the term below ``identifier`` that adds a probe's word and nothing else."""
        panet = load_panet()
        term = panet.term(identifier)
        for spelling in (term.label, *term.synonyms):
            name = self.in_any_order.get(frozenset((*self.key(self.read(spelling)), probe)))
            if name is None or len(name.ids) != 1 or name.ids[0] == identifier:
                continue
            if identifier in panet.ancestors(name.ids[0]):
                return name
        return None

    def key(self, words: Sequence[Word]) -> Key:
        """The canonical texts of the words that say something."""
        known = join_and_split(words, self.vocabulary)
        return tuple(word.text for word in known if word.text not in GENERIC)

    def read(self, text: str) -> list[Word]:
        """The words of a text that say something, with their places."""
        return list(self._read(text))

    def _read_once(self, text: str) -> tuple[Word, ...]:
        known = join_and_split(split_words(text), self.vocabulary)
        return tuple(word for word in known if word.text not in GENERIC)

    def whole(self, key: Sequence[str]) -> Name | None:
        """The name made of exactly these words, in order or, if that is certain, in any order."""
        found = self.by_words.get(tuple(key))
        if found is None and len(key) > 1:
            found = self.in_any_order.get(frozenset(key))
            if found is not None and len(found.words) != len(key):
                return None
            if found is None and OTHER_WORD.keys() & set(key):
                other = tuple(OTHER_WORD.get(word, word) for word in key)
                found = self.by_words.get(other) or self.in_any_order.get(frozenset(other))
                if found is not None and len(found.words) != len(key):
                    return None
        return found


def one_letter_less(text: str) -> set[str]:
    """A word, and what is left of it without any one letter; only itself where it is far longer
    than any technique's word."""
    if len(text) > LONGEST_WORD:
        return {text}
    return {text, *(text[:place] + text[place + 1 :] for place in range(len(text)))}


def _says_little(key: Key, spelling: str) -> bool:
    """Whether a name is only itself when written out: "neutron probe technique" is not "neutron",
    "optics characterization" is not "optics", and "detector testing" is no technique."""
    if spelling in ("testing", "therapy"):
        return True
    if not any(word.text in GENERIC for word in split_words(spelling)):
        return False
    if all(word in MODIFIERS or word in PROBE_WORDS for word in key):
        return True
    return len(key) == 1 and key[0] not in HEADS


def fold(text: str) -> str:
    """A spelling without case, hyphens, outer blanks and British s, for exact look-ups."""
    return " ".join(text.casefold().replace("-", " ").replace("isation", "ization").split())


def _all_names(terms: Iterable[Term]) -> Iterator[tuple[str, str, Origin]]:
    techniques = [term for term in terms if term.is_technique]
    for term in techniques:
        yield term.label, term.id, "label"
    for term in techniques:
        for synonym in term.synonyms:
            yield synonym, term.id, "synonym"
    for row in read_table(FOLDER / "spellings.tsv"):
        yield row["spelling"], row["id"], "spelling"


@functools.cache
def load_names() -> Names:
    """The names of the PaNET in use."""
    return Names(load_panet().terms.values())
