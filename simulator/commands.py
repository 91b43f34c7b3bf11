"""``pan-commons simulate``: facilities on this machine, until interrupted."""

from __future__ import annotations

import dataclasses
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pan_commons_terminal import (
    Settings,
    common_options,
    emit_json,
    emit_json_line,
    emit_table,
    say,
)

if TYPE_CHECKING:
    from simulator.facility import Facility, FacilitySpec


def print_faults(as_json: bool) -> None:
    """Show the table of faults."""
    from simulator import KINDS

    rows = [(name, parts[0].cites, parts[0].summary) for name, parts in sorted(KINDS.items())]
    if as_json:
        names = ("name", "number", "summary")
        emit_json({"faults": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        emit_table("Faults", ("name", "number", "what it does"), rows)


def read_database(path: Path) -> dict[str, Any]:
    """A LoopBack memory database from a file; raises BadRecords."""
    import orjson

    from simulator.errors import BadRecords

    try:
        stored = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadRecords(f"{path} cannot be read as a LoopBack memory database: {error}") from error
    if not isinstance(stored, dict) or "models" not in stored:
        raise BadRecords(f"{path} is no LoopBack memory database: it has no 'models'.")
    return stored


def chosen(
    name: str, port: int | None, records: int | None, seed: int, database: Path | None
) -> tuple[FacilitySpec, ...]:
    """What to start: demo facilities, generated records, or a database from a file."""
    from simulator.demo import FIRST_PORT, facilities, facility
    from simulator.demo.sites import generated
    from simulator.facility import FacilitySpec
    from simulator.panosc_rest import RestOptions

    first = FIRST_PORT if port is None else port
    if database is not None:
        stored = read_database(database)
        return (FacilitySpec(database.stem, database=stored, rest=RestOptions(), port=first),)
    if records is not None:
        return (generated(records, seed, first),)
    if name.casefold() == "all":
        return facilities(first)
    one = facility(name)
    return (one if port is None else dataclasses.replace(one, port=port),)


def addresses(facility: Facility) -> dict[str, str | None]:
    """Where a facility that is running can be asked."""
    spec = facility.spec
    return {
        "name": spec.name,
        "title": spec.title,
        "url": facility.base_url,
        "oai": facility.oai_url if spec.oai else None,
        "api": facility.api_url if spec.rest else None,
    }


async def serve_until_interrupted(
    specs: tuple[FacilitySpec, ...], host: str, as_json: bool
) -> None:
    """Run all facilities until SIGINT or SIGTERM."""
    import anyio

    from simulator.facility import running

    async with AsyncExitStack() as stack:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            started = [
                addresses(await stack.enter_async_context(running(spec, host, spec.port)))
                for spec in specs
            ]
            if as_json:
                emit_json_line({"facilities": started})
            else:
                rows = [(one["name"], one["oai"], one["api"]) for one in started]
                emit_table("Facilities", ("name", "OAI-PMH", "PaNOSC Search API"), rows)
                say("Ctrl-C ends them.")
            async for _ in signals:
                return


@click.command("simulate")
@click.option(
    "--facility", "name", default="all", show_default=True, help="A demo facility's short name."
)
@click.option("--records", type=click.IntRange(0), help="Serve that many generated records.")
@click.option("--seed", default=0, show_default=True, help="With --records: which records.")
@click.option(
    "--db",
    "database",
    type=click.Path(path_type=Path),
    help="Serve a LoopBack memory database (db.json).",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the first. [8091]")
@click.option(
    "--fault", "faults", multiple=True, help="e.g. slow:2s,error:503@page3x2 (see --list-faults)."
)
@click.option("--list-faults", is_flag=True, help="Show all faults and exit.")
@common_options
def simulate(
    settings: Settings,
    name: str,
    records: int | None,
    seed: int,
    database: Path | None,
    host: str,
    port: int | None,
    faults: tuple[str, ...],
    list_faults: bool,
) -> None:
    """Start facilities on this machine, until interrupted.

    Without options these are the demo facilities. They speak OAI-PMH 2.0 and the PaNOSC Search
    API over real HTTP, and can be told to be slow, broken or wrong.

    \b
    Example:
      pan-commons simulate --records 500 --port 8091 --fault slow:2s
    """
    if list_faults:
        print_faults(settings.as_json)
        return
    import anyio

    from simulator.faults import parse_faults

    wanted = parse_faults(faults)
    specs = tuple(
        dataclasses.replace(spec, faults=wanted)
        for spec in chosen(name, port, records, seed, database)
    )
    anyio.run(serve_until_interrupted, specs, host, settings.as_json)


COMMANDS: tuple[click.Command, ...] = (simulate,)
