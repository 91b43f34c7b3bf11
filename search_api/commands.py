"""``pan-commons serve`` and ``pan-commons search``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from pan_commons_terminal import Settings, common_options, emit_json, emit_table, say


@click.command("serve")
@common_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."
)
@click.option("--index", is_flag=True, help="Also index new records here (without a daemon).")
def serve(settings: Settings, host: str, port: int, workers: int, index: bool) -> None:
    """Serve the search page, the PaNOSC Search API and our own API."""
    from search_api.serving import run_workers

    run_workers(settings, host, port, workers, index=index)


@click.command("search")
@common_options
@click.argument("query", required=False, default="")
@click.option("--url", help="Ask this server instead of the data folder.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(0, 1000))
@click.option("--type", "entity_type", type=click.Choice(["documents", "datasets"]))
@click.option("--technique", multiple=True, help="PaNET id, label or synonym.")
@click.option("--facility", multiple=True, help="Short name of a facility.")
@click.option("--instrument", multiple=True, help="Name of an instrument.")
@click.option("--sample", multiple=True, help="Part of a sample's name.")
@click.option("--person", multiple=True, help="Part of a person's name.")
@click.option("--year", help="Experiment year: 2018, 2017-2019.")
@click.option("--open", "only_open", is_flag=True, help="Only what is open now.")
@click.option("--any", "match_any", is_flag=True, help="Any of the words will do.")
@click.option("--explain", is_flag=True, help="Say how each score came about.")
def search(
    settings: Settings,
    query: str,
    url: str | None,
    limit: int,
    entity_type: str | None,
    only_open: bool,
    match_any: bool,
    explain: bool,
    year: str | None,
    **filters: Sequence[str],
) -> None:
    """Search the catalogue: words, techniques, "phrases", -without."""
    import anyio

    pairs = [("q", query), ("limit", str(limit))]
    pairs += [(name, value) for name, values in filters.items() for value in values]
    pairs += [(name, value) for name, value in (("type", entity_type), ("year", year)) if value]
    pairs += [("open", "true")] if only_open else []
    pairs += [("match", "any")] if match_any else []
    pairs += [("explain", "true")] if explain else []
    if url is not None:
        answer = anyio.run(_ask_server, url, pairs)
    else:
        from search_api.serving import ask_folder

        answer = anyio.run(ask_folder, settings, pairs)
    if settings.as_json:
        emit_json(answer)
    else:
        print_answer(query, answer)


async def _ask_server(url: str, pairs: Sequence[tuple[str, str]]) -> Any:
    from search_api.client import Client

    parameters: dict[str, list[str]] = {}
    for name, value in pairs:
        parameters.setdefault(name, []).append(value)
    async with Client(url) as client:
        return await client.get("/api/search", parameters)


def print_answer(query: str, answer: Mapping[str, Any]) -> None:
    """A table of hits for people, and under it what else there is to know."""
    rows = [
        (
            f"{hit['score']:.3f}",
            hit.get("title") or "",
            " · ".join(str(name) for name in hit["facilities"]),
            ", ".join(str(one["label"]) for one in hit["techniques"][:4]),
            _access(hit["access"]),
            hit.get("doi") or hit.get("pid") or "",
        )
        for hit in answer["hits"]
    ]
    total = answer["total"]
    about = "at least " if total["relation"] == "gte" else ""
    title = f"{about}{total['value']} found" + (f" for {query}" if query else "")
    emit_table(title, ("score", "title", "facility", "techniques", "access", "identifier"), rows)
    for one in answer["recognised"]:
        say(f"Understood {one['text']!r} as {one['label']} ({one['id']}).")
    if answer["relaxed"]:
        say("No record has all of these words; these have some of them.")
    for kind, count in answer["not_data"].items():
        if count:
            say(f"Left out because not data: {count} × {kind}.")
    silent = [line["name"] for line in answer["facilities"] if line["state"] == "stale"]
    if silent:
        say(f"Not reached lately, answered from what was harvested: {', '.join(silent)}.")
    if answer.get("suggestion"):
        say(f"Did you mean {answer['suggestion']!r}?")


def _access(access: Mapping[str, Any]) -> str:
    state = str(access["state"]).replace("_", " ")
    if access["state"] == "embargoed" and access.get("until"):
        return f"embargoed until {str(access['until'])[:10]}"
    return state


COMMANDS: tuple[click.Command, ...] = (serve, search)
