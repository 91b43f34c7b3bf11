"""What every room's commands share: common options, tables, JSON output, exit codes.

A command is an ordinary ``click`` command decorated with ``common_options``; it receives a
``Settings`` and writes through ``emit_*``. Imports nothing of ours: every room may use it.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click
import orjson
import platformdirs

if TYPE_CHECKING:
    # Each process that a command starts imports this module with the front door.
    from rich.console import Console, Group
    from rich.table import Table

LINE_EVERY_S = 10.0
LINE_EVERY_S_ON_TERMINAL = 1.0
COUNTED_AT_ONCE = 1_000

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_USE = 2
EXIT_PARTLY = 3
EXIT_INTERRUPTED = 130

PIPED_WIDTH = 200
LONGEST_WORD = 32
"""Characters of a word in a table, at least, for it to be broken: such are addresses."""

ENGINES = ("tantivy", "elasticsearch")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
DEMO_CONFIGURATION = "demo.toml"
"""In its data folder, written by ``pan-commons demo``."""


def log_to_stderr(environment: Mapping[str, str] = os.environ) -> None:
    """Log from the level on that ``PAN_COMMONS_LOG`` names; for each process once.

    Raises:
        click.UsageError: there is no such level.
    """
    level = environment.get("PAN_COMMONS_LOG") or "WARNING"
    if level.upper() not in LEVELS:
        raise click.UsageError(f"PAN_COMMONS_LOG is {level!r}; it can be {', '.join(LEVELS)}.")
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if level.upper() != "DEBUG":
        # Its warnings are traces of what the commands say in a sentence.
        logging.getLogger("elastic_transport").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where data, configuration and search engine are, from flags, environment or defaults.

    ``config`` is ``None`` when neither ``--config`` nor ``PAN_COMMONS_CONFIG`` is given, and the
    data folder is not the demo's: then the configuration shipped with the package is meant.
    """

    data: Path
    config: Path | None
    engine: str
    elasticsearch_url: str | None
    as_json: bool


def default_data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """``PAN_COMMONS_DATA``, else the platform's folder for a user's data."""
    named = environment.get("PAN_COMMONS_DATA")
    return Path(named) if named else Path(platformdirs.user_data_dir("pan-commons"))


def configuration_of(data: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """``PAN_COMMONS_CONFIG``, else the demo's in the demo's data folder, else ``None``."""
    named = environment.get("PAN_COMMONS_CONFIG")
    if named:
        return Path(named)
    # Facilities of the demo live in its folder alone: whoever looks into it means these.
    demo = data / DEMO_CONFIGURATION
    return demo if demo.is_file() else None


Command = TypeVar("Command", bound=Callable[..., Any])


def common_options(function: Command) -> Command:
    """Give a command ``--data --config --engine --elasticsearch-url --json``.

    The command's first parameter then is the ``Settings`` made of them.
    """

    @click.option("--data", type=click.Path(path_type=Path), help="Data folder [PAN_COMMONS_DATA].")
    @click.option(
        "--config", type=click.Path(path_type=Path), help="TOML of sources [PAN_COMMONS_CONFIG]."
    )
    @click.option(
        "--engine",
        type=click.Choice(ENGINES),
        help="Search engine [PAN_COMMONS_ENGINE, tantivy].",
    )
    @click.option("--elasticsearch-url", help="Only with elasticsearch [ELASTICSEARCH_URL].")
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
    @functools.wraps(function)
    def command(
        *args: Any,
        data: Path | None,
        config: Path | None,
        engine: str | None,
        elasticsearch_url: str | None,
        as_json: bool,
        **kwargs: Any,
    ) -> Any:
        chosen = engine or os.environ.get("PAN_COMMONS_ENGINE") or "tantivy"
        if chosen not in ENGINES:
            raise click.UsageError(
                f"PAN_COMMONS_ENGINE is {chosen!r}; it can be {' or '.join(ENGINES)}."
            )
        folder = data or default_data_folder()
        if folder.is_file():
            raise click.UsageError(
                f"The data folder {folder} is a file; name a folder with --data."
            )
        settings = Settings(
            data=folder,
            config=config or configuration_of(folder),
            engine=chosen,
            elasticsearch_url=elasticsearch_url or os.environ.get("ELASTICSEARCH_URL"),
            as_json=as_json,
        )
        if settings.engine == "elasticsearch" and not settings.elasticsearch_url:
            raise click.UsageError(
                "--engine elasticsearch needs --elasticsearch-url or ELASTICSEARCH_URL."
            )
        return function(settings, *args, **kwargs)

    return command  # type: ignore[return-value]


def emit_json(value: object) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def emit_json_line(value: object) -> None:
    """Write one line of JSON Lines to standard output."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")


def emit_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table for people to standard output; where it is too narrow for one, each row as a
    few lines."""
    out = console()
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    columns, cells = without_empty(columns, cells, out.width)
    widths = column_widths(columns, cells, out.width)
    if widths is None:
        out.print(paragraphs(title, columns, cells))
    else:
        out.print(table_of(title, columns, cells, widths))


def emit_facts(title: str, facts: Mapping[str, object]) -> None:
    """Write what is known of one thing for people: a row for each fact that there is."""
    rows = [(name.replace("_", " "), spoken(value)) for name, value in facts.items()]
    emit_table(title, ("What", "Value"), [row for row in rows if row[1]])


def spoken(value: object, *, inside: bool = False) -> str:
    """A value of JSON as people read it; empty for what is not there. What is in an object goes
    into a line each, and in one line where that is ``inside`` another one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        told = [
            (str(name).replace("_", " "), spoken(one, inside=True)) for name, one in value.items()
        ]
        return (", " if inside else "\n").join(f"{name}: {text}" for name, text in told if text)
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, (spoken(one, inside=True) for one in value)))
    return str(value)


class Family(click.Group):
    """A group of commands that says of each what it is for in a whole sentence: click would cut it
    to one line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit=1_000)) for name, one in found if one]
            )


