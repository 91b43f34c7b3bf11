"""The operator's commands for what is kept: ``index …`` and ``forget``.

They work while the daemon runs (semantics 10.1). Heavy imports are inside.
"""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalogue.clock import utc_now
from catalogue.engine_commands import (
    ENGINE_COMMANDS,
    and_gone,
    bring_in,
    expect_store,
)
from pan_commons_terminal import (
    EXIT_FAILED,
    EXIT_PARTLY,
    Counting,
    Family,
    Settings,
    common_options,
    emit_json,
    emit_table,
    say,
)

if TYPE_CHECKING:
    from catalogue.store import Store
    from catalogue.store.forget import ForgetReport
    from catalogue.store.remap import RemapReport


def _open(settings: Settings, *, make: bool = False, looking: bool = False) -> Store:
    """The store of the data folder; only ``import`` may make one. ``looking`` makes do with a
    folder that cannot be written: what is on a failing or full disk has to be saved from there."""
    from catalogue.errors import StoreFull, StoreReadOnly
    from catalogue.store import Store

    if not make:
        expect_store(settings)
    try:
        return Store.open(settings.data)
    except (StoreReadOnly, StoreFull):
        if not looking:
            raise
        return Store.open(settings.data, read_only=True)


@click.group(cls=Family)
def index() -> None:
    """Look after the record store and the search index.

    \b
    Example:
      pan-commons index status
      pan-commons index backup /backups/pan-commons.sqlite
    """


@index.command()
@click.argument("target", required=False, type=click.Path(path_type=Path))
@common_options
def backup(settings: Settings, target: Path | None) -> None:
    """Copy the store into one file while others go on writing.

    TARGET is the file to write [backups/store-<now>.sqlite in the data folder]. To go back to it,
    stop all processes, remove store.sqlite-wal and -shm, and put it in the place of store.sqlite.

    \b
    Example:
      pan-commons index backup /backups/store.sqlite
    """
    now = utc_now()
    with _open(settings, looking=True) as store:
        name = f"store-{now:%Y%m%dT%H%M%SZ}.sqlite"
        report = store.backup(target or settings.data / "backups" / name, now)
    if settings.as_json:
        emit_json(
            {
                "path": str(report.path),
                "size_bytes": report.size_bytes,
                "last_change": report.last_change,
            }
        )
    else:
        say(f"{report.path}: {report.size_bytes:,} bytes, up to change {report.last_change}.")


@index.command()
@common_options
@click.pass_context
def check(ctx: click.Context, settings: Settings) -> None:
    """Look whether the store is sound, every payload included; changes nothing.

    \b
    Example:
      pan-commons index check
    """
    with _open(settings, looking=True) as store:
        report = store.check()
    if settings.as_json:
        emit_json(
            {
                "sound": not report.problems,
                "records": report.records,
                "records_gone": report.records_gone,
                "entities": report.entities,
                "entities_gone": report.entities_gone,
                "problems": list(report.problems),
            }
        )
    else:
        for problem in report.problems:
            click.echo(problem)
        state = "not sound" if report.problems else "sound"
        if report.entities or not report.problems:
            say(
                f"{report.records:,} records of sources{and_gone(report.records_gone)} make "
                f"{report.entities:,} entities{and_gone(report.entities_gone)}: {state}."
            )
        else:
            say(f"The store is {state}.")
    if report.problems:
        ctx.exit(EXIT_FAILED)


@index.command()
@common_options
def compact(settings: Settings) -> None:
    """Compress payloads with newly trained dictionaries, and give back free space.

    \b
    Example:
      pan-commons index compact
    """
    with _open(settings) as store:
        report = store.compact(utc_now())
    if settings.as_json:
        emit_json(
            {
                "bytes_before": report.bytes_before,
                "bytes_after": report.bytes_after,
                "repacked": report.repacked,
            }
        )
    else:
        say(
            f"{report.repacked:,} payloads compressed anew;"
            f" {report.bytes_before:,} bytes before, {report.bytes_after:,} after."
        )


