"""Reading OAI-PMH answers from bytes: what is cut, what is refused, what stays with one record."""

from __future__ import annotations

import codecs
import gc
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from facility_http.errors import CutOff, MalformedResponse, NotTheProtocol
from harvester.oai_xml import AnswerReader, Bounds, Envelope, OaiRecord, read_answer

OAI = "http://www.openarchives.org/OAI/2.0/"
DC = "http://purl.org/dc/elements/1.1/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def envelope(inside: str, *, root: str = f'xmlns="{OAI}"', p: str = "") -> str:
    """An answer around what stands inside it."""
    return (
        f"{DECLARATION}<{p}OAI-PMH {root}><{p}responseDate>2024-06-01T12:00:00Z</{p}responseDate>"
        f'<{p}request verb="ListRecords">https://example.org/oai</{p}request>{inside}</{p}OAI-PMH>'
    )


def listing(*records: str, token: str = "", root: str = f'xmlns="{OAI}"') -> str:
    return envelope(f"<ListRecords>{''.join(records)}{token}</ListRecords>", root=root)


def record(
    number: int = 1, payload: str = "<x><t>text</t></x>", *, header: str = "", after: str = ""
) -> str:
    head = header or (
        f"<identifier>oai:test:{number}</identifier><datestamp>2024-01-01</datestamp>"
        "<setSpec>a</setSpec>"
    )
    return f"<record><header>{head}</header><metadata>{payload}</metadata>{after}</record>"


def read(
    text: str | bytes, verb: str = "ListRecords", *, step: int | None = None, **own: object
) -> tuple[list[OaiRecord], Envelope]:
    """Read in pieces of ``step`` bytes."""
    body = text.encode() if isinstance(text, str) else text
    reader = AnswerReader(verb, **own)  # type: ignore[arg-type]
    found: list[OaiRecord] = []
    for start in range(0, len(body), step or max(len(body), 1)):
        found += reader.feed(body[start : start + (step or len(body))])
    return found, reader.close()


def canonical(xml: bytes) -> bytes:
    return etree.tostring(etree.fromstring(xml), method="c14n")


def cut_by_lxml(text: str) -> list[bytes]:
    """The oracle: each payload as lxml cuts it out of the whole tree."""
    root = etree.fromstring(text.encode())
    return [
        canonical(etree.tostring(metadata[0], with_tail=False))
        for metadata in root.iter(f"{{{OAI}}}metadata")
    ]


# --- the usual ------------------------------------------------------------------------------------


def test_records_headers_and_the_end_are_read() -> None:
    text = listing(
        record(1),
        '<record><header status="deleted"><identifier>oai:test:2</identifier>'
        "<datestamp>2024-01-02T03:04:05Z</datestamp></header></record>",
        record(3, after="<about><p/></about>"),
        token='<resumptionToken completeListSize="9" cursor="0" '
        'expirationDate="2024-06-02T00:00:00Z">a/b c</resumptionToken>',
    )
    records, end = read(text)
    assert [one.header.identifier for one in records] == ["oai:test:1", "oai:test:2", "oai:test:3"]
    assert [one.deleted for one in records] == [False, True, False]
    assert [one.problem for one in records] == [None, None, None]
    assert records[0].header.sets == ("a",)
    assert records[1].payload is None
    assert records[1].header.datestamp == "2024-01-02T03:04:05Z"
    assert canonical(records[2].payload or b"") == canonical(
        f'<x xmlns="{OAI}"><t>text</t></x>'.encode()
    )
    assert end.response_date == "2024-06-01T12:00:00Z"
    assert end.token is not None
    assert (end.token.text, end.token.complete_list_size, end.token.cursor) == ("a/b c", 9, 0)
    assert end.token.expiration == "2024-06-02T00:00:00Z"


@pytest.mark.parametrize(
    "element", ["", "<resumptionToken/>", "<resumptionToken> \n</resumptionToken>"]
)
def test_missing_empty_and_blank_tokens_are_the_end(element: str) -> None:
    """Fault B05."""
    _, end = read(listing(record(), token=element))
    assert end.token is None or end.token.text == ""


def test_payload_bytes_are_those_received() -> None:
    """Fault C02: nothing is serialised anew; characters beyond the basic plane stay."""
    payload = (
        f"<d:dc  xmlns:d='{DC}'\n><d:title>😀 𝔸 𠮷 &#128512; &amp;<![CDATA[<]]></d:title ></d:dc>"
    )
    records, _ = read(listing(record(1, payload)))
    assert records[0].payload is not None
    sent = payload.replace("<d:dc ", f'<d:dc xmlns="{OAI}" ', 1)
    assert records[0].payload.decode() == sent


