"""The one table of routes: what is served, and how it is described.

The server registers from it, ``openapi.py`` describes from it, and a test walks it. A path ending
in ``{pid}`` or ``{key}`` takes everything that follows, slashes included (fault E13).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from search_api import health, panosc, suggest
from search_api.facility_list import facilities_list
from search_api.history import history_by_key, history_of_source
from search_api.openapi_page import documentation, openapi_json
from search_api.pages import site
from search_api.pages.record import record_page
from search_api.pages.technique import for_people, technique_page, techniques_page
from search_api.records import record_by_key, record_named
from search_api.replies import Handler
from search_api.search_handler import search_page
from search_api.search_stream import ENCODERS
from search_api.status import root, status_object

Method = Literal["GET", "POST"]
PAGE = "text/html"

DATA_OR_PAGE = ("application/json", PAGE)


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the address: its name, OpenAPI schema, and what it means."""

    name: str
    schema: str
    help: str


@dataclass(frozen=True, slots=True)
class Route:
    """One path with its methods.

    ``answer`` names the schema of the answer (``openapi_schemas``); ``also`` are other spellings
    of the path. ``body``: schema of a POST's body. ``always``: answered under overload, too.
    ``cached``: the answer may be kept for a moment. ``operator``: only with the operator's key.
    """

    path: str
    handler: Handler
    summary: str
    tag: str
    answer: str
    methods: tuple[Method, ...] = ("GET",)
    queries: Sequence[Query] = ()
    also: tuple[str, ...] = ()
    body: str | None = None
    statuses: tuple[int, ...] = (400,)
    media_types: tuple[str, ...] = ("application/json",)
    always: bool = False
    cached: bool = False
    operator: bool = False
    search_parameters: bool = False
    operation: str = field(default="")


def filter_of(name: str) -> Query:
    return Query("filter", f"{name}Filter", "LoopBack filter: where, include, limit, skip …")


def where_of(name: str) -> Query:
    return Query("where", f"{name}Where", "LoopBack where condition.")


FACILITY = Query("facility", "string", "Short name of a facility.")
PID = Query("pid", "string", "Only what has this pid, DOI or other identifier.")
ASKED = (
    Query("facilities", "string", "Ask only these facilities (short names, divided by commas)."),
    Query("mode", "mode", "Ask the index, facilities live, or both as configured."),
    Query(
        "deadline_ms",
        "milliseconds",
        "Milliseconds for the whole answer of live facilities.",
    ),
)
TEXT = Query("query", "string", "Free text, as in filter.query.")


def _class_routes() -> list[Route]:
    routes = []
    for plural, name in panosc.CLASSES.items():
        base, lower = f"/api/{plural}", f"/api/{plural.lower()}"
        routes += [
            Route(
                base,
                panosc.list_of(name),
                f"Find {plural}",
                "PaNOSC Search API",
                f"{name}List",
                methods=("GET", "POST"),
                queries=(filter_of(name), where_of(name), FACILITY, PID, TEXT, *ASKED),
                also=(lower,),
                body=f"{name}Filter",
                operation=f"find{plural}",
                cached=True,
            ),
            Route(
                f"{base}/count",
                panosc.count_of(name),
                f"Count {plural}",
                "PaNOSC Search API",
                "Count",
                methods=("GET", "POST"),
                queries=(where_of(name), filter_of(name), FACILITY, PID, TEXT, *ASKED),
                also=(f"{lower}/count",),
                body=f"{name}Filter",
                operation=f"count{plural}",
                cached=True,
            ),
        ]
        if name == "Dataset":
            routes += _file_routes(base, lower)
        routes.append(
            Route(
                f"{base}/{{pid}}",
                panosc.one_of(name),
                f"One {name} by its pid",
                "PaNOSC Search API",
                name,
                queries=(filter_of(name), FACILITY, *ASKED),
                also=(f"{lower}/{{pid}}",),
                statuses=(400, 404, 409),
                operation=f"get{name}",
                cached=True,
            )
        )
    return routes


def _file_routes(base: str, lower: str) -> list[Route]:
    return [
        Route(
            f"{base}/{{pid}}/files/count",
            panosc.files_count,
            "Count the files of a Dataset",
            "PaNOSC Search API",
            "Count",
            queries=(where_of("File"), filter_of("File"), FACILITY, *ASKED),
            also=(f"{lower}/{{pid}}/files/count",),
            statuses=(400, 404, 409),
            operation="countFiles",
            cached=True,
        ),
        Route(
            f"{base}/{{pid}}/files",
            panosc.files_of,
            "The files of a Dataset",
            "PaNOSC Search API",
            "FileList",
            queries=(filter_of("File"), where_of("File"), FACILITY, *ASKED),
            also=(f"{lower}/{{pid}}/files",),
            statuses=(400, 404, 409),
            operation="findFiles",
            cached=True,
        ),
    ]


