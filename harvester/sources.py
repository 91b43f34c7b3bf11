"""Facilities and sources as the operator writes them, in TOML.

Three files are read, one upon the other: the operator's (``--config``) or, without one, the
``default.toml`` shipped here; then ``sources.toml`` in the data folder, which only
``pan-commons sources add|remove`` writes. The operator's own file is never rewritten.

A mistake is one sentence naming file, key, what is wrong and what would be right.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from catalogue.facilities import Facility, Service, Source
from catalogue.store.store import MIN_FREE_BYTES
from facility_http.contact import CONTACT_VARIABLE
from harvester.keys import (
    FACILITY_KEYS,
    OPTION_KEYS,
    SERVICE_KEYS,
    SOURCE_KEYS,
    STORAGE_KEYS,
    Check,
    ConfigurationError,
    NoSuchSource,
    email_address,
    some_of,
    suggest,
)

SHIPPED = Path(__file__).with_name("default.toml")
SHIPPED_ONE = "the shipped configuration"
ADDED_NAME = "sources.toml"
MIB = 2**20

OWN_FORMATS = {"panosc": "panosc-json", "scicat": "scicat"}
"""The format of protocols that have only one; with OAI-PMH it is a metadataPrefix."""

TABLES = ("contact", "storage", "facilities", "sources", "removed")
"""What a file may hold at its top."""

_SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_FACILITY_NAME = re.compile(r"[^\s/{}\"'\\][^/{}\"'\\\x00-\x1f]{0,63}")


@dataclass(frozen=True, slots=True)
class Budget:
    """``[storage]``: how much the data folder may grow (fault H09).

    ``bytes``: what it may hold in all, raw records, index and scratch files; ``None``: as much as
    its disk has. ``least_free_bytes`` stay free on the disk.
    """

    bytes: int | None = None
    least_free_bytes: int = MIN_FREE_BYTES


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that was configured, checked.

    ``contact`` is the e-mail address that goes into our User-Agent. ``origins`` says for each
    source which file it is from; ``removed`` are sources that ``sources remove`` took out. ``file``
    is the operator's own, ``None`` where the shipped one stands in.
    """

    contact: str | None
    facilities: tuple[Facility, ...]
    sources: tuple[Source, ...]
    origins: Mapping[str, Path] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    storage: Budget = Budget()
    file: Path | None = None

    @property
    def origin(self) -> str:
        """The file in words, as stores remember it."""
        return SHIPPED_ONE if self.file is None else str(self.file)

    def facility(self, name: str) -> Facility:
        """The facility of that short name.

        Raises:
            ConfigurationError: there is none.
        """
        for facility in self.facilities:
            if facility.name == name:
                return facility
        names = [facility.name for facility in self.facilities]
        raise ConfigurationError(f"There is no facility {name!r}{suggest(name, names)}")

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            NoSuchSource: there is none; names the nearest, and how another file is named.
        """
        for source in self.sources:
            if source.name == name:
                return source
        names = [source.name for source in self.sources]
        told = f"There is no source {name!r}{suggest(name, names)}"
        if names and "known:" not in told:
            told += f" Configured are {some_of(names)}."
        raise NoSuchSource(
            f"{told} Read was {self._read_files()}; another file is named with --config or "
            "PAN_COMMONS_CONFIG."
        )

    def _read_files(self) -> str:
        added = {str(path) for path in self.origins.values() if path.name == ADDED_NAME}
        return " and ".join([self.origin, *sorted(added - {self.origin})])


def load_configuration(
    config: Path | None, data: Path, environment: Mapping[str, str] = os.environ
) -> Configuration:
    """The operator's file (else the shipped one) and what ``sources add`` wrote.

    Args:
        config: as ``Settings.config``; ``None`` means the shipped default.
        data: the data folder, where ``sources.toml`` may be.
        environment: ``PAN_COMMONS_CONTACT`` is taken when no file names a contact.

    Raises:
        ConfigurationError: a file cannot be read, is no TOML, or says something impossible.
    """
    base = config or SHIPPED
    layers = [(base, read_toml(base))]
    added = data / ADDED_NAME
    if added.exists():
        layers.append((added, read_toml(added)))
    merged = merge_layers(layers, environment)
    return merged if config is None else replace(merged, file=config.absolute())


def read_toml(path: Path) -> Mapping[str, Any]:
    """One file as tables.

    Raises:
        ConfigurationError: missing, unreadable, or no TOML (with line and column).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no configuration file {path}; name an existing one with --config or "
            "PAN_COMMONS_CONFIG, or none for the shipped facilities."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder; --config wants a TOML file.") from None
    except UnicodeDecodeError as problem:
        raise ConfigurationError(
            f"{path} is no UTF-8 text (byte {problem.start}); TOML has to be."
        ) from None
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem.strerror}.") from problem
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigurationError(f"{path} is no valid TOML: {problem}.") from None


