"""Whether a harvest stays as fast and as small as it began: rate and memory over a long list.

One endpoint in another process; ``pan-commons harvest`` of RECORDS (100,000), to durable only
with ``--no-index``. For each tenth: records a second, the processor time that a record took (which
holds on a busy machine too), and the resident memory of all processes of the harvest at its end.
Goal: no tenth takes a tenth more than the first. The first 10,000 records are left out: processes
start and caches fill.

Run: ``python -m benchmarks.curves [RECORDS] [--long] [--no-index]``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.harvest import Point, add_options, endpoint, harvest

TENTHS = 10
WARM = 10_000
MOST_CHANGE = 0.10


def marks(curve: Sequence[Point], records: int) -> list[Point]:
    """Where the harvest stood after the warm-up, and at the end of each tenth."""
    warm = min(WARM, records // TENTHS // 2)
    wanted = [warm, *(number * records // TENTHS for number in range(1, TENTHS + 1))]
    # The last look may have missed the last page, and processes that end take their time along.
    last = max(curve, key=lambda point: point.processor_s)
    return [next((p for p in curve if p.durable >= count), last) for count in wanted]


def main() -> int:
    """Measure; 1 when a record of the last tenth takes a tenth more than one of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, 100_000)
    parser.add_argument("--no-index", action="store_true")
    asked = parser.parse_args()
    curve: list[Point] = []
    with endpoint(asked.records, asked.make) as url, tempfile.TemporaryDirectory() as name:
        harvest(url, Path(name), curve, index=not asked.no_index)
    found = marks(curve, asked.records)
    costs = []
    for before, after in pairwise(found):
        count = max(after.durable - before.durable, 1)
        costs.append((after.processor_s - before.processor_s) / count * 1e6)
        rate = count / max(after.seconds - before.seconds, 1e-9)
        print(
            f"{after.durable:>10,} records {after.seconds:>8.1f} s {rate:>8,.0f} records/s"
            f" {costs[-1]:>7,.0f} µs of processor a record {after.resident / 2**20:>7,.0f} MiB"
        )
    print(f"cost of the last tenth ÷ first: {costs[-1] / costs[0]:.2f}   goal {1 + MOST_CHANGE}")
    print(f"until it ended: {curve[-1].seconds:.1f} s")
    return 0 if costs[-1] <= costs[0] * (1 + MOST_CHANGE) else 1


if __name__ == "__main__":
    raise SystemExit(main())
