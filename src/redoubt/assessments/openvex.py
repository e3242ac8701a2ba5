"""OpenVEX 0.2.0, and 0.0.x, in which names stood for today's objects. https://github.com/openvex/spec

Also inside an in-toto statement, whose subjects are the products of statements that name none (OPENVEX-SPEC.md,
"Data Inheritance"). Pure: bytes in, a document out.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.assessments.statements import (
    Document,
    Product,
    State,
    Statement,
    flaws_of,
    line,
    moment,
    names_of,
    version_of,
)
from redoubt.errors import UnreadableInput

CONTEXT = "https://openvex.dev/ns"
_CONTEXT = re.compile(re.escape(CONTEXT) + r"/?(v0\..*)?")


class _Component(msgspec.Struct):
    id: str | None = msgspec.field(default=None, name="@id")
    identifiers: dict[str, str] | None = None
    hashes: dict[str, str] | None = None
    subcomponents: list[str | _Component] | None = None


class _Vulnerability(msgspec.Struct):
    id: str | None = msgspec.field(default=None, name="@id")
    name: str | None = None
    aliases: list[str] | None = None


class _Statement(msgspec.Struct):
    vulnerability: str | _Vulnerability
    status: State
    products: list[str | _Component] | None = None
    subcomponents: list[str | _Component] | None = None  # 0.0.x
    timestamp: str | None = None
    last_updated: str | None = None
    justification: str | None = None
    impact_statement: str | None = None
    status_notes: str | None = None


class _Document(msgspec.Struct):
    context: str = msgspec.field(name="@context")
    id: str | None = msgspec.field(default=None, name="@id")
    timestamp: str | None = None
    version: int | str | None = None
    statements: list[_Statement] = []


class _Subject(msgspec.Struct):
    name: str | None = None
    digest: dict[str, str] | None = None


class _Attestation(msgspec.Struct):
    predicate: _Document
    subject: list[_Subject] | None = None


_decode = msgspec.json.Decoder(_Document).decode
_decode_attestation = msgspec.json.Decoder(_Attestation).decode


def read(data: bytes, file: str) -> Document:
    """The document in ``data``. Raises ``UnreadableInput``; msgspec's and recursion errors pass through."""
    return _document(_decode(data), (), file)


def read_attestation(data: bytes, file: str) -> Document:
    """The document in an in-toto statement, said of its subjects. Raises as ``read`` does."""
    attested = _decode_attestation(data)
    subjects = [
        Product(names_of([subject.name, *_digests(subject.digest)])) for subject in attested.subject or ()
    ]
    return _document(attested.predicate, tuple(subject for subject in subjects if subject.names), file)


def _document(found: _Document, inherited: tuple[Product, ...], file: str) -> Document:
    if not _CONTEXT.fullmatch(found.context):
        raise UnreadableInput(
            f"{file}: {found.context[:80]!r} is not a version of OpenVEX that is read here (0.x)"
        )
    if found.timestamp is None:
        raise UnreadableInput(
            f"{file}: no timestamp, which OpenVEX demands: without one nothing says what is newest"
        )
    time = moment(found.timestamp, file)
    statements: list[Statement] = []
    unaddressed = 0
    for item in found.statements:
        flaw = item.vulnerability
        flaws = flaws_of([flaw] if isinstance(flaw, str) else [flaw.name, flaw.id, *(flaw.aliases or ())])
        products = inherited
        if item.products:
            shared = _parts(item.subcomponents)
            products = tuple(each for product in item.products if (each := _product(product, shared)))
        if not products or not flaws:
            unaddressed += 1
            continue
        statements.append(
            Statement(
                flaws=flaws,
                products=products,
                state=item.status,
                time=_time(item, time, file),
                justification=line(item.justification),
                reason=line(item.impact_statement or item.status_notes),
            )
        )
    return Document(
        file=file,
        id=line(found.id),
        version=version_of(found.version),
        time=time,
        statements=tuple(statements),
        unaddressed=unaddressed,
    )


def _time(item: _Statement, inherited: float, file: str) -> float:
    """When a statement was last known to be true: its own times before its document's."""
    own = [moment(text, file) for text in (item.timestamp, item.last_updated) if text]
    return max(own) if own else inherited


def _product(found: str | _Component, shared: tuple[tuple[str, ...], ...]) -> Product | None:
    """A product; None where nothing that can be compared names it, or a part of it that it is about."""
    names = _names(found)
    listed = None if isinstance(found, str) else found.subcomponents
    parts = _parts(listed) or shared
    if not names or (listed and not parts):
        return None
    return Product(names, parts)


def _parts(found: list[str | _Component] | None) -> tuple[tuple[str, ...], ...]:
    return tuple(names for each in found or () if (names := _names(each)))


def _names(found: str | _Component) -> tuple[str, ...]:
    if isinstance(found, str):
        return names_of([found])
    purl = (found.identifiers or {}).get("purl")
    return names_of([purl, found.id, *_digests(found.hashes)])


def _digests(hashes: dict[str, str] | None) -> list[str]:
    """SHA-256, which images are named by, under either name of it."""
    return [
        f"sha256:{value.lower()}" for key, value in (hashes or {}).items() if key in ("sha-256", "sha256")
    ]
