"""What every cataloger does with a name or a version before it becomes a package: clean, bound, count.

It must not know about any one format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from redoubt.indexer.catalogers.interface import Catalog
from redoubt.indexer.origins import Origin
from redoubt.indexer.ownership import MAX_PATHS, Claim, candidates
from redoubt.indexer.repositories import RepositoryList
from redoubt.model import Distribution, Location, Package, Problem, ProblemKind

#: Longest name, version or other field that is believed, in characters. Real ones end below 300.
MAX_FIELD = 1024
#: Most packages one file may name. A full Debian mirror's worth installed at once is a third of it.
MAX_PACKAGES = 200_000
#: Most problems kept for one file; the rest are counted.
MAX_PROBLEMS = 20
#: A file with more is not what its name says, and reading on would only take time.
MAX_COUNTED = 1_000


def clean(raw: bytes | str) -> str:
    """``raw`` as text without control and other unprintable characters, and without space at its ends.

    Bytes are UTF-8; what is not is replaced (U+FFFD) rather than refused.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text.strip()


def shown(raw: bytes | str) -> str:
    """``raw`` as it may stand in a message: clean, and at most 80 characters."""
    text = clean(raw[:400])
    return text if len(text) <= 80 else text[:77] + "..."


def lines(text: str) -> Iterator[str]:
    """What stands between line feeds, as ``text.split`` gives it, but one at a time: a list of short lines takes
    twenty times the memory of the file.
    """
    at = 0
    while (end := text.find("\n", at)) >= 0:
        yield text[at:end]
        at = end + 1
    yield text[at:]


class Findings:
    """Collects what one file says, each package once, in the order of the file.

    ``full``: nothing more is taken, and who reads record by record may stop.
    """

    __slots__ = (
        "_claims",
        "_dropped",
        "_packages",
        "_paths",
        "_problems",
        "distribution",
        "full",
        "listed",
        "origins",
    )

    def __init__(self) -> None:
        self._packages: dict[Package, None] = {}
        self._problems: list[Problem] = []
        self._claims: list[Claim] = []
        self._paths = 0
        self._dropped = 0
        self.distribution: Distribution | None = None
        self.full = False
        self.listed: RepositoryList | None = None
        self.origins: tuple[Origin, ...] = ()

    def add(
        self,
        kind: str,
        name: str,
        version: str,
        *,
        arch: str = "",
        source_name: str = "",
        source_version: str = "",
        module: str = "",
        vendor: str = "",
        repositories: tuple[str, ...] = (),
        location: str = "",
    ) -> None:
        """One package, its fields already ``clean``. Refused with a problem if it has no name or a field is absurdly long."""
        if not name:  # cleaned away: it was nothing but control characters
            self.damaged("a package without a name; left out")
            return
        if max(len(name), len(version), len(arch), len(source_name), len(source_version)) > MAX_FIELD:
            self.damaged(f"package {shown(name)!r} has a field of over {MAX_FIELD} characters; left out")
            return
        if len(self._packages) >= MAX_PACKAGES:
            if not self.full:
                self.full = True
                self.problem(ProblemKind.LIMIT, f"more than {MAX_PACKAGES:,} packages; the rest are not read")
            return
        package = Package(
            type=kind,
            name=name,
            version=version,
            arch=arch,
            source_name=source_name if source_name != name else "",
            source_version=source_version if source_version != version else "",
            module=module[:MAX_FIELD],
            vendor=vendor[:MAX_FIELD],
            repositories=repositories,
            locations=(Location(location),) if location else (),
        )
        self._packages[package] = None

    def owns(
        self, owner: str, paths: Sequence[bytes], *, below: bytes = b"", version: str = "", diverted: str = ""
    ) -> None:
        """The files that ``owner`` (``type/name``) installed, relative to the root that lies at ``below``.

        ``below`` is empty, or ends with a slash. See ``Claim`` for the rest.
        """
        self._paths += len(paths)
        if self._paths > MAX_PATHS:
            if self._paths - len(paths) <= MAX_PATHS:
                message = f"more than {MAX_PATHS:,} files of packages; whose the rest are is not known"
                self.problem(ProblemKind.LIMIT, message)
            return
        if kept := candidates(paths):
            lines = b"\n".join([below + path for path in kept])
            self._claims.append(Claim(owner, lines, version, diverted))

    def problem(self, kind: ProblemKind, message: str) -> None:
        """Something that could not be read."""
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(kind=kind, message=message))
        else:
            self._dropped += 1
            self.full = self.full or self._dropped >= MAX_COUNTED

    def damaged(self, message: str) -> None:
        """A ``DAMAGED`` problem."""
        self.problem(ProblemKind.DAMAGED, message)

    def catalog(self) -> Catalog:
        """Everything collected."""
        problems = tuple(self._problems)
        if self._dropped:
            given_up = "; the rest was given up" if self._dropped >= MAX_COUNTED else ""
            message = f"{self._dropped:,} further problems{given_up}"
            problems += (Problem(kind=ProblemKind.DAMAGED, message=message),)
        return Catalog(
            tuple(self._packages),
            problems,
            self.distribution,
            claims=tuple(self._claims),
            origins=self.origins,
            listed=self.listed,
        )