@pytest.mark.parametrize("step", [1, 7, 64, 100_000])
def test_how_the_bytes_arrive_makes_no_difference(step: int) -> None:
    text = listing(
        *(
            record(number, f"<x a='>'>{'ä' * number}<!-- </metadata> --></x>")
            for number in range(30)
        ),
        token="<resumptionToken>t</resumptionToken>",
    )
    assert read(text, step=step)[0] == read(text)[0]
    assert len(read(text)[0]) == 30


# --- namespaces (C05, C06) ------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["root", "list", "record", "metadata"])
def test_namespaces_declared_higher_up_stay_bound(place: str) -> None:
    """Fault C05: on the root, the list, the record or the metadata element."""
    declared = dict.fromkeys(("root", "list", "record", "metadata"), "")
    declared[place] = f' xmlns:dc="{DC}" xmlns:q="urn:a&amp;b"'
    text = (
        f'<OAI-PMH xmlns="{OAI}"{declared["root"]}><ListRecords{declared["list"]}>'
        f"<record{declared['record']}><header><identifier>a</identifier><datestamp>2024</datestamp>"
        f"</header><metadata{declared['metadata']}><dc:dc><dc:title q:x='1'>T</dc:title></dc:dc>"
        "</metadata></record></ListRecords></OAI-PMH>"
    )
    records, _ = read(text)
    assert records[0].problem is None
    assert [canonical(records[0].payload or b"")] == cut_by_lxml(text)


def test_the_elements_are_found_under_any_prefix() -> None:
    """Fault C06: ``oai:record`` is a record."""
    text = envelope(
        '<o:ListRecords><o:record><o:header status="deleted"><o:identifier>a</o:identifier>'
        "<o:datestamp>2024</o:datestamp></o:header></o:record>"
        "<o:record><o:header><o:identifier>b</o:identifier><o:datestamp>2024</o:datestamp>"
        '</o:header><o:metadata><record xmlns="urn:marc"><metadata/></record></o:metadata>'
        "</o:record>"
        "<o:resumptionToken>t</o:resumptionToken></o:ListRecords>",
        root=f'xmlns:o="{OAI}"',
        p="o:",
    )
    records, end = read(text)
    assert [one.header.identifier for one in records] == ["a", "b"]
    assert [canonical(records[1].payload or b"")] == cut_by_lxml(text)
    assert end.token is not None
    assert end.token.text == "t"


def test_metadata_of_another_vocabulary_inside_metadata_is_not_its_end() -> None:
    inner = '<metadata xmlns="urn:x"><record/><metadata a=">">x</metadata><metadata/></metadata>'
    for payload in (
        inner,
        f"<y>{inner}</y>",
        f"<y><!-- </metadata> -->{inner}<?p </metadata>?></y>",
    ):
        text = listing(record(1, payload), record(2))
        records, _ = read(text)
        assert [one.problem for one in records] == [None, None], payload
        assert canonical(records[0].payload or b"") == cut_by_lxml(text)[0]


@pytest.mark.parametrize("namespace", ["http://www.openarchives.org/OAI/2.0", "urn:other", ""])
def test_an_envelope_in_a_wrong_namespace_is_refused_unless_allowed(namespace: str) -> None:
    """Fault C06: zero records and no error is the worst of answers."""
    text = listing(record(), root=f'xmlns="{namespace}"')
    with pytest.raises(NotTheProtocol, match="namespace"):
        read(text)
    records, end = read(text, repairs=frozenset({"envelope_namespace"}))
    assert len(records) == 1
    assert end.notes == {"envelope_namespace": 1}


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<ListSets/>",
        '<ListRecords><record xmlns="urn:other"><header/></record></ListRecords>',
        '<x:ListRecords xmlns:x="urn:other"/>',
    ],
)
def test_an_answer_without_anything_expected_is_an_error(inside: str) -> None:
    """Fault C06."""
    with pytest.raises(MalformedResponse):
        read(envelope(inside))


