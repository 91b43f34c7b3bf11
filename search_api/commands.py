"""``pan-commons serve`` and ``pan-commons search``."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import click

from pan_commons_terminal import (
    EXIT_PARTLY,
    Settings,
    common_options,
    emit_json,
    emit_json_line,
)

MODES = ("indexed", "live", "both")
CATCH_UP_MS = 5_000
"""A daemon brings in what is kept within two seconds, on a busy machine not always."""
Emit = Callable[[Mapping[str, Any]], Awaitable[None]]


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."
)
@click.option("--index", is_flag=True, help="Also index new records here (without a daemon).")
@common_options
def serve(settings: Settings, host: str, port: int, workers: int, index: bool) -> None:
    """Serve the search page, the PaNOSC Search API and our own API.

    \b
    Example:
      pan-commons serve --port 8080 --workers 2
    """
    from search_api.serving import run_workers

    run_workers(settings, host, port, workers, index=index)


class SearchCommand(click.Command):
    """Says how a word is left out, which to a shell looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name.startswith("--"):
                raise
            raise click.UsageError(
                f"No such option {error.option_name!r}. A word is left out within quotation marks, "
                'as in "lysozyme -ice"; a text that begins so goes behind --, last of all.',
                ctx,
            ) from error


@click.command("search", cls=SearchCommand)
@click.argument("query", required=False, default="")
@click.option("--url", help="Ask this server instead of the data folder.")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(0, 1000), help="Hits to show."
)
@click.option(
    "--type",
    type=click.Choice(["documents", "datasets"]),
    help="Proposals and the like, or single runs [documents].",
)
@click.option("--technique", multiple=True, help="PaNET id, label or synonym.")
@click.option("--facility", multiple=True, help="Short name of a facility.")
@click.option("--instrument", multiple=True, help="Name of an instrument.")
@click.option("--sample", multiple=True, help="Part of a sample's name.")
@click.option("--person", multiple=True, help="Part of a person's name.")
@click.option("--year", help="Experiment year: 2018, 2017-2019.")
@click.option("--open", "only_open", is_flag=True, help="Only what is open now.")
@click.option("--any", "match_any", is_flag=True, help="Any of the words will do.")
@click.option("--facilities", multiple=True, help="Ask only this facility; may be repeated.")
@click.option(
    "--mode", type=click.Choice(MODES), help="Ask the index, facilities live, or both [both]."
)
@click.option("--deadline-ms", type=click.IntRange(1), help="How long facilities are waited for.")
@click.option(
    "--wait-ms",
    type=click.IntRange(0),
    help=f"How long a data folder's index is waited for [{CATCH_UP_MS}].",
)
@click.option("--live", is_flag=True, help="Show how the answer grows as facilities answer.")
@click.option("--explain", is_flag=True, help="Say how each score came about.")
@common_options
def search(
    settings: Settings,
    query: str,
    url: str | None,
    limit: int,
    wait_ms: int | None,
    only_open: bool,
    match_any: bool,
    live: bool,
    explain: bool,
    **given: str | int | Sequence[str] | None,
) -> None:
    """Search the catalogue: words, techniques, "phrases", -without.

    Facilities of mode live or both are asked now. When one of them is missing from the answer it is
    named; then the exit code is 3. What is kept in the data folder by now is waited for while a
    daemon or harvest is bringing it into the index; where it does not get there in time that is
    said, and the exit code is 3, too. With --live and --json each message is one line of JSON.

    \b
    Example:
      pan-commons search "SAXS lysozyme" --year 2017-2019 --open
      pan-commons search lysozyme --live --url http://127.0.0.1:8080
    """
    import anyio

    from search_api.answer_view import missing_of, print_answer

    pairs = [("q", query), ("limit", str(limit))]
    for name, values in given.items():
        for value in values if isinstance(values, tuple) else [values]:
            pairs += [] if value is None else [(name, str(value))]
    pairs += [("open", "true")] if only_open else []
    pairs += [("match", "any")] if match_any else []
    pairs += [("explain", "true")] if explain else []
    if url is not None and wait_ms is not None:
        raise click.UsageError("--wait-ms is for a data folder; with --url its server answers.")
    wait_s = (CATCH_UP_MS if wait_ms is None else wait_ms) / 1000
    if live:
        answer = anyio.run(_watch, settings, url, query, pairs, wait_s)
    elif url is not None:
        answer = anyio.run(_ask_server, url, pairs)
    else:
        from search_api.serving import ask_folder

        answer = anyio.run(ask_folder, settings, pairs, wait_s)
    if settings.as_json:
        if not live:
            emit_json(answer)
    elif not live:
        print_answer(query, answer)
    if missing_of(answer) or answer.get("index_behind"):
        click.get_current_context().exit(EXIT_PARTLY)


async def _ask_server(url: str, pairs: Sequence[tuple[str, str]]) -> Any:
    from search_api.client import Client

    async with Client(url) as client:
        page = await client.search(**_parameters(pairs))
        return page.json


async def _watch(
    settings: Settings,
    url: str | None,
    query: str,
    pairs: Sequence[tuple[str, str]],
    wait_s: float,
) -> Mapping[str, Any]:
    """Show an answer as it grows; gives the last message."""
    from search_api.answer_view import LiveView, say_more

    if settings.as_json:
        last: Mapping[str, Any] = {}

        async def write(message: Mapping[str, Any]) -> None:
            nonlocal last
            last = message
            emit_json_line(message)
            sys.stdout.flush()

        await _messages(settings, url, pairs, write, wait_s)
        return last
    with LiveView(query) as view:
        await _messages(settings, url, pairs, view.show, wait_s)
    assert view.last is not None
    say_more(view.last)
    return view.last


async def _messages(
    settings: Settings,
    url: str | None,
    pairs: Sequence[tuple[str, str]],
    emit: Emit,
    wait_s: float,
) -> None:
    """The messages of the server, or of the data folder."""
    if url is None:
        from search_api.serving import tell_from_folder

        await tell_from_folder(settings, pairs, emit, wait_s)
        return
    from search_api.client import Client

    async with Client(url) as client, aclosing(client.messages(**_parameters(pairs))) as messages:
        async for message in messages:
            await emit(message)


def _parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Parameters as the client takes them; repeated ones as lists."""
    parameters: dict[str, Any] = {}
    for name, value in pairs:
        parameters.setdefault(name, []).append(value)
    return {**parameters, "q": parameters["q"][0]}


COMMANDS: tuple[click.Command, ...] = (serve, search)
