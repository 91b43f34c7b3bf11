"""Faults of OAI-PMH endpoints and of the XML they send (sections B and C of the catalogue)."""

from __future__ import annotations

import re
from datetime import timedelta

from simulator.errors import UnknownFault
from simulator.faults import kind, parse_duration_s, parse_number
from simulator.protocol import Answer, Exchange, OaiError, Page, ServerFault, Token, utc_seconds

LISTS = frozenset({"ListRecords", "ListIdentifiers"})


def _is_list(exchange: Exchange) -> bool:
    return exchange.verb in LISTS


# --- tokens -------------------------------------------------------------------------------------


@kind("loop-token", "page", "B03")
def loop_token(exchange: Exchange, argument: str | None, page: Page) -> None:
    """loop-token hands back the token that was sent, so that a page comes for ever."""
    if _is_list(exchange) and "resumptionToken" in exchange.params:
        page.token = exchange.params["resumptionToken"]


@kind("cyclic-token", "page", "B03")
def cyclic_token(exchange: Exchange, argument: str | None, page: Page) -> None:
    """cyclic-token[:N] leads from page N (3) back to page 2."""
    if not _is_list(exchange):
        return
    if exchange.page == 1:
        exchange.state["second"] = page.token
    elif exchange.page >= parse_number(argument, 3) and exchange.state.get("second"):
        page.token = exchange.state["second"]


@kind("repeat-page", "page", "B03 B19 E04")
def repeat_page(exchange: Exchange, argument: str | None, page: Page) -> None:
    """repeat-page[:N] sends the page before once more as page N (2), under a new token; with
    ``repeat-page:for-ever`` the last page comes again and again, each time with a new token."""
    if not _is_list(exchange):
        return
    state = exchange.state
    if argument == "for-ever":
        if not page.token:
            state["count"] = state.get("count", 0) + 1
            sent = exchange.params.get("resumptionToken")
            if sent is not None:
                token = Token.decode(sent)
                after = (token.after[0], token.after[1])
                page.token = Token(
                    token.verb,
                    token.prefix,
                    token.set,
                    token.from_,
                    token.until,
                    after,
                    token.cursor + state["count"],
                    token.page + 1,
                    token.issued + state["count"],
                ).encode()
        return
    if exchange.page == parse_number(argument, 2) - 1:
        state["items"] = list(page.items)
    elif exchange.page == parse_number(argument, 2) and "items" in state:
        page.items = list(state["items"])


@kind("empty-token", "page", "B05 B06")
def empty_token(exchange: Exchange, argument: str | None, page: Page) -> None:
    """empty-token sends an empty resumptionToken although more follows: the list ends early."""
    if _is_list(exchange):
        page.token = "" if argument != "blank" else "  \n "


@kind("lost-token", "page", "B06")
def lost_token(exchange: Exchange, argument: str | None, page: Page) -> None:
    """lost-token sends no resumptionToken although more follows."""
    if _is_list(exchange):
        page.token = None


@kind("empty-page", "page", "B04")
def empty_page(exchange: Exchange, argument: str | None, page: Page) -> None:
    """empty-page sends no records but the token that was sent, for ever; ``empty-page:once``
    sends the page's records with the next request."""
    if not _is_list(exchange):
        return
    sent = exchange.params.get("resumptionToken")
    if argument == "once":
        if exchange.state.get("done") or sent is None:
            return
        exchange.state["done"] = True
    if sent is not None:
        page.items = []
        page.token = sent


TRAILING = "this-leads-nowhere"


@kind("trailing-token", "page", "B04")
def trailing_token(exchange: Exchange, argument: str | None, page: Page) -> None:
    """trailing-token ends the last page with a token after which comes noRecordsMatch."""
    if _is_list(exchange) and not page.token and page.items:
        page.token = TRAILING


@kind("trailing-token", "request", "B04")
def answer_trailing_token(exchange: Exchange, argument: str | None) -> None:
    """trailing-token[:CODE]: and this is how that token is answered (noRecordsMatch)."""
    if exchange.params.get("resumptionToken") == TRAILING:
        raise OaiError(argument or "noRecordsMatch", "Nothing follows.")


@kind("expired-token", "request", "B01")
def expired_token(exchange: Exchange, argument: str | None) -> None:
    """expired-token refuses tokens (badResumptionToken); limit it: expired-token@page3x1."""
    if "resumptionToken" in exchange.params:
        raise OaiError("badResumptionToken", "The resumptionToken has expired.")


