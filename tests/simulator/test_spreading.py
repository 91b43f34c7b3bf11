"""One world over many facilities: nothing is lost, and copies are copies."""

from __future__ import annotations

from random import Random

from simulator.spreading import SPELLINGS, spread


def world(count: int) -> list[dict[str, object]]:
    return [
        {
            "pid": f"10.5072/w{n}",
            "title": f"Study {n}",
            "summary": "Synthetic.",
            "license": "CC0-1.0",
            "datasets": [{"pid": f"20.500/w{n}", "title": "Run"}],
        }
        for n in range(count)
    ]


def test_every_document_is_held_where_it_is_said_to_be() -> None:
    made = spread(world(400), 10, Random(3), shared=0.25)
    assert len(made.holders) == 400
    for doi, places in made.holders.items():
        for place, held in enumerate(made.held):
            found = [each for each in held if doi in (each["pid"], _doi(each))]
            assert len(found) == (place in places)
    shared = [places for places in made.holders.values() if len(places) > 1]
    assert 60 < len(shared) < 140
    assert sum(len(held) for held in made.held) == sum(map(len, made.holders.values()))


def _doi(document: object) -> str:
    given = str(document.get("doi", ""))  # type: ignore[attr-defined]
    return given.lower().removeprefix("doi:").partition("doi.org/")[
        2
    ] or given.lower().removeprefix("doi:")


def test_copies_differ_in_everything_but_the_doi() -> None:
    made = spread(world(200), 4, Random(5), shared=1.0)
    copies = [each for held in made.held for each in held if str(each["pid"]).startswith("local-")]
    assert len({each["pid"] for each in copies}) == len(copies) >= 200
    assert {str(each["doi"])[:4].lower() for each in copies} == {"10.5", "http", "doi:"}
    assert all(str(each["title"]).endswith("(mirror)") for each in copies)
    assert any("summary" not in each for each in copies)
    assert any("summary" in each for each in copies)
    assert len(SPELLINGS) == 5
    runs = [dataset["pid"] for each in copies for dataset in each["datasets"]]
    assert len(set(runs)) == len(runs)


def test_the_same_seed_spreads_alike() -> None:
    assert spread(world(50), 10, Random(1)) == spread(world(50), 10, Random(1))
