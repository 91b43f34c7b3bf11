"""``pan-commons map`` and ``pan-commons technique``: crosswalks and PaNET for people."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pan_commons_terminal import (
    Family,
    Settings,
    common_options,
    emit_json,
    emit_json_line,
    emit_table,
    say,
)

if TYPE_CHECKING:
    from mappings.linking import Link
    from mappings.techniques import Panet

PROBE_CHOICES = ("photon", "neutron", "muon")


def _print_schema(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from mappings.schema import json_schema

    emit_json(json_schema())
    context.exit()


probe_option = click.option(
    "--probe",
    "probes",
    multiple=True,
    type=click.Choice(PROBE_CHOICES),
    help="What the facility probes with.",
)


@click.command("map")
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of entities, with its version, and do nothing else.",
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "form", required=True, help="e.g. panosc, oai_dc, oai_datacite.")
@click.option("--facility", default="EXAMPLE", show_default=True, help="Short name to map for.")
@click.option("--time-zone", default="UTC", show_default=True, help="Of dates without one.")
@probe_option
@click.option("--identifier", help="OAI identifier [that of the record's header, example]")
@common_options
def map_(
    settings: Settings,
    file: Path,
    form: str,
    facility: str,
    time_zone: str,
    probes: tuple[str, ...],
    identifier: str | None,
) -> None:
    """Show what a record in FILE becomes: PaNOSC JSON, and what was not used.

    FILE holds one record: a whole OAI-PMH <record>, the element below its <metadata>, or one JSON
    object; - reads standard input. Nothing is stored.

    \b
    Example:
      pan-commons map record.xml --format oai_datacite --facility ESRF
    """
    from mappings import crosswalk
    from mappings.context import Context, Header
    from mappings.crosswalks import XML_FORMATS
    from mappings.errors import MappingError

    try:
        payload = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise MappingError(
            str(file), None, f"a file that can be read ({error.strerror})"
        ) from error
    context = Context(facility, time_zone=time_zone, probes=probes)
    header = Header("example")
    content: Any = payload
    if form in XML_FORMATS:
        from mappings.formats.xml import header_of, parse

        content = parse(payload)
        header = header_of(content) or header
    if identifier is not None:
        header = replace(header, identifier=identifier)
    mapped = crosswalk(form, content, context, header)
    emit_json(
        {
            "entities": mapped.entities,
            "unmapped": [{"path": one.path, "value": one.value} for one in mapped.unmapped],
            "problems": [
                {"path": one.path, "value": one.value, "reason": one.reason}
                for one in mapped.problems
            ],
        }
    )


@click.group("technique", cls=Family)
def technique() -> None:
    """Look at PaNET, the ontology of techniques, and link names to it.

    \b
    Example:
      pan-commons technique show SAXS
      pan-commons technique link "small angle scattering of x-rays"
    """


def _summary(panet: Panet, identifier: str) -> dict[str, Any]:
    term = panet.term(identifier)
    return {
        "id": term.id,
        "iri": term.iri,
        "label": term.label,
        "synonyms": list(term.synonyms),
        "parents": list(panet.parents(term.id)),
        "children": list(panet.children(term.id)),
        "descendants": len(panet.descendants(term.id)) - 1,
        "information_content": round(panet.information_content(term.id), 4),
        "probe": panet.probe(term.id),
    }


def _resolve(panet: Panet, name: str) -> str:
    """The term that a name means; raises UnknownTechnique with what would be right."""
    from mappings.errors import UnknownTechnique
    from mappings.linking import link
    from mappings.techniques import find_id

    identifier = find_id(name)
    if identifier is not None:
        return panet.term(identifier).id
    links = link(name)
    if len(links) == 1:
        return links[0].id
    if links:
        several = ", ".join(f"{one.id} ({one.label})" for one in links)
        raise UnknownTechnique(f"{name!r} names several techniques: {several}; choose one.")
    raise UnknownTechnique(f"{name!r} is no technique of PaNET; try an id such as PaNET01188.")


@technique.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show a term by id, label, synonym or acronym, with its place in the graph.

    \b
    Example:
      pan-commons technique show SAXS
    """
    from mappings.techniques import load_panet

    panet = load_panet()
    shown = _summary(panet, _resolve(panet, name))
    if settings.as_json:
        emit_json(shown)
        return

    def listed(identifiers: list[str]) -> str:
        return "\n".join(f"{one}  {panet.term(one).label}" for one in identifiers)

    rows = [
        (key.replace("_", " "), listed(value) if key in ("parents", "children") else value)
        for key, value in shown.items()
        if key != "synonyms"
    ]
    rows.insert(3, ("synonyms", ", ".join(shown["synonyms"])))
    emit_table(shown["label"], ("", ""), rows)


