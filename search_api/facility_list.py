"""``/api/facilities``: facilities and sources with their state, and how those asked live fare."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from catalogue.records import EntityClass
from search_api.facilities import FacilityState, facility_json
from search_api.federation.figures import WINDOW_S
from search_api.federation.latencies import LimitFigures
from search_api.federation.participants import live_source
from search_api.federation.profiles import ClassProfile, read_profile
from search_api.federation.questions import FacilityFigures, LiveSource
from search_api.federation.relations import wanted_relations
from search_api.replies import Call, Reply, Server, json_reply

Json = dict[str, Any]
LiveState = Literal["not_asked", "answering", "failing", "probed", "paused"]

CLASSES: tuple[EntityClass, ...] = ("Document", "Dataset", "Instrument")
DAY_S = 86_400.0


async def facilities_list(call: Call) -> Reply:
    """``GET /api/facilities``: every facility and source, with its state and since when."""
    return json_reply([await facility_shown(call, state) for state in call.server.states.all])


async def facility_shown(call: Call, state: FacilityState) -> Json:
    """A facility; ``live`` is null where it is not asked live."""
    shown = {**facility_json(state), "live": None}
    live, service = live_source(state), call.server.live
    if live is not None and service is not None:
        learned = await service.lessons.learned(live.source.name)
        shown["live"] = {
            "source": live.source.name,
            "mode": live.source.mode,
            **figures_json(service.asker.figures(live.source.name)),
            "limits": limits_json(service.asker.limits(live.source)),
            "capabilities": capabilities_json(
                live, learned, call.now, call.settings.profile_max_age_days
            ),
        }
    return shown


def live_state_of(server: Server, state: FacilityState) -> LiveState | None:
    """How asking a facility goes at present; ``None`` where it is not asked live."""
    live = live_source(state)
    if live is None or server.live is None:
        return None
    return state_of(server.live.asker.figures(live.source.name))


def relations_missing(server: Server, state: FacilityState) -> dict[str, list[str]] | None:
    """By class, what a facility asked live does not give of related things, as its check found it:
    empty ones prove nothing there. ``None`` where it is not asked live."""
    live, service = live_source(state), server.live
    if live is None or service is None:
        return None
    profiles = {name: service.federation.profile(live, name) for name in CLASSES}
    datasets = profiles["Dataset"]
    wanted = {
        name: wanted_relations(one, datasets, files=True)
        for name, one in profiles.items()
        if one.served
    }
    return {name: [*one.missing, *one.unseen] for name, one in wanted.items()}


def state_of(figures: FacilityFigures) -> LiveState:
    """In one word how a source has answered lately, at least for one of its classes."""
    breakers = {figures.breaker, *(one[0] for one in figures.classes.values())}
    if "open" in breakers:
        return "paused"
    if "half_open" in breakers:
        return "probed"
    answered, failed = figures.last_contact, figures.last_failure
    if failed is not None and (answered is None or failed > answered):
        return "failing"
    return "not_asked" if answered is None else "answering"


def figures_json(figures: FacilityFigures) -> Json:
    """How a source has answered lately: latencies and rates are of this process and the last
    ``window_s`` seconds, breaker and contacts of all workers."""
    return {
        "state": state_of(figures),
        "breaker": {
            "state": figures.breaker,
            "until": figures.paused_until,
            "why": figures.paused_because,
            "classes": {
                name: {"state": state, "until": until, "why": why}
                for name, (state, until, why) in figures.classes.items()
            },
        },
        "window_s": WINDOW_S,
        "requests": figures.requests,
        "error_rate": round(figures.error_rate, 4),
        "latency_ms": {
            "p50": _ms(figures.p50_s),
            "p90": _ms(figures.p90_s),
            "p99": _ms(figures.p99_s),
        },
        "in_flight": figures.in_flight,
        "waiting": figures.waiting,
        "last_contact": figures.last_contact,
        "last_failure": figures.last_failure,
        "last_reason": figures.last_reason,
    }


def limits_json(figures: LimitFigures) -> Json:
    """How long requests may take, by what all workers saw (fault G03)."""
    return {
        "origin": "configured" if figures.bounds.is_configured else "learnt",
        "give_up_ms": _ms(figures.bounds.give_up_s),
        "kinds": {
            kind: {
                "answers": round(one.answers),
                "given_up": round(one.given_up),
                "p50_ms": _ms(one.p50_s),
                "p99_ms": _ms(one.p99_s),
                "wait_ms": _ms(one.limits.wait_s),
                "give_up_ms": _ms(one.limits.give_up_s),
            }
            for kind, one in figures.kinds.items()
        },
    }


def capabilities_json(
    live: LiveSource,
    learned: frozenset[tuple[str, str]],
    now: datetime,
    most_days: float,
) -> Json:
    """What a source can do, from its check or from configuration, less what turned out unknown.

    ``aged``: its check is longer ago than ``most_days``, or there was none.
    """
    configured = "capabilities" in live.source.options
    age_s = None if live.checked_at is None else (now - live.checked_at).total_seconds()
    found = "checked" if live.capabilities else "never checked"
    return {
        "origin": "configured" if configured else found,
        "checked_at": live.checked_at,
        "age_s": None if age_s is None else max(0.0, age_s),
        "aged": not configured and (age_s is None or age_s > most_days * DAY_S),
        "classes": {
            name: class_json(
                read_profile(live.capabilities, name),
                sorted(what for of, what in learned if of == name),
            )
            for name in CLASSES
        },
    }


def class_json(profile: ClassProfile, learned: list[str]) -> Json:
    """One class of a service, in short."""
    if not profile.served:
        return {"served": False}
    return {
        "served": True,
        "checked": profile.checked,
        "total": profile.total,
        "text": text_of(profile),
        "operators": sorted(profile.operators - set(learned)),
        "unknown_operators": learned,
        "conditions_ignored": sorted(profile.ignored),
        "relations": sorted(profile.relations),
        "nested_relations": sorted(profile.nested),
        "order": profile.order,
        "skip": profile.skip,
        "counts": profile.counts,
        "largest_limit": profile.largest_limit,
        "sampled_records": profile.sampled,
    }


def text_of(profile: ClassProfile) -> Literal["ranked", "substring", "none"]:
    """How words can be asked for."""
    if profile.scored:
        return "ranked"
    return "substring" if profile.can("ilike") or profile.can("like") else "none"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


__all__ = [
    "facilities_list",
    "facility_shown",
    "figures_json",
    "live_state_of",
    "relations_missing",
    "state_of",
]
