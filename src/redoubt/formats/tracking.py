"""What stays the same from one report to the next, for those who keep reports apart and follow findings.

Systems that collect reports ask for things that a pure function does not have: a time, a random number, a
name that survives a rebuild of the image. What is given to them is decided here, once, and out of the
report alone. Knows no format.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from redoubt.model import DefinitionsInfo, Finding, Image, PackageFindings

#: The time of what has none. Formats that demand a time get this rather than the clock's.
NO_TIME = "1970-01-01T00:00:00Z"

_SECONDS = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)", re.ASCII)


def lineage(image: Image) -> str:
    """What the image is called whatever its version: the reference, for a registry's without tag and digest."""
    if image.kind != "registry":
        return image.reference
    name = image.reference.removeprefix("registry:").partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def moment(definitions: DefinitionsInfo | None = None) -> str:
    """The time that a report as a whole stands for: when its definitions were built, in whole seconds (RFC 3339).

    ``NO_TIME`` without definitions or where they do not say.
    """
    found = _SECONDS.fullmatch(definitions.created) if definitions else None
    return f"{found.group(1)}Z" if found else NO_TIME


class Fingerprints:
    """Names for findings that stay when the image is built anew, each used once in a report.

    Made of the flaw, the package and the first place where it lies; not of versions, digests or layers.
    """

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def of(self, package: PackageFindings, item: Finding) -> str:
        """32 hexadecimal digits, and ``:2`` after them where a second finding is the same in all that."""
        place = package.locations[0].path if package.locations else ""
        digest = hexadecimal(item.id, package.type, package.name, package.arch, place)[:32]
        number = self._used[digest] = self._used.get(digest, 0) + 1
        return f"{digest}:{number}"


def hexadecimal(*parts: str) -> str:
    """SHA-256 of texts, in which no two lists of texts look alike."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def unique_id(*parts: str) -> str:
    """A UUID that follows from texts (version 5, RFC 9562)."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, hexadecimal(*parts)))
