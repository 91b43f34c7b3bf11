"""The operator's commands: ``sources``, ``harvest``, ``runs``, ``quarantine``, ``daemon``,
``status``. They work while a daemon runs (semantics 10.1). Heavy imports are inside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from harvester import listings, source_commands
from pan_commons_terminal import EXIT_DONE, EXIT_FAILED, Family, Settings, common_options


class Instant(click.ParamType[datetime]):
    """A day or an instant, as OAI-PMH writes them; UTC."""

    name = "DATE"

    def __init__(self, *, end_of_day: bool = False) -> None:
        self._end_of_day = end_of_day

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Raises ``BadParameter`` with the two forms that are right."""
        if isinstance(value, datetime):
            return value
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"):
            try:
                instant = datetime.strptime(value, form).replace(tzinfo=UTC)
            except ValueError:
                continue
            if self._end_of_day and form == "%Y-%m-%d":
                # "Until that day" includes it (OAI-PMH 2.0, section 2.7.1).
                return instant.replace(hour=23, minute=59, second=59)
            return instant
        raise click.BadParameter(
            f"{value!r} is no date; write 2024-01-31 or 2024-01-31T12:00:00Z.", ctx, param
        )


RUN = click.IntRange(1, 2**63 - 1)
"""The number of a run, as the store counts them."""
START, END = Instant(), Instant(end_of_day=True)


def _run(work: Callable[..., Any], *args: Any) -> Any:
    import anyio

    return anyio.run(work, *args)


@click.command("harvest")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--set", "set_", metavar="SET", help="Only this set (OAI-PMH).")
@click.option("--from", "start", type=START, help="Only records changed since (UTC).")
@click.option("--until", "end", type=END, help="Only records changed until (UTC, included).")
@click.option("--record", metavar="ID", help="Only this record; needs exactly one SOURCE.")
@click.option("--full", is_flag=True, help="Everything again, not only what is new.")
@click.option("--dry-run", is_flag=True, help="Fetch and map, but write nothing.")
@click.option("--no-index", is_flag=True, help="Leave indexing to the daemon.")
@common_options
@click.pass_context
def harvest(
    ctx: click.Context,
    settings: Settings,
    sources: tuple[str, ...],
    set_: str | None,
    start: datetime | None,
    end: datetime | None,
    record: str | None,
    full: bool,
    dry_run: bool,
    no_index: bool,
) -> None:
    """Fetch what is new from SOURCEs (or facilities); without one, from all that are enabled.

    Each page is durable before the next is asked for: stop it, or kill it, and start again, and
    it goes on where it was.

    \b
    Example:
      pan-commons harvest
      pan-commons harvest xfel-oai --from 2024-01-01 --dry-run
    """
    from harvester.harvest_command import Wanted, carry_out
    from harvester.place import Order

    if record is not None and len(sources) != 1:
        raise click.UsageError("--record needs exactly one SOURCE.")
    if record is not None and (start or end):
        raise click.UsageError("--record is one record; leave out --from and --until.")
    for name, value in (("--record", record), ("--set", set_)):
        # Sent, an empty argument means anything to some servers (fault B12).
        if value is not None and not value.strip():
            raise click.UsageError(f"{name} is empty.")
    if full and (set_ or start or end or record):
        raise click.UsageError("--full is everything; leave out --set, --from, --until, --record.")
    if start and end and start > end:
        raise click.UsageError("--from is after --until.")
    order = Order(full=full, set=set_, start=start, end=end, record=record)
    wanted = Wanted(sources, order, dry_run=dry_run, index=not no_index)
    ctx.exit(_run(carry_out, settings, wanted))


@click.group("runs", cls=Family)
def runs() -> None:
    """Harvest runs: what they did, how they ended; stopping, approving, acknowledging them.

    \b
    Example:
      pan-commons runs list
      pan-commons runs show 12
    """


@runs.command("list")
@click.argument("source", required=False)
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="So many."
)
@common_options
def runs_list(settings: Settings, source: str | None, limit: int) -> None:
    """The newest runs, of SOURCE or of all.

    \b
    Example:
      pan-commons runs list xfel-oai --limit 5
    """
    listings.list_runs(settings, source, limit)


@runs.command("show")
@click.argument("run", type=RUN)
@common_options
def runs_show(settings: Settings, run: int) -> None:
    """One run: counts, problems with samples, what it concluded.

    \b
    Example:
      pan-commons runs show 12
    """
    listings.show_run(settings, run)


