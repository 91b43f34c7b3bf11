"""``pan-commons demo``: demo facilities, a harvest, a daemon and the server, as real processes.

Everything the demo shows is done by the ordinary commands; this module only starts them one after
the other, says what to try, and ends them together. One facility can be stopped by its process
number to see what the catalogue makes of its silence.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import anyio
import click

from pan_commons_terminal import (
    DEMO_CONFIGURATION,
    Settings,
    common_options,
    emit_json_line,
    say,
)

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
RETRY_S = 0.1
PORT = click.IntRange(1, 65535)


class DemoError(Exception):
    """The demo cannot go on; the message says why and what would help."""

    exit_code = 1


def check_port_is_free(host: str, port: int, what: str, option: str) -> None:
    """Raise ``DemoError`` naming the port when somebody listens there already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DemoError(
                f"Port {port} on {host}, meant for {what}, cannot be used ({error.strerror}); "
                f"name another with {option}."
            ) from error


@contextlib.asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[anyio.abc.Process]:
    """Run one of our own commands beside this one, and end it with the block."""
    process = await anyio.open_process(
        [sys.executable, "-m", "pan_commons", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None,
        # A group of its own: Ctrl-C reaches only this process, which then ends the others in order.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(STOP_TIMEOUT_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def wait_until_answered(url: str, process: anyio.abc.Process, what: str) -> None:
    """Return once ``url`` answers 200; raise ``DemoError`` when the process ends or time is up."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        with anyio.move_on_after(READY_TIMEOUT_S):
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(url) as reply:
                        if reply.status == 200:
                            return
                await anyio.sleep(RETRY_S)
    if process.returncode is not None:
        raise DemoError(f"{what} ended with exit code {process.returncode} before it was ready.")
    raise DemoError(f"{what} did not answer at {url} within {READY_TIMEOUT_S:.0f} s.")


def base_url(host: str, port: int) -> str:
    """Where a browser on this machine finds a server that listens on ``host``."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (only compared)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def announce(base: str, facilities: Sequence[tuple[str, str, int]], as_json: bool) -> None:
    """Say what runs where, and what to try; ``facilities`` are (name, address, process number)."""
    if as_json:
        emit_json_line(
            {
                "url": base,
                "facilities": [
                    {"name": name, "url": url, "pid": pid} for name, url, pid in facilities
                ],
            }
        )
        return
    say(f"\nThe search page is at {base}/ , the API is described at {base}/docs .\n")
    say("Try:")
    say(f"  curl '{base}/api/search?q=lysozyme+SFX'")
    say(f"  curl -g '{base}/api/Documents/10.22003%2FXFEL.EU-DATA-700000-00'")
    say(f"  curl '{base}/api/facilities'\n")
    for name, url, pid in facilities:
        say(f"  {name}: {url}   (silence it with: kill {pid})")
    say("\nCtrl-C ends everything.")


async def run_demo(settings: Settings, host: str, port: int, facility_port: int) -> None:
    """Start facilities, harvest them, then serve and keep harvesting until interrupted."""
    from simulator.demo import configuration, facilities

    specs = facilities(first_port=facility_port)
    check_port_is_free(host, port, "the server", "--port")
    for spec in specs:
        check_port_is_free("127.0.0.1", spec.port, spec.name, "--facility-port")
    data = settings.data
    data.mkdir(parents=True, exist_ok=True)
    config = data / DEMO_CONFIGURATION
    config.write_text(configuration(first_port=facility_port), encoding="utf-8")
    where = ("--data", str(data), "--config", str(config))
    async with contextlib.AsyncExitStack() as children:
        say("Starting the demo facilities ...")
        started = []
        for spec in specs:
            process = await children.enter_async_context(
                child("simulate", "--json", "--facility", spec.name, "--port", str(spec.port))
            )
            started.append((spec.title, f"http://127.0.0.1:{spec.port}", process))
        for name, url, process in started:
            await wait_until_answered(url + "/", process, name)
        harvest = await anyio.run_process(
            [sys.executable, "-m", "pan_commons", "harvest", *where],
            stdout=None,
            stderr=None,
            check=False,
        )
        if harvest.returncode not in (0, 3):
            raise DemoError(f"The harvest failed with exit code {harvest.returncode}.")
        server = await children.enter_async_context(
            child("serve", *where, "--host", host, "--port", str(port))
        )
        base = base_url(host, port)
        await wait_until_answered(f"{base}/health/ready", server, "The server")
        await children.enter_async_context(child("daemon", *where))
        announce(base, [(name, url, one.pid) for name, url, one in started], settings.as_json)
        await server.wait()
        raise DemoError(f"The server ended with exit code {server.returncode}.")


async def run_until_interrupted(settings: Settings, host: str, port: int, first: int) -> None:
    """``run_demo``, ended in order by SIGINT, SIGTERM or the end of its terminal."""
    # Heeded until the last process has ended: a second Ctrl-C, or the copy that make passes on,
    # would end this one and leave the others on their ports.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def watch_signals() -> None:
                async for _ in signals:
                    say("\nStopping ...")
                    tasks.cancel_scope.cancel()
                    return

            tasks.start_soon(watch_signals)
            await run_demo(settings, host, port, first)


def demo_folder(settings: Settings, named: bool) -> Path:
    """The demo's own data folder: as named, else beside the ordinary one (semantics 10.5)."""
    return settings.data if named else settings.data.with_name(settings.data.name + "-demo")


@click.command("demo")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the server listens.")
@click.option("--port", default=8080, show_default=True, type=PORT, help="The server's port.")
@click.option(
    "--facility-port",
    default=8091,
    show_default=True,
    type=PORT,
    help="First port of the demo facilities.",
)
@common_options
def demo(settings: Settings, host: str, port: int, facility_port: int) -> None:
    """Start demo facilities, harvest them, and serve a search page.

    Everything stays on this machine; the data folder is the demo's own.

    \b
    Example:
      pan-commons demo --data /tmp/demo --port 8080
    """
    import dataclasses

    source = click.get_current_context().get_parameter_source("data")
    named = source is not None and source is not click.core.ParameterSource.DEFAULT
    settings = dataclasses.replace(settings, data=demo_folder(settings, named))
    anyio.run(run_until_interrupted, settings, host, port, facility_port)


COMMANDS: tuple[click.Command, ...] = (demo,)
