"""Definitions: uploaded and asked for as the original does it, and looked at, rolled back and trusted as people do.

``/api/extensions/scannerdefinitions`` is the original's path. ``/v1/definitions`` is ours.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from redoubt.central.api import files
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.declare import services as of_services
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.definitions.shelf import Definitions
from redoubt.central.definitions.upstream import Member, member
from redoubt.central.definitions.work import Became, Differs, became
from redoubt.central.refusals import InvalidArgument, NotFound, Unavailable
from redoubt.central.services import Services
from redoubt.central.store.definitions import Done
from redoubt.definitions.shelf import Entry
from redoubt.definitions.trust import TrustedRoot
from redoubt.errors import RedoubtError
from redoubt.wire.identity import MATCHERS, Service

_READ = allow(Resource.ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.ADMINISTRATION, Access.READ_WRITE)
_SCANNERS = of_services(
    Service.SENSOR,
    Service.SCANNER,
    Service.SCANNER_V4,
    Service.SCANNER_V4_INDEXER,
    Service.SCANNER_V4_MATCHER,
)
#: The original's answer where nothing fits.
_NONE = "No scanner definitions found"


class Uploaded(Became, frozen=True, kw_only=True, rename="camel"):
    """What became active, and a line for people, which the original's client prints.

    ``changed`` is what lies between it and what was active before; null where nothing was, or is no longer here.
    """

    message: str
    changed: Differs | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A snapshot on the shelf."""

    digest: str
    channel: str
    version: int
    created: str
    imported: str
    active: bool
    unsigned: bool
    records: int


class DefinitionsStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``active`` is null where there never were any. ``problem``: why this replica does not have them yet."""

    active: Became | None
    shelf: list[Kept]
    uploading: bool
    problem: str = ""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    events: list[Done]


class Roots(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bundles are accepted."""

    roots: list[TrustedRoot]


class NewRoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ``root.json``, as text, and the channel that it shall count for."""

    root: str
    channel: str


class Unsigned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a channel's unsigned bundles are accepted."""

    channel: str
    allowed: bool


class BackTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A digest or the start of one; empty: what was active before."""

    digest: str = ""


class VulnDefinitions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The original's answer about the age of definitions: when what is active was made. RFC 3339, or null."""

    last_updated_timestamp: str | None


class ScannerDefinitionsController(Controller):
    """The original's path."""

    path = "/api/extensions/scannerdefinitions"
    tags = ("Definitions",)

    @post(
        opt=_WRITE,
        status_code=200,
        request_max_body_size=None,
        summary="Upload definitions",
        description="The body is the file of a bundle, of a delta, or of StackRox's own.",
    )
    async def upload(
        self,
        request: Call,
        services: Given,
        allow_older: Annotated[bool, QueryParameter(name="allowOlder")] = False,
    ) -> Uploaded:
        """Verify it and make it active; what was active stays so where it is refused."""
        definitions = _definitions(services)
        length = request.headers.get("content-length", "")
        done = await definitions.receive(
            request.stream(), length=int(length) if length.isdigit() else None, allow_older=allow_older
        )
        await _noted(services, request, done, "upload-older" if done.older else "upload")
        changed = None
        if done.previous and not done.already_active:
            with suppress(RedoubtError):  # what was active may be pruned by now
                changed = await definitions.differ(done.previous, done.digest)
        return Uploaded(message=_message(done), changed=changed, **msgspec.structs.asdict(done))

    @get(opt=_READ | _SCANNERS, summary="What Scanners of the original ask for")
    async def scanner(
        self,
        request: Call,
        services: Given,
        uuid: FromQuery[str] = "",
        file: FromQuery[str] = "",
        version: FromQuery[str] = "",
    ) -> Response[bytes] | Stream:
        """Served from an upload of StackRox's own where one is active."""
        if bool(uuid) + bool(version) > 1 or (version and file) or not (uuid or version or file):
            raise InvalidArgument("name one of uuid, version, or file")
        definitions = _definitions(services)
        bundle = definitions.upstream_bundle()
        if bundle is None:
            raise NotFound(_NONE)
        found = await member(bundle, Member(uuid=uuid, file=file, version=version))
        if found is None:
            raise NotFound(_NONE)
        return files.answer(request.headers, found.path, etag=found.etag, media_type=found.media_type)