# --- odd records (B22) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "problem"),
    [
        ("<record/>", "no_header"),
        ("<record><header/><metadata><x/></metadata></record>", "no_identifier"),
        (record(9, header="<identifier> </identifier>"), "no_identifier"),
        (record(9, ""), "no_metadata"),
        (record(9, "  <!-- nothing -->  "), "no_metadata"),
        ("<record><header><identifier>a</identifier></header></record>", "no_metadata"),
        ("<record><header><identifier>a</identifier></header><metadata/></record>", "no_metadata"),
        (record(9, "only text"), "text in place of an element"),
        (record(9, "<a/><b/>"), "no well-formed XML"),
        (record(9, "<a>"), "no well-formed XML"),
        (record(9, "<a>&nbsp;</a>"), "no well-formed XML"),
        (record(9, "<a b='1' b='2'/>"), "no well-formed XML"),
        (record(9, "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>"), "a DOCTYPE is refused"),
        (record(9, f"<a>{'<b>' * 300}{'</b>' * 300}</a>"), "no well-formed XML"),
    ],
)
def test_an_odd_record_keeps_its_oddity_to_itself(odd: str, problem: str) -> None:
    """Faults B22, C01, C09: the page goes on, the record is named with its reason."""
    records, end = read(
        listing(record(1), odd, record(2), token="<resumptionToken>t</resumptionToken>")
    )
    assert [one.header.identifier for one in (records[0], records[-1])] == [
        "oai:test:1",
        "oai:test:2",
    ]
    assert [one.problem for one in (records[0], records[-1])] == [None, None]
    assert len(records) == 3
    assert (records[1].problem or "").startswith(problem)
    assert end.token is not None


def test_headers_in_any_order_with_other_things_in_them() -> None:
    """Crosswalks 3.8: SciCat sends setSpec before datestamp, and an attribute."""
    odd = record(
        1,
        header='<!-- c --><identifier identifierType="doi">10.17199/X</identifier>'
        "<setSpec>openaire_data</setSpec><datestamp>\n2020-01-01 </datestamp><other/>",
    )
    records, _ = read(listing(odd))
    header = records[0].header
    assert (header.identifier, header.datestamp) == ("10.17199/X", "2020-01-01")
    assert header.sets == ("openaire_data",)


def test_a_record_without_its_wrapper_is_found() -> None:
    """Crosswalks 3.8: SciCat's GetRecord has the record right under the root."""
    records, _ = read(envelope(record(5)), "GetRecord")
    assert records[0].header.identifier == "oai:test:5"
    assert records[0].payload is not None


def test_headers_wrapped_in_records_are_listed() -> None:
    """Crosswalks 3.8: harvest-api wraps headers of ListIdentifiers."""
    head = "<header><identifier>{}</identifier><datestamp>2024</datestamp></header>"
    inside = f"<record>{head.format('a')}</record>{head.format('b')}"
    records, _ = read(envelope(f"<ListIdentifiers>{inside}</ListIdentifiers>"), "ListIdentifiers")
    assert [one.header.identifier for one in records] == ["a", "b"]


def test_what_stands_in_request_does_not_matter() -> None:
    """Crosswalks 5: European XFEL sends the dump of a Ruby hash there."""
    text = (
        envelope(
            f"<ListRecords>{record(1)}</ListRecords>",
        )
        .replace('verb="ListRecords"', "")
        .replace("https://example.org/oai", 'https://in.xfel.eu/metadata{"verb"=&gt;"ListRecords"}')
    )
    assert len(read(text)[0]) == 1


def test_errors_are_read_with_their_texts() -> None:
    _, end = read(envelope('<error code="badArgument">from</error><error code="noRecordsMatch"/>'))
    assert end.errors == (("badArgument", "from"), ("noRecordsMatch", ""))


# --- broken answers (C07, C08) --------------------------------------------------------------------


def test_every_cut_is_noticed() -> None:
    """Fault C08: wherever the feed stops, it is no page; nothing is taken for the whole."""
    text = listing(*(record(number) for number in range(3))).encode()
    for length in range(len(text)):
        with pytest.raises(MalformedResponse) as failure:
            read(text[:length])
        assert isinstance(failure.value, CutOff | NotTheProtocol), (length, failure.value)
    assert len(read(text)[0]) == 3


def test_a_record_that_is_too_large_is_refused_by_name_and_the_page_goes_on() -> None:
    """Fault C07: its size, not the parser's, decides, and the token is not lost."""
    large = record(2, f"<x><![CDATA[{'</metadata>' * 50_000}]]></x>")
    text = listing(record(1), large, record(3), token="<resumptionToken>t</resumptionToken>")
    for step in (None, 1000):
        records, end = read(text, step=step, bounds=Bounds(max_record_bytes=100_000))
        assert [one.problem for one in records] == [None, "too_large", None]
        assert records[1].header.identifier == "oai:test:2"
        assert records[1].payload is None
        assert end.token is not None