def merge_layers(
    layers: Iterable[tuple[Path, Mapping[str, Any]]], environment: Mapping[str, str]
) -> Configuration:
    """Later layers add facilities and sources, replace single keys, and may remove sources."""
    facilities: dict[str, dict[str, Any]] = {}
    sources: dict[str, dict[str, Any]] = {}
    origins: dict[str, Path] = {}
    facility_origins: dict[str, Path] = {}
    removed: list[str] = []
    contact: str | None = None
    storage = Budget()
    for path, document in layers:
        _refuse_unknown(path, "", document, TABLES)
        contact = _read_contact(path, document) or contact
        storage = _read_storage(path, document, storage)
        for name, table in _named_tables(path, document, "facilities"):
            facilities.setdefault(name, {}).update(table)
            facility_origins[name] = path
        for name, table in _named_tables(path, document, "sources"):
            # Only its schedule or enabling may be overridden: the rest stays from the first file.
            sources.setdefault(name, {}).update(table)
            origins[name] = path
        for name in _removed_names(path, document):
            sources.pop(name, None)
            removed.append(name)
    named = environment.get(CONTACT_VARIABLE)
    if contact is None and named:
        try:
            contact = email_address(named)
        except ValueError as right:
            raise ConfigurationError(
                f"{CONTACT_VARIABLE} is {named!r}; it should be {right}."
            ) from None
    made = tuple(
        _make_facility(facility_origins[name], name, table) for name, table in facilities.items()
    )
    known = {facility.name: facility for facility in made}
    return Configuration(
        contact=contact,
        facilities=made,
        sources=tuple(
            _make_source(origins[name], name, table, known) for name, table in sources.items()
        ),
        origins=origins,
        removed=tuple(removed),
        storage=storage,
    )


def _read_contact(path: Path, document: Mapping[str, Any]) -> str | None:
    if "contact" not in document:
        return None
    table = document["contact"]
    if not isinstance(table, dict):
        raise ConfigurationError(f'{path}: contact should be a table: [contact] email = "…".')
    email = _checked(path, "contact", table, {"email": email_address}).get("email")
    return None if email is None else str(email)


def _read_storage(path: Path, document: Mapping[str, Any], before: Budget) -> Budget:
    table = document.get("storage", {})
    if not isinstance(table, dict):
        raise ConfigurationError(
            f"{path}: storage should be a table: [storage] budget_mib = 50000."
        )
    given = _checked(path, "storage", table, STORAGE_KEYS)
    budget, least = given.get("budget_mib"), given.get("least_free_mib")
    return Budget(
        before.bytes if budget is None else budget * MIB,
        before.least_free_bytes if least is None else least * MIB,
    )


