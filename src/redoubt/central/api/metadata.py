"""``/v1/metadata``: what this Central is. The version is told to callers who are known."""

from __future__ import annotations

import msgspec
from litestar import Controller, get

import redoubt
from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import anonymous, authenticated
from redoubt.central.mishaps import away
from redoubt.definitions.stackrox import NEWEST_RELEASE


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The original's fields, and whether this installation is offline (to known callers)."""

    version: str = ""
    build_flavor: str = "release"
    release_build: bool = True
    license_status: str = "VALID"
    offline_mode: bool | None = None
    #: The release of StackRox that this one follows: whose offline bundle `roxctl scanner download-db` fetches.
    upstream_release: str = ""
    #: What somebody should look at, a line each.
    warnings: list[str] = []


class DatabaseStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether the database answers, and which one it is."""

    database_available: bool
    database_type: str = "PostgresDB"
    database_version: str = ""
    database_is_external: bool = False


class MetadataController(Controller):
    """What is asked before anything else."""

    path = "/v1"
    tags = ("Metadata",)

    @get("/metadata", opt=anonymous(), summary="What this Central is")
    async def metadata(self, request: Call, services: Given) -> Metadata:
        """Version and mode; an anonymous caller is told neither."""
        if not request.user.authenticated:
            return Metadata()
        return Metadata(
            version=redoubt.__version__,
            offline_mode=services.policy.offline,
            upstream_release=NEWEST_RELEASE,
            warnings=list(services.warnings),
        )

    @get("/database/status", opt=authenticated(), summary="Whether the database answers")
    async def database(self, services: Given) -> DatabaseStatus:
        """Asks the database for its version."""
        try:
            version = await services.pool.fetchval("SHOW server_version", timeout=5)
        except Exception as error:
            if not away(error):
                raise
            return DatabaseStatus(database_available=False)
        return DatabaseStatus(database_available=True, database_version=str(version))
