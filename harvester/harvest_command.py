"""``harvest`` and ``runs approve``: runs in this process, with indexing beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import anyio
import anyio.to_thread

from catalogue.facilities import Facility, Source
from catalogue.records import RunRecord
from facility_http.errors import FacilityHttpError
from harvester.approvals import RUNS_LOOKED_AT, deletions_to_approve, settled_by
from harvester.deviations import known_deviations
from harvester.dry_run import Forecast, forecast
from harvester.fleet import exit_code, harvest_many
from harvester.indexing import IN_STEPS, EngineSettings, IndexFollower, Indexing
from harvester.keys import ConfigurationError
from harvester.listings import (
    existing_store,
    read_configuration,
    required,
    saying_what_was_harvested_with,
)
from harvester.place import Order
from harvester.progress import Progress
from harvester.reports import RUN_COLUMNS, flat_problems, problem_rows, run_as_json, run_row
from harvester.station import Station, choose_sources, heed_signals, open_station, require_contact
from pan_commons_terminal import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_PARTLY,
    Settings,
    emit_json,
    emit_table,
    say,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    names: tuple[str, ...]
    order: Order
    dry_run: bool = False
    index: bool = True


Pairs = Sequence[tuple[Facility, Source]]
Results = Mapping[str, RunRecord | Exception]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it; ``at_once``: it was told twice to end, and did not finish anything."""

    results: Results
    indexing: Indexing | None
    at_once: bool


async def carry_out(settings: Settings, wanted: Wanted) -> int:
    """``harvest``; gives the exit code."""
    configuration = read_configuration(settings)
    with saying_what_was_harvested_with(settings):
        pairs = choose_sources(configuration, wanted.names)
    require_contact(configuration, [source for _, source in pairs])
    progress = Progress(tuple(source.name for _, source in pairs))
    async with open_station(settings.data, configuration, progress) as station:
        if wanted.dry_run:
            return await _foresee(settings, station, pairs, wanted.order, progress)
        with progress:
            done = await _harvest(settings, station, pairs, wanted)
    return _report(settings, done)


async def _harvest(settings: Settings, station: Station, pairs: Pairs, wanted: Wanted) -> Done:
    results: Results = {}
    indexing: Indexing | None = None
    async with anyio.create_task_group() as tasks:
        follower = IndexFollower(
            EngineSettings(settings.data, settings.engine, settings.elasticsearch_url),
            IN_STEPS,
            station.shared.ahead,
        )
        if wanted.index:
            tasks.start_soon(follower.follow)
        async with anyio.create_task_group() as inner:
            stopping, at_once = station.shared.stopping, True
            inner.start_soon(heed_signals, stopping, inner.cancel_scope)
            results = await harvest_many(station.shared, pairs, wanted.order)
            if wanted.index:
                indexing = await follower.finish(stopping)
            at_once = False
            inner.cancel_scope.cancel()
        tasks.cancel_scope.cancel()
    return Done(results, indexing, at_once)


def _report(settings: Settings, done: Done) -> int:
    results, indexing = done.results, done.indexing
    code = EXIT_INTERRUPTED if done.at_once else exit_code(list(results.values()))
    if indexing is not None and indexing.problem is not None and code == EXIT_DONE:
        code = EXIT_PARTLY
    records = [one for one in results.values() if isinstance(one, RunRecord)]
    if settings.as_json:
        emit_json(
            {
                "runs": [
                    run_as_json(one)
                    if isinstance(one, RunRecord)
                    else {"source": name, "state": "failed", "details": {"error": str(one)}}
                    for name, one in results.items()
                ],
                "index": None if indexing is None else asdict(indexing),
                "exit_code": code,
            }
        )
        return code
    if records:
        emit_table("Harvest", RUN_COLUMNS, map(run_row, records))
    rows = problem_rows(records)
    rows += [
        (name, "", str(one), "") for name, one in results.items() if isinstance(one, Exception)
    ]
    if rows:
        emit_table("Problems", ("Source", "Count", "What", "Where, for example"), rows)
    if indexing is not None and indexing.problem is not None:
        # Of an index that could not even be opened nobody knows how far it is.
        behind = f"{indexing.lag} changes behind" if indexing.lag else "not up to date"
        say(f"The index is {behind}: {indexing.problem}")
    if done.at_once:
        say("Stopped at once. The next harvest goes on from the last page that was kept.")
    return code


