"""Every fault does what its table says, and only when it should."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator import KINDS, Fault, Faults, parse_faults
from simulator.errors import UnknownFault
from simulator.faults import parse_duration_s
from simulator.protocol import Exchange


def exchange(verb: str = "ListRecords", page: int = 1) -> Exchange:
    return Exchange(
        "oai-pmh", verb, {}, (), "http://x/oai", datetime(2026, 1, 1, tzinfo=UTC), page=page
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slow:2s", Fault("slow", "2s")),
        ("loop-token", Fault("loop-token")),
        ("loop-tokenx2", Fault("loop-token", times=2)),
        ("error:503x2", Fault("error", "503", times=2)),
        ("error:503:120@page3x2", Fault("error", "503:120", page=3, times=2)),
        ("error:500@GetRecord", Fault("error", "500", verb="GetRecord")),
        ("empty@page2+@every3", Fault("empty", page=2, onwards=True, every=3)),
        ("poison:oai:test:004", Fault("poison", "oai:test:004")),
        ("reset@ListRecords@page2@x1", Fault("reset", verb="ListRecords", page=2, times=1)),
    ],
)
def test_the_grammar_reads(text: str, expected: Fault) -> None:
    assert parse_faults(text) == (expected,)


def test_several_faults_are_separated_by_commas() -> None:
    names = [fault.name for fault in parse_faults("slow:1s, error:503@page2 ,truncate")]
    assert names == ["slow", "error", "truncate"]


def test_an_unknown_fault_names_those_there_are() -> None:
    with pytest.raises(UnknownFault, match=r"no fault 'slwo'.*truncate"):
        parse_faults("slwo:2s")


def test_every_kind_cites_the_catalogue_and_says_what_it_does() -> None:
    for name, parts in KINDS.items():
        for part in parts:
            assert part.cites, name
            assert part.summary.startswith(name.split(":")[0]), name


def test_conditions_and_counts_limit_a_fault() -> None:
    fault = Faults("oai-error:badArgument@ListRecords@page2x1")
    fault.alter(exchange(page=1))
    fault.alter(exchange("ListIdentifiers", page=2))
    with pytest.raises(Exception, match="Simulated"):
        fault.alter(exchange(page=2))
    fault.alter(exchange(page=2))
    assert fault.hits == {"oai-error": 1}


def test_every_counts_only_what_the_other_conditions_meet() -> None:
    fault = Faults("ignores-from@ListRecords@every2")
    for verb in ("ListRecords", "Identify", "ListRecords", "ListRecords", "ListRecords"):
        fault.alter(exchange(verb))
    assert fault.hits == {"ignores-from": 2}


def test_durations_have_units() -> None:
    assert [parse_duration_s(t, 9.0) for t in ("2s", "200ms", "1.5", "3m", None)] == [
        2.0,
        0.2,
        1.5,
        180.0,
        9.0,
    ]
    with pytest.raises(UnknownFault):
        parse_duration_s("soon", 1.0)


def test_every_kind_is_shown_at_work() -> None:
    """A fault that no test switches on may not work."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    untried = {name for name in KINDS if not re.search(rf'[",]{re.escape(name)}[":@x,]', tests)}
    assert untried == set()