@technique.command("tree")
@click.argument("name", default="PaNET00001")
@click.option(
    "--depth", default=3, show_default=True, type=click.IntRange(1, 30), help="Levels to show."
)
@common_options
def tree(settings: Settings, name: str, depth: int) -> None:
    """Show what lies below a term; a term with several parents appears below each.

    \b
    Example:
      pan-commons technique tree PaNET01188 --depth 2
    """
    from mappings.techniques import load_panet

    panet = load_panet()
    top = _resolve(panet, name)

    def nested(identifier: str, left: int) -> dict[str, Any]:
        below = [nested(child, left - 1) for child in panet.children(identifier)] if left else []
        return {"id": identifier, "label": panet.term(identifier).label, "children": below}

    if settings.as_json:
        emit_json(nested(top, depth))
        return
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def drawn(node: dict[str, Any], onto: Tree) -> Tree:
        for child in node["children"]:
            drawn(child, onto.add(Text(f"{child['label']}  {child['id']}")))
        return onto

    whole = nested(top, depth)
    Console().print(drawn(whole, Tree(Text(f"{whole['label']}  {top}"))))


def _as_json(text: str, links: tuple[Link, ...]) -> dict[str, Any]:
    return {
        "text": text,
        "links": [
            {
                "id": one.id,
                "label": one.label,
                "confidence": one.confidence,
                "rule": one.rule,
                "matched": one.matched,
            }
            for one in links
        ],
    }


@technique.command("link")
@click.argument("texts", nargs=-1)
@probe_option
@common_options
def link_(settings: Settings, texts: tuple[str, ...], probes: tuple[str, ...]) -> None:
    """Link technique names, as facilities write them, to PaNET terms.

    Without TEXTS, reads one a line from standard input. With --json, writes one object a line.

    \b
    Example:
      pan-commons technique link "X-ray powder diffraction" XPD
    """
    from mappings.linking import link

    lines = texts or (line.rstrip("\r\n") for line in sys.stdin)
    if settings.as_json:
        for text in lines:
            emit_json_line(_as_json(text, link(text, probes)))
        return
    rows: list[tuple[object, ...]] = []
    for text in lines:
        links = link(text, probes)
        rows += [(text, one.id, one.label, f"{one.confidence:.2f}", one.rule) for one in links]
        if not links:
            rows.append((text, "", "no technique of PaNET", "", ""))
    emit_table("Links", ("text", "id", "label", "confidence", "rule"), rows)


@technique.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="[panet.tsv in the data folder]")
@common_options
def import_(settings: Settings, file: Path, output: Path | None) -> None:
    """Read an official PaNET FILE (OWL) into a table of terms that we can use.

    Old labels stay as synonyms, terms that the file lacks stay and are reported.

    \b
    Example:
      pan-commons technique import PaNET.owl
    """
    from mappings.panet_import import import_owl
    from mappings.techniques import TERMS_VARIABLE, load_panet, write_terms

    imported = import_owl(file, load_panet())
    path = output or settings.data / "panet.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_terms(path, imported.terms)
    report = {
        "terms": len(imported.terms),
        "added": imported.added,
        "relabelled": imported.relabelled,
        "missing": imported.missing,
        "unnecessary_exceptions": [
            {"child": one.child, "not_below": one.not_below}
            for one in imported.unnecessary_exceptions
        ],
        "file": str(path),
    }
    if settings.as_json:
        emit_json(report)
        return
    emit_table("PaNET imported", ("", ""), [(key, _shown(value)) for key, value in report.items()])
    say(f"To use it: export {TERMS_VARIABLE}={path} , then pan-commons index remap.")


def _shown(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"{len(value)}" + (f": {', '.join(map(str, value[:10]))}" if value else "")
    return str(value)


COMMANDS: tuple[click.Command, ...] = (map_, technique)
