"""What a Search API can do, found out by asking: ``sources check`` and the live search use it.

An operator counts as working only when a condition that must match finds what it should *and* one
that cannot match finds nothing (fault E08): conditions silently dropped, misread or answered with
nothing are each told apart. Nothing is concluded from documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalogue.facilities import Facility, Source, mapping_context
from facility_http.errors import AccessRefused, FacilityHttpError, NotAccepted, NotOffered, TimedOut
from facility_http.http import Fetcher, access_for
from facility_http.panosc_client import RELATIONS, RestOptions, SearchApi, read_rest_options
from facility_http.rest_json import count_in, identifier_of, parse_json
from harvester.capability_probes import NO_SUCH, OPERATORS, PROBES, Sample
from harvester.live_outlook import outlook
from harvester.sampling import Counted, nobody_else, sample_service

PROFILE_VERSION = 2

_SAMPLE = 50
_LARGEST_TRIED = 1000
_NESTED = (("datasets", "techniques"), ("members", "person"))
_BELOW = {
    "datasets": ("techniques", "instrument", "samples", "parameters"),
    "members": ("person", "affiliation"),
}
_CHAINS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Document": (("datasets",), ("datasets", "techniques"), ("datasets", "documents", "members")),
    "Dataset": (("techniques",), ("documents", "members"), ("documents", "members", "person")),
    "Instrument": (("datasets",), ("datasets", "techniques")),
    "Technique": (),
}
_CONDITIONS = {"Document": ("type", "title"), "Dataset": ("title",)}


async def check_service(
    http: Fetcher,
    facility: Facility,
    source: Source,
    report: dict[str, Any],
    counted: Counted = nobody_else,
) -> None:
    """Check a Search API and take a sample of it; fills ``findings``, ``problems`` and ``profile``
    of ``report``.

    Args:
        counted: which records are counted elsewhere already, see ``sampling``.

    Raises:
        FacilityHttpError: it does not answer.
    """
    access = access_for(source.url, internal=source.internal, options=source.options)
    options = read_rest_options(source.options)
    api = SearchApi(http, source.url, access=access)
    profile = await probe_service(api, options)
    report["profile"] = profile
    served = tuple(name for name, one in profile["classes"].items() if one["state"] == "served")
    context = mapping_context(facility, source)
    samples = await sample_service(http, api, context, classes=served, counted=counted)
    for name, sample in samples.items():
        profile["classes"][name] |= sample
    findings, problems = report["findings"], report["problems"]
    for name, found in profile["classes"].items():
        if found["state"] != "served":
            findings[name] = found["state"].replace("_", " ")
            if found["state"] == "refused":
                problems.append(f"{name}s are refused: a key may be needed")
            continue
        findings[name] = f"{found['total']} objects" if found["total"] is not None else "served"
        if "statistics" in found:
            findings[f"{name}: sampled"] = found["sampled"]
        if found["conditions_ignored"]:
            findings[f"{name}: conditions dropped"] = ", ".join(found["conditions_ignored"])
        for state in ("ignored", "wrong", "refused", "nothing"):
            named = [op for op, how in found["operators"].items() if how == state]
            if named:
                findings[f"{name}: operators {state}"] = ", ".join(named)
        if found["not_offered"]:
            findings[f"{name}: not included"] = ", ".join(found["not_offered"])
        if found["largest_limit"] is not None:
            findings[f"{name}: largest page"] = found["largest_limit"]
        if name in ("Document", "Dataset"):
            findings[f"{name}: asked live"] = outlook(found)
        if not found["skip"] and not found["keyset"]:
            problems.append(f"{name}s: skip is ignored, so only one page can be had")
    if not any(found["state"] == "served" for found in profile["classes"].values()):
        problems.append("none of the classes is served here; is this the Search API's base URL?")


async def probe_service(api: SearchApi, options: RestOptions | None = None) -> dict[str, Any]:
    """Find out what each class of a service can do.

    Returns:
        A JSON-serialisable profile: ``version``; ``classes`` with, for each class, ``state``
        (``served``, ``not_offered``, ``refused``), ``path``, ``total``, ``count`` (``object``,
        ``number``, ``none``), ``counts_conditions``, ``operators`` (name → ``yes``, ``ignored``,
        ``nothing``: finds nothing at all, ``wrong``, ``refused``, ``unknown``: could not be told),
        ``like`` (``contains`` or ``sql``), ``conditions_ignored`` (fields whose conditions are
        silently dropped), ``order``, ``keyset``, ``skip``, ``largest_limit``
        (``None``: no cap up to 1000), ``default_limit``, ``fields``, ``relations``,
        ``not_offered``, ``include_depth``, ``nested_drops`` (an include inside an include drops
        parents without it), ``nested_seen`` (relations under which such an include brought
        anything), ``bare_includes``, ``joins`` (a condition inside an include drops
        parents), ``parameter_ranges`` (one on a parameter's name and numeric value does),
        ``scores`` (``none``, ``zero``, ``scored``), ``by_path``. ``check_service`` adds
        what ``sampling.sample_service`` found in a sample.

    Raises:
        FacilityHttpError: the service does not answer at all.
    """
    options = options or RestOptions()
    classes: dict[str, Any] = {}
    for entity_class in options.classes:
        try:
            classes[entity_class] = await ClassProbe(api, entity_class).run()
        except NotOffered:
            classes[entity_class] = {"state": "not_offered"}
        except AccessRefused:
            classes[entity_class] = {"state": "refused"}
    return {"version": PROFILE_VERSION, "classes": classes}


@dataclass(slots=True)
class ClassProbe:
    """The probing of one class."""

    api: SearchApi
    entity_class: str
    total: int | None = None
    sample: Sample | None = None

    async def run(self) -> dict[str, Any]:
        """Probe everything; see ``probe_service``."""
        able = self.api.able(self.entity_class)
        first = await self.api.find(self.entity_class, {"limit": _SAMPLE}, trying=True)
        count_form, self.total = await self._count()
        self.sample = Sample.of(first.items)
        await self.api.learn_relations(self.entity_class)
        await self.api.learn_order(self.entity_class, 8)
        operators, like = await self._operators()
        return {
            "state": "served",
            "path": able.path,
            "total": self.total,
            "count": count_form,
            "counts_conditions": await self._counts_conditions(),
            "operators": operators,
            "like": like,
            "conditions_ignored": await self._conditions_ignored(),
            "order": bool(able.order),
            "keyset": bool(able.keyset),
            "skip": await self._skip(),
            "largest_limit": await self._largest_limit(),
            "default_limit": await self._default_limit(),
            "fields": await self._fields(),
            "relations": {name: spelling for name, spelling in able.relations.items() if spelling},
            "not_offered": list(able.not_offered),
            "include_depth": await self._include_depth(),
            "nested_drops": await self._nested_drops(),
            "nested_seen": await self._nested_seen(),
            "bare_includes": await self._bare_includes(),
            "joins": await self._joins(),
            "parameter_ranges": await self._parameter_ranges(),
            "scores": await self._scores(),
            "by_path": await self._by_path(),
        }

    async def _ask(self, filter_: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The objects for a filter; ``None`` when it is not accepted."""
        try:
            found = await self.api.find(self.entity_class, filter_, trying=True)
        except (NotAccepted, TimedOut):
            return None
        return found.items

    async def _count(self) -> tuple[str, int | None]:
        async def read(response: Any) -> Any:
            return parse_json(await response.body())[0]

        path = f"{self.api.able(self.entity_class).path}/count"
        try:
            value = await self.api.ask(path, trying=True, read=read)
        except FacilityHttpError:
            return "none", None
        number = count_in(value)
        if number is None:
            return "none", None
        return ("object" if isinstance(value, Mapping) else "number"), number

    async def _counts_conditions(self) -> bool:
        """Whether ``count`` honours ``where``: nothing must be counted as nothing."""
        none = await self.api.count(self.entity_class, {"pid": NO_SUCH})
        return none == 0 and (self.total or 0) > 0

    async def _operators(self) -> tuple[dict[str, str], str]:
        assert self.sample is not None
        found: dict[str, str] = {}
        like = "contains"
        for name in OPERATORS:
            found[name] = "unknown"
            for variant, probe in PROBES[name](self.sample):
                found[name] = await self._judge(probe.where, probe.expected, probe.impossible)
                if found[name] == "yes":
                    like = variant if name == "like" and variant else like
                    break
        return found, like

    async def _judge(
        self,
        where: Mapping[str, Any],
        expected: Callable[[Sequence[dict[str, Any]]], bool],
        impossible: Mapping[str, Any] | None,
    ) -> str:
        if impossible is not None:
            nothing = await self._ask({"where": impossible, "limit": 5})
            if nothing is None:
                return "refused"
            if nothing:
                return "ignored"
        something = await self._ask({"where": where, "limit": _SAMPLE})
        if something is None:
            return "refused"
        if not something:
            return "nothing"
        if expected(something):
            return "yes"
        return "ignored" if impossible is None else "wrong"

    async def _conditions_ignored(self) -> list[str]:
        """Fields on which conditions are silently dropped (SciCat: type and isPublic)."""
        names = _CONDITIONS.get(self.entity_class, ())
        ignored = [
            name for name in names if await self._ask({"where": {name: NO_SUCH}, "limit": 2})
        ]
        if names:
            got = await self._ask({"where": {"isPublic": False}, "limit": 5})
            if any(item.get("isPublic") is True for item in got or ()):
                ignored.append("isPublic")
        return ignored

    async def _skip(self) -> bool:
        first = await self._ask({"limit": 2, "skip": 0})
        second = await self._ask({"limit": 2, "skip": 1})
        if not first or second is None or len(first) < 2:
            return first is not None and not second
        return bool(second) and identifier_of(second[0]) != identifier_of(first[0])

    async def _largest_limit(self) -> int | None:
        """The size that larger limits are cut to, as far as the number of objects tells."""
        wanted = min(self.total or _LARGEST_TRIED, _LARGEST_TRIED)
        got = await self._ask({"limit": _LARGEST_TRIED})
        if got is None:
            return _SAMPLE
        return len(got) if len(got) < wanted and len(got) < _LARGEST_TRIED else None

    async def _default_limit(self) -> int | None:
        """What comes when no limit is asked for, if that is not everything (fault E05)."""
        got = await self._ask({})
        if got is None or self.total is None:
            return None
        return len(got) if len(got) < self.total else None

    async def _fields(self) -> bool:
        got = await self._ask({"fields": ["pid"], "limit": 3})
        return bool(got) and all(set(item) <= {"pid", "id", "score"} for item in got or ())

    async def _include_depth(self) -> int:
        """How deep includes are accepted, by chains of one, two and three relations."""
        depth = 0
        for chain in _CHAINS[self.entity_class]:
            include: list[Mapping[str, Any]] = []
            for relation in reversed(chain):
                entry: dict[str, Any] = {"relation": relation}
                if include:
                    entry["scope"] = {"include": include}
                include = [entry]
            if await self._ask({"include": include, "limit": 1}) is None:
                break
            depth = len(chain)
        return depth

    async def _bare_includes(self) -> bool:
        """Whether ``include`` may name a relation by a bare word."""
        names = [name for name in RELATIONS[self.entity_class] if self._offered(name)]
        if not names:
            return False
        got = await self._ask({"include": [names[0]], "limit": 3})
        return bool(got) and any(names[0] in item for item in got or ())

    def _offered(self, name: str) -> bool:
        return bool(self.api.able(self.entity_class).relations.get(name))

    async def _joins(self) -> bool | None:
        """Whether an unmeetable condition inside an include drops the parents (fault E12)."""
        relation, field_name = {
            "Document": ("datasets", "title"),
            "Dataset": ("techniques", "name"),
        }.get(self.entity_class, ("", ""))
        if not self._offered(relation):
            return None
        entry = {"relation": relation, "scope": {"where": {field_name: NO_SUCH}}}
        got = await self._ask({"include": [entry], "limit": 5})
        return None if got is None else not got

    async def _parameter_ranges(self) -> bool | None:
        """Whether ranges of a parameter's value work inside the include, as numbers; ``None`` where
        no object shown has one."""
        spelling = self.api.able(self.entity_class).relations.get("parameters")
        if not spelling:
            return None
        shown = await self._ask({"include": [{"relation": spelling}], "limit": _SAMPLE})
        rows = [
            (item, row)
            for item in shown or ()
            for row in item.get(spelling) or ()
            if isinstance(row, Mapping) and type(row.get("value")) in (int, float)
        ]
        if not rows:
            return None
        item, row = rows[0]

        async def between(low: float, high: float) -> list[str]:
            where = {"and": [{"name": row.get("name")}, {"value": {"gte": low}},
                             {"value": {"lte": high}}]}  # fmt: skip
            entry = {"relation": spelling, "scope": {"where": where}}
            found = await self._ask({"include": [entry], "limit": _LARGEST_TRIED})
            return [identifier_of(one) for one in found or ()]

        value, far = float(row["value"]), 1e12
        # Compared as text no number lies between these ends.
        wide, exact = await between(-far, far), await between(value, value)
        return (
            identifier_of(item) in wide
            and identifier_of(item) in exact
            and not await between(far, 2 * far)
        )

    async def _scores(self) -> str:
        assert self.sample is not None
        word = self.sample.word
        got = await self._ask({"query": word, "limit": 10}) if word else None
        if not got or not any("score" in item for item in got):
            return "none"
        numbers = [item.get("score") for item in got]
        positive = any(isinstance(one, int | float) and one > 0 for one in numbers)
        return "scored" if positive else "zero"

    async def _by_path(self) -> bool:
        """Whether an object is found by its encoded pid in the path (fault E13)."""
        assert self.sample is not None
        if not self.sample.pids:
            return False
        return await self.api.by_path(self.entity_class, self.sample.pids[0]) is not None

    async def _nested_seen(self) -> list[str]:
        """Relations of Documents under which an include of its own was seen to bring something:
        some services take them and drop them silently (fault E12)."""
        if self.entity_class != "Document":
            return []
        seen = []
        for name, below in _BELOW.items():
            spelling = self.api.able("Document").relations.get(name)
            for inner in below if spelling else ():
                entry = {"relation": spelling, "scope": {"include": [{"relation": inner}]}}
                found = await self._ask({"include": [entry], "limit": _SAMPLE})
                children = [one for item in found or () for one in item.get(spelling or "") or ()]
                if any(isinstance(one, Mapping) and one.get(inner) for one in children):
                    seen.append(name)
                    break
        return seen

    async def _nested_drops(self) -> bool | None:
        """Whether an include with includes of its own drops parents that have none of it (the
        reference provider and SciCat do); ``None`` where every object shown has some."""
        if self.entity_class != "Document":
            return None
        plain = await self._ask({"limit": _SAMPLE})
        for name, below in _NESTED:
            spelling = self.api.able("Document").relations.get(name)
            if not spelling or not plain:
                continue
            entry = {"relation": spelling, "scope": {"include": [{"relation": below}]}}
            found = await self._ask({"include": [entry], "limit": _SAMPLE})
            if found is None:
                continue
            if len(found) < len(plain):
                return True
            if any(not item.get(spelling) for item in found):
                return False
        return None