@index.command("export")
@click.argument("target", type=click.Path(path_type=Path, allow_dash=True))
@common_options
def export_(settings: Settings, target: Path) -> None:
    """Write the whole store as JSON Lines to the file TARGET; - is standard output.

    \b
    Example:
      pan-commons index export store.jsonl
    """
    from catalogue.errors import StoreError
    from catalogue.store.database import translated

    to_stdout = str(target) == "-"
    if not to_stdout and target.exists():
        raise StoreError(f"{target} exists already; name another file")
    lines = 0
    counting = Counting("lines written", silent=settings.as_json)
    # Whoever reads standard output may go away, which is no fault of a file.
    faults = nullcontext() if to_stdout else translated(target)
    with _open(settings, looking=True) as store, faults, counting:
        exported = store.export(utc_now(), None if to_stdout else target)
        partial = target.with_name(f"{target.name}.partial")
        try:
            with (
                closing(exported),
                nullcontext(sys.stdout.buffer) if to_stdout else partial.open("wb") as out,
            ):
                for line in counting.each(exported):
                    out.write(line)
                    lines += 1
            if not to_stdout:
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    if settings.as_json and not to_stdout:
        emit_json({"path": str(target), "lines": lines})
    else:
        say(f"{lines:,} lines written.")


@index.command("import")
@click.argument(
    "origin", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)
)
@common_options
@click.pass_context
def import_(ctx: click.Context, settings: Settings, origin: Path) -> None:
    """Take an export into an empty data folder; ORIGIN is its file, - is standard input.

    \b
    Example:
      pan-commons index import store.jsonl --data /srv/new-folder
    """
    from_stdin = str(origin) == "-"
    with (
        _open(settings, make=True) as store,
        nullcontext(sys.stdin.buffer) if from_stdin else origin.open("rb") as lines,
        Counting("lines read", silent=settings.as_json) as counting,
    ):
        report = store.import_(counting.each(lines), utc_now())
    indexed = bring_in(settings)
    if settings.as_json:
        emit_json(
            {
                "records": report.records,
                "skipped": report.skipped,
                "entities": report.entities,
                "index": indexed.told,
            }
        )
    else:
        say(
            f"{report.records:,} records came in, {report.skipped:,} were there already;"
            f" search index: {indexed.told}."
        )
    if indexed.is_behind:
        ctx.exit(EXIT_PARTLY)


@index.command()
@click.argument("source", required=False)
@click.option("--dry-run", is_flag=True, help="Only show what would become different.")
@common_options
@click.pass_context
def remap(ctx: click.Context, settings: Settings, source: str | None, dry_run: bool) -> None:
    """Run stored records of SOURCE (of all) through the present crosswalks, asking nobody.

    Also those of sources and facilities whose configuration says something else of them by now.
    Only what other versions made is looked at; can be interrupted and started again.

    \b
    Example:
      pan-commons index remap --dry-run
    """
    from mappings import crosswalk

    counting = Counting("records looked at", silent=settings.as_json)
    # How sources are configured is known to another room, and brought by the front door.
    configured_now = (ctx.find_object(dict) or {}).get("configured_now")
    with _open(settings, looking=dry_run) as store, counting:
        before = store.last_change()
        report = store.remap(
            crosswalk,
            now=utc_now(),
            source=source,
            dry_run=dry_run,
            progress=lambda so_far: counting.reached(so_far.examined),
            configured=configured_now and configured_now(settings, store, dry_run=dry_run),
        )
        changed = store.last_change() != before
    indexed = bring_in(settings) if changed else None
    if indexed is not None and not settings.as_json:
        say(f"Search index: {indexed.told}.")
    if settings.as_json:
        emit_json(_remap_json(report))
    else:
        _show_remap(report, dry_run=dry_run)
    if report.quarantined or (indexed is not None and indexed.is_behind):
        ctx.exit(EXIT_PARTLY)


