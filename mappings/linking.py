"""Technique names, as facilities and people write them, to PaNET terms (semantics 4.3).

A text is cut into segments; in each, the longest runs of words that are a name of a term are found.
Precision counts more than recall: a wrong technique misleads a scientist. So a lone "imaging" or
"diffraction" is taken only when everything beside it merely qualifies it, acronyms with other
meanings only when they stand alone, and what is no technique of PaNET ("electron diffraction")
is listed and refused.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mappings.technique_matches import (
    IN_A_LIST,
    TIME_OF_FLIGHT,
    WORDS_FIRST,
    Match,
    correct_spelling,
    find_matches,
    without_flight,
)
from mappings.technique_names import AMBIGUOUS, CONFIDENCE, HEADS, Name, Names, fold, load_names
from mappings.technique_phrases import (
    OF_A_KIND,
    SEPARATOR,
    SPELLING_CONFIDENCE,
    Link,
    in_part,
    in_whole,
    links_of_name,
    without_broader,
)
from mappings.technique_words import (
    CATEGORIES,
    CONDITIONS,
    GENERIC,
    JOIN_THEIR_NEIGHBOURS,
    MODIFIERS,
    PAIRS,
    PREFIXES,
    PROBE_WORDS,
    Word,
    join_and_split,
    split_words,
)
from mappings.techniques import PROBES, find_id, find_ids, load_panet

__all__ = ["MAX_TEXT_LENGTH", "SURE", "Link", "Recognition", "against_id", "link", "recognise"]

MAX_TEXT_LENGTH = 1000
PROBE_ADDED_CONFIDENCE = 0.85
USUAL_CHUNK = 64
"""Letters of what is remembered between two blanks."""
SURE = 0.9
"""From here on a name is certain enough to stand against an id, or for a mere keyword."""
LABEL_AGAINST_ID = 0.6
"""Confidence where label and id name unrelated techniques and the label is followed."""

_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PATH = re.compile(r"\s*(?:>|→|::|»)\s*|(?<=[a-z])\.(?=[A-Za-z])")
_DOTTED = re.compile(r"\b[A-Za-z](?:\.[A-Za-z]){2,}\.?(?![\w.])")
DOCUMENTS = frozenset({"csv", "doc", "docx", "html", "pptx", "svg", "text", "txt", "xlsx", "xml"})
SHARED_BEGINNING = "shares the beginning"
JOINED = frozenset({"and", "or", "und", "et", "&"})
_HEADING = re.compile(r":\s|\s[-–—]\s")
MOST_STEPS = 4
_LIST = re.compile(r"[,;|\n]")
_ID_WITH_IRI = re.compile(r"[^\s,;]*PaNET[\s_:-]?\d{5,7}[^\s,;]*", re.IGNORECASE)
_PERSON = re.compile(r"\s*[^\W\d_]+,(?:\s*[A-Z]\.)+\s*")
"""A surname with initials: "Raman, C. V."."""
_BRACKET = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")


@dataclass(frozen=True, slots=True)
class Recognition:
    """A technique named inside a sentence; ``text`` is ``sentence[start:end]``."""

    start: int
    end: int
    text: str
    links: tuple[Link, ...]


def link(text: str, probes: tuple[str, ...] = ()) -> tuple[Link, ...]:
    """Link a technique string to PaNET terms.

    Args:
        text: a label, an acronym, a list, an IRI; only the first 1,000 characters are read.
        probes: the facility's or instrument's probes; one alone adds itself to a neutral name.

    Returns:
        No link, one, or several ("SAXS/WAXS"), each once; never raises.
    """
    return _link(text[:MAX_TEXT_LENGTH], tuple(probes))


@functools.lru_cache(maxsize=16384)
def _link(text: str, probes: tuple[str, ...]) -> tuple[Link, ...]:
    names = load_names()
    if find_id(text) is not None:
        return _by_id(text, probes)
    if _PERSON.fullmatch(text):
        return ()
    if "." in text:  # "S.A.X.S."
        text = _DOTTED.sub(lambda found: found.group().replace(".", ""), text)
    exact = names.exact.get(fold(text))
    if exact is not None and not (exact.is_acronym and _is_other_word(names, text)):
        return _with_probe(links_of_name(exact, text.strip(), exact.origin), text, probes)
    found = (
        _by_path(names, text)
        or in_whole(names, text)
        or _in_pair(names, text)
        or _in_segments(names, text)
        or _in_humps(names, text)
    )
    return _with_probe(found, text, probes)


def recognise(sentence: str) -> tuple[Recognition, ...]:
    """Techniques named inside a sentence, with the words they took, in the sentence's order."""
    sentence = sentence[:MAX_TEXT_LENGTH]
    chunks = sentence.split()
    if len(max(chunks, key=len, default="")) <= USUAL_CHUNK and all(map(_is_of_no_name, chunks)):
        return ()
    return _recognise(sentence)


