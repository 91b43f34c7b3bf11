"""Hits in other forms: CSV, JSON Lines, and citations as BibTeX, RIS and DataCite JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from search_api.replies import Reply

Json = dict[str, Any]

COLUMNS = (
    "key",
    "type",
    "kind",
    "pid",
    "doi",
    "title",
    "facility",
    "access",
    "open_from",
    "start",
    "end",
    "techniques",
    "samples",
    "instruments",
    "people",
    "license",
    "score",
    "url",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(form: str, hits: Sequence[Json]) -> Reply:
    """The hits in ``form``: ``csv``, ``jsonl``, ``bibtex``, ``ris`` or ``datacite``."""
    write, media_type, suffix = WRITERS[form]
    return Reply(
        write(hits).encode("utf-8", errors="replace"),
        content_type=f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="pan-commons.{suffix}"'},
    )


def write_csv(hits: Iterable[Json]) -> str:
    """One line a hit. A cell that a spreadsheet would take for a formula is led by a quote."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for hit in hits:
        writer.writerow([_cell(value) for value in _row(hit)])
    return stream.getvalue()


def _row(hit: Json) -> list[object]:
    access = hit["access"]
    return [
        hit["key"],
        hit["type"],
        hit.get("kind"),
        hit.get("pid"),
        hit.get("doi"),
        hit.get("title"),
        "; ".join(hit["facilities"]),
        access["state"],
        access["open_from"],
        hit.get("startDate") or hit.get("creationDate"),
        hit.get("endDate"),
        "; ".join(str(one["label"]) for one in hit["techniques"]),
        "; ".join(str(one.get("name", "")) for one in hit["samples"]),
        "; ".join(hit["instruments"]),
        "; ".join(str(one.get("name", "")) for one in hit.get("people", ())),
        hit.get("license"),
        hit.get("score"),
        _url(hit),
    ]


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text) is not None


def _url(hit: Json) -> str:
    services = hit.get("services") or ()
    return str(services[0]["url"]) if services else ""


def write_jsonl(hits: Iterable[Json]) -> str:
    return "".join(orjson.dumps(hit).decode() + "\n" for hit in hits)


def write_bibtex(hits: Iterable[Json]) -> str:
    entries = []
    for number, hit in enumerate(hits, start=1):
        fields = {
            "title": hit.get("title"),
            "author": " and ".join(str(p["name"]) for p in hit.get("people", ()) if "name" in p),
            "publisher": hit.get("facility"),
            "year": _year(hit),
            "doi": hit.get("doi"),
            "url": _url(hit),
        }
        body = ",\n".join(
            f"  {name} = {{{_bibtex(str(value))}}}" for name, value in fields.items() if value
        )
        entries.append(f"@misc{{{_bibtex_key(hit, number)},\n{body}\n}}\n")
    return "\n".join(entries)


def _bibtex(text: str) -> str:
    escaped = text.replace("\\", r"\textbackslash ").replace("{", r"\{").replace("}", r"\}")
    return re.sub(r"([#$%&_~^])", r"\\\1", " ".join(escaped.split()))


def _bibtex_key(hit: Json, number: int) -> str:
    stem = re.sub(r"[^A-Za-z0-9]+", "-", str(hit.get("pid") or hit["key"])).strip("-")
    return f"{stem[:80] or 'record'}-{number}"


def write_ris(hits: Iterable[Json]) -> str:
    lines: list[str] = []
    for hit in hits:
        lines.append("TY  - DATA")
        pairs: list[tuple[str, object]] = [("TI", hit.get("title"))]
        pairs += [("AU", person.get("name")) for person in hit.get("people", ())]
        pairs += [("PB", hit.get("facility")), ("PY", _year(hit)), ("DO", hit.get("doi"))]
        pairs += [("AB", hit.get("summary")), ("UR", _url(hit))]
        pairs += [("KW", keyword) for keyword in hit.get("keywords") or ()]
        lines += [f"{tag}  - {' '.join(str(value).split())}" for tag, value in pairs if value]
        lines += ["ER  - ", ""]
    return "\r\n".join(lines)


def write_datacite(hits: Iterable[Json]) -> str:
    return orjson.dumps([_datacite(hit) for hit in hits]).decode()


def _datacite(hit: Json) -> Json:
    shown: Json = {
        "id": hit.get("doi") or hit.get("pid"),
        "titles": [{"title": hit["title"]}] if hit.get("title") else [],
        "creators": [
            {"name": person["name"]} for person in hit.get("people", ()) if "name" in person
        ],
        "publisher": hit.get("facility"),
        "publicationYear": _year(hit),
        "types": {"resourceTypeGeneral": "Dataset"},
        "url": _url(hit) or None,
        "subjects": [
            {"subject": one["label"], "valueUri": one["panetId"], "subjectScheme": "PaNET"}
            for one in hit["techniques"]
            if one.get("panetId")
        ],
    }
    if hit.get("doi"):
        shown["doi"] = hit["doi"]
    return shown


def _year(hit: Mapping[str, Any]) -> str | None:
    """The year of release, else of the experiment: a citation must name one."""
    for name in ("releaseDate", "startDate", "creationDate"):
        if hit.get(name):
            return str(hit[name])[:4]
    return None


WRITERS: Mapping[str, tuple[Callable[[Sequence[Json]], str], str, str]] = {
    "csv": (write_csv, "text/csv", "csv"),
    "jsonl": (write_jsonl, "application/jsonl", "jsonl"),
    "bibtex": (write_bibtex, "application/x-bibtex", "bib"),
    "ris": (write_ris, "application/x-research-info-systems", "ris"),
    "datacite": (write_datacite, "application/vnd.datacite.datacite+json", "json"),
}
