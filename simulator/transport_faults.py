"""Faults below the protocols: status, delay, connection, encoding, compression (sections A, C, I).

``error`` and ``slow`` act before anything is computed, the others on the finished answer.
"""

from __future__ import annotations

import gzip
import re
import zlib
from datetime import timedelta
from email.utils import format_datetime
from random import Random

from simulator.errors import UnknownFault
from simulator.faults import kind, parse_duration_s, parse_number
from simulator.protocol import Answer, Exchange, Sleep

CHALLENGE = (
    b"<!DOCTYPE html><html><head><title>Making sure you&#39;re not a bot!</title></head>"
    b"<body><h1>Just a moment...</h1><script src='/challenge.js'></script></body></html>"
)


def retry_after(exchange: Exchange, text: str) -> str:
    """The header's value: ``120`` (seconds), ``date`` (two minutes on), ``past``, ``absurd``
    (a year), ``nonsense``."""
    if text == "date":
        return format_datetime(exchange.now + timedelta(minutes=2), usegmt=True)
    if text == "past":
        return format_datetime(exchange.now - timedelta(days=1), usegmt=True)
    return {"absurd": "31536000", "nonsense": "soon, hopefully"}.get(text, text)


@kind("error", "arrive", "A01 A02 A03")
async def error(exchange: Exchange, argument: str | None, sleep: Sleep) -> Answer | None:
    """error:STATUS[:RETRY-AFTER] answers with a status; RETRY-AFTER in seconds, or date, past,
    absurd, nonsense."""
    status, _, after = (argument or "503").partition(":")
    headers = {"Retry-After": retry_after(exchange, after)} if after else {}
    body = b"<html><body><h1>Service Unavailable</h1></body></html>"
    return Answer(body, "text/html", parse_number(status, 503), headers)


@kind("slow", "arrive", "A04 H03")
async def slow(exchange: Exchange, argument: str | None, sleep: Sleep) -> Answer | None:
    """slow[:DURATION] answers late (2s); 10ms..2s evenly between, ~2s so long on average."""
    await sleep(delay_s(exchange, argument))
    return None


def delay_s(exchange: Exchange, argument: str | None) -> float:
    """The delay that ``slow`` has this time."""
    low, spread, high = (argument or "").partition("..")
    mean = low.removeprefix("~")
    if not spread and mean == low:
        return parse_duration_s(argument, 2.0)
    state = exchange.state
    lots: Random = state.setdefault("random", Random(state.get("seed", "")))  # noqa: S311 (no secret)
    if spread:
        return lots.uniform(parse_duration_s(low, 0.0), parse_duration_s(high, 2.0))
    return lots.expovariate(1 / (parse_duration_s(mean, 2.0) or 1e-9))


@kind("refuse", "listen", "A07 G15")
def refuse() -> None:
    """refuse has nobody listening: connections are refused, open ones break."""


@kind("hang", "arrive", "A04 G02")
async def hang(exchange: Exchange, argument: str | None, sleep: Sleep) -> Answer | None:
    """hang[:DURATION] says nothing for so long (1h)."""
    await sleep(parse_duration_s(argument, 3600.0))
    return None


@kind("html", "arrive", "A11")
async def html(exchange: Exchange, argument: str | None, sleep: Sleep) -> Answer | None:
    """html[:STATUS] answers with a challenge page for browsers (200)."""
    return Answer(CHALLENGE, "text/html; charset=utf-8", parse_number(argument, 200))


@kind("empty-body", "arrive", "A11 E09")
async def empty_body(exchange: Exchange, argument: str | None, sleep: Sleep) -> Answer | None:
    """empty-body answers 200 with nothing."""
    return Answer(b"")


@kind("redirect", "arrive", "A10 I02 I05")
async def redirect(exchange: Exchange, argument: str | None, sleep: Sleep) -> Answer | None:
    """redirect[:URL] answers 301 to a URL, without one to itself for ever; the query is kept."""
    target = argument or exchange.url
    query = "&".join(f"{name}={value}" for name, value in exchange.pairs)
    location = f"{target}?{query}" if query else target
    return Answer(b"<html>301 Moved</html>", "text/html", 301, {"Location": location})


@kind("reset", "arrive", "A07")
async def reset(exchange: Exchange, argument: str | None, sleep: Sleep) -> Answer | None:
    """reset closes the connection before a byte is sent."""
    return Answer(b"", cut_after=0, ending="reset")


