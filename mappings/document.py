"""Writes ``docs/crosswalks.md`` from the crosswalks' own tables: ``python -m mappings.document``.

A facility's data manager reads there which path of their records feeds which field. The tables are
those that the crosswalks work by, so the page cannot promise what the code does not do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from mappings.crosswalks import JSON_FORMATS, XML_FORMATS
from mappings.formats.rules import Rules
from mappings.schema import MODELS, SCHEMA_VERSION
from mappings.text import ABSENT_WORDS

_OPENING = """# Crosswalks: what becomes of a facility's records

Generated from the code by `python -m mappings.document`; do not edit.

Each table shows, for one input format, which path feeds which field of the PaNOSC schema. Elements
are matched by their local name, in any namespace and any case. What no row names is kept as
*unused* evidence with its path and counted (`pan-commons sources show SOURCE --unmapped`); a value
that cannot be read is dropped with a counted note, and the record stays. A record without any
identifier, or that is not of its format at all, goes to quarantine with the reason.

To see what becomes of one of your records: `pan-commons map FILE --format NAME`.

## For all formats

- **Empty.** Blanks, `null`, {absent} and their like count as absent.
- **Text** is plain: tags are taken off, entities decoded once, blanks collapsed, in Unicode NFC.
- **Identifiers.** DOIs are compared without resolver, prefix and case, and shown as sent. DOI,
  Handle and IGSN name the same thing at every facility; all other identifiers are the facility's
  own. ORCID and ROR ids are kept when their checksum is right.
- **Dates** keep their precision: a year stays a year. Instants become UTC. `years` are those of
  the experiment on the facility's calendar; release and publication never stand in for them.
- **Open or not** is decided from evidence: an access statement, an embargo date, the facility's
  configured policy. A passed embargo or a licence alone does not prove that data are open. A bare
  date opens at its end.
- **Techniques** are linked to PaNET with a confidence and the rule that made the link; a label
  that links to nothing stays as text. Where a label names another technique than its id, the label
  is followed and the case is noted.
- **Quantities** keep value and unit as sent, with the value in SI beside them where they convert.
- **A flat record** (one that describes an experiment and its data at once) becomes a Document and
  one Dataset with the same identifier, marked `derived`, which gives way to real Datasets.
- **Parts.** `HasPart`, `HasVersion`, `HasMember` and `Collects` tie Datasets to their Document,
  `IsPartOf`, `IsVersionOf` and `IsCollectedIn` the other way.
"""


def page() -> str:
    """The whole page, Markdown."""
    shown = ", ".join(f"`{word}`" for word in sorted(ABSENT_WORDS)[:6])
    parts = [_OPENING.replace("{absent}", shown)]
    parts += [_section(names, rules) for names, rules in _formats()]
    parts.append(_schema_section())
    return "\n".join(parts)


def _formats() -> Iterable[tuple[list[str], Rules]]:
    """Each table once, with all the format names that it stands for."""
    names: dict[int, tuple[list[str], Rules]] = {}
    for table in (XML_FORMATS, JSON_FORMATS):
        for name, (_, rules) in table.items():
            names.setdefault(id(rules), ([], rules))[0].append(name)
    return names.values()


def _section(names: list[str], rules: Rules) -> str:
    formats = ", ".join(f"`{name}`" for name in names)
    lines = [f"## {rules.title}", "", f"Format names: {formats}.", ""]
    lines += [f"- {note}" for note in rules.notes]
    if rules.notes:
        lines.append("")
    lines += ["| path | feeds | note |", "|---|---|---|"]
    lines += [
        f"| {_cell(row.path)} | {_cell(row.feeds)} | {_cell(row.note)} |" for row in rules.rows
    ]
    lines.append("")
    return "\n".join(lines)


def _schema_section() -> str:
    lines = [
        "## The schema",
        "",
        f"Version {SCHEMA_VERSION}. Fields of each class as they are written; the JSON Schema is",
        "`pan-commons map --schema`.",
        "",
    ]
    for name, model in MODELS.items():
        fields = [
            f"`{field.alias or own}`{'' if field.is_required() else '?'}"
            for own, field in model.model_fields.items()
        ]
        lines += [f"- **{name}**: {', '.join(fields)}"]
    lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page to standard output."""
    sys.stdout.write(page())


if __name__ == "__main__":
    main()
