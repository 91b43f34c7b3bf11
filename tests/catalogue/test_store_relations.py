"""Change numbers reach whatever contains what changed (semantics 1.3-1.5)."""

from __future__ import annotations

from typing import Any

import pytest
from store_world import World, dataset, document, instrument, record, tombstone

from catalogue.records import SourceRecord
from catalogue.store import entities

D = "document:doi:10.5072/p"
S = "dataset:doi:10.5072/s"
I = "instrument:local:ESS:NMX"  # noqa: E741 - reads as instrument


def parent(**more: Any) -> SourceRecord:
    return record("p", document("doi:10.5072/p", **{"datasets": [S], **more}))


def child(**more: Any) -> SourceRecord:
    return record("s", dataset("doi:10.5072/s", **{"instrumentKey": I, **more}))


def beamline(**more: Any) -> SourceRecord:
    return record("i", instrument("local:ESS:NMX", pid="NMX", **more))


def test_a_change_of_a_child_reaches_its_parents_in_the_same_page(world: World) -> None:
    world.put(parent(), child(), beamline())
    since = world.store.last_change()
    world.put(beamline(name="NMX renewed"))
    assert world.changed(since) == {I: False, S: False, D: False}
    since = world.store.last_change()
    world.put(child(title="x"))
    assert world.changed(since) == {S: False, D: False}
    since = world.store.last_change()
    world.put(parent(title="x"))
    assert world.changed(since) == {D: False}


def test_children_that_arrive_before_their_parents_are_found_by_them(world: World) -> None:
    world.put(beamline())
    world.put(child())
    since = world.store.last_change()
    world.put(parent())
    assert world.changed(since) == {D: False, S: False}
    assert world.store.children([D], "datasets") == {D: (S,)}
    assert world.store.parents([S], "datasets") == {S: (D,)}
    assert world.store.parents([I], "instrument") == {I: (S,)}


def test_parents_that_arrive_before_their_children_wait_for_them(world: World) -> None:
    world.put(parent())
    assert world.store.children([D], "datasets") == {D: ()}
    assert world.store.entity(S) is None
    since = world.store.last_change()
    world.put(child())
    assert world.changed(since) == {S: False, D: False}
    since = world.store.last_change()
    world.put(beamline())
    assert world.changed(since) == {I: False, S: False, D: False}


def test_a_deleted_child_leaves_a_tombstone_and_reaches_its_parents(world: World) -> None:
    world.put(parent(), child(), beamline())
    since = world.store.last_change()
    world.put(tombstone("s"))
    assert world.changed(since) == {S: True, D: False}
    assert world.store.children([D], "datasets") == {D: ()}
    since = world.store.last_change()
    world.put(child())
    assert world.changed(since) == {S: False, D: False}


def test_a_deleted_parent_changes_what_its_children_say_of_it(world: World) -> None:
    world.put(parent(), child())
    since = world.store.last_change()
    world.put(tombstone("p"))
    assert world.changed(since) == {D: True, S: False}
    entity = world.store.entity(S)
    assert entity is not None
    assert entity.record["documents"] == []


def test_a_moved_child_reaches_the_old_and_the_new_parent(world: World) -> None:
    other = "document:doi:10.5072/q"
    world.put(record("p", document("doi:10.5072/p")), record("q", document("doi:10.5072/q")))
    world.put(child(documents=[D]))
    since = world.store.last_change()
    world.put(child(documents=[other]))
    assert world.changed(since) == {S: False, D: False, other: False}
    assert world.store.parents([S], "datasets") == {S: (other,)}


def test_a_dataset_may_be_in_several_documents(world: World) -> None:
    other = "document:doi:10.5072/q"
    world.put(parent(), record("q", document("doi:10.5072/q", datasets=[S])), child())
    since = world.store.last_change()
    world.put(child(title="x"))
    assert world.changed(since) == {S: False, D: False, other: False}
    entity = world.store.entity(S)
    assert entity is not None
    assert entity.record["documents"] == [D, other]