ODD = " +/=&%2B;é" + "x" * 2000


@kind("odd-token", "page", "B07")
def odd_token(exchange: Exchange, argument: str | None, page: Page) -> None:
    """odd-token sends tokens of 2 kB with characters that need escaping, and refuses others."""
    if page.token:
        page.token += ODD


@kind("odd-token", "request", "B07")
def check_odd_token(exchange: Exchange, argument: str | None) -> None:
    """odd-token: taken only if it comes back exactly (else badResumptionToken)."""
    sent = exchange.params.get("resumptionToken")
    if sent is None:
        return
    if not sent.endswith(ODD):
        raise OaiError("badResumptionToken", f"Altered on its way: {sent[-40:]!r}.")
    exchange.params["resumptionToken"] = sent[: -len(ODD)]


@kind("token-needs-prefix", "request", "B08")
def token_needs_prefix(exchange: Exchange, argument: str | None) -> None:
    """token-needs-prefix wants metadataPrefix beside the token, against the protocol."""
    if "resumptionToken" in exchange.params:
        if "metadataPrefix" not in exchange.params:
            raise OaiError("badArgument", "metadataPrefix is missing.")
        del exchange.params["metadataPrefix"]


@kind("lost-set", "request", "B09")
def lost_set(exchange: Exchange, argument: str | None) -> None:
    """lost-set forgets the set after the first page: the whole repository follows."""
    sent = exchange.params.get("resumptionToken")
    if sent is not None and _is_list(exchange):
        token = Token.decode(sent)
        exchange.params["resumptionToken"] = Token(
            token.verb,
            token.prefix,
            None,
            token.from_,
            token.until,
            token.after,
            token.cursor,
            token.page,
            token.issued,
        ).encode()


@kind("size", "page", "B20")
def size(exchange: Exchange, argument: str | None, page: Page) -> None:
    """size:N lies about completeListSize (225176)."""
    page.complete_list_size = parse_number(argument, 225_176)


# --- windows and dates --------------------------------------------------------------------------


@kind("ignores-from", "request", "B18")
def ignores_from(exchange: Exchange, argument: str | None) -> None:
    """ignores-from lists everything whatever from and until say."""
    exchange.params.pop("from", None)
    exchange.params.pop("until", None)


@kind("ignores-until", "request", "B18")
def ignores_until(exchange: Exchange, argument: str | None) -> None:
    """ignores-until lists everything since from, whatever until says."""
    exchange.params.pop("until", None)


@kind("no-seconds", "request", "B13")
def no_seconds(exchange: Exchange, argument: str | None) -> None:
    """no-seconds refuses from and until with seconds, whatever Identify says."""
    if any("T" in exchange.params.get(name, "") for name in ("from", "until")):
        raise OaiError("badArgument", "The granularity of this repository is YYYY-MM-DD.")


@kind("no-days", "request", "B13")
def no_days(exchange: Exchange, argument: str | None) -> None:
    """no-days refuses from and until as plain days."""
    if any(len(exchange.params.get(name, "")) == 10 for name in ("from", "until")):
        raise OaiError("badArgument", "Give seconds: YYYY-MM-DDThh:mm:ssZ.")


@kind("whole-days", "request", "B13")
def whole_days(exchange: Exchange, argument: str | None) -> None:
    """whole-days takes from and until with seconds, and hears no more than their days."""
    for name in ("from", "until"):
        if name in exchange.params:
            exchange.params[name] = exchange.params[name][:10]