def _removed_names(path: Path, document: Mapping[str, Any]) -> list[str]:
    names = document.get("removed", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{path}: removed should be a list of names of sources.")
    return names


def _named_tables(
    path: Path, document: Mapping[str, Any], kind: str
) -> list[tuple[str, dict[str, Any]]]:
    tables = document.get(kind, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise ConfigurationError(f"{path}: {kind} should be tables: [{kind}.NAME].")
    return list(tables.items())


def _make_facility(path: Path, name: str, table: Mapping[str, Any]) -> Facility:
    where = f"facilities.{name}"
    if not _FACILITY_NAME.fullmatch(name):
        raise ConfigurationError(f"{path}: {name!r} cannot be a facility's short name.")
    values = _checked(path, where, table, FACILITY_KEYS, required=("title",))
    values.setdefault("provider", values.get("home"))
    if values["provider"] is None:
        raise ConfigurationError(
            f"{path}: {where}.provider is missing: the base URL of its Search API, or without one "
            "its home page."
        )
    services = []
    for number, entry in enumerate(values.pop("services", ()), start=1):
        place = f"{where}.services[{number}]"
        services.append(
            Service(**_checked(path, place, entry, SERVICE_KEYS, required=("name", "template")))
        )
    return Facility(name=name, services=tuple(services), **values)


def _make_source(
    path: Path, name: str, table: Mapping[str, Any], facilities: Mapping[str, Facility]
) -> Source:
    where = f"sources.{name}"
    if not _SOURCE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{path}: {name!r} cannot be a source's name; use letters, digits, '.', '_' and '-'."
        )
    values = _checked(path, where, table, SOURCE_KEYS, required=("facility", "protocol", "url"))
    facility = values["facility"]
    if facility not in facilities:
        raise ConfigurationError(
            f"{path}: {where}.facility is {facility!r}, which is no facility"
            f"{suggest(facility, facilities)}"
        )
    protocol = values["protocol"]
    own_format = OWN_FORMATS.get(protocol)
    if own_format is None and "format" not in values:
        raise ConfigurationError(
            f"{path}: {where}.format is missing; with {protocol} it is a metadataPrefix such as "
            "'oai_datacite'."
        )
    values.setdefault("format", own_format)
    if own_format is not None and values["format"] != own_format:
        raise ConfigurationError(
            f"{path}: {where}.format is {values['format']!r}; with {protocol} it is "
            f"{own_format!r} and may be left out."
        )
    if own_format is not None and "set" in values:
        raise ConfigurationError(f"{path}: {where}.set is for oai-pmh only; take it out.")
    if protocol != "panosc" and values.get("mode", "indexed") != "indexed":
        raise ConfigurationError(
            f'{path}: {where}.mode is {values["mode"]!r}; only Search APIs (protocol = "panosc") '
            "can be asked live."
        )
    options = _checked(path, f"{where}.options", values.get("options", {}), OPTION_KEYS)
    values["options"] = options
    values.setdefault("demo", facilities[facility].demo)
    if values["demo"] != facilities[facility].demo:
        raise ConfigurationError(
            f"{path}: {where}.demo should be as facilities.{facility}.demo: demo and real data "
            "are kept apart."
        )
    return Source(name=name, **values)


def _checked(
    path: Path,
    where: str,
    table: Mapping[str, Any],
    keys: Mapping[str, Check],
    required: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The table's values, each through its check.

    Raises:
        ConfigurationError: an unknown key, a value that its key does not take, or one missing.
    """
    _refuse_unknown(path, where, table, keys)
    values = {}
    for key, value in table.items():
        try:
            values[key] = keys[key](value)
        except ValueError as right:
            raise ConfigurationError(
                f"{path}: {where}.{key} is {_shown(key, value)}; it should be {right}."
            ) from None
    for key in required:
        if key not in values:
            raise ConfigurationError(f"{path}: {where}.{key} is missing.")
    return values


def _refuse_unknown(path: Path, where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    names = tuple(known)
    for key in table:
        if key not in names:
            full = f"{where}.{key}" if where else key
            raise ConfigurationError(f"{path}: {full} is no known key{suggest(key, names)}")


def _shown(key: str, value: object) -> str:
    """The value for a message, without what may be a secret (fault H12)."""
    if key in ("url", "provider", "home") and isinstance(value, str) and "@" in value:
        return "an address with credentials"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
