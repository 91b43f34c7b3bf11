"""A process that reads facilities' objects into entities, for ``reading_processes``.

Messages are a length of eight bytes and a pickle, in by standard input and out by standard output,
between this server and a process that it started itself. It ends when its input does: with the
server, however that ended.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import sys
import time
from contextlib import suppress
from typing import BinaryIO

import orjson

from catalogue.processes import collect_rarely
from catalogue.readings import read_rows
from mappings.context import Context
from mappings.techniques import load_panet

LENGTH_BYTES = 8
PIPE_BYTES = 1 << 20
"""What a pipe may hold on Linux without privileges; a hundred records take 300 kB."""
_WARMING = {
    "pid": "10.5072/warm",
    "title": "Read once, so that the first question need not wait for what this loads",
    "parameters": [{"name": "temperature", "value": 4, "unit": "K"}],
    "datasets": [{"pid": "10.5072/warm/1", "techniques": [{"name": "SAXS"}]}],
}


def work(body: bytes) -> bytes:
    """The answer to a message: seconds of the processor and ``Rows``, or what went wrong."""
    began = time.process_time()
    entity_class, counted, context, items = pickle.loads(body)  # noqa: S301 (our own parent's)
    try:
        rows = read_rows(entity_class, orjson.loads(items), context, counted=counted)
    except Exception as error:  # whatever it is, the server reads the same itself and sees
        return pickle.dumps((0.0, f"{type(error).__name__}: {error}"), protocol=5)
    plain = rows._replace(rows=list(map(tuple, rows.rows)))
    return pickle.dumps((time.process_time() - began, plain), protocol=5)


def frame(body: bytes) -> bytes:
    """A body with its length in front."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer message after message until there are no more."""
    while len(head := source.read(LENGTH_BYTES)) == LENGTH_BYTES:
        body = source.read(int.from_bytes(head, "big"))
        try:
            target.write(frame(work(body)))
            target.flush()
        except BrokenPipeError:
            return


def _widen(pipe: int) -> None:
    """Let a whole answer fit into a pipe, so that neither side waits for the other to go on."""
    size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if size is not None:
        with suppress(OSError):
            fcntl.fcntl(pipe, size, PIPE_BYTES)


def main() -> None:
    """Load what reading needs, say so with an empty message, and work."""
    for stream in (sys.stdin, sys.stdout):
        _widen(stream.fileno())
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What anybody prints here must not be taken for an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    load_panet()
    read_rows("Document", [_WARMING], Context("warm"), counted=True)
    gc.freeze()
    collect_rarely()
    target.write(frame(b""))
    target.flush()
    serve(sys.stdin.buffer, target)


if __name__ == "__main__":
    main()
