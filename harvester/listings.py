"""Commands that only look, or leave a note for who harvests: all work on the store alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pan_commons_terminal import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_PARTLY,
    Settings,
    emit_facts,
    emit_json,
    emit_table,
    say,
)

if TYPE_CHECKING:
    from catalogue.facilities import Source
    from catalogue.store import Store
    from harvester.sources import Configuration
    from harvester.space import Room


ENGINE_ANSWERS_S = 5.0
"""How long ``status`` waits for a search engine: it looks after the daemon, too, and whoever asks
for that by a clock (compose: 20 s) must not take a silent engine for a dead daemon."""


def read_configuration(settings: Settings) -> Configuration:
    """The configuration that the settings name."""
    from harvester.sources import load_configuration

    return load_configuration(settings.config, settings.data)


@contextmanager
def saying_what_was_harvested_with(settings: Settings) -> Iterator[None]:
    """Whoever forgot ``--config`` is told, where a source is not found, which file the data folder
    was harvested with."""
    from harvester.keys import NoSuchSource

    try:
        yield
    except NoSuchSource as problem:
        with existing_store(settings) as store:
            file = None if store is None else store.configured_by()
        if not _is_of_another_file(settings, file):
            raise
        raise NoSuchSource(f"{problem} What is here was harvested as {file} has it.") from problem


def _is_of_another_file(settings: Settings, harvested_as: str | None) -> bool:
    """Whether what is here was harvested with a file of somebody's own, and none is named now."""
    from harvester.sources import SHIPPED_ONE

    return settings.config is None and harvested_as not in (None, SHIPPED_ONE)


@contextmanager
def existing_store(settings: Settings, *, write: bool = False) -> Iterator[Store | None]:
    """The data folder's store, or ``None`` when nothing was ever stored there."""
    from catalogue.errors import StoreDamaged
    from catalogue.store import Store
    from catalogue.store.database import FILE_NAME

    if not (settings.data / FILE_NAME).exists():
        yield None
        return
    try:
        store = Store.open(settings.data, read_only=not write)
    except StoreDamaged:
        # Of an older version, perhaps, or just being made: opening it for writing settles that,
        # and says so if it really is damaged.
        store = Store.open(settings.data)
    with store:
        yield store


def require_one_kind(settings: Settings, source: Source) -> None:
    """Demo and real data are kept apart (semantics 10.5).

    Raises:
        MixedData: the data folder holds the other kind.
    """
    from catalogue.store import Store
    from catalogue.store.database import FILE_NAME

    if (settings.data / FILE_NAME).exists():
        Store.open(settings.data, demo=source.demo, read_only=True).close()


def nothing_yet(settings: Settings) -> str:
    """What to say of an empty data folder."""
    return f"Nothing was harvested into {settings.data} yet; `pan-commons harvest` does."


def list_runs(settings: Settings, source: str | None, limit: int) -> None:
    """``runs list``"""
    from harvester.reports import RUN_COLUMNS, run_as_json, run_row

    with existing_store(settings) as store:
        found = () if store is None else store.runs(source, limit)
    if settings.as_json:
        emit_json({"runs": [run_as_json(record) for record in found]})
    elif found:
        emit_table("Runs", RUN_COLUMNS, map(run_row, found))
    else:
        say(nothing_yet(settings))


def show_run(settings: Settings, number: int) -> None:
    """``runs show``"""
    from harvester.approvals import RUNS_LOOKED_AT, settled_by
    from harvester.reports import RUN_COLUMNS, problem_rows, run_as_json, run_facts, run_row

    settled = None
    with existing_store(settings) as store:
        known = required(store, settings)
        record = known.run(number)
        if record.state == "held":
            settled = settled_by(record, known.runs(record.source, RUNS_LOOKED_AT))
    if settings.as_json:
        emit_json(run_as_json(record))
        return
    emit_table(f"Run {number}", RUN_COLUMNS, [run_row(record)])
    rows = problem_rows([record], {number: settled.number} if settled else None)
    if rows:
        emit_table("Problems", ("Source", "Count", "What", "Where, for example"), rows)
    emit_facts("Details", run_facts(record))


