"""The file that ``pan-commons sources add`` and ``remove`` write: ``sources.toml`` in the data
folder.

It has the form of the operator's own configuration, lies upon it, and is replaced as a whole
(written beside, synced, renamed), so that a reader or a power cut never meets half a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from catalogue.facilities import Source
from harvester.keys import ConfigurationError
from harvester.sources import ADDED_NAME, SHIPPED, merge_layers, read_toml

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_HEAD = "# Written by `pan-commons sources add` and `remove`; your own file is left as it is.\n"


class NotWritten(ConfigurationError):
    """The file cannot be written; nothing is wrong with what was asked for."""

    exit_code = 1


def added_stamp(data: Path) -> tuple[int, int] | None:
    """Changes whenever ``sources add`` or ``remove`` has written the file; ``None`` without one."""
    try:
        found = (data / ADDED_NAME).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def add_source(
    data: Path, name: str, source: Mapping[str, Any], facility: Mapping[str, Any] | None = None
) -> None:
    """Put a source (or single keys that lie upon an existing one) into the data folder's file.

    Args:
        source: keys as in ``[sources.NAME]``; they lie upon what this file said before.
        facility: keys of ``[facilities.NAME]`` where NAME is ``source["facility"]``, when the
            facility is new.

    Raises:
        ConfigurationError: the file cannot be read or written.
    """
    with _edited(data) as document:
        document.setdefault("sources", {}).setdefault(name, {}).update(source)
        if facility is not None:
            document.setdefault("facilities", {})[source["facility"]] = dict(facility)
        if name in document.get("removed", []):
            document["removed"].remove(name)


def add_checked(
    config: Path | None,
    data: Path,
    name: str,
    source: Mapping[str, Any],
    facility: Mapping[str, Any] | None = None,
    *,
    agree: Callable[[Source], None] = lambda made: None,
) -> None:
    """As ``add_source``, but only if the whole configuration then makes sense.

    Args:
        agree: raises what speaks against the source as it would be.

    Raises:
        ConfigurationError: it would not; nothing was written.
    """
    base = config or SHIPPED
    added: dict[str, Any] = {"sources": {name: dict(source)}}
    if facility is not None:
        added["facilities"] = {source["facility"]: dict(facility)}
    path = data / ADDED_NAME
    layers = [(base, read_toml(base))]
    if path.exists():
        layers.append((path, _without_removal(read_toml(path), name)))
    agree(merge_layers([*layers, (path, added)], {}).source(name))
    add_source(data, name, source, facility)


def _without_removal(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    removed = [other for other in document.get("removed", []) if other != name]
    return {**document, "removed": removed}


def remove_source(data: Path, name: str) -> None:
    """Take a source out, whichever file it is from. Idempotent.

    Raises:
        ConfigurationError: the file cannot be read or written.
    """
    with _edited(data) as document:
        document.get("sources", {}).pop(name, None)
        removed = document.setdefault("removed", [])
        if name not in removed:
            removed.append(name)


@contextlib.contextmanager
def _edited(data: Path) -> Iterator[dict[str, Any]]:
    """The document to change; written when the block ends well. One writer at a time."""
    path = data / ADDED_NAME
    try:
        data.mkdir(parents=True, exist_ok=True)
        with open(data / f".{ADDED_NAME}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            document: dict[str, Any] = dict(read_toml(path)) if path.exists() else {}
            yield document
            _replace(path, _HEAD + "\n" + write_toml(document))
    except OSError as problem:
        raise NotWritten(f"{path} cannot be written: {problem.strerror}.") from problem


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_toml(document: Mapping[str, Any]) -> str:
    """Tables of texts, numbers, flags, lists and tables as TOML 1.0."""
    return "\n".join(_lines(document, ()))


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = []
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if path and (plain or not table):
        lines.append("[" + ".".join(_key(part) for part in path) + "]")
    lines += [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    if lines:
        lines.append("")
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _lines(value, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for the one control character JSON lets pass.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(entry)}" for key, entry in value.items())
        return "{ " + inner + " }"
    raise TypeError(f"no TOML for {type(value).__name__}")
