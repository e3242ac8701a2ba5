"""VEX documents of any form that is read: told apart by what they say of themselves. Pure: bytes in, a document out."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from redoubt.assessments import csaf, openvex
from redoubt.assessments.statements import MAX_BYTES, Document, checked
from redoubt.errors import LimitExceeded, UnreadableInput


class _Header(msgspec.Struct):
    """Enough of a document to say what it is."""

    context: str | list[msgspec.Raw] | None = msgspec.field(default=None, name="@context")
    document: msgspec.Raw = msgspec.Raw()
    predicateType: str | None = None  # noqa: N815 - in-toto's own spelling
    payloadType: str | None = None  # noqa: N815 - DSSE's
    bomFormat: str | None = None  # noqa: N815 - CycloneDX's


_decode_header = msgspec.json.Decoder(_Header).decode


def read(data: bytes, file: str) -> Document:
    """The VEX document in ``data``; ``file`` is what messages call it.

    Raises ``UnreadableInput``, in one line, where it is none, is mistyped, or is of a form that is not read, and
    ``LimitExceeded`` where it is too large.
    """
    if len(data) > MAX_BYTES:
        raise LimitExceeded(f"{file}: larger than {MAX_BYTES >> 20} MiB; split the VEX document")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        header = _decode_header(data)
        if isinstance(header.context, str) and header.context.startswith(openvex.CONTEXT):
            return checked(openvex.read(data, file))
        if header.predicateType and header.predicateType.startswith(openvex.CONTEXT):
            return checked(openvex.read_attestation(data, file))
        if bytes(header.document):
            return checked(csaf.read(data, file))
    except msgspec.ValidationError as error:
        raise UnreadableInput(f"{file}: not a VEX document: {str(error)[:200]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"{file}: not JSON: {str(error)[:200]}") from None
    except RecursionError:
        raise UnreadableInput(f"{file}: nested too deeply to be a VEX document") from None
    raise UnreadableInput(f"{file}: {_instead(header)}")


def newest(documents: Iterable[Document]) -> tuple[list[Document], list[Document]]:
    """The documents, and those of them that a newer version of the same document (by its id) replaces."""
    best: dict[str, Document] = {}
    kept: list[Document] = []
    replaced: list[Document] = []
    for item in documents:
        known = best.get(item.id) if item.id else None
        if known is None:
            kept.append(item)
        elif (item.version, item.time) > (known.version, known.time):
            kept[kept.index(known)] = item
            replaced.append(known)
        else:
            replaced.append(item)
            continue
        best[item.id] = item
    return kept, replaced


def _instead(header: _Header) -> str:
    if header.bomFormat:
        return "a CycloneDX document; its VEX is not read, because it speaks of one BOM's parts: give OpenVEX or CSAF"
    if header.payloadType:
        return "a signed envelope (DSSE); give the payload: jq -r .payload FILE | base64 -d"
    return "neither OpenVEX nor CSAF"
