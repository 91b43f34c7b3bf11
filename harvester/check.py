"""``sources check``: what an endpoint is, and whether it gives what the source wants of it."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread

from catalogue.clock import utc_now
from catalogue.facilities import Source, read_as
from facility_http.errors import FacilityHttpError
from facility_http.http import Fetcher, access_for
from harvester.errors import NoSetHierarchy
from harvester.keys import some_of, suggest
from harvester.listings import read_configuration, saying_what_was_harvested_with
from harvester.live_outlook import mode_in_words
from harvester.oai_pmh import OaiClient, read_options
from harvester.station import open_store, require_contact
from harvester.windows import read_instant
from mappings import FORMATS
from pan_commons_terminal import Settings

SAMPLE = 5


async def check(settings: Settings, name: str) -> dict[str, Any]:
    """Ask the endpoint; what was found is remembered with the source.

    Raises:
        ConfigurationError: there is no such source, or nobody is named for a real one.
    """
    configuration = read_configuration(settings)
    with saying_what_was_harvested_with(settings):
        source = configuration.source(name)
    require_contact(configuration, [source])
    report: dict[str, Any] = {"source": name, "url": source.url, "findings": {}, "problems": []}
    report["findings"]["mode"] = mode_in_words(source)
    async with (
        open_store(settings.data, configuration) as store,
        Fetcher(configuration.contact) as http,
    ):
        try:
            if source.protocol == "oai-pmh":
                await _check_oai(http, source, report)
            else:
                from harvester.capabilities import check_service
                from harvester.sampling import counted_elsewhere

                facility = configuration.facility(source.facility)
                counted = counted_elsewhere(store, source)
                await check_service(http, facility, source, report, counted)
        except FacilityHttpError as problem:
            report["problems"].append(str(problem))
        ends = http.certificates
        if ends:
            report["findings"]["certificates end"] = {
                host: instant.isoformat() for host, instant in ends.items()
            }
        profile = report.pop("profile", None)
        memory = {"checked_at": utc_now().isoformat(), "check": report["findings"]}
        # Of a service that serves nothing today, what it could do before is worth more.
        if profile is not None and any(
            found["state"] == "served" for found in profile["classes"].values()
        ):
            memory |= {"capabilities": profile, "capabilities_at": memory["checked_at"]}
        await anyio.to_thread.run_sync(store.remember, name, memory)
    return report


async def _check_oai(http: Fetcher, source: Source, report: dict[str, Any]) -> None:
    findings, problems = report["findings"], report["problems"]
    client = OaiClient(
        http,
        source.url,
        access=access_for(source.url, internal=source.internal, options=source.options),
        options=read_options(source.options),
    )
    said = await client.identify()
    findings["repository"] = said.repository_name
    findings["deletions"] = said.deleted_record
    findings["granularity"] = said.granularity
    findings["earliest datestamp"] = said.earliest_datestamp
    if read_instant(said.earliest_datestamp) is None:
        findings["earliest datestamp"] = f"{said.earliest_datestamp} (no possible date)"
    formats = [one.prefix for one in await client.list_metadata_formats()]
    findings["formats"] = ", ".join(formats)
    if formats and source.format not in formats:
        problems.append(f"it does not offer {source.format!r}{suggest(source.format, formats)}")
    crosswalk = read_as(source)
    if crosswalk not in FORMATS:
        problems.append(f"there is no crosswalk {crosswalk!r}{suggest(crosswalk, FORMATS)}")
    sets = await _sets(client)
    findings["sets"] = some_of(sets) or "none"
    if source.set is not None and source.set not in sets:
        problems.append(f"it has no set {source.set!r}{suggest(source.set, sets)}")
    async for page in client.pages("ListRecords", source.format, set_=source.set):
        findings["records"] = page.complete_list_size or (
            len(page.records) if page.stop else f"more than {len(page.records)}"
        )
        findings["page size"] = len(page.records)
        broken = [one.header.identifier for one in page.records if one.problem]
        if broken:
            problems.append(f"{len(broken)} records of the first page are unusable: {broken[:3]}")
        findings["for example"] = ", ".join(one.header.identifier for one in page.records[:SAMPLE])
        break
    if client.moved_to:
        problems.append(f"it has moved to {client.moved_to}; configure that address")


async def _sets(client: OaiClient) -> list[str]:
    try:
        return [one.spec async for one in client.list_sets()]
    except NoSetHierarchy:
        return []