def stop_run(settings: Settings, number: int) -> int:
    """``runs stop``; idempotent."""
    from harvester.holders import is_abandoned

    with existing_store(settings, write=True) as store:
        known = required(store, settings)
        known.request_stop(number)
        record = known.run(number)
    abandoned = is_abandoned(record)
    if settings.as_json:
        found = {"run": number, "source": record.source, "state": record.state}
        emit_json({**found, "abandoned": abandoned})
    elif abandoned:
        say(f"Run {number} of {record.source} is over: its process is gone. The next goes on.")
    elif record.state == "running":
        say(f"Run {number} of {record.source} ends after the page in hand, within half a minute.")
    else:
        say(f"Run {number} of {record.source} had ended already: {record.state}.")
    return EXIT_DONE


def required(store: Store | None, settings: Settings) -> Store:
    """The store; raises ``NothingKept`` where nothing was ever stored."""
    from catalogue.errors import NothingKept

    if store is None:
        raise NothingKept(nothing_yet(settings))
    return store


def list_quarantine(settings: Settings, source: str | None, limit: int) -> None:
    """``quarantine list``"""
    from harvester.reports import quarantined_as_json, stamp

    with existing_store(settings) as store:
        found = () if store is None else store.quarantine(source, limit)
    if settings.as_json:
        emit_json({"quarantine": [quarantined_as_json(entry) for entry in found]})
    elif found:
        emit_table(
            "Quarantine",
            ("Source", "Identifier", "Where", "Reason", "Since"),
            ((q.source, q.identifier, q.path, q.reason, stamp(q.since)) for q in found),
        )
    else:
        say("Nothing is in quarantine.")


def show_quarantined(settings: Settings, source: str, identifier: str) -> None:
    """``quarantine show``"""
    with existing_store(settings) as store:
        payload = required(store, settings).quarantined_payload(source, identifier)
    text = "" if payload is None else payload.decode("utf-8", "replace")
    if settings.as_json:
        emit_json({"source": source, "identifier": identifier, "payload": text})
    else:
        import click

        click.echo(text)


def replay_quarantine(settings: Settings, source: str | None, *, dry_run: bool) -> int:
    """``quarantine replay``; what still cannot be mapped stays, with its present reason."""
    from catalogue.engine_commands import bring_in
    from harvester.replay import replay
    from harvester.station import read_anew

    with existing_store(settings, write=not dry_run) as store:
        if store is not None:
            configured = read_anew(settings, store, dry_run=dry_run)
            report = replay(store, source, configured, dry_run=dry_run)
        elif settings.as_json:
            report = {"tried": 0, "mapped": 0, "kept": 0, "dry_run": dry_run}
        else:
            say(nothing_yet(settings))
            return EXIT_DONE
    indexed = bring_in(settings) if report["mapped"] and not dry_run else None
    if settings.as_json:
        emit_json({**report, "index": indexed and indexed.told})
    else:
        verb = "would be mapped" if dry_run else "are mapped now"
        say(f"{report['mapped']} of {report['tried']} records {verb}; {report['kept']} stay.")
        if indexed is not None:
            say(f"Search index: {indexed.told}.")
    if indexed is not None and indexed.is_behind:
        return EXIT_PARTLY
    if not report["tried"] or not report["kept"]:
        return EXIT_DONE
    return EXIT_PARTLY if report["mapped"] else EXIT_FAILED


def collect_status(settings: Settings, configuration: Configuration) -> list[dict[str, Any]]:
    """Every configured source with what the store knows of it."""
    from catalogue.clock import utc_now
    from catalogue.errors import NotFound
    from harvester.outcomes import goes_on_at_once
    from harvester.reports import due_at, status_as_json

    found = []
    with existing_store(settings) as store:
        for source in configuration.sources:
            status = due = None
            if store is not None:
                try:
                    status = store.source_status(source.name)
                    last, due = status.last_run, utc_now()
                    if last is None or not goes_on_at_once(last):
                        due = due_at(source, status, store.runs(source.name, 20), due)
                except NotFound:
                    status = None
            if not source.enabled or source.mode == "live":
                due = None
            found.append(status_as_json(source, status, due))
    return found


Standings = Callable[[Path, datetime], Mapping[str, Mapping[str, Any]]]
"""How sources asked live stand: of a data folder, at an instant."""