def table_of(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    widths: Sequence[int] | None = None,
) -> Table:
    """A table for people; cells are text, never markup. Without ``widths`` it fits by itself."""
    from rich.table import Table
    from rich.text import Text

    # The title holds what people have typed.
    table = Table(title=Text(title, style="table.title"), title_justify="left", header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", width=widths[place] if widths else None)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return table


def without_empty(
    columns: Sequence[str], rows: Sequence[list[str]], width: int
) -> tuple[Sequence[str], list[list[str]]]:
    """Columns and rows; where not all columns have room, those in which there is nothing go."""
    whole = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    if not rows or sum(whole) + 3 * len(columns) + 1 <= width:
        return columns, list(rows)
    kept = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def column_widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> list[int] | None:
    """How wide each column of a table is in a terminal of ``width`` columns, so that no word is
    broken, but for those of more than ``LONGEST_WORD``; ``None`` where that cannot be."""
    from rich.cells import cell_len

    room = width - 3 * len(columns) - 1
    whole, least = [], []
    for cells in zip(columns, *rows, strict=True):
        lines = [line for cell in cells for line in cell.splitlines()]
        words = [word for line in lines for word in line.split()]
        whole.append(max(map(cell_len, lines), default=0))
        least.append(min(LONGEST_WORD, max(map(cell_len, words), default=0)))
    if sum(least) > room:
        return None
    found = [min(size, room) for size in whole]
    while sum(found) > room:
        most = max(range(len(found)), key=lambda place: found[place] - least[place])
        found[most] -= 1
    return found


def paragraphs(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Group:
    """The rows of a table below one another: two cells as a heading, the others with the names of
    their columns; what is empty is left out."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    shown: list[Padding | Text] = [Text(title, style="table.title")]
    for row in rows:
        heading = "  ".join(filter(None, row[:2]))
        others = zip(columns[2:], row[2:], strict=True)
        below = " · ".join(f"{name}: {cell}" for name, cell in others if cell)
        shown += [Text(heading, style="bold"), Padding(Text(below), (0, 0, 0, 4))]
    return Group(*shown)


def console() -> Console:
    """Standard output. Into a file or a pipe there is no width to fit: rows stay rows for grep."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=PIPED_WIDTH)


def say(message: str) -> None:
    """Write one sentence for people to standard error."""
    click.echo(message, err=True)


Item = TypeVar("Item")


class Counting:
    """Says on standard error how far a long command is: its first step, its last, and in between a
    line at most every second on a terminal, every ten seconds in a log.

    Args:
        what: is counted, and what was done with it: ``records indexed``.
        of: how many there are, where that is known.
        silent: say nothing, for machines.
        monotonic: seconds.
    """

    def __init__(
        self,
        what: str,
        of: int | None = None,
        *,
        silent: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._of, self._silent = what, of, silent
        self._monotonic = monotonic
        self._every_s = LINE_EVERY_S_ON_TERMINAL if sys.stderr.isatty() else LINE_EVERY_S
        self._done = 0
        self._said: int | None = None
        self._next_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._done and self._said != self._done:
            self._say()

    def reached(self, done: int) -> None:
        """So many were done until now."""
        self._done = done
        now = self._monotonic()
        if now >= self._next_at:
            self._next_at = now + self._every_s
            self._say()

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items, counted as they are taken."""
        for number, item in enumerate(items, 1):
            yield item
            if number % COUNTED_AT_ONCE == 0:
                self.reached(number)
            else:
                self._done = number

    def _say(self) -> None:
        self._said = self._done
        of = "" if self._of is None else f" of {max(self._of, self._done):,}"
        if not self._silent:
            say(f"… {self._done:,}{of} {self._what}")
