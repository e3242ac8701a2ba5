"""Ubuntu's chiselled packages: the manifest that ``chisel cut`` leaves, since an image of slices has no dpkg.

A zstd stream of JSON lines ("jsonwall"): a header, and an object each for packages, slices, paths. It must
not know which distribution the packages belong to.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.model import ProblemKind

_PLACE = b"var/lib/chisel/manifest.wall"
_SCHEMA = "1."
_MAX_UNPACKED = 512 << 20
_MAX_LINE = 1 << 20
_PIECE = 256 << 10
_MARK = b'"package"'


class _Line(msgspec.Struct):
    kind: str = ""
    name: str = ""
    version: str = ""
    arch: str = ""
    schema: str = ""


_DECODER = msgspec.json.Decoder(_Line)


class _TooMuch(Exception):
    pass


class ChiselCataloger:
    """``var/lib/chisel/manifest.wall``."""

    name = "chisel"
    version = 1
    wanted = Wanted(names=frozenset({b"manifest.wall"}), max_size=64 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the path is a manifest at its place, at the root or in a tree below it."""
        return (b"/" + path).endswith(b"/" + _PLACE)

    def catalog(self, path: str, content: Content) -> Catalog:
        """The packages that slices were cut from, and a problem: nothing says what they were built from."""
        found = Findings()
        count = 0
        try:
            for number, line in enumerate(_lines(content)):
                if number and _MARK not in line:
                    continue
                told = _DECODER.decode(line)
                if not number and not told.schema.startswith(_SCHEMA):
                    message = f"a manifest of schema {shown(told.schema) or 'none'}; only 1.0 is read"
                    found.problem(ProblemKind.UNSUPPORTED, message)
                    break
                if told.kind != "package":
                    continue
                name, version = clean(told.name), clean(told.version)
                if name and version:
                    count += 1
                    found.add("deb", name, version, arch=clean(told.arch))
                else:
                    found.damaged(f"package {shown(name) or 'without a name'} has no version")
        except _TooMuch as error:
            found.problem(ProblemKind.LIMIT, str(error))
        except (msgspec.DecodeError, ValueError) as error:
            found.damaged(f"the manifest breaks off or is damaged: {clean(str(error))[:200]}")
        if count:
            found.problem(
                ProblemKind.UNSUPPORTED,
                f"Chisel doesn't say which source packages these {count:,} packages were built from, and advisories "
                "name sources: flaws of packages that are called otherwise than their source are not found",
            )
        return found.catalog()


def _lines(content: Content) -> Iterator[bytes]:
    """The lines of the stream. Raises ``ValueError`` where it is damaged, ``_TooMuch`` where it is absurd."""
    import zstandard

    unpacked = 0
    carry = b""
    inflater = zstandard.ZstdDecompressor(max_window_size=128 << 20).decompressobj()
    try:
        for at in range(0, content.size, _PIECE):
            piece = inflater.decompress(content.read(at, _PIECE))
            unpacked += len(piece)
            if unpacked > _MAX_UNPACKED:
                raise _TooMuch(f"the manifest unpacks to more than {_MAX_UNPACKED >> 20} MB")
            *whole, carry = (carry + piece).split(b"\n")
            yield from whole
            if len(carry) > _MAX_LINE:
                raise _TooMuch(f"a line of more than {_MAX_LINE:,} bytes")
            if inflater.eof:
                break
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if carry:
        yield carry
    if not inflater.eof:
        raise ValueError("the stream has no end")
