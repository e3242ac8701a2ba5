"""Which zip holds what: the layouts in which StackRox's offline definitions travel.

* ``scanner-vulns-….zip``, ``scanner-vuln-updates.zip``: the outer zip. One ``v4-definitions-SCHEMA.zip`` (or,
  for 4.4 and 4.5, ``scanner-v4-defs-RELEASE.zip``) a schema, and ``scanner-defs.zip``, which is Scanner V2's.
* one of those inner zips alone: ``manifest.json``, the definitions, and two maps of Red Hat's repositories.
* ``vulnerabilities.zip`` alone: a ``NAME.json.zst`` for each group of updaters.

The definitions are ``vulnerabilities.zip``, or for 4.4 the single ``vulns.json.zst``. Which releases of StackRox
a manifest names does not matter here: what matters is whether the shape of the records is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from redoubt.definitions.carrier import Carrier, Member, open_inner, read_member
from redoubt.errors import DefinitionsRefused

MANIFEST = "manifest.json"
V2 = "scanner-defs.zip"
DEFINITIONS = "vulnerabilities.zip"
SINGLE = "vulns.json.zst"
NAMES_TO_REPOSITORIES = "container-name-repos-map.json"
REPOSITORIES_TO_CPES = "repository-to-cpe.json"
STREAM = ".json.zst"

#: Schemas of the records that are known, oldest first. Before 4.6 the schema was named like the release.
SCHEMAS = ("4.4", "4.5", "v1", "v2", "v3")

_INNER = re.compile(r"(?:v4-definitions|scanner-v4-defs)-[A-Za-z0-9._-]{1,60}\.zip", re.ASCII)
_MANIFEST_LIMIT = 1 << 20
_MAP_LIMIT = 256 << 20


class Manifest(msgspec.Struct, frozen=True):
    """``manifest.json`` of an inner zip: the schema, and when it was made (RFC 3339)."""

    version: str
    created: str


class Contents:
    """One bundle's definitions, open. ``created`` is None where nothing says when they were made.

    ``schema`` is empty for ``vulnerabilities.zip`` alone. ``passed_over`` names the members that were left
    alone, each with the reason.
    """

    def __init__(
        self,
        streams: Carrier,
        maps: Carrier | None,
        *,
        schema: str = "",
        created: datetime | None = None,
        passed_over: Sequence[str] = (),
    ) -> None:
        self._streams = streams
        self._maps = maps
        self.schema = schema
        self.created = created
        names = streams.names()
        self.names = tuple(sorted(name for name in names if name.endswith(STREAM)))
        others = [name for name in names if not name.endswith((STREAM, "/")) and maps is not streams]
        self.passed_over = (*passed_over, *(f"{name} (not known)" for name in others))
        if not self.names:
            raise DefinitionsRefused("the StackRox bundle holds no vulnerabilities; carry it again")

    @contextmanager
    def stream(self, name: str) -> Iterator[Member]:
        """One of ``names``, as it is stored: zstd."""
        with self._streams.open(name) as member:
            yield member

    def map(self, name: str) -> bytes:
        """One of the two maps, empty where the bundle has none. Raises ``DefinitionsRefused``."""
        if self._maps is None:
            return b""
        try:
            return read_member(self._maps, name, _MAP_LIMIT)
        except KeyError:
            return b""


def is_stackrox(names: Sequence[str]) -> bool:
    """Whether a zip with members of these ``names`` is one of StackRox's, of any version."""
    return any(
        name in (V2, DEFINITIONS, SINGLE) or name.endswith(STREAM) or _INNER.fullmatch(name) for name in names
    )


