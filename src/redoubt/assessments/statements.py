"""What a VEX document says, whatever form it came in: statements about flaws in products.

Pure structs, and the small things that all forms need. It must not know what an image is.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from redoubt.errors import LimitExceeded, UnreadableInput

#: A document of half a million statements.
MAX_BYTES = 64 << 20
#: Pairs of a flaw's name and a product in one document.
_MAX_PAIRS = 4_000_000
_MAX_REASON = 500

#: VEX's codes for why something is not affected (CISA, "Vulnerability Exploitability eXchange (VEX) - Status
#: Justifications", June 2022).
JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)


class State(enum.StrEnum):
    """VEX's four states (CISA, "Minimum Requirements for VEX", April 2023)."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"


class Product(msgspec.Struct, frozen=True, gc=False):
    """What a statement is about. ``names`` are purls, digests (``sha256:…``) and other ids, any of which names it.

    With ``parts`` the statement is only about these of its components, each by its names.
    """

    names: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...] = ()


class Statement(msgspec.Struct, frozen=True, gc=False):
    """One state of one flaw in some products. ``flaws`` are its names, case folded; ``time`` is in seconds (POSIX)."""

    flaws: tuple[str, ...]
    products: tuple[Product, ...]
    state: State
    time: float
    justification: str = ""
    reason: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document. ``file`` is what messages call it; ``id`` and ``version`` are its own.

    ``unaddressed`` counts statements that name no product, or only in a way that cannot be compared (a CPE).
    """

    file: str
    id: str
    version: tuple[int, ...] = ()
    time: float
    statements: tuple[Statement, ...] = ()
    unaddressed: int = 0


def checked(document: Document) -> Document:
    """The document. Raises ``LimitExceeded`` where looking its statements up would take too much."""
    pairs = 0
    for item in document.statements:
        products = len(item.products) + sum(len(product.parts) for product in item.products)
        pairs += len(item.flaws) * products
    if pairs > _MAX_PAIRS:
        raise LimitExceeded(
            f"{document.file}: more than {_MAX_PAIRS:,} pairs of a flaw and a product; split it"
        )
    return document


def moment(text: str, file: str) -> float:
    """A time (RFC 3339; UTC where it names no offset) in seconds. Raises ``UnreadableInput``."""
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UnreadableInput(f"{file}: {text[:60]!r} is not a time") from None


def names_of(texts: Sequence[str | None]) -> tuple[str, ...]:
    """The names that are there, each once."""
    return tuple(dict.fromkeys(text.strip() for text in texts if text and text.strip()))


def flaws_of(texts: Sequence[str | None]) -> tuple[str, ...]:
    """The names of a flaw, as they are compared."""
    return tuple(dict.fromkeys(text.strip().casefold() for text in texts if text and text.strip()))


def line(text: str | None) -> str:
    """One line of at most 500 characters."""
    told = " ".join((text or "")[: 4 * _MAX_REASON].split())
    return told if len(told) <= _MAX_REASON else told[: _MAX_REASON - 1].rstrip() + "…"


def version_of(text: str | int | None) -> tuple[int, ...]:
    """A document's version, ``3`` or ``1.2.0``, as numbers; none where it is another text."""
    parts = str(text).split(".")[:4]
    if not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        return ()
    return tuple(map(int, parts))