def test_a_text_beyond_the_parsers_limit_loses_nothing_silently() -> None:
    """Fault C07: ten million characters in one text, which libxml2 refuses."""
    text = listing(record(1), record(2, f"<x>{'y' * 10_000_100}</x>"), record(3))
    records, _ = read(text, bounds=Bounds(max_record_bytes=64 << 20))
    assert [one.problem is None for one in records] == [True, False, True]


@pytest.mark.parametrize("junk", [b"<junk>text</junk>", b"<!-- comment "])
def test_an_endless_envelope_is_stopped(junk: bytes) -> None:
    reader = AnswerReader("ListRecords", bounds=Bounds(max_envelope_bytes=100_000))
    reader.feed(f'<OAI-PMH xmlns="{OAI}"><ListRecords>'.encode())

    def feed_for_ever() -> None:
        for _ in range(100):
            reader.feed(junk * 1000)

    with pytest.raises(MalformedResponse, match=r"without a record|does not end"):
        feed_for_ever()


def test_memory_is_that_of_one_record() -> None:
    """A page of 40 MB passes through; what is held at a time is a chunk and a record."""

    def page() -> Iterator[bytes]:
        yield f'{DECLARATION}<OAI-PMH xmlns="{OAI}"><ListRecords>'.encode()
        for number in range(4000):
            yield record(number, f"<x>{'text ' * 2000}</x>").encode()
        yield b"</ListRecords></OAI-PMH>"

    gc.collect()
    tracemalloc.start()
    reader = AnswerReader("ListRecords", check_payloads=False)
    count = sum(len(reader.feed(chunk)) for chunk in page())
    reader.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4000
    assert peak < 2 << 20


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "empty body"),
        ("   \n ", "empty body"),
        ("<!DOCTYPE html><html><body/></html>", "HTML"),
        ("<html><body>Welcome</body></html>", "root element is html"),
        ("Warning: mysql_connect(): no", "text in place"),
        ('{"error": 1}', "text in place"),
        ('<feed xmlns="http://www.w3.org/2005/Atom"/>', "root element is feed"),
        ("<x " + "a" * 100_000, "no element in the first bytes"),
    ],
)
def test_other_documents_are_named(body: str, said: str) -> None:
    """Fault A11, C06."""
    with pytest.raises(NotTheProtocol, match=said):
        read(body)


def test_a_doctype_is_refused_before_any_entity_is_looked_at() -> None:
    """Entities cannot be declared, so none can be expanded or fetched."""
    for subset in (
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY % p SYSTEM "http://h/">%p;',
    ):
        text = listing(record(1, "<x>&x;</x>")).replace(
            "<OAI-PMH", f"<!DOCTYPE OAI-PMH [{subset}]><OAI-PMH", 1
        )
        with pytest.raises(MalformedResponse, match="DOCTYPE"):
            read(text)