def test_a_relation_stays_while_one_record_still_states_it(world: World) -> None:
    world.put(parent(), child(documents=[D]))
    world.put(parent(datasets=[]))
    assert world.store.children([D], "datasets") == {D: (S,)}
    world.put(child(documents=[]))
    assert world.store.children([D], "datasets") == {D: ()}


def test_a_change_shows_the_children_with_their_instrument(world: World) -> None:
    world.put(parent(), child(instrument={"name": "nmx?"}), beamline(name="NMX"))
    change = world.store.changes_of([D])[D]
    (only,) = change.children
    assert only.record["instrument"] == {
        "name": "NMX",
        "pid": "NMX",
        "facility": "ESS",
        "key": I,
    }
    assert world.store.changes_of([S])[S].parents == (D,)
    assert world.store.changes_of([I])[I].parents == (S,)
    listed = {change.entity.key: change for change in world.store.changes_since(0)}
    assert listed[D] == change


def test_the_outbox_comes_in_pages_in_the_order_of_change(world: World) -> None:
    world.put(*(record(f"{n}", document(f"doi:10.5072/{n}")) for n in range(7)))
    first = world.store.changes_since(0, 4)
    assert [change.entity.change for change in first] == [1, 2, 3, 4]
    assert [c.entity.change for c in world.store.changes_since(4, 4)] == [5, 6, 7]
    assert world.store.changes_since(7) == ()