@kind("granularity", "answer", "B13")
def granularity(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """granularity[:TEXT] says this in Identify; without TEXT nothing of it."""
    text = f"<granularity>{argument}</granularity>" if argument else ""
    answer.body = re.sub(rb"<granularity>[^<]*</granularity>", text.encode(), answer.body, count=1)


@kind("earliest", "answer", "B14")
def earliest(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """earliest[:TEXT] says this in Identify (2017-01-00T03.24.00Z); ``none`` leaves it out."""
    text = f"<earliestDatestamp>{argument or '2017-01-00T03:24:00Z'}</earliestDatestamp>"
    if argument == "none":
        text = ""
    answer.body = re.sub(
        rb"<earliestDatestamp>[^<]*</earliestDatestamp>", text.encode(), answer.body, count=1
    )


@kind("clock", "answer", "B15")
def clock(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """clock:DURATION (or clock:-DURATION) has the server's clock wrong in responseDate (2h)."""
    behind = (argument or "").startswith("-")
    shift = timedelta(seconds=parse_duration_s((argument or "2h").lstrip("-"), 7200.0))
    wrong = utc_seconds(exchange.now - shift if behind else exchange.now + shift)
    answer.body = re.sub(
        rb"<responseDate>[^<]*</responseDate>",
        f"<responseDate>{wrong}</responseDate>".encode(),
        answer.body,
        count=1,
    )


@kind("datestamp-now", "page", "B18")
def datestamp_now(exchange: Exchange, argument: str | None, page: Page) -> None:
    """datestamp-now dates every record with the request; ``datestamp-now:TEXT`` with a text."""
    for item in page.items:
        item.datestamp = argument or utc_seconds(exchange.now)


@kind("unordered", "page", "B16")
def unordered(exchange: Exchange, argument: str | None, page: Page) -> None:
    """unordered sends the records of a page in no order of date."""
    page.items = page.items[1::2] + page.items[::2]


@kind("no-records-match", "request", "B10 B11")
def no_records_match(exchange: Exchange, argument: str | None) -> None:
    """no-records-match answers lists with noRecordsMatch, whatever there is."""
    if _is_list(exchange):
        raise OaiError("noRecordsMatch", "No record matches.")


@kind("oai-error", "request", "B01 B13")
def oai_error(exchange: Exchange, argument: str | None) -> None:
    """oai-error:CODE answers with this error of the protocol."""
    raise OaiError(argument or "badArgument", "Simulated.")


# --- records ------------------------------------------------------------------------------------


@kind("poison", "page", "A08")
def poison(exchange: Exchange, argument: str | None, page: Page) -> None:
    """poison:IDENTIFIER answers 500 for every page that holds this record with its metadata."""
    if any(item.identifier == argument and item.payload is not None for item in page.items):
        raise ServerFault(f"{argument} cannot be written")


@kind("missing-metadata", "page", "B22")
def missing_metadata(exchange: Exchange, argument: str | None, page: Page) -> None:
    """missing-metadata[:N] sends each Nth record (5) without metadata though it is not deleted."""
    for item in page.items[:: parse_number(argument, 5)]:
        item.payload = None


@kind("odd-header", "page", "B22")
def odd_header(exchange: Exchange, argument: str | None, page: Page) -> None:
    """odd-header[:WHAT] spoils the page's first header: no-datestamp, empty-datestamp,
    no-identifier, empty-identifier, no-set; without WHAT one record each."""
    wanted = [argument] if argument else list(_ODDITIES)
    for item, what in zip(page.items, wanted, strict=False):
        if what not in _ODDITIES:
            raise UnknownFault(f"odd-header knows {', '.join(_ODDITIES)}, not {what!r}.")
        name, value = _ODDITIES[what]
        setattr(item, name, value)


_ODDITIES: dict[str, tuple[str, object]] = {
    "no-datestamp": ("datestamp", None),
    "empty-datestamp": ("datestamp", ""),
    "no-identifier": ("identifier", None),
    "empty-identifier": ("identifier", ""),
    "no-set": ("sets", ()),
}


@kind("deleted", "page", "B12 B21 H05")
def deleted(exchange: Exchange, argument: str | None, page: Page) -> None:
    """deleted[:SHARE] shows a share of the records (1.0) as deleted; ``deleted:empty-set`` only
    when the request has a blank set."""
    if argument == "empty-set":
        if ("set", "") not in exchange.pairs:
            return
        argument = None
    count = round(len(page.items) * float(argument or "1"))
    for item in page.items[:count]:
        item.deleted, item.payload = True, None


@kind("duplicates", "page", "B19")
def duplicates(exchange: Exchange, argument: str | None, page: Page) -> None:
    """duplicates[:N] begins each page with the last N records (3) of the page before."""
    if not _is_list(exchange):
        return
    before = exchange.state.get("last", [])
    exchange.state["last"] = page.items[-parse_number(argument, 3) :]
    if exchange.page > 1:
        page.items = [*before, *page.items]


@kind("gap", "page", "B19 B20")
def gap(exchange: Exchange, argument: str | None, page: Page) -> None:
    """gap[:N] leaves out the first N records (1) of a page, as offsets over a live list do."""
    if _is_list(exchange):
        page.items = page.items[parse_number(argument, 1) :]


@kind("blank-set", "request", "B12")
def blank_set(exchange: Exchange, argument: str | None) -> None:
    """blank-set takes an empty set argument for no set."""
    if exchange.params.get("set") == "":
        del exchange.params["set"]


# --- XML ----------------------------------------------------------------------------------------

_TEXT = re.compile(rb"(<dc:title>|<title>|<panosc:name>|<dc:description>|<panosc:description>)")


@kind("illegal-characters", "answer", "C01")
def illegal_characters(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """illegal-characters[:FORM] puts control characters into the first title; FORM raw (default),
    reference (&#3;) or fffe."""
    forms = {"raw": b"\x03\x0b\x1a", "reference": b"&#3;", "fffe": "￾".encode()}
    chosen = forms.get(argument or "raw")
    if chosen is None:
        raise UnknownFault(f"illegal-characters knows {', '.join(forms)}, not {argument!r}.")
    answer.body = _TEXT.sub(lambda found: found[1] + chosen, answer.body, count=1)


@kind("invalid-utf8", "answer", "C03")
def invalid_utf8(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """invalid-utf8 has one Latin-1 byte in a UTF-8 document."""
    answer.body = _TEXT.sub(lambda found: found[1] + b"\xe9", answer.body, count=1)


@kind("second-declaration", "answer", "C04")
def second_declaration(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """second-declaration begins each record's metadata with an XML declaration of its own."""
    answer.body = answer.body.replace(
        b"<metadata>", b'<metadata><?xml version="1.0" encoding="UTF-8"?>'
    )


@kind("late-namespaces", "answer", "C05")
def late_namespaces(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """late-namespaces declares the prefixes of metadata on the root and not on the record."""
    body = answer.body
    found = dict.fromkeys(re.findall(rb' xmlns:(?:oai_dc|dc|panosc)="[^"]*"', body))
    for declaration in found:
        body = body.replace(declaration, b"")
    answer.body = body.replace(b"<OAI-PMH", b"<OAI-PMH" + b"".join(found), 1)


@kind("prefix", "answer", "C06")
def prefix(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """prefix[:NAME] writes the protocol's elements with a prefix (oai:record)."""
    name = (argument or "oai").encode()
    pieces = re.split(rb"(<metadata>.*?</metadata>)", answer.body, flags=re.S)
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pieces[index] = _ELEMENT.sub(rb"<\1" + name + rb":\2", piece)
        else:
            inner = piece[len(b"<metadata>") : -len(b"</metadata>")]
            pieces[index] = b"<%b:metadata>%b</%b:metadata>" % (name, inner, name)
    answer.body = b"".join(pieces).replace(b" xmlns=", b" xmlns:%b=" % name, 1)


_ELEMENT = re.compile(rb"<(/?)([A-Za-z])")


@kind("huge-text", "answer", "C07")
def huge_text(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """huge-text[:MEGABYTES] has a text node beyond libxml2's limit (11)."""
    text = b"x" * (parse_number(argument, 11) * 2**20)
    answer.body = _TEXT.sub(lambda found: found[1] + text, answer.body, count=1)


@kind("bare-ampersand", "answer", "C09")
def bare_ampersand(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """bare-ampersand has an unescaped & in the first title."""
    answer.body = _TEXT.sub(lambda found: found[1] + b"Smith & Sons ", answer.body, count=1)


@kind("foreign-elements", "answer", "C09")
def foreign_elements(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """foreign-elements adds terms to oai_dc that are not in its namespace."""
    answer.body = answer.body.replace(
        b"</oai_dc:dc>", b"<dc:audience>all</dc:audience><dc:license>free</dc:license></oai_dc:dc>"
    )


@kind("deep", "answer", "I03 I04")
def deep(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """deep[:LEVELS] nests elements in the first record's metadata (2000)."""
    levels = parse_number(argument, 2000)
    nest = b"<metadata>" + b"<n>" * levels + b"</n>" * levels
    answer.body = answer.body.replace(b"<metadata>", nest, 1)


@kind("odd-request", "answer", "C06")
def odd_request(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """odd-request leaves the request element out."""
    answer.body = re.sub(rb"<request.*?</request>", b"", answer.body, count=1, flags=re.S)


@kind("response-date", "answer", "B15 B16")
def response_date(exchange: Exchange, argument: str | None, answer: Answer) -> None:
    """response-date[:TEXT] says this as responseDate, always (2020-01-01T…); ``none``
    leaves it out."""
    text = f"<responseDate>{argument or '2020-01-01T00:00:00Z'}</responseDate>"
    if argument == "none":
        text = ""
    answer.body = re.sub(
        rb"<responseDate>[^<]*</responseDate>", text.encode(), answer.body, count=1
    )
