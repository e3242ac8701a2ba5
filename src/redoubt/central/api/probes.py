"""Kernel support packages: uploaded and asked about as the original does it, served to Sensors, listed and removed by people.

``/v1/probeupload/probes`` is ours, the other paths are the original's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from redoubt.central.api import files
from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.declare import services as of_services
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.probes import DEPRECATION, names
from redoubt.central.probes.shelf import Probes
from redoubt.central.refusals import InvalidArgument, NotFound, Unavailable
from redoubt.central.services import Services
from redoubt.central.store.probes import Kept
from redoubt.wire.identity import Service

_READ = allow(Resource.ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.ADMINISTRATION, Access.READ_WRITE)
#: The original sends the names of a whole package at once.
_NAMES_LIMIT = 16_000_000


class ToCheck(msgspec.Struct, frozen=True, rename="camel"):
    """Names of probes, as ``<module version>/<file>``."""

    files_to_check: list[str] = []


class Existing(msgspec.Struct, frozen=True):
    """A file that Central has. ``size`` is a number of bytes as text, as protobuf's JSON has it."""

    name: str
    size: str
    crc32: int


class ExistingList(msgspec.Struct, frozen=True, rename="camel"):
    """Those that Central has."""

    existing_files: list[Existing]


class ProbesStored(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload brought: files, of which some had other contents before, and their bytes."""

    message: str
    files: int
    replaced: int
    size: int
    deprecation: str = DEPRECATION


class Probe(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An uploaded probe. ``present``: whether this replica of Central has its contents."""

    name: str
    size: int
    crc32: int
    sha256: str
    uploaded_at: datetime
    age_seconds: int
    uploaded_by: str
    present: bool


class ProbeList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Some of the uploaded probes, by name; ``count`` and ``size`` are those of all that were asked for."""

    probes: list[Probe]
    count: int
    size: int
    deprecation: str = DEPRECATION


class ProbesDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """How many files were removed, and their bytes."""

    deleted: int
    size: int


class ProbeUploadController(Controller):
    """The original's way to upload."""

    path = "/api/extensions/probeupload"
    tags = ("Kernel support packages",)

    @post(
        opt=_WRITE,
        status_code=200,
        request_max_body_size=None,
        summary="Upload probes",
        description=f"The body is a manifest of manifestLen bytes, then the files in its order. {DEPRECATION}",
    )
    async def upload(
        self,
        request: Call,
        services: Given,
        manifest_length: Annotated[int, QueryParameter(name="manifestLen", ge=1, le=1 << 40)],
    ) -> ProbesStored:
        """All of its files, or none. Files that Central has under the same names are replaced."""
        length = request.headers.get("content-length", "")
        stored = await _probes(services).receive(
            request.stream(),
            manifest_length=manifest_length,
            length=int(length) if length.isdecimal() and len(length) < 20 else None,
            by=request.user.label,
        )
        message = f"Stored {stored.files} probes. {DEPRECATION}"
        return ProbesStored(message=message, **msgspec.structs.asdict(stored))


class ProbeController(Controller):
    """What is uploaded."""

    path = "/v1/probeupload"
    tags = ("Kernel support packages",)

    @post(
        "/getexisting",
        opt=_READ,
        status_code=200,
        request_max_body_size=_NAMES_LIMIT,
        summary="Which of these probes are uploaded",
        description=DEPRECATION,
    )
    async def existing(self, services: Given, data: JSONBody[ToCheck]) -> ExistingList:
        """With sizes and CRC-32."""
        found = await _probes(services).existing(data.files_to_check)
        return ExistingList([Existing(one.name, str(one.size), one.crc32) for one in found])

    @get("/probes", opt=_READ, summary="Uploaded probes", description=DEPRECATION)
    async def all(
        self,
        services: Given,
        version: FromQuery[str] = "",
        offset: Annotated[int, QueryParameter(name="pagination.offset", ge=0, le=1_000_000)] = 0,
        limit: Annotated[int, QueryParameter(name="pagination.limit", ge=0, le=1000)] = 0,
    ) -> ProbeList:
        """By name, of one module version or of all; without a limit, a thousand."""
        if version:
            _version(version)
        probes = _probes(services)
        rows = await probes.store.page(version, offset, limit or 1000)
        present = await probes.present(rows)
        totals = await probes.store.totals(version)
        return ProbeList(
            probes=[_probe(row, present=there) for row, there in zip(rows, present, strict=True)],
            count=totals.count,
            size=totals.size,
        )

    @delete("/probes/{version:str}", opt=_WRITE, status_code=200, summary="Delete a module version's probes")
    async def delete_version(self, services: Given, version: FromPath[str]) -> ProbesDeleted:
        """All of them."""
        return await _deleted(services, _version(version))

    @delete("/probes/{version:str}/{file:str}", opt=_WRITE, status_code=200, summary="Delete a probe")
    async def delete_one(self, services: Given, version: FromPath[str], file: FromPath[str]) -> ProbesDeleted:
        """That one."""
        name = f"{_version(version)}/{file}"
        if not names.is_probe(name):
            raise InvalidArgument("the file is not named as a probe is")
        return await _deleted(services, version, name)


class KernelObjectController(Controller):
    """What Sensors fetch for Collectors."""

    path = "/kernel-objects"
    tags = ("Kernel support packages",)

    @get(
        "/{version:str}/{file:str}",
        opt=of_services(Service.SENSOR),
        summary="A probe",
        description=DEPRECATION,
    )
    async def probe(
        self, request: Call, services: Given, version: FromPath[str], file: FromPath[str]
    ) -> Response[bytes] | Stream:
        """What was uploaded, else what upstream has."""
        found = await _probes(services).find(f"{version}/{file}")
        if found is not None:
            try:
                return files.answer(request.headers, found.path, etag=found.etag)
            except FileNotFoundError:
                pass  # deleted this moment
        raise NotFound("there is no such kernel probe")


def _probes(services: Services) -> Probes:
    if services.probes is None:
        raise Unavailable("this Central has no place for kernel support packages")
    return services.probes


def _version(text: str) -> str:
    if not names.is_version(text):
        raise InvalidArgument("the module version is 64 hexadecimal digits, or as 2.9.0 or 2.9.0-rc1")
    return text


async def _deleted(services: Services, version: str, name: str = "") -> ProbesDeleted:
    gone = await _probes(services).delete(version, name)
    if not gone.count:
        raise NotFound(f"no probe of {name or version} is uploaded")
    return ProbesDeleted(deleted=gone.count, size=gone.size)


def _probe(row: Kept, *, present: bool) -> Probe:
    return Probe(
        name=row.name,
        size=row.size,
        crc32=row.crc32,
        sha256=row.sha256,
        uploaded_at=row.stored_at,
        age_seconds=max(0, int((datetime.now(UTC) - row.stored_at).total_seconds())),
        uploaded_by=row.by,
        present=present,
    )
