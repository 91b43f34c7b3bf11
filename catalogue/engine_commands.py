"""``pan-commons index status|rebuild|verify``: looking after the search engine.

They work while a daemon runs: a rebuild happens beside the index in use, and verification only
reads. Heavy imports are inside the functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pan_commons_terminal import (
    EXIT_FAILED,
    Counting,
    Settings,
    common_options,
    emit_json,
    emit_table,
    say,
)

if TYPE_CHECKING:
    from catalogue.catalogue import Catalogue
    from catalogue.errors import IndexBusy
    from catalogue.verifying import Verification

SHOWN_KEYS = 20


@click.command()
@common_options
def status(settings: Settings) -> None:
    """Show how far the search index is, what it holds and how large it is.

    \b
    Example:
      pan-commons index status
    """
    _run(settings, _status, looking=True)


@click.command()
@click.option(
    "--take-over",
    is_flag=True,
    help="Elasticsearch: make indices that belong to another record store this one's.",
)
@common_options
def rebuild(settings: Settings, take_over: bool) -> None:
    """Make the search index anew from the store; the old one answers until then.

    \b
    Example:
      pan-commons index rebuild
    """
    _run(settings, _rebuild, taking_over=take_over)


@click.command()
@click.option("--repair", is_flag=True, help="Bring the index in line with the store.")
@common_options
def verify(settings: Settings, repair: bool) -> None:
    """Compare every entity of the store with the search index (exit code 1: they differ).

    An entity is what people find, made of the records of all sources that have it.

    \b
    Example:
      pan-commons index verify --repair
    """

    async def ask(catalogue: Catalogue, as_json: bool) -> bool:
        return await _verify(catalogue, as_json, repair)

    _run(settings, ask, looking=not repair)


ENGINE_COMMANDS: tuple[click.Command, ...] = (status, rebuild, verify)


def _run(
    settings: Settings,
    ask: Callable[[Catalogue, bool], Awaitable[bool]],
    *,
    looking: bool = False,
    taking_over: bool = False,
) -> None:
    """Put a question to the catalogue; exit code 1 where the answer is no.

    Args:
        looking: nothing is to be written, so that a folder that cannot be does as well.
    """
    import asyncio

    from catalogue.catalogue import Catalogue
    from catalogue.errors import StoreFull, StoreReadOnly

    if settings.engine == "tantivy":
        expect_store(settings)

    async def work(*, read_only: bool) -> bool:
        opening = Catalogue.open(
            settings.data,
            settings.engine,
            settings.elasticsearch_url,
            read_only=read_only,
            taking_over=taking_over,
        )
        async with opening as catalogue:
            return await ask(catalogue, settings.as_json)

    try:
        good = asyncio.run(work(read_only=False))
    except (StoreReadOnly, StoreFull):
        if not looking:
            raise
        good = asyncio.run(work(read_only=True))
    if not good:
        raise SystemExit(EXIT_FAILED)


def expect_store(settings: Settings) -> None:
    """Raise ``NothingKept`` where nothing was ever stored in the data folder."""
    from catalogue.errors import NothingKept
    from catalogue.store.database import FILE_NAME

    if not (settings.data / FILE_NAME).exists():
        raise NothingKept(
            f"there is no store in {settings.data} yet: harvest first, or name another folder "
            "with --data"
        )


class BroughtIn(NamedTuple):
    """How bringing the index up to date went, in words, and whether it is behind all the same."""

    told: str
    is_behind: bool = False


def bring_in(settings: Settings, *, anew: bool = False) -> BroughtIn:
    """Bring the search index up to date with the store, or make it anew.

    The store is done with already: an engine that is away is told of it when it is back.
    """
    import asyncio

    from catalogue.catalogue import Catalogue
    from catalogue.errors import EngineError, IndexBusy

    async def work() -> None:
        opening = Catalogue.open(settings.data, settings.engine, settings.elasticsearch_url)
        async with opening as catalogue:
            if anew:
                await rebuild_counting(catalogue, silent=settings.as_json)
            else:
                await catalogue.indexer.index_once()

    try:
        asyncio.run(work())
    except IndexBusy:
        return BroughtIn("up to date in seconds, by the process that is writing it")
    except EngineError as problem:
        told = f"not up to date ({problem}); run: {_rebuilds(settings)}"
        return BroughtIn(told, is_behind=True)
    return BroughtIn("made anew" if anew else "up to date")


def _rebuilds(settings: Settings) -> str:
    """The command that makes this index anew, where ours may not be the engine of every day."""
    return f"pan-commons index rebuild --engine {settings.engine}"


def and_gone(count: int) -> str:
    """For behind a number of what is there: how many tombstones there are beside."""
    return f" (and {count:,} that are gone)" if count else ""


def waits_for_another(busy: IndexBusy) -> None:
    """Say whose turn it is."""
    say(f"{busy} Waiting for it.")


async def rebuild_counting(catalogue: Catalogue, *, silent: bool) -> int:
    """Make the index anew and say how far that is; gives the changes applied."""
    from catalogue.verifying import rebuild as make_anew

    store, engine = catalogue.store, catalogue.engine
    with Counting("entities indexed", store.count_changes(), silent=silent) as counting:
        return await make_anew(store, engine, counting.reached, waits_for_another)


async def _status(catalogue: Catalogue, as_json: bool) -> bool:
    from catalogue.fields import ENTITY_CLASSES
    from catalogue.fingerprint import fingerprint
    from catalogue.plan import All

    engine = catalogue.engine
    reader = await engine.reader()
    records: dict[str, dict[str, int]] = {}
    for name in ENTITY_CLASSES:
        entity_class: Any = name
        records[name] = {
            "store": catalogue.store.count(entity_class),
            "engine": await reader.count(entity_class, All()),
        }
    found = {
        "engine": engine.name,
        "fingerprint": fingerprint(),
        "position": await engine.position(),
        "last_change": catalogue.store.last_change(),
        "lag": await catalogue.indexer.lag(),
        "size_bytes": await engine.size_bytes(),
        "records": records,
    }
    if as_json:
        emit_json(found)
        return True
    rows: list[tuple[object, ...]] = [
        (name, f"{counts['store']:,}", f"{counts['engine']:,}") for name, counts in records.items()
    ]
    emit_table(f"Search index ({engine.name})", ("class", "in the store", "in the index"), rows)
    size = found["size_bytes"]
    say(
        f"Indexed to change {found['position']:,} of {found['last_change']:,}, "
        f"{found['lag']:,} behind; {'size unknown' if size is None else f'{size:,} bytes'}."
    )
    return True


async def _rebuild(catalogue: Catalogue, as_json: bool) -> bool:
    from catalogue.processes import collect_rarely

    collect_rarely()
    changes = await rebuild_counting(catalogue, silent=as_json)
    position = await catalogue.engine.position()
    if as_json:
        emit_json({"changes": changes, "position": position})
    else:
        say(f"Rebuilt the search index from {changes:,} entities.")
    return True


async def _mend(catalogue: Catalogue, found: Verification) -> bool:
    """Bring the index in line with the store, in place where that is possible."""
    from catalogue.errors import IndexBusy
    from catalogue.verifying import rebuild as make_anew
    from catalogue.verifying import repair, verify

    store, engine = catalogue.store, catalogue.engine
    why = "It cannot be mended in place"
    try:
        await repair(store, engine, found)
        if (await verify(store, engine)).sound:
            return True
        # An engine keeps what it takes for newer than what the store has (fault F12).
    except IndexBusy:
        why = "Another process writes the index"
    say(f"{why}; making it anew beside it.")
    await make_anew(store, engine, waiting=waits_for_another)
    return (await verify(store, engine)).sound


async def _verify(catalogue: Catalogue, as_json: bool, repairing: bool) -> bool:
    from catalogue.verifying import verify

    of = catalogue.store.count_changes()
    with Counting("entities compared", of, silent=as_json) as counting:
        found = await verify(catalogue.store, catalogue.engine, counting.reached)
    repaired = repairing and not found.sound and await _mend(catalogue, found)
    surplus = [key for _, key, _, _ in found.surplus]
    if as_json:
        emit_json(
            {
                "sound": found.sound,
                "repaired": repaired,
                "compared": found.compared,
                "gone": found.gone,
                "position": found.position,
                "outstanding": found.outstanding,
                "missing": found.missing,
                "stale": found.stale,
                "surplus": surplus,
            }
        )
    else:
        rows = [
            (kind, len(keys), ", ".join(keys[:SHOWN_KEYS]))
            for kind, keys in (
                ("missing in the index", found.missing),
                ("another version in the index", found.stale),
                ("not in the store", surplus),
            )
        ]
        if found.sound:
            say("Store and search index agree.")
        else:
            emit_table("Store and search index", ("difference", "entities", "which"), rows)
        say(
            f"Compared {found.compared - found.gone:,} entities{and_gone(found.gone)}; "
            f"{found.outstanding:,} wait to be indexed."
        )
        if repaired:
            say("Repaired.")
    return found.sound or repaired