def _technique_routes() -> list[Route]:
    bases = ("/techniques", "/api/Techniques", "/api/techniques")

    def spelled(suffix: str) -> tuple[str, tuple[str, ...]]:
        return bases[0] + suffix, tuple(base + suffix for base in bases[1:])

    listed, counted, ontology, one = (
        spelled(suffix) for suffix in ("", "/count", "/pan-ontology", "/{pid}")
    )
    return [
        Route(
            listed[0],
            for_people(techniques_page, panosc.techniques_list),
            "Techniques of PaNET",
            "Techniques",
            "TechniqueList",
            methods=("GET", "POST"),
            queries=(filter_of("Technique"), where_of("Technique")),
            also=listed[1],
            body="TechniqueFilter",
            media_types=DATA_OR_PAGE,
            operation="findTechniques",
            cached=True,
        ),
        Route(
            counted[0],
            panosc.techniques_count,
            "Count techniques",
            "Techniques",
            "Count",
            queries=(where_of("Technique"), filter_of("Technique")),
            also=counted[1],
            operation="countTechniques",
        ),
        Route(
            ontology[0],
            panosc.techniques_pan_ontology,
            "A condition on techniques as one on PaNET ids",
            "Techniques",
            "PanOntology",
            queries=(where_of("Technique"),),
            also=ontology[1],
            operation="panOntology",
            cached=True,
        ),
        Route(
            one[0],
            for_people(technique_page, panosc.technique_by_id),
            "One technique by IRI, id, label or synonym",
            "Techniques",
            "Technique",
            queries=(filter_of("Technique"),),
            also=one[1],
            statuses=(400, 404),
            media_types=DATA_OR_PAGE,
            operation="getTechnique",
        ),
    ]


def _search_routes() -> list[Route]:
    return [
        Route(
            "/api/search",
            search_page,
            "Search in plain parameters",
            "Search",
            "SearchAnswer",
            methods=("GET", "POST"),
            body="searchRequest",
            statuses=(400, 410),
            media_types=(
                "application/json",
                *ENCODERS,
                "text/csv",
                "application/jsonl",
                "application/x-bibtex",
                "application/x-research-info-systems",
                "application/vnd.datacite.datacite+json",
            ),
            search_parameters=True,
            operation="search",
            cached=True,
        ),
        Route(
            "/api/suggest",
            suggest.suggestions,
            "Completions of what is being typed",
            "Search",
            "Suggestions",
            queries=(
                Query("q", "string", "What is typed so far."),
                Query("limit", "count", "Completions to give, at most 50."),
            ),
            operation="suggest",
        ),
        Route(
            "/api/facilities",
            facilities_list,
            "Facilities and their sources, with their state",
            "Search",
            "FacilityList",
            operation="findFacilities",
        ),
    ]


def _record_routes() -> list[Route]:
    return [
        Route(
            "/records/{key}",
            record_page,
            "The page of one record: what is known of it, and who said so",
            "Search",
            "Page",
            queries=ASKED,
            statuses=(400, 404),
            media_types=(PAGE,),
            operation="getRecordPage",
        ),
        Route(
            "/api/records/{key}",
            record_by_key,
            "One record with its provenance",
            "Search",
            "Record",
            queries=ASKED,
            statuses=(400, 404),
            operation="getRecord",
        ),
        Route(
            "/api/records",
            record_named,
            "One record by key or pid, where a path cannot hold its slashes",
            "Search",
            "Record",
            queries=(
                Query("key", "string", "Key of the record."),
                Query("pid", "string", "Its pid, DOI or another identifier."),
                Query("type", "class", "What it is, where a pid names several things."),
                FACILITY,
                *ASKED,
            ),
            statuses=(400, 404, 409),
            operation="findRecord",
        ),
    ]


def _operator_routes() -> list[Route]:
    return [
        Route(
            "/api/history/{key}",
            history_by_key,
            "Every version kept of a record, for the operator",
            "Operator",
            "History",
            statuses=(400, 403, 404),
            operator=True,
            operation="getHistory",
        ),
        Route(
            "/api/history",
            history_of_source,
            "What a source said before of one of its records, deleted ones included",
            "Operator",
            "SourceHistory",
            queries=(
                Query("source", "string", "Name of the source."),
                Query("identifier", "string", "What the record is called there."),
            ),
            statuses=(400, 403, 404),
            operator=True,
            operation="getSourceHistory",
        ),
    ]


def _service_routes() -> list[Route]:
    return [
        Route(
            "/api/openapi.json",
            openapi_json,
            "This description",
            "Service",
            "Object",
            operation="getDescription",
        ),
        Route(
            "/docs",
            documentation,
            "Interactive documentation",
            "Service",
            "Page",
            media_types=(PAGE,),
            operation="getDocumentation",
        ),
        Route(
            "/api/",
            status_object,
            "Status of the service",
            "Service",
            "Status",
            also=("/api",),
            operation="getStatus",
        ),
        Route(
            "/",
            root,
            "Search page for people, status object for programs",
            "Service",
            "Status",
            media_types=DATA_OR_PAGE,
            operation="getRoot",
        ),
        Route(
            "/static/{key}",
            site.static_file,
            "Styles and scripts of the pages",
            "Service",
            "Page",
            statuses=(404,),
            media_types=("text/css", "text/javascript", "image/svg+xml"),
            operation="getStaticFile",
        ),
    ]


def _health_routes() -> list[Route]:
    return [
        Route(
            "/health/live",
            health.live,
            "Whether the process answers",
            "Service",
            "Health",
            always=True,
            operation="getLiveness",
        ),
        Route(
            "/health/ready",
            health.ready,
            "Whether store and search engine answer",
            "Service",
            "Health",
            statuses=(503,),
            always=True,
            operation="getReadiness",
        ),
        Route(
            "/metrics",
            health.metrics,
            "Measurements for Prometheus",
            "Service",
            "Text",
            media_types=("text/plain",),
            always=True,
            operation="getMetrics",
        ),
    ]


ROUTES: tuple[Route, ...] = (
    *_class_routes(),
    *_technique_routes(),
    *_search_routes(),
    *_record_routes(),
    *_operator_routes(),
    *_service_routes(),
    *_health_routes(),
)