async def show_status(settings: Settings, live_standings: Standings | None = None) -> bool:
    """``status``; whether a daemon is at work."""
    from catalogue.clock import utc_now
    from harvester.presence import presence
    from harvester.reports import presence_as_json, presence_in_words
    from harvester.space import Room

    configuration = read_configuration(settings)
    sources = collect_status(settings, configuration)
    asked_live = any(one["mode"] != "indexed" for one in sources)
    standings = live_standings(settings.data, utc_now()) if live_standings and asked_live else {}
    for one in sources:
        one["live"] = standings.get(one["source"]) if one["mode"] != "indexed" else None
    engine = await _engine_status(settings)
    room = Room(settings.data, configuration.storage)
    space = {
        "used_bytes": room.used_bytes(),
        "budget_bytes": room.budget.bytes,
        "free_bytes": room.free_bytes() if settings.data.exists() else None,
    }
    now = utc_now()
    daemon = presence(settings.data, now)
    working = daemon.state == "working"
    unlisted, hindrance, harvested_as = _left_behind(settings, configuration)
    if settings.as_json:
        about = {
            "data": str(settings.data),
            "configured_by": harvested_as,
            "daemon": presence_as_json(daemon),
        }
        found = {**engine, "space": space, "sources": sources, "unlisted": unlisted}
        reasons = [reason for reason in (hindrance, _no_room(settings, room)) if reason]
        emit_json({**about, **found, "no_harvest_begins": reasons})
        return working

    _show_sources(settings, sources, now)
    _say_left_behind(settings, configuration, unlisted, harvested_as)
    behind = "everything indexed." if not engine["lag"] else f"index {engine['lag']:,} behind."
    if engine["index_problem"]:
        behind = f"and the index cannot be read: {engine['index_problem']}"
    say(f"{engine['records']:,} records; change {engine['last_change']:,}, {behind}")
    say(presence_in_words(daemon, now))
    if hindrance is not None:
        say(f"No harvest begins: {hindrance}")
    _say_room(settings, room)
    if configuration.contact is None and any(not source.demo for source in configuration.sources):
        from harvester.keys import HOW_TO_SAY_WHO

        say("No contact: " + HOW_TO_SAY_WHO)
    return working


def _say_left_behind(
    settings: Settings,
    configuration: Configuration,
    unlisted: Mapping[str, int],
    harvested_as: str | None,
) -> None:
    from harvester.sources import SHIPPED_ONE

    if _is_of_another_file(settings, harvested_as):
        say(
            f"What is here was harvested as {harvested_as} has it, and shown are the sources of "
            f"{SHIPPED_ONE}: name that file with --config or PAN_COMMONS_CONFIG."
        )
    for name, count in unlisted.items():
        if name in configuration.removed:
            say(f"{count:,} records of {name} are kept; it is not harvested any more.")
        else:
            say(
                f"{count:,} records are left of {name}, which is not configured any more: "
                f"pan-commons sources remove {name}"
            )


def _show_sources(settings: Settings, sources: Sequence[dict[str, Any]], now: datetime) -> None:
    from harvester.reports import ago

    def when(text: str | None) -> str:
        return ago(datetime.fromisoformat(text), now) if text else "—"

    emit_table(
        f"Sources in {settings.data}",
        ("Source", "Facility", "Records", "Quarantine", "Last run", "State", "Note", "Next"),
        (
            (
                one["source"],
                one["facility"],
                f"{one['records']:,}",
                one["quarantined"] or "",
                when(
                    (one["last_run"] or {}).get("ended_at")
                    or (one["last_run"] or {}).get("started_at")
                ),
                _state(one),
                _note(one, when),
                _next(one["next_run_at"], now),
            )
            for one in sources
        ),
    )


def _left_behind(
    settings: Settings, configuration: Configuration
) -> tuple[dict[str, int], str | None, str | None]:
    """What the store still has of sources that are not configured any more, by name; why what an
    import left undone keeps harvests from beginning; and the file that was harvested with."""
    from catalogue.errors import ImportUnfinished

    with existing_store(settings) as store:
        if store is None:
            return {}, None, None
        hindrance = None
        try:
            store.require_whole()
        except ImportUnfinished as problem:
            hindrance = str(problem)
        return unlisted(store, configuration), hindrance, store.configured_by()


def unlisted(store: Store, configuration: Configuration) -> dict[str, int]:
    """Sources that are not configured any more, and how many live records they still have: those
    that the store was told of, and those taken out of its own file since. Of another file's
    sources none is said to be missing; that one may be named by mistake."""
    found = store.unlisted()
    if store.configured_by() == configuration.origin:
        named = {source.name for source in configuration.sources}
        for source in store.sources():
            if source.name not in named and (count := store.source_status(source.name).records):
                found[source.name] = count
    return found


def _say_room(settings: Settings, room: Room) -> None:
    """How full the data folder is, and whether a harvest would begin (fault H09)."""
    from harvester.sources import MIB

    if settings.data.exists():
        of = "" if room.budget.bytes is None else f" of {room.budget.bytes // MIB:,}"
        used, free = room.used_bytes() // MIB, room.free_bytes() // MIB
        say(f"{used:,}{of} MiB used, {free:,} MiB free on disk.")
        problem = _no_room(settings, room)
        if problem is not None:
            say(f"No harvest begins: {problem}")