class DefinitionsController(Controller):
    """What people and Matchers want to know."""

    path = "/v1/definitions"
    tags = ("Definitions",)

    @get(opt=_READ, summary="What is active, with its sources, and what else is on the shelf")
    async def status(self, services: Given) -> DefinitionsStatus:
        """Everything that ``roxctl definitions status`` shows."""
        definitions = _definitions(services)
        state = definitions.state()
        active = definitions.active()
        shelf = [
            Kept(
                digest=entry.digest,
                channel=entry.manifest.channel,
                version=entry.manifest.version,
                created=entry.manifest.created,
                imported=entry.imported,
                active=entry.digest == state.active,
                unsigned=entry.unsigned,
                records=sum(entry.manifest.counts.values()),
            )
            for entry in sorted(state.entries.values(), key=lambda entry: -entry.order)
        ]
        return DefinitionsStatus(
            active=became(active) if active else None,
            shelf=shelf,
            uploading=await definitions.uploading(),
            problem=definitions.shared.problem if definitions.shared else "",
        )

    @get("/history", opt=_READ, summary="What became active when, and who saw to it")
    async def history(self, services: Given) -> History:
        """Newest first, at most 200."""
        return History(events=await services.definitions_log.newest(200))

    @post("/rollback", opt=_WRITE, status_code=200, summary="Go back to what was active before")
    async def rollback(self, request: Call, services: Given, data: JSONBody[BackTo]) -> Became:
        """What was accepted of the channel stays so: nothing older gets in by this."""
        done = await _definitions(services).rollback(data.digest)
        await _noted(services, request, done, "rollback")
        return done

    @get("/diff", opt=_READ, summary="What lies between two snapshots on the shelf")
    async def diff(self, services: Given, old: FromQuery[str], new: FromQuery[str] = "") -> Differs:
        """``old`` and ``new`` are digests or starts of them; without ``new``: the active one."""
        definitions = _definitions(services)
        return await definitions.differ(old, new or definitions.state().require_active().digest)

    @get("/trust", opt=_READ, summary="Whose bundles are accepted")
    async def trusted(self, services: Given) -> Roots:
        """Roots by channel."""
        return Roots(roots=list(_definitions(services).trusted()))

    @post("/trust", opt=_WRITE, status_code=200, summary="Accept a channel's bundles that a root vouches for")
    async def trust(self, services: Given, data: JSONBody[NewRoot]) -> TrustedRoot:
        """The root as it is trusted now."""
        return await _definitions(services).trust(data.root.encode(errors="replace"), data.channel)

    @delete("/trust/{channel:str}", opt=_WRITE, status_code=200, summary="Stop accepting a channel's bundles")
    async def distrust(
        self, services: Given, channel: FromPath[str], fingerprint: FromQuery[str] = ""
    ) -> Roots:
        """The roots that counted until now. What was imported stays."""
        return Roots(roots=list(await _definitions(services).distrust(channel, fingerprint)))

    @post("/unsigned", opt=_WRITE, status_code=200, summary="Accept, or no longer accept, unsigned bundles")
    async def unsigned(self, services: Given, data: JSONBody[Unsigned]) -> Empty:
        """StackRox's own bundles are signed by nobody."""
        definitions = _definitions(services)
        if data.allowed:
            await definitions.allow_unsigned(data.channel)
        else:
            await definitions.disallow_unsigned(data.channel)
        return Empty()

    @get("/snapshots/{digest:str}", opt=of_services(*MATCHERS) | _READ, summary="A snapshot's description")
    async def snapshot(self, services: Given, digest: FromPath[str]) -> Entry:
        """As it stands on Central's shelf."""
        return _definitions(services).state().find(digest)

    @get(
        "/snapshots/{digest:str}/stream",
        opt=of_services(*MATCHERS) | _READ,
        summary="A snapshot's records, compressed, for Matchers",
    )
    async def stream(self, request: Call, services: Given, digest: FromPath[str]) -> Response[bytes] | Stream:
        """With ranges: what broke off is gone on with."""
        path = await _definitions(services).stream_file(digest)
        # Another compression of the same stream would be another file to go on with.
        etag = f"{path.name.partition('.')[0]}-{path.stat().st_mtime_ns:x}"
        return files.answer(request.headers, path, etag=etag, media_type="application/zstd")


class VulnDefinitionsController(Controller):
    """How old definitions are, as the original says it."""

    path = "/v1/integrationhealth"
    tags = ("Integration health",)

    @get(
        "/vulndefinitions",
        opt=allow(Resource.INTEGRATION, Access.READ) | _READ,
        summary="When the active definitions were made",
    )
    async def vulndefinitions(self, services: Given, component: FromQuery[str] = "") -> VulnDefinitions:
        """``component`` is ``SCANNER_V4``, or nothing. There is no other scanner here."""
        if component not in ("", "SCANNER_V4"):
            raise InvalidArgument(f"{component[:60]} is no component of this Central; ask for SCANNER_V4")
        active = _definitions(services).active()
        return VulnDefinitions(last_updated_timestamp=active.manifest.created if active else None)


def _definitions(services: Services) -> Definitions:
    if services.definitions is None:
        raise Unavailable("this Central has no place for definitions")
    return services.definitions


async def _noted(services: Services, request: Call, done: Became, action: str) -> None:
    if not done.already_active:
        await services.definitions_log.add(
            action=action,
            digest=done.digest,
            channel=done.channel,
            version=done.version,
            previous=done.previous,
            unsigned=done.unsigned,
            by=request.user.label,
        )


def _message(done: Became) -> str:
    what = f"definitions of channel {done.channel}, built {done.created}"
    if done.already_active:
        return f"Already active: {what}"
    warning = " They are UNSIGNED: nobody vouches for them." if done.unsigned else ""
    return f"Successfully stored scanner vulnerability definitions. Active now: {what}.{warning}"
