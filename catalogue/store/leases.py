"""Leases with fencing numbers: who may work on what, until when (semantics 10.1, faults H01, H02).

A lease that ran out may be taken by anybody, with a higher fence; whoever held it before is told
at its next write. Instants come from the caller. A clock that jumped back does not keep a dead
holder's lease alive: one renewed "in the future" by more than its own length counts as run out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalogue.errors import LeaseHeld, LeaseLost
from catalogue.store.database import instant, micros


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on ``name`` with this fence, until it runs out or is taken over."""

    name: str
    holder: str
    fence: int
    expires_at: datetime


def acquire(
    connection: sqlite3.Connection,
    name: str,
    holder: str,
    now: datetime,
    lease_s: float,
    is_dead: Callable[[str], bool] | None = None,
) -> Lease:
    """Take a lease that is free or ran out, or whose holder is known to be no more.

    Args:
        is_dead: told the other's ``holder``; whether that process certainly ended.

    Raises:
        LeaseHeld: it is neither.
    """
    row = connection.execute(
        "SELECT holder, run, fence, renewed_at, expires_at FROM leases WHERE name = ?", (name,)
    ).fetchone()
    fence = 1
    if row is not None:
        other, run, last_fence, renewed_at, expires_at = row
        length = expires_at - renewed_at
        at = micros(now)
        lasts = renewed_at - length <= at < expires_at
        if lasts and not (is_dead is not None and is_dead(other)):
            raise LeaseHeld(
                f"{name} is being worked on by {other}"
                + (f" (run {run})" if run else "")
                + f", whose lease lasts until {instant(expires_at):%Y-%m-%dT%H:%M:%SZ}",
                holder=other,
                run=run,
            )
        fence = last_fence + 1
    expires = now + timedelta(seconds=lease_s)
    connection.execute(
        "INSERT INTO leases VALUES (?, ?, NULL, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " holder = excluded.holder, run = NULL, fence = excluded.fence,"
        " renewed_at = excluded.renewed_at, expires_at = excluded.expires_at",
        (name, holder, fence, micros(now), micros(expires)),
    )
    return Lease(name, holder, fence, expires)


def renew(
    connection: sqlite3.Connection, name: str, fence: int, now: datetime, lease_s: float
) -> datetime:
    """Prolong a lease that is still ours; until when.

    Raises:
        LeaseLost: somebody took it over.
    """
    require(connection, name, fence)
    expires = now + timedelta(seconds=lease_s)
    connection.execute(
        "UPDATE leases SET renewed_at = ?, expires_at = ? WHERE name = ?",
        (micros(now), micros(expires), name),
    )
    return expires


def require(connection: sqlite3.Connection, name: str, fence: int) -> None:
    """Raises ``LeaseLost`` unless ``fence`` is the newest of this lease and it was not given up."""
    row = connection.execute(
        "SELECT holder, fence, expires_at FROM leases WHERE name = ?", (name,)
    ).fetchone()
    if row is None or row[1] != fence or row[2] == 0:
        by = "nobody holds it now" if row is None or row[2] == 0 else f"{row[0]} holds it now"
        raise LeaseLost(f"our lease of {name} (fence {fence}) is gone: {by}; nothing was written")


def release(connection: sqlite3.Connection, name: str, fence: int) -> None:
    """Give up a lease that is ours; the fence is remembered. Does nothing when it was lost."""
    connection.execute(
        "UPDATE leases SET renewed_at = 0, expires_at = 0, run = NULL WHERE name = ? AND fence = ?",
        (name, fence),
    )