# --- encodings (C03, C04) -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encode", "charset"),
    [
        (lambda text: codecs.BOM_UTF8 + text.encode(), None),
        (lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"), None),
        (lambda text: text.encode("utf-16-be"), None),
        (lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"), "iso-8859-1"),
        (lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"), None),
        (lambda text: text.replace("UTF-8", "ISO-8859-1").encode("latin-1"), None),
        (lambda text: text.replace(DECLARATION, "").encode("latin-1"), "ISO-8859-1"),
        (lambda text: text.replace("UTF-8", "ISO-8859-1").encode(), "utf-8"),
        (lambda text: text.encode(), "us-ascii"),
    ],
)
def test_mark_then_header_then_declaration_decide_the_encoding(encode, charset) -> None:  # type: ignore[no-untyped-def]
    """Fault C03, in the order of RFC 7303."""
    body = encode(listing(record(1, "<x>Müller å é</x>")))
    for step in (None, 5):
        records, _ = read(body, charset=charset, step=step)
        assert records[0].problem is None
        assert "Müller å é" in (records[0].payload or b"").decode()


def test_a_default_charset_does_not_beat_an_explicit_declaration() -> None:
    """Fault C03: web servers add ISO-8859-1 to everything; UTF-8 is never valid by chance."""
    records, end = read(listing(record(1, "<x>Müller</x>")), charset="ISO-8859-1")
    assert "Müller" in (records[0].payload or b"").decode()
    assert end.notes == {"charset_disagrees": 1}


def test_an_unknown_or_false_encoding_is_an_error() -> None:
    with pytest.raises(MalformedResponse, match="not known"):
        read(listing(record()), charset="x-klingon")
    with pytest.raises(MalformedResponse, match="encoding"):
        read(codecs.BOM_UTF16_LE + b"\x00\xd8" * 100)


def test_latin_1_bytes_under_utf_8_stay_with_their_record() -> None:
    """Fault C03: strict by default; with the repair the record comes, and is flagged."""
    body = (
        listing(record(1), record(2, "<x>Müller</x>"), record(3))
        .replace("Müller", "M@ller")
        .encode()
        .replace(b"@", b"\xfc")
    )
    records, _ = read(body)
    assert [one.problem is None for one in records] == [True, False, True]
    records, end = read(body, repairs=frozenset({"encoding"}))
    assert "Müller" in (records[1].payload or b"").decode()
    assert [one.repairs for one in records] == [(), ("encoding",), ()]
    assert end.notes == {"encoding": 1}


# --- repairs (C01, C04, C09) ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repair", "sent", "mended", "count"),
    [
        ("control_characters", "a\x0bb\x03c\x1a", "abc", 3),
        ("control_characters", "a&#3;b&#x1A;c&#xFFFE;&#65;", "abc&#65;", 3),
        ("control_characters", "a\ufffe\uffffb", "ab", 2),
        ("control_characters", "&#xD83D;&#xDE00;&#55357;&#56832;", "😀😀", 2),
        (
            "ampersands",
            "R&D <![CDATA[A&B]]> &amp; x&y;",
            "R&amp;D <![CDATA[A&B]]> &amp; x&amp;y;",
            2,
        ),
        ("ampersands", "caf&eacute;&nbsp;&#956;", "café\u00a0&#956;", 2),
        ("declarations", '<?xml version="1.0"?>\ufeff<y/>', "<y/>", 2),
    ],
)
def test_a_named_repair_mends_what_it_says_and_counts(
    repair: str, sent: str, mended: str, count: int
) -> None:
    """Faults C01, C02, C04, C09: strict by default, mended by option, flagged and counted."""
    body = listing(record(1), record(2, f"<x>{sent}</x>")).encode("utf-8", "surrogatepass")
    records, _ = read(body)
    assert records[1].problem is not None
    assert sent.encode() in (records[1].payload or b"")
    records, end = read(body, repairs=frozenset({repair}))
    assert records[1].problem is None
    assert f">{mended}</x>".encode() in (records[1].payload or b"")
    assert records[1].repairs == (repair,)
    assert records[0].repairs == ()
    assert end.notes == {repair: count}


def test_split_surrogates_in_bytes_are_joined() -> None:
    """Fault C02: characters written as two surrogates, each in three bytes (CESU-8)."""
    body = (
        listing(record(1, "<x>@</x>"))
        .encode()
        .replace(b"@", b"\xed\xa0\xbd\xed\xb8\x80\xed\xa0\x80")
    )
    records, _ = read(body, repairs=frozenset({"control_characters"}))
    assert "<t>" not in (records[0].payload or b"").decode()
    assert ">😀</x>" in (records[0].payload or b"").decode()


def test_a_declaration_in_front_of_each_payload() -> None:
    """Fault C04: each record's metadata begins with its own XML declaration."""
    payload = '<?xml version="1.0" encoding="UTF-8"?>\n<x>text</x>'
    text = listing(record(1, payload), record(2, payload))
    records, _ = read(text)
    assert all(one.problem for one in records)
    records, end = read(text, repairs=frozenset({"declarations"}))
    assert all(one.problem is None for one in records)
    assert end.notes == {"declarations": 2}


@pytest.mark.parametrize("start", ["\n", "\ufeff\ufeff", " \ufeff"])
def test_blanks_before_the_declaration(start: str) -> None:
    """Fault C04: refused, or mended by name."""
    text = start + listing(record())
    with pytest.raises(MalformedResponse, match="before the XML declaration"):
        read(text)
    records, end = read(text, repairs=frozenset({"declarations"}))
    assert len(records) == 1
    assert end.notes == {"declarations": 1}


def test_two_faulty_payloads_cannot_make_up_for_each_other() -> None:
    """Payloads are checked together: one leaves open what the next closes."""
    records, _ = read(listing(record(1, "<a><b>"), record(2, "</b></a><c/>"), record(3)))
    assert [one.problem is None for one in records] == [False, False, True]
    records, _ = read(listing(record(1, "<pan-commons-between/>"), record(2)))
    assert [one.problem for one in records] == [None, None]


# --- robustness -----------------------------------------------------------------------------------

_TEXT = st.text(
    alphabet=st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"
    ),
    max_size=20,
)


