"""What nodes without a store are told of sources."""

from __future__ import annotations

from store_world import World, document, record

from catalogue.engines.shared_state import state_of, status_from


def test_a_node_without_a_store_knows_what_waits_for_the_operator_and_no_more_of_the_memory(
    world: World,
) -> None:
    """Semantics 10.4: no secrets."""
    world.put(record("oai:a", document("doi:10.5072/a", title="glass")))
    waiting = {"run": 5, "reason": "would take away all 50 records", "of_list": True}
    world.finish("ess-oai", memory={"waiting": waiting, "capabilities": {}})
    told = status_from(state_of(world.store), "ess-oai")
    assert told.memory == {"waiting": waiting}
    assert told.last_success_at == world.store.source_status("ess-oai").last_success_at
