"""How a question becomes an address."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import orjson

from catalogue.facilities import Facility, Source
from search_api.federation.questions import LiveSource, Question
from search_api.federation.requests import address_of

LIVE = LiveSource(
    Source("f-live", "F", "panosc", "https://f.example/api/", "panosc-json", mode="live"),
    Facility("F", "F", "https://f.example/api"),
    {},
    None,
)


def test_an_address_is_quoted_byte_by_byte() -> None:
    """Fault E11: nothing in a filter may be taken for a part of the address."""
    text = "".join(map(chr, range(1, 300))) + "Röntgen 結晶 🔬 ~ %7B +&=#?/"
    asked = {"query": text, "limit": 7}
    address = address_of(LIVE, Question("Document", asked), "Documents")
    written = quote(orjson.dumps(asked).decode(), safe="")
    assert address == f"https://f.example/api/Documents?filter={written}"
    assert address.isascii()
    assert orjson.loads(parse_qs(urlsplit(address).query)["filter"][0]) == asked
