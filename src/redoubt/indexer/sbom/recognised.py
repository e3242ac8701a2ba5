"""Which form of SBOM some bytes are, and the SBOM in them: also one that is signed, as in-toto and DSSE wrap it.

Signatures are not verified here: who may say what is in an image is for those to judge who brought the file.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers import documents
from redoubt.indexer.catalogers.fields import clean
from redoubt.indexer.sbom import cyclonedx, spdx, tags
from redoubt.indexer.sbom.gathered import Sbom

_BOM = b"\xef\xbb\xbf"
_WRAPPINGS = 4
_XML = (b"http://cyclonedx.org/schema/bom", b"<rdf:RDF")


class _Header(msgspec.Struct, rename="camel"):
    """Enough of a document to say what it is; all else is passed over."""

    bom_format: object = None
    spdx_version: object = None
    context: object = msgspec.field(name="@context", default=None)
    payload_type: object = None
    payload: object = None
    predicate_type: object = None
    schema: object = None
    predicate: msgspec.Raw = msgspec.Raw()
    sbom: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.field(name="Data", default=msgspec.Raw())


_MARKS = ((b'"bomFormat"', "cyclonedx"), (b'"spdxVersion"', "spdx"), (b'"payloadType"', "wrapped"))
_HEADER = msgspec.json.Decoder(_Header)


def may_begin(start: bytes) -> bool:
    """Whether what begins so may be an SBOM, or another JSON object: no image's archive begins so."""
    return start.removeprefix(_BOM).lstrip(b" \t\r\n").startswith((b"{", tags.MARK))


def recognise(data: bytes) -> str:
    """``cyclonedx``, ``spdx``, ``wrapped``, or nothing where ``data`` is no SBOM that is read."""
    if _has_tags(data):
        return "spdx"
    if documents.sprawls(data):  # what it is cannot be read, and that it was here is to be said
        return next((kind for mark, kind in _MARKS if mark in data), "")
    try:
        header = _HEADER.decode(data.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return _kind(header)


def read(data: bytes, name: str = "SBOM") -> Sbom:
    """The SBOM in ``data``. ``name`` is what messages call it. Raises ``UnreadableInput``."""
    try:
        if _has_tags(data):
            return spdx.read_tags(data.removeprefix(_BOM))
        return _read(data.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"{name}: not readable as an SBOM: {clean(str(error))[:200]}") from None
    except RecursionError:
        raise UnreadableInput(f"{name}: nested too deeply to be an SBOM") from None
    except UnreadableInput as error:
        raise type(error)(f"{name}: {error}") from None


def _has_tags(data: bytes) -> bool:
    return data[:64].removeprefix(_BOM).lstrip(b" \t\r\n").startswith(tags.MARK)


def _kind(header: _Header) -> str:
    if header.bom_format == "CycloneDX":
        return "cyclonedx"
    if isinstance(header.spdx_version, str):
        return "spdx"
    if isinstance(header.payload, str) or bytes(header.predicate) or bytes(header.sbom) or bytes(header.data):
        return "wrapped"
    return ""


def _read(data: bytes | msgspec.Raw) -> Sbom:
    for _ in range(_WRAPPINGS):
        if isinstance(data, bytes) and not may_begin(data[:64]):
            raise UnreadableInput(_other(data))
        if isinstance(data, bytes) and documents.sprawls(data):
            raise LimitExceeded(documents.TOO_MANY)
        header = _HEADER.decode(data)
        match _kind(header):
            case "cyclonedx":
                return cyclonedx.read(data)
            case "spdx":
                return spdx.read(data)
            case "wrapped":
                data = _inside(header)
            case _:
                break
    if isinstance(header.context, str) and "spdx.org/rdf/3" in header.context:
        raise UnreadableInput("SPDX 3 is not read; have it written as SPDX 2.3 or CycloneDX, in JSON")
    if isinstance(header.schema, str):
        raise UnreadableInput("no SBOM, but an index report or what was made of one; try `redoubt match`")
    raise UnreadableInput("neither CycloneDX in JSON nor SPDX")


def _inside(header: _Header) -> bytes | msgspec.Raw:
    """What an envelope holds: DSSE's payload, a statement's predicate, or what GitHub and cosign put around it."""
    if isinstance(header.payload, str):
        try:
            return base64.b64decode(header.payload, validate=True)
        except (binascii.Error, ValueError):
            raise UnreadableInput("a signed envelope whose payload is not base64") from None
    for raw in (header.predicate, header.sbom, header.data):
        if bytes(raw):
            return raw
    raise UnreadableInput("neither CycloneDX in JSON nor SPDX")


def _other(data: bytes) -> str:
    start = data[:4096]
    if any(mark in start for mark in _XML):
        return "an SBOM in XML is not read; have it written as JSON"
    return "neither CycloneDX in JSON nor SPDX"
