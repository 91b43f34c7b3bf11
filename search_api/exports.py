"""Hits in other forms: CSV, JSON Lines, and citations as BibTeX, RIS and DataCite JSON."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

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
TYPES = {
    "data": ("Dataset", "DATA"),
    "publication": ("Text", "GEN"),
    "poster": ("Text", "GEN"),
    "software": ("Software", "COMP"),
    "collection": ("Collection", "DATA"),
    "other": ("Other", "GEN"),
}
"""Kinds of things: DataCite's general type and the type of reference in RIS."""
CITATIONS = ("bibtex", "ris", "datacite")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(form: str, hits: Sequence[Json], publishers: Mapping[str, str]) -> Reply:
    """The hits in ``form``: ``csv``, ``jsonl``, ``bibtex``, ``ris`` or ``datacite``. Citations name
    the facility in full, by ``publishers``: short name to title."""
    if form in CITATIONS:
        named = [publishers.get(str(hit.get("facility"))) for hit in hits]
        hits = [
            {**hit, "facility": name or hit.get("facility")}
            for hit, name in zip(hits, named, strict=True)
        ]
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
    cited: set[str] = set()
    for hit in hits:
        fields = {
            "title": hit.get("title"),
            "publisher": hit.get("facility"),
            "year": _year(hit),
        }
        people = [_author(str(p["name"])) for p in hit.get("people", ()) if "name" in p]
        links = {"doi": hit.get("doi"), "url": _url(hit)}
        written = {
            **{name: _bibtex(str(value)) for name, value in fields.items() if value},
            **({"author": " and ".join(people)} if people else {}),
            **{name: _verbatim(str(value)) for name, value in links.items() if value},
        }
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in written.items())
        key = stem = _bibtex_stem(hit)
        others = itertools.count(2)
        while key in cited:
            key = f"{stem}-{next(others)}"
        cited.add(key)
        entries.append(f"@misc{{{key},\n{body}\n}}\n")
    return "\n".join(entries)


_BIBTEX = str.maketrans(
    {
        **{character: "\\" + character for character in "#$%&_"},
        # BibTeX counts braces, whatever stands before them.
        "{": r"\textbraceleft{}",
        "}": r"\textbraceright{}",
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def _bibtex(text: str) -> str:
    return " ".join(text.split()).translate(_BIBTEX)


def _author(name: str) -> str:
    """A name as one author: "and" divides authors, and more than two commas mean nothing."""
    is_one = re.search(r"\band\b", name, re.IGNORECASE) is None and name.count(",") <= 2
    return _bibtex(name) if is_one else "{" + _bibtex(name) + "}"


def _verbatim(address: str) -> str:
    """A DOI or an address, which BibTeX's styles take as it stands."""
    return re.sub(r"[{}\\\s]", lambda found: quote(found.group()), address)


def _bibtex_stem(hit: Json) -> str:
    """What a record is cited by, wherever it stands in a list."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", str(hit.get("pid") or hit["key"])).strip("-")
    return stem[:80] or "record"


def _types(hit: Json) -> tuple[str, str]:
    """What kind of thing it is, in DataCite's word and in that of RIS."""
    return TYPES.get(str(hit.get("kind")), TYPES["data"])


def write_ris(hits: Iterable[Json]) -> str:
    lines: list[str] = []
    for hit in hits:
        lines.append(f"TY  - {_types(hit)[1]}")
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
        "types": {"resourceTypeGeneral": _types(hit)[0]},
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