def _no_room(settings: Settings, room: Room) -> str | None:
    """Why the disk keeps harvests from beginning, if it does."""
    from harvester.space import NoRoom

    if not settings.data.exists():
        return None
    try:
        room.require()
    except NoRoom as problem:
        return str(problem)
    return None


def _next(due: str | None, now: datetime) -> str:
    """When the next run is; what is late waits for a daemon."""
    from harvester.reports import ago

    if due is None:
        return "—"
    instant = datetime.fromisoformat(due)
    return "due" if instant <= now else ago(instant, now)


def _state(one: dict[str, Any]) -> str:
    state = "asked live" if one["mode"] == "live" else str(one["state"])
    if (one["last_run"] or {}).get("abandoned"):
        state = "abandoned"
    elif one["waiting"] and one["state"] == "ok":
        state = "held"
    return state if one["enabled"] else f"{state} (disabled)"


def _note(one: dict[str, Any], when: Any) -> str:
    found = _harvest_note(one, when)
    if one["mode"] == "indexed" or not one["enabled"]:
        return found
    checked = "never checked" if one["checked_at"] is None else f"checked {when(one['checked_at'])}"
    live = checked if one["mode"] == "live" else f"also asked live, {checked}"
    return "; ".join(filter(None, (found, live, _live_note(one["live"] or {}, when))))


def _live_note(live: Mapping[str, Any], when: Any) -> str:
    """What servers found when they asked it."""
    if live.get("breaker") == "open":
        until = datetime.fromisoformat(live["paused_until"])
        return f"not asked until {until:%Y-%m-%d %H:%M:%S} UTC: {live['because']}"
    if live.get("breaker") == "half_open":
        return f"being tried again after {live['because']}"
    return f"last answered {when(live['last_contact'])}" if live.get("last_contact") else ""


def _harvest_note(one: dict[str, Any], when: Any) -> str:
    last = one["last_run"] or {}
    if one["waiting"]:
        return f"{one['waiting']['reason']}: pan-commons runs approve {one['waiting']['run']}"
    if one["paused_until"]:
        return f"the server asked for a pause until {one['paused_until']}"
    if one["silent_since"]:
        error = str(last.get("details", {}).get("error", ""))
        since = when(one["silent_since"]).removesuffix(" ago")
        return f"silent for {since}: {error}".removesuffix(": ")
    quiet = last.get("details", {}).get("quiet_days")
    if quiet:
        return f"nothing new for {quiet} d, much longer than ever before"
    ends = last.get("details", {}).get("certificate_ends")
    if ends:
        return f"its certificate ends {when(ends)}"
    moved_to = last.get("details", {}).get("moved_to")
    if moved_to:
        return f"it has moved to {moved_to}; configure that address"
    if one["state"] in ("partial", "stopped"):
        reasons = ", ".join(last.get("problems", {}))
        return "; ".join(filter(None, ((last.get("stop") or "").replace("_", " "), reasons)))
    return ""


async def _engine_status(settings: Settings) -> dict[str, Any]:
    """How much is kept, and how far the index is behind it."""
    import anyio

    from catalogue.catalogue import Catalogue
    from catalogue.errors import EngineError

    with existing_store(settings) as store:
        if store is None:
            return {"records": 0, "last_change": 0, "indexed": 0, "lag": 0, "index_problem": None}
        newest = store.last_change()
        records = sum(store.source_status(source.name).records for source in store.sources())
    position, problem = None, None
    try:
        opening = Catalogue.open(
            settings.data, settings.engine, settings.elasticsearch_url, read_only=True
        )
        with anyio.fail_after(ENGINE_ANSWERS_S):
            async with opening as catalogue:
                position = await catalogue.engine.position()
                foreign = await catalogue.indexer.foreign()
                problem = None if foreign is None else str(foreign)
    except EngineError as trouble:
        problem = str(trouble)
    except TimeoutError:
        problem = f"it did not answer within {ENGINE_ANSWERS_S:.0f} s."
    lag = None
    if position is not None:
        # Ahead of its store, an index is of another one, and made anew.
        lag = newest - position if position <= newest else newest
    return {
        "records": records,
        "last_change": newest,
        "indexed": position,
        "lag": lag,
        "index_problem": problem,
    }