def _remap_json(report: RemapReport) -> dict[str, object]:
    return {
        "examined": report.examined,
        "changed": report.changed,
        "released": report.released,
        "quarantined": report.quarantined,
        "skipped": report.skipped,
        "entities": report.entities,
        "differences": [
            {
                "source": one.source,
                "identifier": one.identifier,
                "key": one.key,
                "change": one.change,
                "fields": list(one.fields),
            }
            for one in report.differences
        ],
    }


def _show_remap(report: RemapReport, *, dry_run: bool) -> None:
    if report.differences:
        emit_table(
            "What would become different",
            ("source", "record", "entity", "change", "fields"),
            (
                (one.source, one.identifier, one.key, one.change, ", ".join(one.fields))
                for one in report.differences
            ),
        )
    would = "would change" if dry_run else "changed"
    say(
        f"{report.examined:,} records looked at: {report.changed:,} {would},"
        f" {report.released:,} out of quarantine, {report.quarantined:,} in quarantine,"
        f" {report.skipped:,} left to a harvest that is writing them."
    )


@click.command()
@click.argument("name", metavar="RECORD|PERSON")
@click.option("--record", "kind", flag_value="record", help="NAME is a record.")
@click.option("--person", "kind", flag_value="person", help="NAME is a person.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@click.pass_context
def forget(ctx: click.Context, settings: Settings, name: str, kind: str | None, yes: bool) -> None:
    """Erase a record or a person for good, from here and from all harvests to come.

    RECORD is a key, DOI, pid or the identifier at its source; PERSON is an ORCID or a full name.
    The search index is made anew, because an index keeps words of what was deleted for a while.

    \b
    Example:
      pan-commons forget 10.5072/12345
      pan-commons forget --person 0000-0002-1825-0097 --yes
    """
    if not yes:
        click.confirm(f"Erase {name!r} for good?", abort=True, err=True)
    from catalogue.engines.tantivy import FOLDER

    with _open(settings) as store:
        report = store.forget(name, now=utc_now(), kind=kind)
    indexed = bring_in(settings, anew=True)
    other = None
    if settings.engine != "tantivy" and (settings.data / FOLDER).exists():
        # Left from before another engine came into use, or for when it goes out of use.
        other = bring_in(replace(settings, engine="tantivy"), anew=True)
    if settings.as_json:
        told = {"index": indexed.told, "other_index": other and other.told}
        emit_json(_forgotten_json(report) | told)
    else:
        _say_forgotten(report, indexed.told)
        if other is not None:
            say(f"The index of the other engine, in {settings.data / FOLDER}: {other.told}.")
    if report.left is not None or indexed.is_behind or (other is not None and other.is_behind):
        ctx.exit(EXIT_PARTLY)


def _forgotten_json(report: ForgetReport) -> dict[str, object]:
    return {
        "kind": report.kind,
        "records": [list(record) for record in report.records],
        "payloads": report.payloads,
        "history": report.history,
        "entities": report.entities,
        "still_mentioned": report.still_mentioned,
        "left": report.left,
        "copies": [
            {
                "path": str(copy.path),
                "kind": copy.kind,
                "made_at": copy.made_at.isoformat(),
                "exists": copy.exists,
            }
            for copy in report.copies
        ],
    }


def _say_forgotten(report: ForgetReport, indexed: str) -> None:
    say(
        f"Forgotten as {report.kind}: {len(report.records)} records, {report.payloads} payloads,"
        f" {report.history} earlier versions; {len(report.entities)} entities changed;"
        f" search index: {indexed}."
    )
    if report.left is not None:
        say(f"Traces stay in the file ({report.left}); then run: pan-commons index compact")
    for key in report.still_mentioned:
        say(f"The name still stands in the text of {key}.")
    for copy in report.copies:
        if copy.exists:
            say(f"The {copy.kind} {copy.path} of {copy.made_at:%Y-%m-%d} still holds it.")


for _command in ENGINE_COMMANDS:
    index.add_command(_command)

COMMANDS: tuple[click.Command, ...] = (index, forget)