@functools.lru_cache(maxsize=16384)
def _is_of_no_name(chunk: str) -> bool:
    """Whether no technique's name has any word of a chunk without blanks, mended ones included, and
    none is read otherwise for what stands beside it. Most sentences are made of such chunks."""
    names = load_names()
    alone = split_words(chunk)
    for word in alone:
        if word.text in JOIN_THEIR_NEIGHBOURS or word.raw.casefold() in JOIN_THEIR_NEIGHBOURS:
            return False
    words = join_and_split(alone, names.vocabulary)
    for word in words:
        if word.text in PREFIXES or (word.text in names.named and word.text not in GENERIC):
            return False
    return correct_spelling(names, [word for word in words if word.text not in GENERIC]) is None


@functools.lru_cache(maxsize=8192)
def _recognise(sentence: str) -> tuple[Recognition, ...]:
    names = load_names()
    words = names.read(sentence)
    corrected = correct_spelling(names, words)
    mended = set()
    if corrected is not None:
        mended = {w.start for w, text in zip(words, corrected, strict=True) if w.text != text}
        words = [replace(w, text=text) for w, text in zip(words, corrected, strict=True)]
    matches = find_matches(names, words, in_sentence=True)
    words, matches = without_flight(names, words, matches, in_sentence=True)
    found = []
    for match in matches:
        name, taken = _with_probe_before(names, words, match)
        start, end = taken[0].start, taken[-1].end
        text = sentence[start:end]
        links = links_of_name(name, text, name.origin)
        if any(word.start in mended for word in taken):
            links = links_of_name(name, text, "spelling error", SPELLING_CONFIDENCE)
        found.append(Recognition(start, end, text, links))
    return tuple(found)


def _with_probe_before(
    names: Names, words: Sequence[Word], match: Match
) -> tuple[Name, Sequence[Word]]:
    """A name with the probe's word right before it, where PaNET has the two: "X-ray PEEM"."""
    name, first = match.name, match.first
    if first and words[first - 1].text in PROBE_WORDS and len(name.ids) == 1:
        probed = names.with_probe(name.ids[0], words[first - 1].text)
        if probed is not None:
            name, first = probed, first - 1
    return name, words[first : match.last]


def _by_id(text: str, probes: tuple[str, ...]) -> tuple[Link, ...]:
    """The terms of the ids in a text. Where they are none (ids of specifiers, unknown ids), the
    words beside them decide, and where they contradict the only id, ``against_id`` does."""
    panet = load_panet()
    terms = [panet.terms[one] for one in find_ids(text) if one in panet.terms]
    known = [term for term in terms if term.is_technique]
    rest = _ID_WITH_IRI.sub(" ", text).strip()
    if not known:
        return _link(rest, probes) if rest else ()
    if len(known) == 1 and rest:
        other = against_id(known[0].id, rest, probes)
        if other is not None:
            return (replace(other, matched=text.strip()),)
    return tuple(Link(term.id, term.label, 1.0, "id", text.strip()) for term in known)