@contextmanager
def open_contents(carrier: Carrier, temporary: Path) -> Iterator[Contents]:
    """The definitions in ``carrier``, whichever of the layouts it has; of several schemas the newest known.

    Zips in it are copied to files without a name in ``temporary``. Raises ``DefinitionsRefused`` where there
    are none that can be read, ``AccessDenied``.
    """
    names = carrier.names()
    with ExitStack() as stack:
        inner = [name for name in names if _INNER.fullmatch(name)]
        if inner:
            chosen, manifest, passed_over = _choose(carrier, inner, temporary)
            passed_over += [
                f"{name} ({'definitions of Scanner V2' if name == V2 else 'not known'})"
                for name in names
                if name not in inner and not name.endswith("/")
            ]
            within = stack.enter_context(open_inner(carrier, chosen, temporary))
            yield _described(stack, within, manifest, temporary, passed_over)
        elif MANIFEST in names and (DEFINITIONS in names or SINGLE in names):
            manifest = _manifest(carrier)
            _require_known(manifest.version)
            yield _described(stack, carrier, manifest, temporary, [])
        elif any(name.endswith(STREAM) for name in names):
            yield Contents(carrier, None)
        elif DEFINITIONS in names:
            raise DefinitionsRefused(f"the StackRox bundle has no {MANIFEST}; carry it again")
        else:
            raise DefinitionsRefused(
                "the StackRox bundle holds definitions of Scanner V2 only, which are not read; "
                "download one of StackRox 4.4 or later"
            )


def _described(
    stack: ExitStack, carrier: Carrier, manifest: Manifest, temporary: Path, passed_over: Sequence[str]
) -> Contents:
    """The contents of an inner zip."""
    names = carrier.names()
    created = _instant(manifest.created)
    if DEFINITIONS in names:
        streams = stack.enter_context(open_inner(carrier, DEFINITIONS, temporary))
    elif SINGLE in names:
        streams = carrier
    else:
        raise DefinitionsRefused("the StackRox bundle holds no vulnerabilities; carry it again")
    return Contents(streams, carrier, schema=manifest.version, created=created, passed_over=passed_over)


def _choose(carrier: Carrier, inner: Sequence[str], temporary: Path) -> tuple[str, Manifest, list[str]]:
    """Of several inner zips the one of the newest schema that is known, and what is said of the others."""
    known: list[tuple[int, str, Manifest]] = []
    unknown: list[str] = []
    for name in sorted(inner):
        with open_inner(carrier, name, temporary) as within:
            manifest = _manifest(within)
        if manifest.version in SCHEMAS:
            known.append((SCHEMAS.index(manifest.version), name, manifest))
        else:
            unknown.append(f"{name} (schema {manifest.version[:20]}, which this Redoubt does not know)")
    if not known:
        raise DefinitionsRefused(
            f"the StackRox bundle holds {unknown[0]}; install a newer Redoubt, or carry one of schema "
            f"{SCHEMAS[-1]}"
        )
    known.sort()
    place, chosen, manifest = known.pop()
    if known and known[-1][0] == place:
        raise DefinitionsRefused(f"the StackRox bundle holds schema {manifest.version} twice; refused")
    older = [f"{name} (schema {other.version}, older)" for _, name, other in known]
    return chosen, manifest, [*unknown, *older]


def _manifest(carrier: Carrier) -> Manifest:
    try:
        return msgspec.json.decode(read_member(carrier, MANIFEST, _MANIFEST_LIMIT), type=Manifest)
    except KeyError:
        raise DefinitionsRefused(f"the StackRox bundle has no {MANIFEST}; carry it again") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionsRefused(
            f"the StackRox bundle's {MANIFEST} is damaged ({error}); carry it again"
        ) from None


def _require_known(schema: str) -> None:
    if schema not in SCHEMAS:
        raise DefinitionsRefused(
            f"the StackRox bundle has schema {schema[:20]!r}, which this Redoubt does not know; "
            f"install a newer one, or carry a bundle of schema {SCHEMAS[-1]}"
        )


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise DefinitionsRefused(
            f"the StackRox bundle's {MANIFEST} does not say when it was made ({text[:40]!r}); carry it again"
        ) from None