@kind("stall", "answer", "A04")
def stall(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """stall[:BYTES] sends so many bytes of the body (half of it) and then nothing, silently."""
    answer.cut_after = parse_number(argument, len(answer.body) // 2)
    answer.ending = "stall"


@kind("trickle", "answer", "A04")
def trickle(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """trickle[:BYTES] sends so many bytes of the body (half of it), then one every second."""
    answer.cut_after = max(parse_number(argument, len(answer.body) // 2), 1)
    answer.ending = "trickle"


@kind("break-off", "answer", "A07")
def break_off(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """break-off[:BYTES] closes the connection in mid-body; the length promised was longer."""
    answer.cut_after = parse_number(argument, len(answer.body) // 2)
    answer.ending = "close"


@kind("truncate", "answer", "C08")
def truncate(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """truncate[:BYTES] sends the document's first bytes (another share each time) as if whole."""
    share = (0.5, 0.9, 0.3, 0.7)[exchange.number % 4]
    answer.body = answer.body[: parse_number(argument, int(len(answer.body) * share))]


@kind("not-json", "answer", "A11 G15")
def not_json(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """not-json sends text that is no JSON and says that it is."""
    answer.body = b"[{'pid': upstream connect error or disconnect/reset before headers"


@kind("huge", "answer", "I04 I09")
def huge(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """huge[:MEGABYTES] sends a body of so many megabytes (64), blanks at its end."""
    answer.body += b" " * (parse_number(argument, 64) * 2**20)


@kind("status", "answer", "A09")
def status(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """status:N sends the right document under another status (422)."""
    answer.status = parse_number(argument, 422)


@kind("error-status", "answer", "A09")
def error_status(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """error-status[:N] sends the protocol's error answers under another status (422)."""
    if b"<error code=" in answer.body:
        answer.status = parse_number(argument, 422)


@kind("content-type", "answer", "A11 C03")
def content_type(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """content-type[:TYPE] sends the right document as another type (text/html)."""
    answer.content_type = argument or "text/html"


@kind("lying-encoding", "answer", "C03")
def lying_encoding(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """lying-encoding sends Latin-1 bytes that are declared UTF-8."""
    answer.body = answer.body.decode().encode("latin-1", "replace")


@kind("latin-1", "answer", "C03")
def latin_1(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """latin-1 sends ISO-8859-1, declared as such in the XML and as UTF-8 nowhere."""
    text = answer.body.decode().replace('encoding="UTF-8"', 'encoding="ISO-8859-1"', 1)
    answer.body = text.encode("latin-1", "xmlcharrefreplace")
    answer.content_type = "text/xml"


@kind("wrong-charset", "answer", "C03")
def wrong_charset(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """wrong-charset[:NAME] sends UTF-8 under a header that says otherwise (ISO-8859-1)."""
    answer.content_type = f"text/xml; charset={argument or 'ISO-8859-1'}"


@kind("bom", "answer", "C04")
def bom(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """bom begins the document with a byte order mark."""
    answer.body = b"\xef\xbb\xbf" + answer.body


@kind("leading-blank", "answer", "C04")
def leading_blank(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """leading-blank puts an empty line before the XML declaration."""
    answer.body = b"\n" + answer.body


@kind("doctype", "answer", "I03")
def doctype(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """doctype[:KIND] declares entities: file (default), http, parameter or expansion."""
    declarations = {
        "file": '<!ENTITY x SYSTEM "file:///etc/hostname">',
        "http": '<!ENTITY x SYSTEM "http://127.0.0.1:9/entity">',
        "parameter": '<!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p; <!ENTITY x "x">',
        "expansion": '<!ENTITY a "aaaaaaaaaa">'
        + "".join(
            f'<!ENTITY {b} "{"".join(f"&{a};" for _ in range(10))}">'
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + '<!ENTITY x "&i;">',
    }
    chosen = declarations.get(argument or "file")
    if chosen is None:
        raise UnknownFault(f"doctype knows {', '.join(declarations)}, not {argument!r}.")
    declaration, _, rest = answer.body.partition(b"\n")
    entity = rest.replace(b"</responseDate>", b"</responseDate><!-- -->", 1)
    entity = re.sub(rb"(<dc:title>|<title>|<panosc:name>)", rb"\1&x;", entity, count=1)
    answer.body = declaration + f"\n<!DOCTYPE OAI-PMH [{chosen}]>\n".encode() + entity


@kind("bomb", "answer", "I04")
def bomb(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """bomb[:MEGABYTES] sends a small gzip body that is huge when unpacked (256)."""
    megabytes = parse_number(argument, 256)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head, _, tail = answer.body.partition(b"</responseDate>")
    parts = [packer.compress(head + b"</responseDate><!--")]
    block = b" " * 2**20
    parts += [packer.compress(block) for _ in range(megabytes)]
    parts += [packer.compress(b"-->" + tail), packer.flush()]
    answer.body = b"".join(parts)
    answer.headers["Content-Encoding"] = "gzip"


@kind("broken-gzip", "answer", "A07")
def broken_gzip(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """broken-gzip sends a gzip body that is damaged in the middle."""
    packed = gzip.compress(answer.body)
    middle = len(packed) // 2
    answer.body = packed[:middle] + b"\xff" * 32 + packed[middle + 32 :]
    answer.headers["Content-Encoding"] = "gzip"


@kind("not-gzip", "answer", "A07")
def not_gzip(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """not-gzip says gzip and sends plain bytes."""
    answer.headers["Content-Encoding"] = "gzip"


@kind("set-cookie", "answer", "I05")
def set_cookie(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """set-cookie wants a cookie kept."""
    answer.headers["Set-Cookie"] = "session=planted; Path=/"
