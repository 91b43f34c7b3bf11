"""One class of entities in one Tantivy index, and the translation of plans.

Synchronous; ``tantivy.py`` calls it from worker threads. Seen with tantivy 0.27: a query that the
library cannot do may panic, and ``PanicException`` is no ``Exception``; ``guarded`` catches it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import tantivy
from tantivy import Occur, Query

from catalogue.documents import COUNTED_FIELDS
from catalogue.engines.base import FacetRequest
from catalogue.engines.met_words import asks_for_words
from catalogue.engines.tantivy_documents import (
    CHANGE,
    LINKS,
    ORDINAL,
    SPACED,
    build_schema,
)
from catalogue.engines.tantivy_facets import MOST_BUCKETS, FacetCounter
from catalogue.engines.tantivy_files import Stamp, stamp_of
from catalogue.engines.tantivy_links import LinkedFolder, linked_where_needed
from catalogue.engines.tantivy_words import Words
from catalogue.errors import EngineDamaged, EngineError
from catalogue.plan import (
    All,
    AllOf,
    AnyOf,
    Empty,
    Like,
    LikePhrase,
    NoneOf,
    NumberRange,
    Numbers,
    Phrase,
    Plan,
    Prefix,
    Score,
    TermRange,
    Terms,
    WordScore,
    both,
    either,
    leaves,
    rewrite,
)
from catalogue.record_terms import has_space

_FEW_TERMS = 256
"""Terms of a look-up that are worth looking for in the dictionary beforehand, at 2 µs each."""

_ONE_BY_ONE = 8
"""Terms of a look-up that become clauses of their own."""


class guarded:  # noqa: N801 (read as a word behind "with")
    """Translate whatever Tantivy raises, panics included: ``with guarded("searching"):``.

    Raises:
        EngineDamaged: files are missing, cut short or not what they should be.
        EngineError: anything else that the library could not do.
    """

    __slots__ = ("doing",)

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # PanicException derives from BaseException and belongs to no importable module.
        panicked = kind is not None and kind.__name__ == "PanicException"
        if error is None or not (panicked or isinstance(error, ValueError | OSError)):
            return
        text = str(error)
        if not _has_no_room(text) and (panicked or _looks_damaged(text)):
            raise EngineDamaged(
                f"The search index cannot be read while {self.doing}: {text}"
            ) from error
        raise EngineError(f"The search index failed while {self.doing}: {text}") from error


def _has_no_room(text: str) -> bool:
    """Full, read-only or forbidden: nothing is wrong with the index (fault H09)."""
    return bool(_NO_ROOM.search(text))


_NO_ROOM = re.compile(r"\(os error (?:13|27|28|30|122)\)|No space left|Read-only file system")


def _looks_damaged(text: str) -> bool:
    signs = (
        "orrupt", "does not exist", "DoesNotExist", "Failed to open", "meta", "crc", "footer",
        "InvalidData", "UnexpectedEof", "truncated", "IncompatibleIndex",
    )  # fmt: skip
    return any(sign in text for sign in signs)


class ClassIndex:
    """The index of one class in one folder; readers are made for each view."""

    def __init__(self, class_name: str, folder: Path, *, create: bool) -> None:
        self.class_name = class_name
        self.folder = folder
        self._links: LinkedFolder | None = None
        with guarded(f"opening {folder.name}"):
            if create:
                folder.mkdir(parents=True, exist_ok=True)
                self.index = tantivy.Index(build_schema(class_name), str(folder), reuse=True)
            else:
                self._links = linked_where_needed(folder)
                readable = folder if self._links is None else self._links.path
                self.index = tantivy.Index.open(str(readable))
            analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
            self.index.register_tokenizer("whitespace", analyzer)
            self.index.config_reader("manual", 0)
            self.schema = self.index.schema
            self.index.reload()
        self._seen = self._stamp()
        self._view: ClassView | None = None
        self._facet_counter = FacetCounter()

    def _stamp(self) -> Stamp:
        try:
            return stamp_of(f"{self.folder}/meta.json")
        except OSError as error:
            raise EngineDamaged(f"The search index lost {self.folder}/meta.json.") from error

    @property
    def stamp(self) -> Stamp:
        """Names the commit that the last view shows."""
        return self._seen

    def view(self) -> ClassView:
        """A view of the last commit, by whichever process."""
        stamp = self._stamp()
        if stamp != self._seen:
            with guarded("reloading"):
                if self._links is not None:
                    self._links.follow()
                self.index.reload()
            self._seen = stamp
            self._view = None
        if self._view is None:
            with guarded("reading"):
                self._view = ClassView(
                    self.class_name, self.index, self.index.searcher(), self._facet_counter
                )
        return self._view

    def highest_ordinal(self) -> int:
        """That of the newest entity in the last commit; -1 without any."""
        view = self.view()
        with guarded("reading"):
            hits = view.searcher.search(
                Query.all_query(), limit=1, count=False, order_by_field=ORDINAL,
            ).hits  # fmt: skip
            found = view.searcher.fast_field_values(ORDINAL, [address for _, address in hits])
        return int(found[0]) if found else -1

    def writer(self, heap_bytes: int) -> Any:
        """The one writer of this index; ``EngineError`` while another process has it."""
        with guarded("opening its writer"):
            writer = self.index.writer(heap_bytes, 1)
            # A process that was killed between writing its deletions and the commit leaves their
            # file, and the next commit would begin with one of the same name (fault F15).
            try:
                writer.garbage_collect_files()
            except BaseException:
                del writer  # its lock goes with it; the error's trace would keep both
                raise
            return writer


class ClassView:
    """A consistent view of one class, and the translation of plans into its queries."""

    def __init__(
        self, class_name: str, index: Any, searcher: Any, facet_counter: FacetCounter
    ) -> None:
        self.class_name = class_name
        self.index = index
        self.searcher = searcher
        self._last_shortened: tuple[Plan, Plan] | None = None
        self.schema = index.schema
        self._facet_counter = facet_counter
        self._too_many: dict[LikePhrase, bool] = {}  # words for the library, as far as is known
        self._candidates: tuple[Plan, int, list[Any]] | None = None
        self.words = Words(self.schema, searcher)

    def query(self, plan: Plan) -> Any:
        """The Tantivy query of a plan that holds no undecided and no linked leaf."""
        return self._query(self.shortened(plan))

    def shortened(self, plan: Plan) -> Plan:
        """The plan without what no record has; count, scores and facets of a question share it."""
        last = self._last_shortened
        if last is not None and last[0] == plan:
            return last[1]
        short = rewrite(plan, self._present)
        self._last_shortened = (plan, short)
        return short

    def _present(self, leaf: Plan) -> Plan:
        """A look-up without the terms that no record has: most words are no compound, most kinds
        and techniques do not occur, and each such clause would cost as much as one that does.
        Terms with white space are in a field of their own."""
        if isinstance(leaf, Terms | Like) and leaf.field == "terms":
            return rewrite(either(*_placed(leaf)), self._held)
        return self._held(leaf)

    def _held(self, leaf: Plan) -> Plan:
        if isinstance(leaf, Terms) and len(leaf.terms) <= _FEW_TERMS:
            held = frozenset(term for term in leaf.terms if self.words.frequency(leaf.field, term))
            return Terms(leaf.field, held) if held else Empty()
        return leaf

    def _query(self, plan: Plan) -> Any:
        match plan:
            case All():
                return Query.all_query()
            case Empty():
                return Query.empty_query()
            case Terms(field, terms):
                return self._terms(field, terms)
            case TermRange(field, low, high):
                return self.index.parse_query(f"{field}:[{low} TO {high}]")
            case Prefix(field, prefix):
                return Query.regex_query(self.schema, field, f"{prefix}.*")
            case Like():
                return Query.regex_query(self.schema, plan.field, _expression(plan))
            case LikePhrase():
                return self._like_phrase(plan)
            case Phrase(field, terms):
                return Query.phrase_query(self.schema, field, list(terms))
            case NumberRange(field, low, high):
                return self._number_range(field, low, high)
            case Numbers(field, values):
                return self._numbers(field, values)
            case AllOf(parts):
                return self._all_of(parts)
            case AnyOf(parts):
                return Query.boolean_query([(Occur.Should, self._query(part)) for part in parts])
            case NoneOf():
                return self._all_of((plan,))
        raise TypeError(f"{type(plan).__name__} must be settled before it reaches an engine")

    def scored(self, plan: Plan, scores: Sequence[Score]) -> Any:
        """The query whose members are the plan's and whose score is the sum of ``scores``.

        Where one of any words is asked for, what scores is what is met: the postings are gone
        through once, which takes two thirds of the time. (For all of several words it gains none.)
        """
        asked = self.words.asked(scores)
        if asked.terms is None:
            found = [(Occur.Should, query) for score in scores if (query := self._score(score))]
        else:
            found = [(Occur.Should, word.query) for word in asked.words if word.query is not None]
        rest: Sequence[Plan] = plan.parts if isinstance(plan, AllOf) else (plan,)
        required = found
        if asked.terms:
            known = self.words.frequency
            parts = len(rest)
            rest = [part for part in rest if not asks_for_words(part, asked.terms, known)]
            if not rest:
                return found[0][1] if len(found) == 1 else Query.boolean_query(found)
            if len(rest) < parts:
                required = [(Occur.Must, Query.boolean_query(found))]
                plan = both(*rest)
        if rest:
            required = [*required, (Occur.Must, Query.const_score_query(self.query(plan), 0.0))]
        return Query.boolean_query(required)

    def _all_of(self, parts: Sequence[Plan]) -> Any:
        clauses = []
        for part in parts:
            if isinstance(part, NoneOf):
                clauses.append((Occur.MustNot, self._query(part.part)))
            else:
                clauses.append((Occur.Must, self._query(part)))
        if all(occur == Occur.MustNot for occur, _ in clauses):
            clauses.append((Occur.Must, Query.all_query()))
        return Query.boolean_query(clauses)

    def _like_phrase(self, plan: LikePhrase) -> Any:
        if self._too_many.get(plan, True):
            return self._all_of(plan.parts)
        words: list[str | tuple[int, str]] = [_expression(like) for like in plan.parts]
        return Query.regex_phrase_query(self.schema, plan.parts[0].field, words)

    def _terms(self, field: str, terms: frozenset[str]) -> Any:
        if len(terms) <= _ONE_BY_ONE:
            # A term set marks the place of every match first, however few the other conditions
            # leave; terms one by one are merely stepped through.
            found = [Query.term_query(self.schema, field, term, "basic") for term in sorted(terms)]
            return (
                found[0]
                if len(found) == 1
                else Query.boolean_query([(Occur.Should, query) for query in found])
            )
        return Query.term_set_query(self.schema, field, list(terms))

    def _numbers(self, field: str, values: frozenset[int]) -> Any:
        if field in (ORDINAL, LINKS):
            return Query.term_set_query(self.schema, field, list(values))
        return self.query(either(*(NumberRange(field, one, one) for one in values)))

    def _number_range(self, field: str, low: int | None, high: int | None) -> Any:
        if low is None and high is None:
            return Query.exists_query(field)
        if low is not None and high is not None and low > high:
            return Query.empty_query()
        kind = (
            tantivy.FieldType.Unsigned if field in (ORDINAL, LINKS) else tantivy.FieldType.Integer
        )
        return Query.range_query(self.schema, field, kind, low, high)

    def _score(self, score: Score) -> Any | None:
        if isinstance(score, WordScore):
            return self.words.word(score).query
        present = [(worth, rewrite(plan, self._present)) for worth, plan in score.levels]
        levels = [
            Query.const_score_query(self._query(plan), worth)
            for worth, plan in present
            if not isinstance(plan, Empty)
        ]
        return Query.disjunction_max_query(levels, 0.0) if levels else None

    def count(self, plan: Plan) -> int:
        if isinstance(plan, All):
            return int(self.searcher.num_docs)
        if any(isinstance(leaf, Like | LikePhrase) for leaf in leaves(plan)):
            return self._looked_up(plan)[0]
        return int(self.searcher.search(self.query(plan), limit=1).count)

    def _looked_up(self, plan: Plan) -> tuple[int, list[Any]]:
        """How many candidates there are, and the first of them. Words like others are looked for
        in a whole dictionary: once for the count and the versions that are asked for after it."""
        held = self._candidates
        if held is None or held[0] != plan:
            phrases = [leaf for leaf in leaves(plan) if isinstance(leaf, LikePhrase)]
            self._too_many.update(dict.fromkeys(phrases, False))
            try:
                answer = self._first_candidates(plan)
            except ValueError:
                # Only a search tells that there are more such words than the library expands to.
                self._too_many.update(dict.fromkeys(phrases, True))
                answer = self._first_candidates(plan)
            held = self._candidates = (plan, int(answer.count), list(answer.hits))
        return held[1], held[2]

    def _first_candidates(self, plan: Plan) -> Any:
        query = Query.const_score_query(self.query(plan), 0.0)
        return self.searcher.search(query, limit=_FIRST_CANDIDATES, count=True)

    def ordinals(self, plan: Plan, most: int | None) -> list[int]:
        """Ordinals of all matching records, in no order; of ``most + 1`` when there are more."""
        query = Query.const_score_query(self.query(plan), 0.0)
        limit = _FIRST_CANDIDATES if most is None else most + 1
        # Most have few: then they are found and counted at once.
        found = self.searcher.search(query, limit=min(limit, _FIRST_CANDIDATES), count=True)
        hits = found.hits
        total = found.count if most is None else min(found.count, limit)
        if total > len(hits):
            hits = self.searcher.search(query, limit=total, count=False).hits
        return list(self.searcher.fast_field_values(ORDINAL, [address for _, address in hits]))

    def versions(self, plan: Plan) -> dict[str, tuple[int, int]]:
        """Key → (ordinal, change)."""
        total = self.count(plan)
        if total == 0:
            return {}
        held = self._candidates
        if held is not None and held[0] == plan and total == len(held[2]):
            hits = held[2]
        else:
            hits = self.searcher.search(self.query(plan), limit=total, count=False).hits
        addresses = [address for _, address in hits]
        ordinals = self.searcher.fast_field_values(ORDINAL, addresses)
        changes = self.searcher.fast_field_values(CHANGE, addresses)
        keys = [self.searcher.doc(address).get_first("key") for address in addresses]
        return {
            key: (ordinal, change)
            for key, ordinal, change in zip(keys, ordinals, changes, strict=True)
        }

    def values(self, plan: Plan, field: str) -> set[str]:
        """All distinct values, by ever narrower ranges of ordinals while there are too many."""
        if field not in (LINKS, *COUNTED_FIELDS):
            hits = self.searcher.search(self.query(plan), limit=max(1, self.count(plan))).hits
            held = self.searcher.fast_field_values(field, [address for _, address in hits])
            return {str(value) for value in held if value is not None}
        found: set[str] = set()
        pending: list[tuple[int, int]] = [(0, 2**40)]
        while pending:
            low, high = pending.pop()
            part: Plan = AllOf((plan, NumberRange(ORDINAL, low, high)))
            buckets = self._buckets(self.query(part), field, MOST_BUCKETS)
            if buckets is None and low < high:
                middle = self._middle(part, low, high)
                pending += [(low, middle), (middle + 1, high)]
            else:
                found.update(value for value, _ in buckets or ())
        return found

    def _middle(self, plan: Plan, low: int, high: int) -> int:
        held = sorted(self.ordinals(plan, None))
        return held[(len(held) - 1) // 2] if len(held) > 1 else (low + high) // 2

    def facets(
        self, requests: Sequence[FacetRequest], totals: Mapping[Plan, int]
    ) -> list[list[tuple[str, int]]]:
        """See ``FacetCounter.count``."""
        return self._facet_counter.count(self, requests, totals)

    def _buckets(self, query: Any, field: str, most: int) -> list[tuple[str, int]] | None:
        try:
            answer = self.searcher.aggregate(
                query, {"f": {"terms": {"field": field, "size": most}}}
            )
        except ValueError as error:
            if "bucket limit" in str(error):
                return None
            raise
        if answer["f"].get("sum_other_doc_count"):
            return None
        return [(_bucket_name(b["key"]), int(b["doc_count"])) for b in answer["f"]["buckets"]]


def _placed(leaf: Terms | Like) -> list[Plan]:
    """A look-up among the terms of a record, in the two fields that they are in."""
    if isinstance(leaf, Like):
        spaced = replace(leaf, field=SPACED)
        known = [leaf.head, *[one for one in leaf.letters if len(one) == 1]]
        return [spaced] if any(map(_any_space, known)) else [leaf, spaced]
    spaced_terms = frozenset(filter(has_space, leaf.terms))
    if not spaced_terms:
        return [leaf]
    return [Terms(leaf.field, leaf.terms - spaced_terms), Terms(SPACED, spaced_terms)]


def _any_space(text: str) -> bool:
    return any(map(str.isspace, text))


_FIRST_CANDIDATES = 5_000
"""Candidates that are remembered with their count."""


def _bucket_name(key: object) -> str:
    return str(int(key)) if isinstance(key, float) else str(key)


_ANYTHING = "(?s:.)*"


def _expression(like: Like) -> str:
    """The whole term as a regular expression of the library's."""
    letters = "".join(
        _escaped(one) if len(one) == 1 else f"[{''.join(map(_escaped, one))}]"
        for one in like.letters
    )
    before = _ANYTHING if like.open_start else ""
    after = _ANYTHING if like.open_end else ""
    return "".join(map(_escaped, like.head)) + before + letters + after


def _escaped(letter: str) -> str:
    return f"\\{letter}" if letter in r"\.+*?()|[]{}^$#&-~" else letter


Translate = Callable[[Plan], Any]
