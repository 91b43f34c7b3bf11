"""Where a sweep of one class stands: pure bookkeeping, told what came and asked what is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facility_http.rest_json import Objects, identifier_of
from harvester.seen import Seen

# Pages in a row that bring nothing new before a pass is given up: the server ignores skip, or
# repeats its last page beyond a ceiling (fault E04).
_FRUITLESS_PAGES = 2
_LARGEST_SINGLE_PAGE = 20_000


@dataclass(slots=True)
class Place:
    """What the checkpoint holds of a class: enough to go on after a crash.

    ``strategy``: ``keyset`` (``after`` is the last pid) or ``offset`` (``skip``). ``down``: the
    list is read from its end. ``limit`` when it had to differ from the page size.
    """

    strategy: str | None = None
    after: str | None = None
    skip: int = 0
    down: bool = False
    limit: int | None = None
    seen: int = 0
    passes: int = 0
    resumed: bool = False

    @classmethod
    def read(cls, checkpoint: Mapping[str, Any] | None, entity_class: str) -> Place:
        """The place in ``checkpoint``, if it is one of this class."""
        if not checkpoint or checkpoint.get("class") != entity_class:
            return cls()
        return cls(
            strategy=checkpoint.get("strategy"),
            after=checkpoint.get("after"),
            skip=int(checkpoint.get("skip") or 0),
            down=bool(checkpoint.get("down")),
            limit=checkpoint.get("limit"),
            seen=int(checkpoint.get("seen") or 0),
            passes=int(checkpoint.get("passes") or 0),
            resumed=True,
        )

    def checkpoint(self, entity_class: str, done: Sequence[str], seen: int) -> dict[str, Any]:
        """JSON-serialisable; see ``read``."""
        return {
            "done": list(done),
            "class": entity_class,
            "strategy": self.strategy,
            "after": self.after,
            "skip": self.skip,
            "down": self.down,
            "limit": self.limit,
            "seen": seen,
            "passes": self.passes,
        }


@dataclass(slots=True)
class Reading:
    """One class being read: what was seen, what is odd, and how the next page is asked for.

    ``count`` is the service's own number; ``keys`` all keys seen in objects.
    """

    place: Place = field(default_factory=Place)
    page_size: int = 100
    count: int | None = None
    ordered: bool = False
    keys: set[str] = field(default_factory=set)
    unreadable: int = 0
    _limit: int = 0
    _seen: Seen = field(default_factory=Seen)
    _notes: Counter[str] = field(default_factory=Counter)
    _odd_of_pass: int = 0
    _new_of_pass: int = 0
    _new_before: int | None = None
    _fruitless: int = 0
    _pages: int = 0
    _pages_of_pass: int = 0
    _ended: bool = False
    _hit_ceiling: bool = False
    _skip_ignored: bool = False

    def __post_init__(self) -> None:
        self._limit = self.place.limit or self.page_size

    @property
    def distinct(self) -> int:
        """Objects known by identifier, those before a resumption included."""
        return self.place.seen + len(self._seen)

    def note(self, counts: Mapping[str, int]) -> None:
        """Count oddities for the next page's notes."""
        self._notes.update(counts)

    def take_notes(self) -> Counter[str]:
        """The oddities since the last page."""
        taken, self._notes = self._notes, Counter()
        return taken

    def window(self) -> dict[str, Any]:
        """The filter for the next page, without ``include``."""
        place = self.place
        filter_: dict[str, Any] = {"limit": self._limit}
        if place.strategy == "keyset":
            filter_["order"] = "pid ASC"
            if place.after is not None:
                filter_["where"] = {"pid": {"gt": place.after}}
            return filter_
        filter_["skip"] = place.skip
        if self.ordered:
            filter_["order"] = "pid DESC" if place.down else "pid ASC"
        return filter_

    def expects_more(self) -> bool:
        """Whether the count says that something is missing still."""
        return self.count is not None and self.distinct + self._odd_of_pass < self.count

    def over(self, max_pages: int) -> bool:
        """Whether this pass has ended."""
        return self._ended or self._pages >= max_pages

    def take(self, objects: Objects) -> list[dict[str, Any]]:
        """Look at a page; gives its objects that are new, and moves on.

        Not for the event loop: of a large class, what was seen before is on disk.
        """
        self._pages += 1
        self._pages_of_pass += 1
        self._odd_of_pass += objects.odd.total()
        self._notes.update(objects.odd)
        fresh: list[dict[str, Any]] = []
        for item in objects.items:
            pid = identifier_of(item)
            if not pid:
                self._odd_of_pass += 1
                fresh.append(item)
            elif self._seen.add(pid):
                fresh.append(item)
            else:
                self._notes["seen_twice"] += 1
        self._new_of_pass += len(fresh)
        self._move(objects, bool(fresh))
        if self._limit < self.page_size:
            self._limit = min(self._limit * 2, self.page_size)
        return fresh

    def _move(self, objects: Objects, anything_new: bool) -> None:
        place = self.place
        if not objects.length:
            self._ended = True
            return
        if place.strategy == "keyset":
            last = next(
                (pid for one in reversed(objects.items) if (pid := identifier_of(one))), None
            )
            if last is None or not anything_new:
                # The condition is not honoured after all: go by skip, over everything.
                self._notes["keyset_broken"] += 1
                place.strategy, place.after, place.skip = "offset", None, 0
            else:
                place.after = last
            return
        # Entries that are no objects may stand in a place of their own or in one's stead: going on
        # behind the objects alone reads some twice and misses none.
        place.skip += len(objects.items) or objects.length
        self._fruitless = 0 if anything_new else self._fruitless + 1
        # A second pass sees known objects page after page: there the count tells the end.
        if self._fruitless >= _FRUITLESS_PAGES and not self._walking_known_ground():
            self._ended = True
            self._skip_ignored = self._pages_of_pass <= 1 + _FRUITLESS_PAGES
            self._hit_ceiling = not self._skip_ignored

    def _walking_known_ground(self) -> bool:
        if not (self.place.passes or self.place.resumed):
            return False
        return self.place.skip <= max(self.count or 0, self.distinct)

    def shrink(self) -> bool:
        """Ask for fewer objects; ``False`` when it is one already."""
        if self._limit <= 1:
            return False
        self._limit //= 2
        self._notes["smaller_page"] += 1
        return True

    def step_over(self) -> None:
        """Leave out one object that cannot be read in any way."""
        if self.place.strategy == "keyset":
            self.place.strategy, self.place.skip = "offset", len(self._seen)
            self.place.after = None
        self.place.skip += 1

    def ceiling(self) -> None:
        """Pages beyond this point are refused (fault E04): the pass ends here."""
        self._ended = self._hit_ceiling = True

    def finished(self, most_passes: int) -> str | None:
        """After a pass: the name of the stop, or ``None`` when another pass is due."""
        if not self._ended:
            return "page_limit"
        whole = not (self.place.resumed and self.place.strategy == "offset")
        if whole and self.count is not None:
            if self.distinct >= self.count:
                return "end_of_class"
            # What is missing is there without being shown, as often as one looks.
            if self.distinct + self._odd_of_pass >= self.count and self._is_quiet():
                return "end_with_gaps"
        clean = not (self._hit_ceiling or self._skip_ignored)
        if whole and self.count is None and clean and (self.ordered or self._is_quiet()):
            return "end_of_class"
        if self.place.passes + 1 >= most_passes or self._is_stuck():
            if self._skip_ignored:
                return "skip_ignored"
            return "ceiling" if self._hit_ceiling else "count_disagrees"
        return None

    def _is_quiet(self) -> bool:
        """A further pass brought nothing new."""
        return self.place.passes > 0 and self._new_of_pass == 0

    def _is_stuck(self) -> bool:
        """Two further passes, made in different ways, brought nothing new."""
        return self.place.passes > 1 and self._new_of_pass == 0 and self._new_before == 0

    def next_pass(self, *, keyset: bool) -> None:
        """Read the list again, in another way than before."""
        place = self.place
        place.passes += 1
        place.seen, place.resumed = 0, False
        single = self._skip_ignored
        self._new_before = self._new_of_pass
        turn_to_keyset = keyset and place.strategy == "offset" and not place.passes % 2
        self._odd_of_pass = self._new_of_pass = self._fruitless = self._pages_of_pass = 0
        self._ended = self._hit_ceiling = self._skip_ignored = False
        place.after, place.skip = None, 0
        if turn_to_keyset:
            place.strategy = "keyset"
            return
        place.strategy = "offset"
        place.down = self.ordered and not place.down
        if single:
            # The server ignores skip: everything has to come at once.
            self._limit = min(max(self.count or 0, self._limit * 10), _LARGEST_SINGLE_PAGE)
            self.page_size = self._limit
        else:
            # Other page boundaries than before: what slid over one of those is inside a page now.
            self._limit = self.page_size = max(1, self.page_size - max(1, self.page_size // 7))
        place.limit = self._limit
