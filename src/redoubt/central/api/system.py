"""The system itself: metrics, log levels, certificates' ends, flags, the audit log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import msgspec
from cryptography import x509
from litestar import Controller, Response, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from redoubt.central import logs
from redoubt.central.api.given import Empty, Given
from redoubt.central.auth.declare import allow, anonymous, authenticated
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.store.audit import Entry

_READ = allow(Resource.ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.ADMINISTRATION, Access.READ_WRITE)
_RENEW = allow((Resource.ADMINISTRATION, Access.READ_WRITE), (Resource.ACCESS, Access.READ_WRITE))
_LAST = 2**63 - 1


class Telemetry(msgspec.Struct, frozen=True, rename="camel"):
    """Nothing is ever sent home."""

    enabled: bool = False


class PublicConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a page may know before anybody logged in. Nothing can be set yet, and nothing is sent home."""

    login_notice: dict[str, str] | None = None
    header: dict[str, str] | None = None
    footer: dict[str, str] | None = None
    telemetry: Telemetry = Telemetry()


class FeatureFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """There are none."""

    feature_flags: list[dict[str, str]] = []


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What of the original's optional abilities this Central has."""

    central_scanning_can_use_container_iam_role_for_ecr: str = "CapabilityDisabled"
    central_can_use_cloud_backup_integrations: str = "CapabilityDisabled"
    central_can_display_declarative_config_health: str = "CapabilityDisabled"
    central_can_update_cert: str = "CapabilityDisabled"
    central_can_use_acscs_email_integration: str = "CapabilityDisabled"


class CertificateExpiry(msgspec.Struct, frozen=True, rename="camel"):
    """When a certificate ends."""

    expiry: datetime


class ModuleLevel(msgspec.Struct, frozen=True, rename="camel"):
    """A module's log level."""

    module: str
    level: str


class LogLevels(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The level of all modules, and of those that have another one."""

    level: str = ""
    module_levels: list[ModuleLevel] = []


class SetLogLevel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Trace, Debug, Info, Warn, Error, Panic or Fatal; no modules are all."""

    level: str = ""
    modules: list[str] = []


class RenewSecrets(msgspec.Struct, frozen=True, rename="camel"):
    """``newKey: false`` where somebody put a new key first in the file himself."""

    new_key: bool = True


class Renewed(msgspec.Struct, frozen=True, rename="camel"):
    """How many secrets were sealed anew."""

    secrets: int


class AuditLog(msgspec.Struct, frozen=True, rename="camel"):
    """Entries, newest first."""

    entries: list[Entry]


class SystemController(Controller):
    """What administrators look after."""

    path = "/"
    tags = ("System",)

    @get("/metrics", opt=_READ, include_in_schema=False)
    async def metrics(self, services: Given) -> Response[bytes]:
        """For Prometheus."""
        text, media_type = await services.metrics.text()
        return Response(text, media_type=media_type)

    @get("/v1/config/public", opt=anonymous(), summary="What a login page may know")
    async def public(self) -> PublicConfig:
        """Nothing in particular."""
        return PublicConfig()

    @get("/v1/featureflags", opt=anonymous(), summary="Feature flags")
    async def flags(self) -> FeatureFlags:
        """There are none."""
        return FeatureFlags()

    @get("/v1/central-capabilities", opt=authenticated(), summary="Optional abilities")
    async def capabilities(self) -> Capabilities:
        """None of the original's."""
        return Capabilities()

    @get("/v1/credentialexpiry", opt=authenticated(), summary="When a certificate ends")
    async def expiry(self, services: Given, component: FromQuery[str] = "UNKNOWN") -> CertificateExpiry:
        """Of ``CENTRAL``; the scanners and the database have none that Central can see."""
        if component != "CENTRAL":
            raise InvalidArgument("component: CENTRAL is the only one whose certificate is here")
        folder = services.settings.certificates or services.settings.data / "certificates"
        return CertificateExpiry(await anyio.to_thread.run_sync(_ends, folder / "cert.pem"))

    @get("/v1/debug/loglevel", opt=_READ, summary="How much is logged")
    async def levels(self, modules: FromQuery[list[str] | None] = None) -> LogLevels:
        """Of all modules, or of those named."""
        found = [ModuleLevel(module, level) for module, level in logs.module_levels(modules or []).items()]
        return LogLevels(level="" if modules else logs.level(), module_levels=found)

    @patch("/v1/debug/loglevel", opt=_WRITE, summary="Change how much is logged")
    async def set_level(self, data: JSONBody[SetLogLevel]) -> Empty:
        """By the replica that is asked, until it starts again."""
        logs.set_level(data.level, data.modules)
        return Empty()

    @post("/v1/secretkeys/renew", opt=_RENEW, status_code=200, summary="Seal stored secrets with a new key")
    async def renew(self, services: Given, data: JSONBody[RenewSecrets]) -> Renewed:
        """Registry passwords and whatever else is sealed in the database. Not one of the original's paths."""
        return Renewed(await services.auth.renew_secrets(new_key=data.new_key))

    @get(
        "/v1/auditlog",
        opt=allow((Resource.ADMINISTRATION, Access.READ), (Resource.ACCESS, Access.READ)),
        summary="Who changed what",
    )
    async def audit(
        self,
        services: Given,
        before: Annotated[int, QueryParameter(ge=0, le=_LAST)] = _LAST,
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> AuditLog:
        """Entries whose number is smaller than ``before``, newest first. Not one of the original's paths."""
        return AuditLog(await services.auth.audit.store.latest(before, limit))


def _ends(path: Path) -> datetime:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        raise NotFound("Central has no certificate of its own in its folder") from None
