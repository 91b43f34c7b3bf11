"""What a text asks of a record: which records match, and what their words are worth (semantics 7).

Filters never score and scores never filter: a ``TextPlan`` holds both sides apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from catalogue import analysis, technique_scoring
from catalogue.answers import Recognised
from catalogue.errors import QueryTooCostly
from catalogue.fields import canonical_identifier
from catalogue.parameter_terms import range_plan
from catalogue.plan import (
    Clause,
    LevelScore,
    Phrase,
    Plan,
    Prefix,
    Score,
    Terms,
    WordScore,
    both,
    either,
    negation,
)
from catalogue.query import ParameterRange, TechniqueIn, Text
from catalogue.query_language import Shape, Unit, parse_words
from catalogue.scoring import BOOSTS, PREFIX_SCORE, TECHNIQUE_WEIGHT
from mappings.quantities import recognise_quantities

MIN_PREFIX = 2
MOST_REMEMBERED = 8_192
"""Words whose plans and scores are kept: some 10 MB."""
USUAL_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """What a unit asks for, wherever it stands: its words, the look-up that meets it, and what it
    is worth. ``scores`` are by what tells them apart; ``text`` is as it compares; ``is_small``: one
    of the words that say little."""

    text: str
    words: tuple[str, ...]
    met: Plan
    scores: tuple[tuple[object, Score], ...]
    stems: tuple[str, ...]
    is_small: bool


class Part(NamedTuple):
    """A unit that a record must meet (or not), and how it is read."""

    unit: Unit
    reading: Reading


@dataclass(frozen=True)
class TextPlan:
    """Membership under both readings, and the score.

    ``all_of`` / ``any_of`` are the plans of §7.1 and §7.2; ``scores`` add up. ``stems`` are what a
    highlighter marks; ``plain`` holds the unstemmed words, for "did you mean".
    ``without_techniques`` is ``all_of`` but for the recognised techniques, to count near ones.
    They are worked out when they are asked for: a question needs one or two of them. ``groups``
    are (plan, required?) of each thing asked, those of recognised techniques (so many as
    ``tagged``) first. ``meant`` are the conditions that meet what was recognised whatever the
    words; ``beside``, as typed, are words that belong to nothing recognised.
    """

    groups: tuple[tuple[Plan, bool], ...]
    excluded: tuple[Plan, ...]
    scores: tuple[Score, ...]
    recognised: tuple[Recognised, ...]
    wanted: tuple[Part, ...]
    techniques: tuple[str, ...]
    tagged: int
    meant: tuple[TechniqueIn | ParameterRange, ...]
    beside: tuple[str, ...]

    @cached_property
    def all_of(self) -> Plan:
        return both(*(plan for plan, _ in self.groups), *self.excluded)

    @cached_property
    def any_of(self) -> Plan:
        required = [plan for plan, is_required in self.groups if is_required]
        if required or not self.groups:
            return both(*required, *self.excluded)
        wanted = either(*[plan for plan, _ in self.groups])
        return both(wanted, *self.excluded) if self.excluded else wanted

    @property
    def without_techniques(self) -> Plan:
        return both(*(plan for plan, _ in self.groups[self.tagged :]), *self.excluded)

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset(stem for part in self.wanted for stem in part.reading.stems)

    @property
    def plain(self) -> tuple[str, ...]:
        return tuple(
            word for part in self.wanted if part.unit.shape == "word" for word in part.reading.words
        )

    @property
    def can_relax(self) -> bool:
        """Whether ``any`` could find more than ``all``."""
        return self.all_of != self.any_of


def plan_text(text: Text, filter_techniques: Iterable[str] = ()) -> TextPlan:
    """The plan of a text query.

    Args:
        filter_techniques: techniques that the filter names: their kin rise in the order, too.

    Raises:
        QueryTooCostly: too long, or a prefix of a single letter.
    """
    parts = [part for unit in parse_words(text.words) if (part := _part(unit))]
    wanted = parts = _without_small_words(parts)
    excluded: list[Plan] = []
    if any(part.unit.sign == "-" for part in parts):
        wanted = [part for part in parts if part.unit.sign != "-"]
        excluded = [negation(part.reading.met) for part in parts if part.unit.sign == "-"]
    found = _recognised(text.words, text.literal) if text.recognise else ()
    groups, recognised, beside = _grouped(wanted, found)
    tagged = [one for one in recognised if one.techniques]
    asked = [one.techniques for one in tagged]
    named = (*text.techniques, *filter_techniques)
    asked += [(known,) for one in named if (known := technique_scoring.known(one))]
    return TextPlan(
        groups=tuple(groups),
        excluded=tuple(excluded),
        scores=tuple(_scores(wanted, asked)),
        recognised=tuple([one.shown for one in recognised]),
        wanted=tuple(wanted),
        techniques=tuple(dict.fromkeys([one for ids in asked for one in ids])),
        tagged=len(tagged),
        meant=tuple([one.meant for one in recognised]),
        beside=tuple([part.unit.text for part in beside]),
    )


def filter_plan(text: str) -> Plan:
    """Text as a filter: every word in one of the text fields, nothing recognised."""
    return plan_text(Text(text, match="all", recognise=False)).all_of


def _part(unit: Unit) -> Part | None:
    # Words come again and again, in whatever questions; what they ask for is always the same.
    read = _read_again if len(unit.text) <= USUAL_LENGTH else _read
    reading = read(unit.text, unit.shape)
    return None if reading is None else Part(unit, reading)


def _read(text: str, shape: Shape) -> Reading | None:
    """What a unit asks for; ``None`` where it has no word."""
    if shape == "word":
        # A DOI is the same with its resolver or "doi:" in front.
        text = canonical_identifier(text)
    words = tuple(analysis.words(text))
    if not words:
        return None
    met = _met(text, shape, words)
    scores = tuple(_scores_of(text, shape, words, met))
    stems = tuple([analysis.stem(word) for word in words])
    is_small = shape == "word" and len(words) == 1 and words[0] in analysis.STOP_WORDS
    return Reading(text, words, met, scores, stems, is_small)


def _met(text: str, shape: Shape, words: tuple[str, ...]) -> Plan:
    """The look-up that meets a unit."""
    if shape == "prefix" and not analysis.is_unspaced(words[-1]):
        if len(words[-1]) < MIN_PREFIX:
            raise QueryTooCostly(
                f"The prefix {text}* is too short: write at least {MIN_PREFIX} letters.",
                field="query",
            )
        lead = [Terms("text", frozenset({analysis.stem(word)})) for word in words[:-1]]
        return both(*lead, Prefix("words", words[-1]))
    stems = tuple(analysis.stem(word) for word in words)
    if shape != "word":  # what begins with letters that are words each, has these in a row
        return _in_order(stems)
    wholes = frozenset(_wholes_of(text, words))
    return either(_in_order(stems), Terms("wholes", wholes))


_read_again = lru_cache(maxsize=MOST_REMEMBERED)(_read)


def _in_order(stems: tuple[str, ...]) -> Plan:
    return Terms("text", frozenset(stems)) if len(stems) == 1 else Phrase("text", stems)


def _wholes_of(text: str, words: tuple[str, ...]) -> set[str]:
    if len(words) == 1:
        return {words[0], analysis.stem(words[0])} | analysis.whole_forms(text)
    return analysis.whole_forms(text)


def _without_small_words(parts: Sequence[Part]) -> list[Part]:
    """Small words ask for nothing, unless nothing else is asked, or they are signed or quoted."""
    kept = [part for part in parts if part.unit.sign or not part.reading.is_small]
    if len(kept) == len(parts):
        return kept
    return kept if any(part.unit.sign != "-" for part in kept) else list(parts)


@dataclass(frozen=True, slots=True)
class _Find:
    """Something recognised in the sentence, and the lookup that meets it besides its words."""

    start: int
    end: int
    met: Plan
    meant: TechniqueIn | ParameterRange
    shown: Recognised
    techniques: tuple[str, ...] = ()


def _recognised(sentence: str, literal: Iterable[str] = ()) -> list[_Find]:
    """Techniques first, then quantities in words that no technique took (semantics 5.3, 7.1);
    nothing whose words or id are named in ``literal``."""
    techniques = technique_scoring.recognised_techniques(sentence)
    mentions = recognise_quantities(sentence)
    if not techniques and not mentions:
        return []
    declined = frozenset(_folded(one) for one in literal)
    found = [
        _Find(
            one.start,
            one.end,
            Terms("panet", frozenset(one.ids)),
            TechniqueIn(one.ids),
            Recognised(one.text, "technique", one.ids[0], technique_scoring.label(one.ids[0])),
            one.ids,
        )
        for one in techniques
        if not declined.intersection(map(_folded, (one.text, *one.ids)))
    ]
    for mention in mentions:
        if any(mention.start < one.end and one.start < mention.end for one in found):
            continue
        if declined.intersection(map(_folded, (mention.text, mention.condition.dimension))):
            continue
        condition = mention.condition
        wanted = ParameterRange(
            condition.names,
            condition.dimension,
            condition.low,
            condition.high,
            condition.open_low,
            condition.open_high,
        )
        # A Document's own and its Datasets' parameters are in one field, a Dataset's in the other.
        met = either(range_plan("all_params", wanted), range_plan("params", wanted))
        shown = Recognised(
            mention.text, "quantity", condition.dimension, ", ".join(condition.names)
        )
        found.append(_Find(mention.start, mention.end, met, wanted, shown))
    return found


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _grouped(
    wanted: Sequence[Part], found: Sequence[_Find]
) -> tuple[list[tuple[Plan, bool]], list[_Find], list[Part]]:
    """(plan, required?) for each thing asked; the words of something recognised are one thing, met
    by the words, or by a tag at or below the technique, or by a parameter in the range. With what
    was recognised and the words beside it."""
    if not found:
        return [(part.reading.met, part.unit.sign == "+") for part in wanted], [], list(wanted)
    groups: list[tuple[Plan, bool]] = []
    used: list[_Find] = []
    taken: set[int] = set()
    for one in found:
        inside = [
            place
            for place, part in enumerate(wanted)
            if part.unit.start >= one.start - 1
            and part.unit.end <= one.end + 1
            and place not in taken
            and part.unit.shape != "prefix"
        ]
        if not inside:
            continue
        taken.update(inside)
        used.append(one)
        words = both(*(wanted[place].reading.met for place in inside))
        groups.append((either(words, one.met), any(wanted[p].unit.sign == "+" for p in inside)))
    beside = [part for place, part in enumerate(wanted) if place not in taken]
    groups += [(part.reading.met, part.unit.sign == "+") for part in beside]
    return groups, used, beside


def _scores(wanted: Sequence[Part], asked: Sequence[tuple[str, ...]]) -> list[Score]:
    scores: dict[object, Score] = {}
    for part in wanted:
        for what, score in part.reading.scores:
            scores.setdefault(what, score)
    for ids in asked:
        levels = tuple(
            (round(TECHNIQUE_WEIGHT * similarity, 6), Terms("tags", tags))
            for similarity, tags in technique_scoring.kin_levels(tuple(sorted(ids)))
        )
        label = technique_scoring.label(ids[0])
        scores.setdefault(("technique", ids), LevelScore(label, levels))
    return list(scores.values())


def _scores_of(
    text: str, shape: Shape, words: tuple[str, ...], met: Plan
) -> Iterator[tuple[object, Score]]:
    """What a unit is worth, by what tells a score from that of another unit."""
    for word in words[:-1] if shape == "prefix" else words:
        yield ("word", analysis.stem(word)), _word_score(word)
    if shape == "prefix":
        yield ("prefix", met), LevelScore(f"{text}*", ((PREFIX_SCORE, met),))
    if shape == "word" and len(words) > 1:
        wholes = sorted(_wholes_of(text, words))
        clauses = tuple(Clause("wholes", whole, BOOSTS["wholes"]) for whole in wholes)
        if clauses:
            yield ("whole", clauses), WordScore(text, clauses)


@lru_cache(maxsize=MOST_REMEMBERED)
def _word_score(word: str) -> WordScore:
    stem = analysis.stem(word)
    clauses = [Clause("text", stem, BOOSTS["text"]), Clause("title", stem, BOOSTS["title"])]
    clauses += [Clause("wholes", whole, BOOSTS["wholes"]) for whole in sorted({word, stem})]
    return WordScore(word, tuple(clauses))