def test_the_outbox_gives_fewer_documents_when_they_are_large(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proposal has up to 20,000 Datasets (semantics 9.4); memory must not follow the page."""
    monkeypatch.setattr(entities, "MAX_IN_MEMORY", 10)
    for name, size in (("a", 3), ("b", 12), ("c", 7), ("d", 1)):
        sets = [dataset(f"doi:10.5072/{name}{n}") for n in range(size)]
        world.put(
            record(name, *sets, document(f"doi:10.5072/{name}", datasets=[s["key"] for s in sets]))
        )
    seen: list[int] = []
    while changes := world.store.changes_since(seen[-1] if seen else 0, 50):
        assert len(changes) == 1 or sum(1 + len(c.children) for c in changes) <= 10
        seen += [change.entity.change for change in changes]
    assert len(seen) == 27


# -- flat records (1.3) -------------------------------------------------------------------------

FLAT = "dataset:doi:10.5072/p"


def flat(**more: Any) -> SourceRecord:
    return record(
        "flat",
        document("doi:10.5072/p", datasets=[FLAT], **more),
        dataset("doi:10.5072/p", derived=True, documents=[D]),
    )


def test_a_derived_dataset_is_there_but_not_counted_as_published(world: World) -> None:
    world.put(flat())
    assert world.store.count("Dataset") == 1
    assert world.store.count("Dataset", derived=False) == 0
    assert world.store.children([D], "datasets") == {D: (FLAT,)}


def test_a_derived_dataset_gives_way_when_real_ones_arrive_and_returns_after(world: World) -> None:
    world.put(flat())
    since = world.store.last_change()
    world.put(child(documents=[D]), of="ess-rest")
    assert world.changed(since) == {FLAT: True, S: False, D: False}
    assert world.store.children([D], "datasets") == {D: (S,)}
    assert world.store.find("Dataset", "10.5072/p") == ()
    since = world.store.last_change()
    world.put(tombstone("s"), of="ess-rest")
    assert world.changed(since) == {FLAT: False, S: True, D: False}
    assert world.store.children([D], "datasets") == {D: (FLAT,)}


def test_a_derived_dataset_that_comes_late_is_never_shown(world: World) -> None:
    world.put(child(documents=[D]), of="ess-rest")
    world.put(flat())
    assert world.store.children([D], "datasets") == {D: (S,)}
    assert world.store.count("Dataset") == 1


def test_a_real_dataset_under_the_derived_ones_key_takes_its_place(world: World) -> None:
    world.put(flat())
    world.put(record("real", dataset("doi:10.5072/p", title="real")), of="ess-rest")
    entity = world.store.entity(FLAT)
    assert entity is not None
    assert "derived" not in entity.record
    assert entity.record["provenance"]["title"] == "ess-rest"
    assert world.store.count("Dataset", derived=False) == 1


# -- merging (1.2) --------------------------------------------------------------------------------


def test_two_sources_make_one_entity_field_by_field_in_order_of_trust(world: World) -> None:
    world.put(record("x", document("doi:10.5072/p", title="ILL", summary="long")), of="ill-oai")
    world.put(record("y", document("doi:10.5072/p", title="ESS")))
    entity = world.store.entity(D)
    assert entity is not None
    assert (entity.record["title"], entity.record["summary"]) == ("ESS", "long")
    assert (entity.record["facility"], entity.record["facilities"]) == ("ESS", ["ESS", "ILL"])
    assert entity.record["provenance"]["summary"] == "ill-oai"
    assert entity.record["provider"] == "https://ess.example/api"
    assert [stored.source for stored in world.store.stored_records(D)] == ["ess-oai", "ill-oai"]


def test_an_entity_is_gone_only_when_no_source_has_it(world: World) -> None:
    world.put(record("x", document("doi:10.5072/p", title="ILL")), of="ill-oai")
    world.put(record("y", document("doi:10.5072/p", title="ESS")))
    since = world.store.last_change()
    world.put(tombstone("y"))
    assert world.changed(since) == {D: False}
    entity = world.store.entity(D)
    assert entity is not None
    assert (entity.record["title"], entity.record["facilities"]) == ("ILL", ["ILL"])
    world.put(tombstone("x"), of="ill-oai")
    gone = world.store.entity(D)
    assert gone is not None
    assert gone.deleted


def test_a_second_source_of_the_facility_that_adds_nothing_changes_nothing(world: World) -> None:
    world.put(record("x", document("doi:10.5072/p", title="same")))
    since = world.store.last_change()
    world.put(record("y", document("doi:10.5072/p", title="same")), of="ess-rest")
    assert world.changed(since) == {}


def test_an_instrument_named_by_every_record_is_merged_once(world: World) -> None:
    """A page of Datasets that repeat their instrument must not read all of them again."""
    for page in range(4):
        world.put(
            *(
                record(
                    f"{page}-{n}",
                    dataset(f"doi:10.5072/{page}-{n}", instrumentKey=I),
                    instrument("local:ESS:NMX", pid="NMX"),
                )
                for n in range(5)
            )
        )
    entity = world.store.entity(I)
    assert entity is not None
    assert entity.change <= 6
    world.put(tombstone("0-0"))
    world.put(*(tombstone(f"{page}-{n}") for page in range(4) for n in range(5)))
    gone = world.store.entity(I)
    assert gone is not None
    assert gone.deleted


def test_a_change_of_trust_merges_anew(world: World) -> None:
    world.put(record("x", document("doi:10.5072/p", title="ILL")), of="ill-oai")
    world.put(record("y", document("doi:10.5072/p", title="ESS")))
    since = world.store.last_change()
    sources = [
        type(one)(**{**{f: getattr(one, f) for f in one.__slots__}, "trust": 1})
        if one.name == "ill-oai"
        else one
        for one in world.store.sources()
    ]
    world.store.put_configuration(world.store.facilities(), sources, world.now)
    assert world.changed(since) == {D: False}
    entity = world.store.entity(D)
    assert entity is not None
    assert entity.record["title"] == "ILL"


def test_entities_are_read_by_ordinal_as_they_are_by_key(world: World) -> None:
    world.put(parent(), child(), beamline())
    by_key = world.store.entities([D, S, I])
    at = world.store.entities_at([entity.ordinal for entity in by_key.values()])
    assert {entity.key: entity for entity in at.values()} == by_key
    world.put(child(title="x"))
    (changed,) = world.store.entities_at([by_key[S].ordinal]).values()
    assert changed.record["title"] == "x"
    assert changed == world.store.entity(S)


def test_a_plain_entity_says_what_it_states_itself_and_who_has_it(world: World) -> None:
    world.put(parent(title="first"), child())
    whole = world.store.entities([D, S])
    left_out = ("datasets", "documents", "provider", "provenance")
    for _ in range(2):
        plain = world.store.entities_at([one.ordinal for one in whole.values()], plain=True)
        for entity in whole.values():
            one = plain[entity.ordinal]
            assert (one.key, one.change, one.entity_class) == (
                entity.key,
                entity.change,
                entity.entity_class,
            )
            kept = {n: v for n, v in entity.record.items() if n not in left_out}
            assert {n: v for n, v in one.record.items() if n not in left_out} == kept
        # A second source's word makes a merged form, which is kept elsewhere in the store.
        world.put(record("p2", document("doi:10.5072/p", license="CC0")), of="ill-oai")
        whole = world.store.entities([D, S])
    assert whole[D].record["license"] == "CC0"


def test_what_is_deleted_or_unknown_is_no_plain_entity(world: World) -> None:
    world.put(parent(), child())
    ordinals = [one.ordinal for one in world.store.entities([D, S]).values()]
    world.put(tombstone("s"))
    found = world.store.entities_at([*ordinals, 10**6], plain=True)
    assert [entity.key for entity in found.values()] == [D]
    assert world.store.entities_at([], plain=True) == {}


def test_very_many_entities_are_read_by_ordinal_in_several_steps(world: World) -> None:
    world.put(*(record(f"{n}", document(f"doi:10.5072/{n}")) for n in range(600)))
    ordinals = list(range(1, 601))
    plain = world.store.entities_at(ordinals, plain=True)
    whole = world.store.entities_at(ordinals)
    assert sorted(plain) == sorted(whole) == ordinals


def test_what_documents_contain_is_told_with_its_number(world: World) -> None:
    more = [f"dataset:doi:10.5072/s{n}" for n in range(5)]
    world.put(parent(datasets=[S, *more]), child(), beamline(name="NMX renewed"))
    world.put(*(record(f"s{n}", dataset(f"doi:10.5072/s{n}")) for n in range(4)))
    world.put(record("alone", document("doi:10.5072/alone")))
    at = {
        key: one.ordinal
        for key, one in world.store.entities([D, "document:doi:10.5072/alone"]).items()
    }
    inside = world.store.contained(list(at.values()), most=3)
    assert list(inside) == [at[D]]
    count, first = inside[at[D]]
    # The fifth is only named, so it is none.
    assert count == 5
    assert [one.key for one in first] == sorted([S, *more[:4]])[:3]
    whole = world.store.entities([one.key for one in first])
    for one in first:
        left_out = ("documents", "provider", "provenance")
        kept = {n: v for n, v in whole[one.key].record.items() if n not in left_out}
        assert {n: v for n, v in one.record.items() if n not in left_out} == kept
    assert first[0].record["instrument"]["name"] == "NMX renewed"


def test_a_derived_dataset_that_gave_way_is_not_contained(world: World) -> None:
    world.put(parent(), record("d", dataset("doi:10.5072/s", derived=True)))
    (ordinal,) = (one.ordinal for one in world.store.entities([D]).values())
    assert world.store.contained([ordinal], most=3)[ordinal][0] == 1
    world.put(
        parent(datasets=[S, "dataset:doi:10.5072/real"]), record("r", dataset("doi:10.5072/real"))
    )
    count, first = world.store.contained([ordinal], most=3)[ordinal]
    assert (count, [one.key for one in first]) == (1, ["dataset:doi:10.5072/real"])
    world.put(tombstone("r"), tombstone("d"))
    assert world.store.contained([ordinal], most=3) == {}
