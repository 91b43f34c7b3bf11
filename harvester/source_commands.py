"""``sources list|show|check|add|remove``."""

from __future__ import annotations

from typing import Any

import click

from pan_commons_terminal import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_PARTLY,
    Family,
    Settings,
    common_options,
    emit_facts,
    emit_json,
    emit_table,
    say,
)


@click.group("sources", cls=Family)
def sources() -> None:
    """Facilities' endpoints: which there are, what they can do, adding and removing.

    \b
    Example:
      pan-commons sources list
      pan-commons sources check xfel-oai
    """


@sources.command("list")
@common_options
def list_sources(settings: Settings) -> None:
    """All configured sources.

    \b
    Example:
      pan-commons sources list
    """
    from catalogue.clock import utc_now
    from harvester.listings import collect_status, read_configuration
    from harvester.reports import checked_in_words

    configuration = read_configuration(settings)
    found = collect_status(settings, configuration)
    now = utc_now()
    if settings.as_json:
        emit_json({"sources": found})
        return
    emit_table(
        "Sources",
        (
            "Source",
            "Facility",
            "Protocol",
            "Format",
            "Set",
            "Mode",
            "Checked",
            "Enabled",
            "Records",
            "URL",
        ),
        (
            (
                one["source"],
                one["facility"],
                one["protocol"],
                one["format"],
                one["set"],
                one["mode"],
                checked_in_words(one, now),
                "yes" if one["enabled"] else "no",
                f"{one['records']:,}",
                one["url"],
            )
            for one in found
        ),
    )


@sources.command("show")
@click.argument("name")
@click.option("--unmapped", is_flag=True, help="What it sends that no field of ours takes.")
@common_options
def show_source(settings: Settings, name: str, unmapped: bool) -> None:
    """One source: configuration, facility, what the last runs left behind.

    --unmapped reads every stored record with the present crosswalks, and counts what they could
    not place or not read, with an example each.

    \b
    Example:
      pan-commons sources show xfel-oai --unmapped
    """
    if unmapped:
        show_unmapped(settings, name)
        return
    from dataclasses import asdict

    from catalogue.errors import NotFound
    from harvester.listings import (
        collect_status,
        existing_store,
        read_configuration,
        saying_what_was_harvested_with,
    )
    from harvester.sampling import summarised

    configuration = read_configuration(settings)
    with saying_what_was_harvested_with(settings):
        source = configuration.source(name)
    facility = configuration.facility(source.facility)
    status = next(one for one in collect_status(settings, configuration) if one["source"] == name)
    memory: dict[str, Any] = {}
    with existing_store(settings) as store:
        if store is not None:
            try:
                memory = summarised(store.source_status(name).memory)
            except NotFound:
                memory = {}
    found = {
        **status,
        "configured_in": str(configuration.origins[name]),
        "options": dict(source.options),
        "trust": source.trust,
        "internal": source.internal,
        "facility": asdict(facility),
        "memory": memory,
    }
    if settings.as_json:
        emit_json(found)
        return
    hidden = ("source", "memory", "facility")
    facts = {key: value for key, value in found.items() if key not in hidden}
    last = found["last_run"]
    if last is not None:
        told = (last["state"], (last["stop"] or "").replace("_", " "), last["started_at"])
        facts["last_run"] = f"{last['run']}: {', '.join(filter(None, told))}"
    emit_facts(name, facts)
    emit_facts(f"Facility {facility.name}", found["facility"])
    if memory.get("check"):
        emit_facts("What its check found", memory["check"])
    say("What it can do in detail, and what else is remembered of it: --json.")


def show_unmapped(settings: Settings, name: str) -> None:
    """Print what of a source's stored records is not used, most frequent first."""
    from dataclasses import asdict

    from harvester.listings import existing_store, read_configuration
    from harvester.unused import count_unused

    read_configuration(settings).source(name)
    with existing_store(settings) as store:
        unused = () if store is None else count_unused(store, name)
    if settings.as_json:
        emit_json({"source": name, "unused": [asdict(one) for one in unused]})
        return
    if not unused:
        say(f"Of what is stored of {name} everything is used.")
        return
    emit_table(
        f"{name}: sent, and not used",
        ("Path", "Records", "Why", "Example"),
        ((one.path, f"{one.records:,}", one.reason, one.example) for one in unused),
    )


@sources.command("check")
@click.argument("name")
@common_options
@click.pass_context
def check_source(ctx: click.Context, settings: Settings, name: str) -> None:
    """Ask the endpoint what it is and what it can do, and write that down for the live search.

    \b
    Example:
      pan-commons sources check xfel-oai
    """
    import anyio

    from harvester.check import check

    report = anyio.run(check, settings, name)
    if settings.as_json:
        emit_json(report)
    else:
        emit_table(name, ("What", "Found"), report["findings"].items())
        for problem in report["problems"]:
            say(f"Problem: {problem}")
    ctx.exit(EXIT_FAILED if report["problems"] else EXIT_DONE)