@st.composite
def _payloads(draw: st.DrawFn) -> str:
    """A well-formed element with comments, CDATA, attributes, and names like the envelope's."""
    name = draw(st.sampled_from(["x", "metadata", "record", "dc:dc", "dc:metadata", "header"]))
    escaped = draw(_TEXT).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    value = escaped.replace('"', "&quot;")
    extra = draw(
        st.sampled_from(
            ["", "<!-- </metadata> -->", "<![CDATA[</metadata><record>]]>", "<?p </metadata>?>",
             "<metadata/>", '<metadata a=">"></metadata>']
        )
    )  # fmt: skip
    inner = draw(st.one_of(st.just(""), _payloads())) if draw(st.booleans()) else ""
    own = draw(st.sampled_from(["", ' xmlns="urn:own"', f' xmlns:dc="{DC}"', " xmlns:z='urn:z'"]))
    return f'<{name}{own} a="{value}" >{escaped}{extra}{inner}</{name}\n>'


@settings(max_examples=80, deadline=None)
@given(st.lists(_payloads(), max_size=5), st.integers(1, 300))
def test_payloads_are_cut_as_lxml_cuts_them(payloads: list[str], step: int) -> None:
    """Whatever stands in them and however it arrives; lxml on the whole tree is the oracle."""
    root = f'xmlns="{OAI}" xmlns:dc="{DC}"'
    text = listing(*(record(number, one) for number, one in enumerate(payloads)), root=root)
    root_element = etree.fromstring(text.encode())
    expected = [
        canonical(etree.tostring(one.find(f"{{{OAI}}}metadata")[0], with_tail=False))  # type: ignore[index]
        for one in root_element[2]
    ]
    records, _ = read(text, step=step)
    assert [one.problem for one in records] == [None] * len(payloads)
    assert [canonical(one.payload or b"") for one in records] == expected


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 900), st.integers(0, 40), st.integers(1, 400))
def test_damaged_bytes_never_raise_anything_else(
    junk: bytes, position: int, removed: int, step: int
) -> None:
    """Bytes replaced anywhere give records, problems or our errors, and never a foreign one."""
    body = listing(*(record(number) for number in range(4))).encode()
    damaged = body[:position] + junk + body[position + removed :]
    try:
        records, _ = read(damaged, step=step)
    except MalformedResponse:
        return
    for one in records:
        if one.problem is None and not one.deleted:
            assert etree.fromstring(one.payload or b"") is not None


def test_one_call_reads_a_whole_body() -> None:
    records, end = read_answer(listing(record(1), record(2)).encode(), "ListRecords")
    assert len(records) == end.records == 2


# --- bounds of the envelope -----------------------------------------------------------------------


@pytest.mark.parametrize("place", ["about", "list"])
def test_an_envelope_that_is_too_deep_is_refused(place: str) -> None:
    """Depth is bounded outside of payloads too, where nothing belongs to a single record."""
    deep = "<d>" * 400 + "</d>" * 400
    inside = record(1, after=f"<about>{deep}</about>") if place == "about" else record(1) + deep
    with pytest.raises(MalformedResponse, match="depth"):
        read(listing(inside))


@pytest.mark.parametrize("element", ["identifier", "resumptionToken"])
def test_a_text_of_the_envelope_beyond_the_parsers_limit_is_no_end(element: str) -> None:
    """Fault C07: eleven million characters where a name or a token belongs."""
    long = "t" * 11_000_000
    if element == "resumptionToken":
        text = listing(record(1), token=f"<resumptionToken>{long}</resumptionToken>")
    else:
        text = listing(record(1, header=f"<identifier>{long}</identifier>"))
    with pytest.raises(MalformedResponse):
        read(text)


@pytest.mark.parametrize("reference", ["&lol;", "&x;", "&nbsp;"])
def test_entities_in_the_envelope_are_refused(reference: str) -> None:
    """None can be declared without a DOCTYPE, and none is guessed."""
    with pytest.raises(MalformedResponse):
        read(listing(record(1, header=f"<identifier>oai:{reference}</identifier>")))
