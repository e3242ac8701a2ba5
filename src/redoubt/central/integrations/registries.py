"""How an image's registry is reached: which integration is for it, and what is said where none is.

Of several the one for the longest part of the repository's name counts, then one that somebody made over one of a pull
secret; those of clusters' own pull secrets where there is no other. Offline, only hosts that the chosen integration (or Central's settings) names are contacted; an image's name
names none.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress

import asyncpg
import structlog

from redoubt.central.auth.secrets import Sealer
from redoubt.central.integrations import ecr, keeping, records
from redoubt.central.integrations.ecr import Permit
from redoubt.central.integrations.records import ImageIntegration, Place
from redoubt.central.refusals import FailedPrecondition
from redoubt.central.scanners import Access
from redoubt.central.store.integrations import IntegrationStore, Row
from redoubt.egress import Policy, refusals
from redoubt.errors import AccessDenied, HostRefused, NetworkError, RedoubtError
from redoubt.indexer.sources.credentials import TOKEN_USER
from redoubt.indexer.sources.reference import ImageReference, host_name
from redoubt.wire.failures import Refused, Unavailable

_log = structlog.get_logger("integrations")


class Registries:
    """``policy`` is Central's: its mode, and hosts that its settings allow. ``permit`` lets Central itself contact hosts."""

    def __init__(
        self, store: IntegrationStore, sealer: Sealer, policy: Policy, permit: Permit = nullcontext
    ) -> None:
        self.permit = permit
        self._store = store
        self._sealer = sealer
        self._policy = policy
        self._tokens = ecr.Tokens(policy, permit)

    async def access(self, reference: ImageReference) -> Access:
        """How the registry of ``reference`` is reached. Raises ``FailedPrecondition`` where it may not be."""
        row = chosen(await self._store.all(), reference)
        if row is not None:
            return await self.of(keeping.opened(row, self._sealer))
        host = host_name(reference.api_host)
        if not self._policy.allows(host):
            refusals.tell(host, f"a scan of {reference}")
            raise FailedPrecondition(
                f"offline mode: {host} is contacted only if you say so; {create(reference.host)}"
            )
        return Access(offline=self._policy.offline, hosts=self._policy.allowed_hosts)

    async def lent(self, reference: ImageReference) -> Access | None:
        """What people have set for the registry of ``reference``, for a cluster that scans it; None where that says nothing more than its name."""
        row = chosen([each for each in await self._store.all() if each.cluster is None], reference)
        if row is None:
            return None
        found = await self.of(keeping.opened(row, self._sealer))
        return found if found.known or found.ca or found.insecure else None

    async def of(self, integration: ImageIntegration) -> Access:
        """How an integration's registry is reached. Raises what an ECR answers that gives no token."""
        username, password = await self._credentials(integration)
        token = password if username == TOKEN_USER else ""
        return Access(
            username="" if token else username,
            password="" if token else password,
            token=token,
            ca=integration.ca,
            insecure=records.insecure(integration),
            offline=self._policy.offline,
            hosts=self._policy.allowed_hosts | records.hosts(integration),
            name=integration.name,
            integration=integration.id,
        )

    def explained(self, error: RedoubtError, reference: ImageReference, access: Access) -> RedoubtError:
        """What to say of a registry that could not be read from; other errors as they are."""
        host = reference.host
        if isinstance(error, HostRefused):
            refusals.tell(error.host, f"the Indexer, for {reference}")
            whose = f"the integration {access.name!r}" if access.name else f"an integration for {host}"
            return FailedPrecondition(
                f"offline mode: {host} sends to {error.host}, which you did not name;"
                f" if that is right, add it to tokenHosts (logins) or blobHosts (layers) of {whose}"
            )
        if isinstance(error, AccessDenied) and not isinstance(error, Refused):
            if access.known:
                return FailedPrecondition(
                    f"{host}: the credentials of the integration {access.name!r} do not allow pulling"
                    f" {reference.repository}; change them"
                )
            if access.name:
                return FailedPrecondition(
                    f"{host} wants credentials for {reference.repository}, and the integration {access.name!r} has none"
                )
            return FailedPrecondition(f"{host} wants credentials for {reference.repository}; {create(host)}")
        if type(error) is NetworkError and ";" not in str(error):
            return NetworkError(f"{error}; check that {host} is the registry, and that Central reaches it")
        return error

    async def outcome(self, access: Access, error: RedoubtError | None) -> None:
        """Note whether a registry could be read from. What is not the registry's doing is not noted."""
        ours = isinstance(error, Unavailable | Refused)
        if not access.integration or ours or not isinstance(error, AccessDenied | NetworkError | None):
            return
        # That health cannot be noted is no reason to fail.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await self._store.health(
                keeping.identifier(access.integration),
                "HEALTHY" if error is None else "UNHEALTHY",
                "" if error is None else str(error)[:1000],
            )

    async def _credentials(self, integration: ImageIntegration) -> tuple[str, str]:
        match integration:
            case ImageIntegration(docker=records.DockerConfig(username=username, password=password)):
                return username, password
            case ImageIntegration(azure=records.AzureConfig(username=username, password=password)):
                return username, password
            case ImageIntegration(
                quay=records.QuayConfig(registry_robot_credentials=robot, oauth_token=token)
            ):
                if robot is not None:
                    return robot.username, robot.password
                return ("$oauthtoken", token) if token else ("", "")
            case ImageIntegration(google=records.GoogleConfig(service_account=account)):
                return ("_json_key", account) if account else ("", "")
            case ImageIntegration(ibm=records.IbmConfig(api_key=key)):
                return "iamapikey", key
            case ImageIntegration(ecr=records.EcrConfig() as config):
                if config.authorization_data is not None:
                    return config.authorization_data.username, config.authorization_data.password
                if config.access_key_id:
                    return await asyncio.to_thread(self._tokens.get, config, integration.ca)
        return "", ""


def chosen(rows: list[Row], reference: ImageReference) -> Row | None:
    """The integration for an image. What cannot be read is passed over, and logged."""
    fitting: list[tuple[Place, Row]] = []
    for row in rows:
        try:
            place = records.place(keeping.decoded(row))
        except RedoubtError as error:
            _log.warning("an integration is passed over", integration=row.name, reason=str(error))
            continue
        if place.holds(reference):
            fitting.append((place, row))
    best = max(
        fitting,
        # What a cluster says of a registry never stands in place of what somebody set here.
        key=lambda each: (
            each[1].cluster is None,
            len(each[0].prefix),
            not each[1].pull_secret,
            each[1].sealed is not None,
        ),
        default=None,
    )
    return best[1] if best else None


def create(host: str) -> str:
    """What to do where there is no integration for a host."""
    return (
        f"create an integration for {host}: POST to /v1/imageintegrations"
        f' {{"name": "{host}", "type": "docker", "categories": ["REGISTRY"], "docker": {{"endpoint": "{host}",'
        ' "username": "…", "password": "…"}} (docs/registries.md)'
    )
