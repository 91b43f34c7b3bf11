"""From an answer to the snapshot of what is left of it, and from there to its next page (9.3)."""

from __future__ import annotations

from collections.abc import Mapping

import anyio.to_thread

from catalogue.answers import Answer, Hit, Total
from catalogue.oracle import Entity
from catalogue.readings import Pool
from catalogue.records import StoredEntity
from search_api.federation.continuing import PoolRecords, Snapshot
from search_api.federation.index_side import IndexSide
from search_api.federation.matching import text_plan
from search_api.federation.overlay import Overlay
from search_api.federation.ranking import Deck, Ranked, Scorer, score_order
from search_api.federation.session import NO_END, FederatedAnswer, Session


def snapshot_of(answer: FederatedAnswer) -> Snapshot:
    """What the next page is dealt from."""
    deck = answer.deck
    return Snapshot(
        tuple((one.key, one.score) for one in deck.live),
        tuple((one.key, one.score) for one in deck.indexed),
        PoolRecords(answer.pool, [one.key for one in deck.live]),
        deck.index_at,
        deck.index_done,
        answer.side.facilities,
        answer.side.without,
        answer.side.match,
        answer.scorer.collection if answer.scorer else None,
        (answer.answer.total.value, answer.answer.total.relation),
        answer.answer.relaxed,
        answer.lines,
        answer.partly,
    )


async def resume(session: Session, snapshot: Snapshot) -> FederatedAnswer:
    """The next page of a snapshot; facilities are not asked."""
    search, catalogue = session.search, session.catalogue
    pool = snapshot.pool()
    side = IndexSide(catalogue, search, snapshot.facilities, snapshot.without, snapshot.match)
    text = text_plan(search)
    scorer = None
    if snapshot.collection is not None and text is not None:
        scorer = Scorer.by(text.scores, snapshot.collection)
    kept = await anyio.to_thread.run_sync(
        catalogue.store.entities, [key for key, _ in snapshot.indexed]
    )
    deck = _deck(session, snapshot, pool, kept)
    hits = {key: Hit(entity, 0.0) for key, entity in kept.items()}
    dealt = await session.deal(deck, side, scorer, 0, search.limit, hits)
    value, relation = snapshot.total
    return FederatedAnswer(
        Answer(
            await session.hits_of(dealt, pool, hits, scorer, text),
            Total(value, "eq" if relation == "eq" else "gte"),
            recognised=text.recognised if text else (),
            relaxed=snapshot.relaxed,
        ),
        Overlay(pool, catalogue.store),
        snapshot.lines,
        pool,
        deck,
        side,
        scorer,
        snapshot.partly,
    )


def _deck(
    session: Session, snapshot: Snapshot, pool: Pool, kept: Mapping[str, StoredEntity]
) -> Deck:
    """What is left, in the order that it had."""
    return Deck(
        [
            _again(session, key, score, place, pool.entities[key], live=True)
            for place, (key, score) in enumerate(snapshot.live)
        ],
        [
            _again(session, key, score, place, kept[key], live=False)
            for place, (key, score) in enumerate(snapshot.indexed)
            if key in kept and not kept[key].deleted
        ],
        snapshot.index_at,
        snapshot.index_done,
    )


def _again(
    session: Session,
    key: str,
    score: float,
    place: int,
    entity: Entity | StoredEntity,
    *,
    live: bool,
) -> Ranked:
    if session.search.sort:
        stored = entity.stored if isinstance(entity, Entity) else entity
        return Ranked(session.sort_order(stored), key, score, live)
    if session.search.text is not None:
        return Ranked(score_order(score, key), key, score, live)
    # What is left of the index comes before what is fetched of it next, live hits behind all.
    return Ranked((1, place, key) if live else (0, place - NO_END, key), key, score, live)


__all__ = ["resume", "snapshot_of"]