def against_id(identifier: str, label: str, probes: tuple[str, ...] = ()) -> Link | None:
    """The link to follow where a label surely names a technique unrelated to the id beside it.

    One DESY dataset has PaNET01177 (fluorescence) named "X-Ray Reflectivity (XRR)". People read and
    choose labels, software copies ids: the label is followed, with the confidence of something
    that has been contradicted. A label that PaNET renamed, or that is only broader or narrower than
    its id, contradicts nothing.

    Returns:
        ``None`` where the label does not contradict the id.
    """
    links = link(label, probes)
    if len(links) != 1 or links[0].confidence < SURE:
        return None
    panet = load_panet()
    related = panet.ancestors(identifier, official=True) | panet.descendants(
        identifier, official=True
    )
    if links[0].id == identifier or links[0].id in related:
        return None
    return replace(links[0], confidence=LABEL_AGAINST_ID, rule="label against id")


def _is_other_word(names: Names, text: str) -> bool:
    """Whether an acronym standing alone is something else as well: "PhD", or "mad" in small
    letters (but not "sans", which facilities write so)."""
    words = names.read(text)
    if names.key(words) in names.refused:
        return True
    return all(word.is_symbol or (word.text in WORDS_FIRST and not word.shouts) for word in words)


def _by_path(names: Names, text: str) -> tuple[Link, ...]:
    """A hierarchy path: what its last parts make together ("diffraction > Laue"), or its last part
    that is a technique, since the others contain it."""
    heading, slash, rest = text.partition("/")
    if slash and _is_category(names, heading) and not _is_category(names, rest):
        found = in_whole(names, rest) or _in_segments(names, rest)
        return tuple(replace(one, rule=f"path, {one.rule}") for one in found)
    parts = [part for part in _PATH.split(text) if part.strip() and not _is_a_suffix(names, part)]
    if len(parts) < 2:
        return ()
    for count in range(min(len(parts), MOST_STEPS), 1, -1):
        found = in_whole(names, " ".join(parts[-count:]))
        if found:
            return tuple(replace(one, rule=f"path, {one.rule}") for one in found)
    for part in reversed(parts):
        found = in_whole(names, part) or _in_segments(names, part)
        if found:
            return tuple(replace(one, rule=f"path, {one.rule}") for one in found)
    return ()


def _is_a_suffix(names: Names, part: str) -> bool:
    """Whether a path's part is a file's ending: "report.pdf"."""
    words = names.read(part)
    return len(words) == 1 and words[0].text in AMBIGUOUS and not words[0].shouts


def _is_category(names: Names, text: str) -> bool:
    """Whether portals list techniques under a text: "Imaging/X-ray tomography", "Emission or
    Reflection/Micro XRF"; "Imaging/Diffraction" are two."""
    parts = [names.read(part) for part in SEPARATOR.split(text)]
    return all(" ".join(word.text for word in words) in CATEGORIES for words in parts)


def _in_humps(names: Names, text: str) -> tuple[Link, ...]:
    """Words joined as in programs: "smallAngleXrayScattering"."""
    parted = _HUMPS.sub(" ", text)
    if len(parted.split()) < 3:
        return ()
    alone = not any(letter.isspace() for letter in text)
    return in_whole(names, parted) or (_in_segments(names, parted) if alone else ())


def _in_pair(names: Names, text: str) -> tuple[Link, ...]:
    """Two words that share the rest: "small-angle X-ray and neutron scattering"."""
    if _LIST.search(text):
        return ()
    for pair in PAIRS:
        found = pair.search(text)
        if found is None or found[1].casefold() == found[2].casefold():
            continue
        links: dict[str, Link] = {}
        for one in (found[1], found[2]):
            single = f"{text[: found.start()]}{one} {text[found.end() :]}"
            for taken in in_whole(names, single) or _in_segments(names, single):
                rule = f"one of a pair, {taken.rule}"
                links.setdefault(taken.id, replace(taken, matched=text.strip(), rule=rule))
        return tuple(links.values())
    return ()


