"""Package files that lie about: what an ``.rpm``, ``.deb`` or ``.apk`` would install. Only where that is asked for.

Nothing in the payload is looked at. From rpm's "Package format" manual (lead, signature, header), deb(5) and
Alpine's "Apk spec" (two gzip streams with a ``.PKGINFO`` before the data). It must not know who keeps such files.
"""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zlib

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers import dpkg, rpm, rpm_header
from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.model import ProblemKind

_LEAD = 96
_RPM = b"\xed\xab\xee\xdb"
_HEADER = struct.Struct(">3sB4x2I")
_AR = b"!<arch>\n"
_MAX_PARTS = 16
#: Packed and unpacked bytes of the part that describes a package.
_MAX_PACKED = 16 << 20
_MAX_UNPACKED = 64 << 20
_MAX_FILE = 1 << 20
_MAX_FILES = 10_000


class PackageFileCataloger:
    """``*.rpm``, ``*.deb`` and ``*.apk`` anywhere; source packages and Android's ``.apk`` are none."""

    name = "package-files"
    version = 1
    wanted = Wanted(extensions=frozenset({b".rpm", b".deb", b".apk"}), max_size=4 << 30)

    def accepts(self, path: bytes) -> bool:
        """Every path: the content decides."""
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """The one package of the file, as if it were installed."""
        found = Findings()
        head = content.read(0, 8)
        try:
            if head.startswith(_RPM):
                _rpm(content, found)
            elif head == _AR:
                _deb(content, found)
            elif head.startswith(b"\x1f\x8b") and path.lower().endswith(".apk"):
                _apk(content, found)
            elif head.startswith(b"ADB"):
                found.problem(ProblemKind.UNSUPPORTED, "a package file of apk 3, which is not read")
            elif not head.startswith(b"PK"):
                found.damaged("it is no package file, or cut off")
        except LimitExceeded as error:
            found.problem(ProblemKind.LIMIT, str(error))
        except UnreadableInput as error:
            found.damaged(str(error))
        return found.catalog()


def _rpm(content: Content, found: Findings) -> None:
    at, size = _rpm_part(content, _LEAD)
    at, size = _rpm_part(content, (at + size + 7) & ~7)
    header = rpm_header.read(content.read(at, size))
    if header.source_rpm:  # a source package names none
        rpm.add(header, found)


def _rpm_part(content: Content, at: int) -> tuple[int, int]:
    """Where a header's counts begin, and how many bytes it has from there."""
    raw = content.read(at, _HEADER.size)
    if len(raw) < _HEADER.size or raw[:3] != b"\x8e\xad\xe8":
        raise UnreadableInput("an rpm file without its header, or cut off")
    _, _, entries, store = _HEADER.unpack(raw)
    size = 8 + entries * 16 + store
    if size > rpm_header.MAX_BLOB:
        raise LimitExceeded(f"a header of {size:,} bytes; the limit is {rpm_header.MAX_BLOB:,}")
    return at + 8, size


def _deb(content: Content, found: Findings) -> None:
    at = len(_AR)
    for _ in range(_MAX_PARTS):
        header = content.read(at, 60)
        name, digits = header[:16].split(b"/")[0].strip(), header[48:58].strip()
        if len(header) < 60 or header[58:] != b"`\n" or not digits.isdigit():
            break
        size = int(digits)
        if name.startswith(b"control.tar"):
            if size > _MAX_PACKED:
                raise LimitExceeded(f"a description of {size:,} bytes; the limit is {_MAX_PACKED:,}")
            tar = _unpacked(content.read(at + 60, size), name[11:])
            dpkg.record(_file(tar, "control"), 1, True, found)
            return
        at += 60 + size + size % 2
    raise UnreadableInput("a deb file without its control file, or cut off")


def _apk(content: Content, found: Findings) -> None:
    data = content.read(0, _MAX_PACKED)
    for _ in range(2):  # the signature, where there is one, and the description
        inflater = zlib.decompressobj(wbits=31)
        try:
            text = _file(inflater.decompress(data, _MAX_UNPACKED), ".PKGINFO", missing=True)
        except zlib.error:
            break
        if text:
            told = dict(line.partition(b" = ")[::2] for line in reversed(text.split(b"\n")) if b" = " in line)
            name, version = clean(told.get(b"pkgname", b"")), clean(told.get(b"pkgver", b""))
            if name and version:
                arch, origin = clean(told.get(b"arch", b"")), clean(told.get(b"origin", b""))
                found.add("apk", name, version, arch=arch, source_name=origin)
            else:
                found.damaged(
                    f"the package's description ({shown(name) or 'no name'}) has no name or no version"
                )
            return
        data = inflater.unused_data
    raise UnreadableInput("an apk file without its description, or cut off")


def _unpacked(data: bytes, ending: bytes) -> bytes:
    """A packed tar, at most ``_MAX_UNPACKED`` bytes of it."""
    import zstandard

    try:
        match ending:
            case b"":
                return data
            case b".gz":
                return zlib.decompressobj(wbits=31).decompress(data, _MAX_UNPACKED)
            case b".xz":
                return lzma.LZMADecompressor(memlimit=256 << 20).decompress(data, _MAX_UNPACKED)
            case b".zst":
                reader = zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(data)
                return bytes(reader.read(_MAX_UNPACKED))
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError) as error:
        raise UnreadableInput(f"its description cannot be unpacked: {clean(str(error))[:100]}") from None
    raise UnreadableInput(f"its description is packed as {shown(ending)!r}, which is not read")


def _file(tar: bytes, name: str, *, missing: bool = False) -> bytes:
    """The first ``_MAX_FILE`` bytes of a file of a tar; empty, or ``UnreadableInput``, where it has none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for _ in range(_MAX_FILES):
                if (member := archive.next()) is None:
                    break
                if member.isreg() and not member.issparse() and member.name.removeprefix("./") == name:
                    file = archive.extractfile(member)
                    return file.read(_MAX_FILE) if file else b""
    except (tarfile.TarError, ValueError, OverflowError, EOFError, OSError, RecursionError) as error:
        # tarfile calls itself for each header that describes the next one.
        if not missing:
            raise UnreadableInput(f"its description is damaged: {clean(str(error))[:100]}") from None
    if missing:
        return b""
    raise UnreadableInput(f"its description has no file {name}")