@sources.command("add")
@click.argument("name")
@click.option("--url", help="Base URL; without it a listed source of that name is enabled.")
@click.option("--facility", help="Short name of its facility.")
@click.option(
    "--protocol", type=click.Choice(("oai-pmh", "panosc", "scicat")), help="What it speaks."
)
@click.option("--format", "format_", metavar="PREFIX", help="OAI-PMH metadataPrefix.")
@click.option("--set", "set_", metavar="SET", help="OAI-PMH set.")
@click.option(
    "--mode",
    type=click.Choice(("indexed", "live", "both")),
    help="Harvested, asked when somebody searches, or both [indexed].",
)
@click.option("--schedule", help="An interval (6h) or five cron fields in UTC.")
@click.option("--internal", is_flag=True, help="A private address is meant.")
@click.option("--title", help="Full name of the facility, when it is new.")
@click.option("--provider", help="Its Search API base URL or home page, when it is new.")
@click.option("--time-zone", help="Its IANA time zone, when it is new.")
@click.option("--country", help="Its country, two letters, when it is new.")
@click.option("--probe", "probes", multiple=True, help="photon, neutron …, when it is new.")
@common_options
def add_source(settings: Settings, name: str, **given: Any) -> None:
    """Add source NAME, or enable the listed one.

    It goes into sources.toml in the data folder; your own file is left as it is.

    \b
    Example:
      pan-commons sources add mylab-api --facility MyLab --title "My Lab" \\
          --protocol panosc --url https://search.mylab.example/api --mode live
    """
    from harvester import added
    from harvester.listings import read_configuration, require_one_kind
    from harvester.live_outlook import mode_in_words

    configuration = read_configuration(settings)
    renamed = {"format_": "format", "set_": "set"}
    keys = ("url", "facility", "protocol", "format_", "set_", "mode", "schedule", "internal")
    source = {renamed.get(key, key): given[key] for key in keys if given[key]}
    listed = name in configuration.origins
    if not source.get("url") and not listed:
        raise click.UsageError(
            f"{name!r} is not listed; give --url, --facility, --protocol and, for oai-pmh, "
            "--format."
        )
    facility = _new_facility(configuration, source, given) if source.get("facility") else None
    if listed:
        source["enabled"] = True
    added.add_checked(
        settings.config,
        settings.data,
        name,
        source,
        facility,
        agree=lambda made: require_one_kind(settings, made),
    )
    made = read_configuration(settings).source(name)
    if settings.as_json:
        found = {"source": name, "facility": made.facility, "url": made.url, "added": not listed}
        emit_json(found)
    elif listed:
        say(f"{name} was listed already; it is enabled ({made.url}).")
    else:
        say(f"{name} is listed now ({made.url}); `pan-commons sources check {name}` tries it.")
    if made.mode != "indexed" and not settings.as_json:
        say(f"{mode_in_words(made)}. What it can do is known after a check.")


def _new_facility(
    configuration: Any, source: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any] | None:
    """Keys of a facility that is not configured yet."""
    name = source["facility"]
    if any(facility.name == name for facility in configuration.facilities):
        return None
    provider = given["provider"] or (source["url"] if source.get("protocol") == "panosc" else None)
    if not given["title"] or not provider:
        raise click.UsageError(
            f"{name!r} is a new facility; give --title and --provider (and --time-zone, --country, "
            "--probe)."
        )
    facility: dict[str, Any] = {"title": given["title"], "provider": provider}
    for key in ("time_zone", "country"):
        if given[key]:
            facility[key] = given[key]
    if given["probes"]:
        facility["probes"] = list(given["probes"])
    return facility


@sources.command("remove")
@click.argument("name")
@click.option("--keep-records", is_flag=True, help="Only stop harvesting it.")
@common_options
@click.pass_context
def remove_source(ctx: click.Context, settings: Settings, name: str, keep_records: bool) -> None:
    """Remove source NAME: stop its runs, then take its records away, leaving tombstones.

    \b
    Example:
      pan-commons sources remove mylab-api --keep-records
    """
    import anyio

    from catalogue.engine_commands import bring_in
    from harvester.removal import remove

    report = anyio.run(remove, settings, name, keep_records)
    indexed = bring_in(settings) if report["deleted"] else None
    if settings.as_json:
        emit_json({**report, "index": indexed and indexed.told})
    elif report["already_removed"] and not report["deleted"]:
        say(f"{name} was removed already.")
    else:
        taken = f"{report['deleted']} records were taken away"
        say(f"{name} is removed; {'its records are kept' if keep_records else taken}.")
    if indexed is not None and not settings.as_json:
        say(f"Search index: {indexed.told}.")
    ctx.exit(EXIT_PARTLY if indexed is not None and indexed.is_behind else EXIT_DONE)
