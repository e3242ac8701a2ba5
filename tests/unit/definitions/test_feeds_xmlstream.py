"""XML from strangers is read as it streams by, and refused where it is built to hurt."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds import xmlstream
from redoubt.errors import LimitExceeded, UnreadableInput


class Told:
    """Writes down all that is told; asks for the texts of ``t``."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> bool:
        self.events.append(f"{depth}<{tag}{''.join(f' {k}={v}' for k, v in attributes.items())}")
        return tag == "t"

    def end(self, tag: str, text: str, depth: int) -> None:
        self.events.append(f"{depth}>{tag} {text}".rstrip())


def told(*chunks: bytes) -> list[str]:
    handler = Told()
    xmlstream.parse("x.xml", chunks, handler)
    return handler.events


def test_elements_are_told_without_prefixes_and_texts_where_asked_for() -> None:
    document = b'<r xmlns:q="urn:q"><q:t a="1">one<i>two</i> three &amp; \xc3\xa9</q:t><n>not asked</n></r>'
    expected = ["1<r xmlns:q=urn:q", "2<t a=1", "3<i", "3>i", "2>t one three & é", "2<n", "2>n", "1>r"]
    assert told(document) == expected
    assert told(*(document[at : at + 1] for at in range(len(document)))) == expected


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"   ",
        b"{}",
        b"<r>",
        b"<r><t></r>",
        b"<r/><r/>",
        b"<r>&nbsp;</r>",
        b"<r a='1' a='2'/>",
        b"<r>\xff</r>",
        b"<r>\0</r>",
        b'<?xml version="1.0" encoding="no-such"?><r/>',
        b"<r><![CDATA[",
        b"\xff\xfe<\0r\0",
    ],
)
def test_what_is_not_xml_is_refused_with_its_name(document: bytes) -> None:
    with pytest.raises(UnreadableInput, match=r"^x\.xml "):
        told(document)


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>',
        b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
        b'<!DOCTYPE r [<!ENTITY % p SYSTEM "http://example.org/x"> %p;]><r/>',
        b"<!DOCTYPE r><r/>",
    ],
)
def test_a_document_type_is_refused_and_with_it_every_entity(document: bytes) -> None:
    with pytest.raises(UnreadableInput, match="document type"):
        told(document)


def test_deep_nesting_is_refused_at_once() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(10_000):
            yield b"<t>"
        raise AssertionError("read on")

    with pytest.raises(LimitExceeded, match="64 deep"):
        xmlstream.parse("x.xml", chunks(), Told())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("opening", [b'<r a="', b"<!--", b"<?p ", b"<"])
def test_a_token_without_end_is_refused_before_it_fills_memory(opening: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"<r>" if opening in (b"<!--", b"<?p ") else b""
        yield opening
        for _ in range(1 << 10):
            yield b"a" * (1 << 18)
        raise AssertionError("read on")

    tracemalloc.start()
    with pytest.raises(LimitExceeded, match="tag or comment"):
        xmlstream.parse("x.xml", chunks(), Told())
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_long_text_is_cut_and_what_comes_after_it_is_read() -> None:
    handler = Told()
    chunks = [b"<r><t>", *[b"x" * (1 << 16)] * 64, b"</t><t>short</t></r>"]
    xmlstream.parse("x.xml", chunks, handler)
    assert [event[4:] for event in handler.events if event.startswith("2>t")] == [
        "x" * xmlstream.MAX_TEXT,
        "short",
    ]


def test_endless_kinds_of_elements_are_refused() -> None:
    with pytest.raises(LimitExceeded, match="kinds of elements"):
        told(b"<r>", *(f"<e{number}/>".encode() for number in range(20_000)))


def test_what_a_handler_raises_is_passed_on() -> None:
    class Refuses(Told):
        def start(self, tag: str, attributes: dict[str, str], depth: int) -> bool:
            raise UnreadableInput("not this one")

    with pytest.raises(UnreadableInput, match="not this one"):
        xmlstream.parse("x.xml", [b"<r/>"], Refuses())


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [b"<r>", b"<t a='1'>", b"</t>", b"</r>", b"&lt;", b"&x;", b"<!--", b"-->", b"]]>", b"\xe2"]
        )
    )
)
def test_any_pieces_are_read_or_refused_in_our_words(pieces: Iterable[bytes]) -> None:
    with suppress(UnreadableInput, LimitExceeded):
        told(*pieces)