def _in_segments(names: Names, text: str) -> tuple[Link, ...]:
    """Links of every segment. What stands in brackets repeats, as a rule, what stands outside
    ("micro X-ray fluorescence (µXRF)"): it counts where it is more exact, or alone. What stands
    before a colon is a heading and counts where nothing after it is more exact."""
    bare = _BRACKET.sub(" ", text)
    heading, *others = _HEADING.split(bare, maxsplit=1)
    rest = others[0] if others else ""
    outside = _links_of(names, heading)
    if rest:
        listed = _links_of(names, rest)
        outside = [*_not_repeated(outside, listed), *listed]
    bracketed = ",".join(found.group(1) for found in _BRACKET.finditer(text))
    inside = _links_of(names, bracketed, names.read(bare)) if bracketed else []
    if outside:
        panet = load_panet()
        if not any(it.id in panet.ancestors(one.id) for one in inside for it in outside):
            inside = []
        guessed = [one for one in outside if one.rule == SHARED_BEGINNING]
        said = _not_repeated(guessed, inside)
        outside = [one for one in outside if one not in guessed or one in said]
    found: dict[str, Link] = {}
    for one in (*outside, *inside):
        found.setdefault(one.id, one)
    links = [one for one in found.values() if len(found) == 1 or one.id not in TIME_OF_FLIGHT]
    closer = [one for one in links if one.rule != OF_A_KIND]
    links = [one for one in links if one in closer or _not_repeated([one], closer)]
    if not inside or SEPARATOR.search(_BRACKET.sub("", text)):
        return tuple(links)  # what a text lists, it means
    return without_broader(links)


def _not_repeated(broad: list[Link], exact: list[Link]) -> list[Link]:
    """The links of ``broad`` that none of ``exact`` is, or lies below."""
    panet = load_panet()
    said = {one.id for one in exact}.union(*(panet.ancestors(one.id) for one in exact))
    return [one for one in broad if one.id not in said]


def _links_of(names: Names, text: str, before: Sequence[Word] = ()) -> list[Link]:
    """Links of the segments of a text, with what neighbours share: ``before`` are the words of the
    segment that came before the text."""
    parts = SEPARATOR.split(text)
    joints = ["", *SEPARATOR.findall(text)]
    words = [names.read(segment) for segment in parts]
    links = [
        in_whole(names, segment) or in_part(names, segment) if said else ()
        for segment, said in zip(parts, words, strict=True)
    ]
    if len(parts) > 1:
        links = _without_other_things(words, links)
    found: list[Link] = []
    for place, segment in enumerate(parts):
        own = links[place]
        if len(own) == 1 and _is_open(words[place], joints[place]):
            own = (_sharing_beginning(names, own[0], words[place], before, found),)
        elif place + 1 < len(parts):
            own = _sharing_end(names, own, segment, words[place], words[place + 1])
        before = words[place] if len(words[place]) > 1 else before
        found += own
    return found


def _without_other_things(
    words: Sequence[Sequence[Word]], links: list[tuple[Link, ...]]
) -> list[tuple[Link, ...]]:
    """Without acronyms of other things, where a list names no technique besides: "CI/CD"; "MAD and
    SAD" are two."""
    said_at_all = {word.text for said in words for word in said}
    doubted = IN_A_LIST if DOCUMENTS.isdisjoint(said_at_all) else IN_A_LIST | {"pdf"}
    doubtful = [len(said) == 1 and said[0].text in doubted for said in words]
    if all(own for own, said in zip(links, words, strict=True) if said) or any(
        own for own, doubt in zip(links, doubtful, strict=True) if not doubt
    ):
        return links
    return [() if doubt else own for own, doubt in zip(links, doubtful, strict=True)]


