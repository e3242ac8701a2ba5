"""``/v1/cluster-init/crs``: cluster registration secrets. What one holds is in the answer alone."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import JSONBody

from redoubt.central.api.clusterinit import MOST, READ, WRITE, Creator
from redoubt.central.api.given import Call, Given
from redoubt.central.clusters.secrets import Made, Secrets
from redoubt.central.refusals import InvalidArgument, Unavailable
from redoubt.central.store.bundles import Bundle
from redoubt.central.store.registrations import Registration

#: ``google.protobuf.Duration`` as JSON.
_DURATION = re.compile(r"([0-9]{1,9})(\.[0-9]{1,9})?s")


class CrsMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of one; the number is text, as 64-bit numbers are."""

    id: str
    name: str
    created_at: datetime
    created_by: Creator
    expires_at: datetime
    max_registrations: str
    registrations_initiated: list[str]
    registrations_completed: list[str]


class CrsList(msgspec.Struct, frozen=True):
    """Those that count, by name."""

    items: list[CrsMeta]


class CrsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new one's name. It is good for a day."""

    name: str


class CrsExtendedRequest(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How long (``"3600s"``) or until when it is good, and for how many clusters; 0: any number."""

    name: str
    valid_until: datetime | None = None
    valid_for: str | None = None
    max_registrations: int | str = 0


class CrsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A new one: a Secret for ``kubectl``, in base64."""

    meta: CrsMeta
    crs: str


class CrsRevokeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ones."""

    ids: list[str] = []


class CrsRevocationError(msgspec.Struct, frozen=True, kw_only=True):
    """One that was not revoked."""

    id: str
    error: str


class CrsRevokeAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of each."""

    crs_revocation_errors: list[CrsRevocationError]
    revoked_ids: list[str]


class RegistrationController(Controller):
    """``ClusterInitService`` of the original, as far as it is about registration secrets."""

    path = "/v1/cluster-init"
    tags = ("Clusters",)

    @get("/crs", opt=READ, summary="Cluster registration secrets that count")
    async def all(self, services: Given) -> CrsList:
        """By name, with the clusters that came with each."""
        return CrsList([_meta(each, came) for each, came in await _secrets(services).all()])

    @post("/crs", opt=WRITE, status_code=200, summary="Make a cluster registration secret")
    async def generate(self, request: Call, services: Given, data: JSONBody[CrsRequest]) -> CrsAnswer:
        """Good for a day and any number of clusters. Its private key is in this answer and nowhere else."""
        return _answer(await _secrets(services).generate(data.name, request.user.label))

    @post(
        "/crs-extended", opt=WRITE, status_code=200, summary="Make a cluster registration secret with limits"
    )
    async def generate_extended(
        self, request: Call, services: Given, data: JSONBody[CrsExtendedRequest]
    ) -> CrsAnswer:
        """The same, good for as long and as many as is said."""
        made = await _secrets(services).generate(
            data.name, request.user.label, _until(data), _number(data.max_registrations)
        )
        return _answer(made)

    @patch("/crs/revoke", opt=WRITE, summary="Revoke cluster registration secrets")
    async def revoke(self, services: Given, data: JSONBody[CrsRevokeRequest]) -> CrsRevokeAnswer:
        """For good. Clusters that came with one stay."""
        if len(data.ids) > MOST:
            raise InvalidArgument(f"at most {MOST} at once")
        revoked, refused = await _secrets(services).revoke(data.ids)
        return CrsRevokeAnswer(
            crs_revocation_errors=[CrsRevocationError(id=each[:100], error=why) for each, why in refused],
            revoked_ids=revoked,
        )


def _secrets(services: Given) -> Secrets:
    if services.bundles is None:
        raise Unavailable("this Central issues no cluster registration secrets")
    return Secrets(services.pool, services.bundles)


def _until(data: CrsExtendedRequest) -> datetime | None:
    if data.valid_until is not None and data.valid_for is not None:
        raise InvalidArgument("validUntil and validFor do not go together")
    if data.valid_for is not None:
        found = _DURATION.fullmatch(data.valid_for)
        if found is None:
            raise InvalidArgument('validFor is a number of seconds, "3600s"')
        seconds = float(found[1] + (found[2] or ""))
        # What lasts longer than the CA ends with it.
        return datetime.now(UTC) + timedelta(seconds=seconds)
    if data.valid_until is not None and data.valid_until.tzinfo is None:
        raise InvalidArgument("validUntil says in which time zone, 2099-01-02T03:04:05Z")
    return data.valid_until


def _number(given: int | str) -> int:
    if isinstance(given, int):
        return given
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise InvalidArgument("maxRegistrations is a number")
    return int(given)


def _answer(made: Made) -> CrsAnswer:
    return CrsAnswer(meta=_meta(made.secret, []), crs=base64.b64encode(made.kubectl.encode()).decode())


def _meta(secret: Bundle, came: list[Registration]) -> CrsMeta:
    return CrsMeta(
        id=str(secret.id),
        name=secret.name,
        created_at=secret.created_at,
        created_by=Creator(id=secret.created_by),
        expires_at=secret.expires_at,
        max_registrations=str(secret.max_registrations),
        registrations_initiated=[each.name for each in came if each.completed_at is None],
        registrations_completed=[each.name for each in came if each.completed_at is not None],
    )
