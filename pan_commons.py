"""The command line's front door: every room's commands under one name, and one boundary of errors.

The only module that may know every room. Rooms are imported when a command of theirs is called, so
that ``pan-commons technique`` does not wait for a web server to load.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pan_commons_terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_WRONG_USE,
    Settings,
    emit_json_line,
    log_to_stderr,
)

COMMANDS = {
    "demo": ("pan_commons_demo", "Demo facilities, a harvest and a search page."),
    "simulate": ("simulator.commands", "Start facilities on this machine, with faults if wanted."),
    "sources": ("harvester.commands", "Facilities' endpoints: list, show, check, add, remove."),
    "harvest": ("harvester.commands", "Fetch what is new, from all sources or from some."),
    "runs": ("harvester.commands", "Harvest runs: list, show, stop, approve, acknowledge."),
    "quarantine": ("harvester.commands", "Records that could not be mapped: list, show, replay."),
    "daemon": ("harvester.commands", "Harvest on schedule and index, until told to stop."),
    "status": ("harvester.commands", "Everything an operator wants to know, on one screen."),
    "index": ("catalogue.commands", "Look after record store and search index."),
    "forget": ("catalogue.commands", "Erase a record or a person for good."),
    "map": ("mappings.commands", "Show what a record in a file becomes."),
    "technique": ("mappings.commands", "Look at PaNET, and link technique names to it."),
    "search": ("search_api.commands", "Search the catalogue, and facilities live."),
    "serve": ("search_api.commands", "Serve the search page and the query APIs."),
}
"""Which room brings which command (promised names), and what it is for: to list them, no room is
loaded."""

OF_COMMANDS = ("--data", "--config", "--engine", "--elasticsearch-url", "--json")
"""Options that every command takes, and none of them stands before it."""

ERROR_TREES = (
    ("mappings.errors", "MappingsError"),
    ("catalogue.errors", "CatalogueError"),
    ("facility_http.errors", "FacilityHttpError"),
    ("search_api.errors", "SearchApiError"),
    ("simulator.errors", "SimulatorError"),
    ("pan_commons_demo", "DemoError"),
)


class FrontDoor(click.Group):
    """A group whose commands live in the rooms."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        room = importlib.import_module(COMMANDS[cmd_name][0])
        found: dict[str | None, click.Command] = {one.name: one for one in room.COMMANDS}
        return found[cmd_name]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in OF_COMMANDS:
                raise
            raise click.UsageError(
                f"{error.option_name} goes behind the command, as in: "
                f"pan-commons status {error.option_name} …",
                ctx,
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)


def version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import version as of

    return of("pan-commons")


def print_version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    """Answer ``--version`` and stop."""
    if asked and not ctx.resilient_parsing:
        click.echo(f"pan-commons {version()}")
        ctx.exit()


def live_standings(data: Path, now: datetime) -> Mapping[str, Mapping[str, Any]]:
    """For ``status``, whose room does not know the servers'."""
    from search_api.federation.kept_standings import kept_standings

    return kept_standings(data, now)


def configured_now(settings: Settings, store: Any, *, dry_run: bool) -> Mapping[str, Any]:
    """For ``index remap``, whose room does not know how sources are configured."""
    from harvester.station import read_anew

    return read_anew(settings, store, dry_run=dry_run)


@click.command(
    cls=FrontDoor,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "obj": {"live_standings": live_standings, "configured_now": configured_now},
    },
    epilog="Every command has --help, with an example, and --json. Exit codes: 0 done, 1 failed, "
    "2 wrong use, 3 done in part, 130 interrupted. With --json, what went wrong is one line of "
    'JSON on standard output, too: {"error": {"name": …, "message": …}}.',
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and exit.",
)
def front_door() -> None:
    """Harvest, unify and search the metadata of photon and neutron facilities.

    \b
    First steps:
      pan-commons demo                      demo facilities, harvest, search page
      pan-commons sources list              which facilities are configured
      pan-commons harvest                   fetch what is new from all of them
      pan-commons search "SAXS lysozyme"    look for open data
      pan-commons serve                     the query API and the search page
    """


def ours(error: BaseException) -> bool:
    """Whether one of the rooms raised this on purpose."""
    for module_name, class_name in ERROR_TREES:
        module = sys.modules.get(module_name)
        if module is not None and isinstance(error, getattr(module, class_name)):
            return True
    return False


def first_of_ours(error: BaseException) -> BaseException | None:
    """The first error of ours in a group that a task group raised, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            found = first_of_ours(inner)
            if found is not None:
                return found
        return None
    return error if ours(error) else None


def of_the_system(error: OSError) -> str:
    """What the system refused, without its number."""
    if error.strerror is None or error.filename is None:
        return str(error)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def report(error: BaseException, as_json: bool, message: str | None = None) -> int:
    """Say in one sentence what went wrong; give the exit code."""
    message = str(error) if message is None else message
    tell_machines(type(error).__name__, message, as_json)
    click.echo(f"pan-commons: {message}", err=True)
    return int(getattr(error, "exit_code", EXIT_FAILED))


def tell_machines(name: str, message: str, as_json: bool) -> None:
    """One line, because what came before it may have been lines of JSON."""
    if as_json:
        # Standard output may be what is full or gone.
        with contextlib.suppress(OSError):
            emit_json_line({"error": {"name": name, "message": message}})


def run(arguments: Sequence[str]) -> int:
    """Run one command line; gives the exit code. Never a trace for what is foreseen."""
    as_json = "--json" in arguments
    try:
        code = front_door.main(list(arguments), prog_name="pan-commons", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as misuse:
        tell_machines(type(misuse).__name__, misuse.format_message(), as_json)
        misuse.show()
        return EXIT_WRONG_USE if isinstance(misuse, click.UsageError) else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        tell_machines("Interrupted", "interrupted", as_json)
        click.echo("pan-commons: interrupted", err=True)
        return EXIT_INTERRUPTED
    except OSError as failure:
        return report(failure, as_json, of_the_system(failure))
    except sqlite3.Error as failure:
        return report(failure, as_json)
    except BaseException as error:
        mine = first_of_ours(error)
        if mine is None:
            raise
        return report(mine, as_json)
    return code if isinstance(code, int) else 0


def main() -> None:
    """Entry point of the ``pan-commons`` command."""
    try:
        log_to_stderr()
    except click.UsageError as misuse:
        tell_machines(type(misuse).__name__, misuse.format_message(), "--json" in sys.argv)
        misuse.show()
        raise SystemExit(EXIT_WRONG_USE) from None
    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
