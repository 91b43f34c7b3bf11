"""What a person sees while sources are harvested: one row each, on a terminal, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from catalogue.records import PageReport, RunRecord


class Watcher(Protocol):
    """Who wants to know how runs go on. Called on the event loop; must not block."""

    def started(self, source: str, run: int | None) -> None:
        """A run of ``source`` began; ``run`` is ``None`` for a dry run."""

    def page(self, source: str, report: PageReport) -> None:
        """A page became durable."""

    def event(self, source: str, text: str) -> None:
        """A problem, a pause, a new phase: a few words."""

    def retry(self, source: str, reason: str) -> None:
        """A request is tried again."""

    def ended(self, source: str, record: RunRecord) -> None:
        """The run is over."""


class Silent:
    """Nobody watches."""

    def started(self, source: str, run: int | None) -> None:
        """Says nothing."""

    def page(self, source: str, report: PageReport) -> None:
        """Says nothing."""

    def event(self, source: str, text: str) -> None:
        """Says nothing."""

    def retry(self, source: str, reason: str) -> None:
        """Says nothing."""

    def ended(self, source: str, record: RunRecord) -> None:
        """Says nothing."""


@dataclass(slots=True)
class Row:
    """What is shown of one source. ``began`` and ``over`` are monotonic seconds (fault H10)."""

    state: str = "waiting"
    began: float | None = None
    over: float | None = None
    pages: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    problems: int = 0
    last: str = ""

    def rate(self, now: float) -> float:
        """Records a second so far."""
        if self.began is None:
            return 0.0
        elapsed = max((self.over if self.over is not None else now) - self.began, 1e-3)
        return self.counts.get("received", 0) / elapsed


class Progress:
    """A live table on standard error; a context manager. Without a terminal it shows nothing.

    Args:
        sources: names in the order of the rows; others are added as they start.
        monotonic: seconds, for the rate.
    """

    def __init__(
        self,
        sources: tuple[str, ...] = (),
        *,
        console: Console | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rows: dict[str, Row] = {name: Row() for name in sources}
        self._monotonic = monotonic
        self._console = console or Console(stderr=True)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self.table,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def table(self) -> Table:
        """The rows as they are now."""
        table = Table(header_style="bold", expand=False)
        table.add_column("Source")
        table.add_column("State")
        for name in ("Records", "New", "Changed", "Gone", "Rate/s", "Pages", "Retries", "Problems"):
            table.add_column(name, justify="right")
        table.add_column("Last", overflow="ellipsis", max_width=40, no_wrap=True)
        now = self._monotonic()
        # A run may add its row while the drawing thread is here.
        for source, row in list(self.rows.items()):
            counts = row.counts
            table.add_row(
                Text(source),
                row.state,
                f"{counts.get('received', 0):,}",
                f"{counts.get('new', 0):,}",
                f"{counts.get('changed', 0):,}",
                f"{counts.get('deleted', 0):,}",
                f"{row.rate(now):,.0f}",
                f"{row.pages:,}",
                f"{row.retries:,}",
                f"{row.problems + counts.get('quarantined', 0):,}",
                Text(row.last),
            )
        return table

    def _row(self, source: str) -> Row:
        return self.rows.setdefault(source, Row())

    def started(self, source: str, run: int | None) -> None:
        """See ``Watcher``."""
        row = self._row(source)
        row.state, row.began = "running" if run is not None else "dry run", self._monotonic()

    def page(self, source: str, report: PageReport) -> None:
        """See ``Watcher``."""
        row = self._row(source)
        row.pages += 1
        for name in ("received", "new", "changed", "deleted", "quarantined"):
            row.counts[name] = row.counts.get(name, 0) + getattr(report, name)

    def event(self, source: str, text: str) -> None:
        """See ``Watcher``."""
        row = self._row(source)
        row.last = text
        row.problems += 1

    def retry(self, source: str, reason: str) -> None:
        """See ``Watcher``."""
        row = self._row(source)
        row.last = f"trying again: {reason}"
        row.retries += 1

    def ended(self, source: str, record: RunRecord) -> None:
        """See ``Watcher``."""
        row = self._row(source)
        row.state, row.over, row.last = record.state, self._monotonic(), record.stop or ""