async def _foresee(
    settings: Settings, station: Station, pairs: Pairs, order: Order, progress: Progress
) -> int:
    results: dict[str, Forecast | FacilityHttpError] = {}

    async def one(facility: Facility, source: Source) -> None:
        try:
            results[source.name] = await forecast(station.shared, facility, source, order)
        except FacilityHttpError as problem:
            results[source.name] = problem

    with progress:
        async with anyio.create_task_group() as tasks:
            for facility, source in pairs:
                tasks.start_soon(one, facility, source)
    failed = sum(isinstance(result, FacilityHttpError) for result in results.values())
    code = EXIT_DONE if not failed else EXIT_FAILED if failed == len(results) else EXIT_PARTLY
    if settings.as_json:
        emit_json({"dry_run": [_foreseen(name, one) for name, one in results.items()]})
        return code
    emit_table(
        "Dry run: nothing was written",
        ("Source", "Kind", "Records", "Deleted", "Mapped", "Would go to quarantine", "Problem"),
        (
            (name, "", "", "", "", "", str(one))
            if isinstance(one, FacilityHttpError)
            else (
                name,
                one.kind,
                one.received,
                one.deleted,
                one.mapped,
                sum(len(identifiers) for identifiers in one.quarantine.values()),
                ", ".join(one.problems),
            )
            for name, one in results.items()
        ),
    )
    return code


def _foreseen(name: str, one: Forecast | FacilityHttpError) -> dict[str, Any]:
    if isinstance(one, FacilityHttpError):
        return {"source": name, "error": str(one)}
    return {
        **asdict(one),
        "quarantine": flat_problems(one.quarantine),
        "problems": flat_problems(one.problems),
    }


def acknowledge(settings: Settings, number: int, *, undo: bool) -> int:
    """``runs acknowledge``; idempotent. What the run found odd counts as known from now on."""
    with existing_store(settings, write=True) as found_store:
        store = required(found_store, settings)
        record = store.run(number)
        if undo:
            store.remember(record.source, {"known": None})
            known = {}
        else:
            found = deviations_to_acknowledge(record)
            known = {**known_deviations(store.source_status(record.source).memory), **found}
            store.remember(record.source, {"known": known})
    if settings.as_json:
        emit_json({"run": number, "source": record.source, "known": known})
    elif undo:
        say(f"Nothing is known of {record.source} any more: every deviation counts again.")
    else:
        emit_table(f"Known of {record.source} from now on", ("What", "How much"), known.items())
    return EXIT_DONE


def deviations_to_acknowledge(record: RunRecord) -> dict[str, int]:
    """What was odd about a run that read everything it could.

    Raises:
        ConfigurationError: it did not, or nothing was odd.
    """
    name = f"Run {record.number} of {record.source}"
    if record.details.get("error"):
        raise ConfigurationError(
            f"{name} ended by a failure ({record.stop}); only what a facility sends in a run that "
            "was carried out to its end can be acknowledged."
        )
    found = record.details.get("deviations") or {}
    if record.state not in ("ok", "partial") or not found:
        raise ConfigurationError(f"{name} is {record.state}; there is nothing to acknowledge.")
    return {str(reason): int(size) for reason, size in found.items()}


async def approve(settings: Settings, number: int) -> int:
    """``runs approve``; idempotent: an approved run is not carried out twice."""
    configuration = read_configuration(settings)
    with existing_store(settings, write=True) as found_store:
        store = required(found_store, settings)
        held = store.run(number)
        if held.state != "held":
            raise ConfigurationError(
                f"Run {number} of {held.source} is {held.state}, not held; there is nothing to "
                "approve."
            )
        done = held.details.get("approved_by_run")
        if done is not None:
            if settings.as_json:
                emit_json(run_as_json(store.run(int(done))))
            else:
                say(f"Run {number} was approved already, by run {done}.")
            return EXIT_DONE
        settled = settled_by(held, store.runs(held.source, RUNS_LOOKED_AT))
        if settled is not None:
            raise ConfigurationError(
                f"Run {number} of {held.source} is of yesterday: run {settled.number} found "
                "nothing to ask about any more. If a later run is held, approve that one."
            )
    gone = deletions_to_approve(held)
    full = held.details.get("harvest") == "full"
    order = Order(full=full, approved=gone)
    source = configuration.source(held.source)
    require_contact(configuration, [source])
    pair = (configuration.facility(source.facility), source)
    progress = Progress((source.name,))
    async with open_station(settings.data, configuration, progress) as station:
        with progress:
            done = await _harvest(settings, station, [pair], Wanted((source.name,), order))
        record = done.results.get(source.name)
        if isinstance(record, RunRecord) and record.state in ("ok", "partial"):
            await anyio.to_thread.run_sync(
                station.shared.store.annotate_run, number, {"approved_by_run": record.number}
            )
    return _report(settings, done)