def _is_open(words: Sequence[Word], joint: str) -> bool:
    """Whether words may take the beginning of those before: a head alone after any joint, a longer
    name without a probe only after "and" or "or"."""
    if len(words) == 1:
        return words[0].text in HEADS or words[0].text == "ct"
    return joint.casefold() in JOINED and not any(word.text in PROBE_WORDS for word in words)


def _sharing_beginning(
    names: Names, one: Link, words: Sequence[Word], before: Sequence[Word], found: list[Link]
) -> Link:
    """What stands before the first name of "X-ray diffraction and imaging" is the second's too,
    where PaNET has the two together below the second."""
    panet = load_panet()
    texts = tuple(word.text for word in before)
    name = None
    for last in range(len(texts) - 1 if len(words) == 1 else 0, 0, -1):
        name = names.whole((*texts[:last], words[0].text))
        if name is not None and len(name.ids) == 1 and one.id in panet.ancestors(name.ids[0]):
            break
        name = None
    probes = set(texts) & PROBE_WORDS.keys()
    if name is None and len(probes) == 1:
        name = names.with_probe(one.id, probes.pop())
    if name is None:
        return one
    shared = _shared(one, name, SHARED_BEGINNING)
    repeats = name.origin == "spelling" and not _not_repeated([shared], found)
    return one if repeats else shared


def _sharing_end(
    names: Names, links: tuple[Link, ...], segment: str, words: list[Word], after: list[Word]
) -> tuple[Link, ...]:
    """What stands after the last name of "X-ray absorption and emission spectroscopy" is the
    first's too, where that makes a name, and one below what the first says alone."""
    panet = load_panet()
    if len(words) == 1 and words[0].text in HEADS:
        return links
    for first, word in enumerate(words):
        if first > 0 and words[first - 1].text not in MODIFIERS:
            break
        begun = tuple(one.text for one in words[first:])
        if CONDITIONS.issuperset(begun):
            break
        for cut in range(1, min(len(after), 4)):
            name = names.whole((*begun, *(one.text for one in after[cut:])))
            if name is None or len(name.ids) != 1:
                continue
            if all(one.id in panet.ancestors(name.ids[0]) for one in links):
                taken = Link("", "", CONFIDENCE[name.origin], "", segment[word.start :].strip())
                return (_shared(taken, name, "shares the end"),)
    return links


def _shared(one: Link, name: Name, rule: str) -> Link:
    label = load_panet().term(name.ids[0]).label
    sure = min(one.confidence, PROBE_ADDED_CONFIDENCE)
    return replace(one, id=name.ids[0], label=label, confidence=sure, rule=rule)


def _with_probe(links: tuple[Link, ...], text: str, probes: tuple[str, ...]) -> tuple[Link, ...]:
    """Add the facility's only probe to terms that name none (semantics 4.3)."""
    if len(probes) != 1 or not links or probes[0] not in PROBES.values():
        return links
    names = load_names()
    word = next(word for word, probe in PROBE_WORDS.items() if probe == probes[0])
    if any(one.text in PROBE_WORDS for one in names.read(text)):
        return links
    return tuple(_probed(names, one, word, probes[0]) for one in links)


def _probed(names: Names, one: Link, word: str, probe: str) -> Link:
    """The term of ``one`` with the probe's word in its name, if PaNET has that below it."""
    panet = load_panet()
    if panet.probe(one.id) is not None or one.rule == "id":
        return one
    name = names.with_probe(one.id, word)
    if name is None:
        return one
    return replace(
        one,
        id=name.ids[0],
        label=panet.term(name.ids[0]).label,
        confidence=min(one.confidence, PROBE_ADDED_CONFIDENCE),
        rule=f"{one.rule}; the facility's only probe is {probe}",
    )
