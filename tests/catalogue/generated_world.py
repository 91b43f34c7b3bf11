"""Random but plausible entities and questions, for comparing engines with the oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st
from search_world import NOW, SANS, SAXS, SFX, SSX, Entities, parameter, person, technique

from catalogue.query import (
    AccessIs,
    And,
    AtFacility,
    Compare,
    Everything,
    Exists,
    HasWords,
    InYears,
    Join,
    Node,
    Not,
    OneOf,
    OpenAt,
    Or,
    ParameterRange,
    Pattern,
    TechniqueIn,
    Text,
)

WORDS = [
    "lysozyme",
    "crystal",
    "crystals",
    "serial",
    "femtosecond",
    "crystallography",
    "X-ray",
    "xray",
    "scattering",
    "neutron",
    "small-angle",
    "protein",
    "Müller",
    "β-lactoglobulin",
    "Fe₂O₃",
    "temperature",
    "300",
    "powder",
    "diffraction",
    "of",
    "the",
    "in-situ",
    "battery",
    "10²¹",
    "naïve",
    "co-crystal",
    "tomography",
    "蛋白质结晶",
    "结晶",
]
NAMES = ("Ada Müller", "Béla Szabó", "Li Wei", "Ada O'Neill", "Łukasz Ærø")
SAMPLES = ("lysozyme", "silicon (Si)", "α-quartz", "Silicon", "glass; annealed")
INSTRUMENTS = ("ID02", "D22", "SPB/SFX", "in situ cell")
TECHNIQUES = (SAXS, SANS, SFX, SSX, "PaNET01030", "PaNET01012")
FACILITIES = ("ESS", "ILL", "European XFEL")
KINDS = ("data", "data", "data", "poster", "publication", "collection")
TEMPERATURES = (4.0, 77.15, 293.0, 300.0, 300.0000001, -1.0, 0.0, 1e6)
INSTANTS = ("2017-11-07T23:00:00Z", "2018-01-01T00:00:00Z", "2024-02-29T12:30:00.250Z",
            "2030-06-01T00:00:00Z")  # fmt: skip


def generated(seed: int, documents: int = 40) -> Entities:
    """A world of Documents, Datasets and Instruments, the same for the same seed."""
    random = Random(seed)
    world = Entities()
    instruments = [
        world.put("Instrument", f"i{n}", name=name) for n, name in enumerate(INSTRUMENTS)
    ]
    datasets = [
        world.dataset(f"set{n}", **_dataset(random, instruments))
        for n in range(int(documents * 1.3))
    ]
    for number in range(documents):
        chosen = random.sample(datasets, random.choice((0, 1, 1, 2, 3)))
        doi = (f"10.5072/doc{number}", f"10.5072/DOC{number}", None)[number % 3]
        fields = _document(random) | ({"doi": doi} if doi else {})
        world.document(f"doc{number}", datasets=chosen, **fields)
    for key in random.sample(datasets, documents // 10):
        world.delete(key)
    return world


def replace_half(world: Entities, other: Entities) -> None:
    """Give every second entity what it says in the other world."""
    for key in list(world.held)[::2]:
        held = other.held.get(key)
        if held is not None and not held.deleted:
            own = ("class", "key", "pid")
            fields = {name: value for name, value in held.record.items() if name not in own}
            world.put(held.entity_class, key.rpartition("/")[2], **fields)


def _sentence(random: Random, most: int) -> str:
    return " ".join(random.choice(WORDS) for _ in range(random.randint(1, most)))


def _access(random: Random) -> dict[str, Any]:
    access: dict[str, Any] = {"evidence": []}
    if random.random() < 0.4:
        access["openFrom"] = random.choice(INSTANTS)
    if random.random() < 0.3:
        access["embargoUntil"] = random.choice(INSTANTS)
    if random.random() < 0.2:
        access["restriction"] = random.choice(("restricted", "metadata_only"))
    return access


def _parameters(random: Random) -> list[dict[str, Any]]:
    made = []
    for _ in range(random.choice((0, 0, 1, 2))):
        low = random.choice(TEMPERATURES)
        high = low + random.choice((0.0, 0.0, 0.0, 10.0, 1e-9))
        made.append(
            parameter("temperature", low, "K", dimension="temperature", low=low, high=high,
                      canonical="sample_temperature")
        )  # fmt: skip
    if random.random() < 0.3:
        made.append(parameter("mode", random.choice(("fast", "slow", 5, "5"))))
    return made


def _maybe(random: Random, fields: dict[str, Any], **values: Any) -> None:
    fields |= {name: value for name, value in values.items() if random.random() < 0.6}


def _dataset(random: Random, instruments: list[str]) -> dict[str, Any]:
    number = random.randrange(len(instruments))
    fields: dict[str, Any] = {"access": _access(random), "parameters": _parameters(random)}
    _maybe(
        random, fields, title=_sentence(random, 6), size=random.choice((0, 5, 10**12)),
        creationDate=random.choice(INSTANTS), isPublic=random.random() < 0.5,
        techniques=[technique(random.choice(TECHNIQUES), "as sent")
                    for _ in range(random.randint(1, 2))],
        samples=[{"name": random.choice(SAMPLES), "description": _sentence(random, 3)}
                 for _ in range(random.randint(1, 2))],
        instrument={"name": INSTRUMENTS[number], "facility": "ESS", "key": instruments[number]},
        files=[{"name": f"{random.choice('abc')}.h5", "size": random.choice((1, 1000))}
               for _ in range(random.randint(1, 3))],
    )  # fmt: skip
    if "instrument" in fields:
        fields["instrumentKey"] = instruments[number]
    return fields


def _document(random: Random) -> dict[str, Any]:
    held = random.sample(FACILITIES, random.choice((1, 1, 2)))
    first = random.randint(2014, 2024)
    fields: dict[str, Any] = {
        "access": _access(random), "kind": random.choice(KINDS), "facility": held[0],
        "facilities": held, "parameters": _parameters(random),
    }  # fmt: skip
    _maybe(
        random, fields, title=_sentence(random, 8), summary=_sentence(random, 40),
        keywords=[_sentence(random, 2) for _ in range(2)], isPublic=random.random() < 0.5,
        startDate=random.choice(INSTANTS), releaseDate=random.choice(INSTANTS),
        years={"first": first, "last": first + random.choice((0, 0, 1, 3))},
        members=[person(random.choice(NAMES), random.choice(("pi", "member")))
                 for _ in range(random.randint(1, 3))],
    )  # fmt: skip
    return fields


# --- questions --------------------------------------------------------------------------------

_instants = st.sampled_from(INSTANTS).map(datetime.fromisoformat) | st.sampled_from(
    [NOW, NOW + timedelta(days=9), datetime(2017, 11, 7, 22, 59, 59, 999_999, tzinfo=UTC)]
)
_order = st.sampled_from(("eq", "neq", "gt", "gte", "lt", "lte"))
_texts = st.sampled_from((*WORDS, *SAMPLES, *NAMES, "lysozyme crystal", "", "x"))
_substrings = st.sampled_from(
    (
        "lys",
        "stal",
        "ü",
        "X-RAY",
        "a",
        "ost",
        "(Si",
        "tteri",
        "β-l",
        "Ada",
        " of ",
        "zzz",
        "₂",
        "2/DOC",
        "set1",
        "l cry",
        "al of ",
        "质结",
        "łuk",
    )
)
_regexps = st.sampled_from(
    (
        "crys.*al",
        "^ser",
        "[Ll]yso",
        "(neutron|x-?ray)",
        "proteins?$",
        "bat{2}ery",
        "a.b|tomo",
        "\\d+",
    )
)


def _patterns(*fields: str) -> st.SearchStrategy[Node]:
    chosen = st.lists(st.sampled_from(fields), min_size=1, max_size=2, unique=True).map(tuple)
    substring = st.builds(Pattern, chosen, _substrings, st.just("substring"), st.booleans())
    return substring | st.builds(Pattern, chosen, _regexps, st.just("regexp"), st.booleans())


_temperatures = st.builds(
    ParameterRange,
    st.sampled_from((("sample_temperature",), ("temperature", "nothing"))),
    st.sampled_from(("temperature", "temperature", "energy")),
    st.none() | st.sampled_from(TEMPERATURES),
    st.none() | st.sampled_from(TEMPERATURES),
    st.booleans(),
    st.booleans(),
)
_shared: st.SearchStrategy[Node] = st.one_of(
    st.builds(OpenAt, _instants),
    st.builds(AccessIs, st.sets(st.sampled_from(("open", "embargoed", "restricted", "metadata_only",
                                                 "unknown"))).map(tuple), _instants),
    st.builds(AtFacility, st.lists(st.sampled_from((*FACILITIES, "ess", "None"))).map(tuple)),
    st.builds(TechniqueIn, st.lists(st.sampled_from((*TECHNIQUES, "PaNET00001", "PaNET99999")),
                                    max_size=2).map(tuple)),
    st.builds(Compare, st.just("isPublic"), _order, st.booleans()),
    st.builds(Compare, st.just("title"), _order, _texts | st.none()),
    st.builds(Compare, st.sampled_from(("pid", "doi")), _order,
              st.sampled_from(("10.5072/doc1", "10.5072/DOC3", "https://doi.org/10.5072/set3"))),
    st.builds(Compare, st.just("key"), st.sampled_from(("eq", "neq", "gt")),
              st.sampled_from(("document:doi:10.5072/doc4", "dataset:doi:10.5072/set4"))),
    st.builds(Exists, st.sampled_from(("title", "doi", "isPublic"))),
    st.builds(HasWords, _texts),
    _patterns("title", "pid"),
    _patterns("key", "doi"),
    _temperatures,
)  # fmt: skip


def _combined(base: st.SearchStrategy[Node], leaves: int = 5) -> st.SearchStrategy[Node]:
    return st.recursive(
        base,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda clauses: And(tuple(clauses))),
            st.lists(inner, max_size=3).map(lambda clauses: Or(tuple(clauses))),
            st.builds(Not, inner),
        ),
        max_leaves=leaves,
    )


_samples = _combined(
    st.one_of(
        st.just(Everything()),
        st.builds(Compare, st.just("name"), _order, st.sampled_from(SAMPLES)),
        st.builds(Compare, st.just("pid"), _order, st.none()),
        _patterns("name", "description"),
    ),
    3,
)
_parameters_asked = _combined(
    st.one_of(
        st.builds(Compare, st.just("name"), st.sampled_from(("eq", "neq")),
                  st.sampled_from(("temperature", "mode"))),
        st.builds(Compare, st.just("value"), _order, st.sampled_from((300, 5, 77.15, "fast", "5"))),
        st.builds(OneOf, st.just("value"), st.just((5, "slow", None))),
        _temperatures,
    ),
    3,
)  # fmt: skip
_members = _combined(
    st.one_of(
        st.builds(Compare, st.just("role"), _order, st.just("pi")),
        st.builds(
            Join,
            st.just("person"),
            st.builds(Compare, st.just("fullName"), st.sampled_from(("eq", "neq")),
                      st.sampled_from(NAMES)) | _patterns("fullName"),
        ),
    ),
    3,
)  # fmt: skip
_files = _combined(
    st.one_of(
        st.builds(Compare, st.just("name"), _order, st.sampled_from(("a.h5", "b.h5"))),
        st.builds(Compare, st.just("size"), _order, st.sampled_from((1, 500, 1000))),
    ),
    3,
)
_instrument = _combined(
    st.builds(Compare, st.just("name"), _order, st.sampled_from(INSTRUMENTS))
    | _patterns("name", "facility"),
    2,
)
_technique = _combined(
    st.builds(
        Compare, st.just("panet"), st.sampled_from(("eq", "neq")), st.sampled_from(TECHNIQUES)
    )
    | st.builds(TechniqueIn, st.lists(st.sampled_from(TECHNIQUES), max_size=2).map(tuple)),
    2,
)

dataset_nodes = _combined(
    st.one_of(
        _shared,
        st.builds(Compare, st.just("size"), _order, st.sampled_from((0, 5, 5.5, -1, 10**12))),
        st.builds(Compare, st.just("creationDate"), _order, st.sampled_from(INSTANTS)),
        st.builds(Join, st.just("samples"), _samples),
        st.builds(Join, st.just("files"), _files),
        st.builds(Join, st.just("instrument"), _instrument),
        st.builds(Join, st.just("techniques"), _technique),
        st.builds(Join, st.just("parameters"), _parameters_asked),
        st.builds(Join, st.just("documents"), _shared),
    )
)
_years = st.integers(2014, 2025)
document_nodes = _combined(
    st.one_of(
        _shared,
        st.builds(InYears, st.none() | _years, st.none() | _years),
        st.builds(Compare, st.sampled_from(("startDate", "releaseDate")), _order,
                  st.sampled_from(INSTANTS)),
        st.builds(Compare, st.just("keywords"), _order, _texts),
        st.builds(OneOf, st.just("kind"), st.just(("poster", "publication"))),
        st.builds(Join, st.just("members"), _members),
        st.builds(Join, st.just("parameters"), _parameters_asked),
        st.builds(Join, st.just("datasets"), dataset_nodes),
    )
)  # fmt: skip

_word = st.sampled_from(WORDS)
_unit = st.one_of(
    _word,
    _word.map(lambda word: f"-{word}"),
    _word.map(lambda word: f"+{word}"),
    st.sampled_from([w[:4] for w in WORDS if w[:4].isalnum()]).map(lambda start: f"{start}*"),
    st.lists(_word, min_size=2, max_size=3).map(lambda words: '"' + " ".join(words) + '"'),
    st.sampled_from(
        (
            "SAXS",
            "SFX",
            "10.5072/doc3",
            "doc7",
            "(lysozyme)",
            "ID02",
            "zzzz",
            "/",
            '"',
            "300 K",
            "below 77.15 K",
        )
    ),
)
texts = st.builds(
    Text,
    st.lists(_unit, min_size=1, max_size=4).map(" ".join),
    st.sampled_from(("all", "any")),
    st.booleans(),
)
