"""Our OAI-PMH client beside Sickle, reading one local endpoint: protocol reading alone, in one run.

The endpoint (``benchmarks.harvest``) is another process with pages rendered beforehand, 500
records each. Read in turn, best of ROUNDS: Sickle's records as it gives them; ours with each
payload checked for well-formedness (the default), and without (as in a harvest, where the crosswalk
parses each payload anyway); and the bytes alone, with aiohttp, which nothing can beat. Resident
memory of this process is read at the end of our rounds: it does not grow with the list.

Run: ``python -m benchmarks.oai_reading [RECORDS] [--long]`` (records of 1.5 or 2.2 kB). Goal: ours
at least three times Sickle.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import warnings
from collections.abc import Callable

import aiohttp
import psutil

from benchmarks.harvest import PAGE, add_options, endpoint
from facility_http.http import Access, Fetcher
from harvester.oai_pmh import OaiClient, OaiOptions

ROUNDS = 3
GOAL = 3.0


def read_with_sickle(url: str) -> int:
    """How many records Sickle gives."""
    with warnings.catch_warnings():
        # Its source has escapes that Python warns of when it compiles them.
        warnings.simplefilter("ignore")
        import sickle

    listed = sickle.Sickle(url).ListRecords(metadataPrefix="oai_datacite")
    return sum(1 for record in listed if record.metadata)


def read_with_ours(url: str, *, check_payloads: bool) -> int:
    """How many records with a payload our client gives."""

    async def read() -> int:
        async with Fetcher() as http:
            client = OaiClient(
                http,
                url,
                access=Access(internal=True),
                options=OaiOptions(check_payloads=check_payloads),
            )
            walk = client.pages("ListRecords", "oai_datacite")
            return sum([sum(1 for one in page.records if one.payload) async for page in walk])

    return asyncio.run(read())


def read_bytes(url: str, records: int) -> int:
    """The same answers, unread."""

    async def read() -> int:
        async with aiohttp.ClientSession() as session:
            for start in range(0, records, PAGE):
                token = f"&resumptionToken={start}" if start else "&metadataPrefix=oai_datacite"
                async with session.get(f"{url}?verb=ListRecords{token}") as response:
                    async for _ in response.content.iter_any():
                        pass
        return records

    return asyncio.run(read())


def main() -> int:
    """Print records per second and the ratios; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, 50_000)
    asked = parser.parse_args()
    records: int = asked.records
    readers: dict[str, Callable[[str], int]] = {
        "Sickle": read_with_sickle,
        "ours, payloads checked": lambda url: read_with_ours(url, check_payloads=True),
        "ours, unchecked": lambda url: read_with_ours(url, check_payloads=False),
        "bytes alone": lambda url: read_bytes(url, records),
    }
    best = dict.fromkeys(readers, float("inf"))
    processor = dict.fromkeys(readers, float("inf"))
    resident: list[int] = []
    with endpoint(records, asked.make) as url:
        for _ in range(ROUNDS):
            for name, read in readers.items():
                began, used = time.perf_counter(), time.process_time()
                count = read(url)
                best[name] = min(best[name], time.perf_counter() - began)
                processor[name] = min(processor[name], time.process_time() - used)
                if count != records:
                    print(f"{name} gave {count} of {records} records")
                    return 1
                if name.startswith("ours"):
                    resident.append(psutil.Process().memory_info().rss >> 20)
    for name, seconds in best.items():
        print(
            f"{name:24} {records / seconds:>9,.0f} records/s {best['Sickle'] / seconds:6.2f} × "
            f"Sickle   {processor[name] / records * 1e6:6.1f} µs of processor a record"
        )
    print("resident memory after each of our rounds, MB:", *resident)
    ratio = best["Sickle"] / best["ours, payloads checked"]
    print(f"goal {GOAL} × Sickle: {'met' if ratio >= GOAL else 'missed'} ({ratio:.2f} ×)")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())