@runs.command("stop")
@click.argument("run", type=RUN)
@common_options
@click.pass_context
def runs_stop(ctx: click.Context, settings: Settings, run: int) -> None:
    """Ask RUN to end after the page in hand, which has half a minute to come. The next run goes on
    from there.

    \b
    Example:
      pan-commons runs stop 12
    """
    ctx.exit(listings.stop_run(settings, run))


@runs.command("approve")
@click.argument("run", type=RUN)
@common_options
@click.pass_context
def runs_approve(ctx: click.Context, settings: Settings, run: int) -> None:
    """Let a held RUN's deletions go.

    The facility is asked again, and what is gone by then goes: as many as were shown, and a few
    more at most. Once a later run found nothing to ask about, it is too late.

    \b
    Example:
      pan-commons runs approve 12
    """
    from harvester.harvest_command import approve

    ctx.exit(_run(approve, settings, run))


@runs.command("acknowledge")
@click.argument("run", type=RUN)
@click.option("--undo", is_flag=True, help="Forget what is known of its source.")
@common_options
@click.pass_context
def runs_acknowledge(ctx: click.Context, settings: Settings, run: int, undo: bool) -> None:
    """Say that you know what was odd about a partial RUN.

    For what a facility always does a little wrong: from now on runs of its source that show the
    same, and not more of it, are ok.

    \b
    Example:
      pan-commons runs acknowledge 12
    """
    from harvester.harvest_command import acknowledge

    ctx.exit(acknowledge(settings, run, undo=undo))


@click.group("quarantine", cls=Family)
def quarantine() -> None:
    """Records that could not be mapped: which, why, and trying again.

    \b
    Example:
      pan-commons quarantine list xfel-oai
      pan-commons quarantine replay --dry-run
    """


@quarantine.command("list")
@click.argument("source", required=False)
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="So many."
)
@common_options
def quarantine_list(settings: Settings, source: str | None, limit: int) -> None:
    """Quarantined records of SOURCE or of all, with their reasons.

    \b
    Example:
      pan-commons quarantine list xfel-oai
    """
    listings.list_quarantine(settings, source, limit)


@quarantine.command("show")
@click.argument("source")
@click.argument("identifier")
@common_options
def quarantine_show(settings: Settings, source: str, identifier: str) -> None:
    """One record as it was received.

    \b
    Example:
      pan-commons quarantine show xfel-oai oai:example.org:12
    """
    listings.show_quarantined(settings, source, identifier)


@quarantine.command("replay")
@click.argument("source", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would become of them; write nothing.")
@common_options
@click.pass_context
def quarantine_replay(
    ctx: click.Context, settings: Settings, source: str | None, dry_run: bool
) -> None:
    """Map quarantined records again with the present crosswalks, without asking a facility.

    \b
    Example:
      pan-commons quarantine replay --dry-run
    """
    ctx.exit(listings.replay_quarantine(settings, source, dry_run=dry_run))


@click.command("daemon")
@click.option(
    "--at-once",
    default=16,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Sources harvested at the same time.",
)
@common_options
@click.pass_context
def daemon(ctx: click.Context, settings: Settings, at_once: int) -> None:
    """Harvest every source on its schedule, and index, until told to stop.

    SIGTERM finishes the page in hand; SIGHUP reads the configuration again; what `sources add` and
    `remove` change is taken up without it.

    \b
    Example:
      pan-commons daemon --data /srv/pan-commons
    """
    from harvester.daemon import serve

    ctx.exit(_run(serve, settings, at_once))


@click.command("status")
@click.option(
    "--expect-daemon", is_flag=True, help="Exit code 1 where no daemon is at work, for monitors."
)
@common_options
@click.pass_context
def status(ctx: click.Context, settings: Settings, expect_daemon: bool) -> None:
    """Everything an operator wants to know, on one screen.

    \b
    Example:
      pan-commons status
      pan-commons status --json --expect-daemon
    """
    # How facilities asked live stand is the servers' knowledge, which the front door brings.
    known = ctx.find_object(dict) or {}
    working = _run(listings.show_status, settings, known.get("live_standings"))
    ctx.exit(EXIT_DONE if working or not expect_daemon else EXIT_FAILED)


COMMANDS: tuple[click.Command, ...] = (
    source_commands.sources,
    harvest,
    runs,
    quarantine,
    daemon,
    status,
)
