"""Pull secrets of a cluster as integrations: encrypted, made by themselves, and gone when the secret is.

The last word of a cluster counts: what it does not name any more goes. Their registries are then contacted in offline mode, too, as
those of any integration, when an image of theirs is scanned.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

import msgspec
import structlog

from redoubt.central.hub.receiving import ClusterRef, Spoilt
from redoubt.central.integrations import pullsecrets
from redoubt.central.integrations.keeping import Integrations
from redoubt.central.integrations.records import ImageIntegration, Source
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store import Connection
from redoubt.model.cluster import PullSecret
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Pull secrets of a cluster, and integrations made of them, at most.
_MOST, _MOST_MADE = 5000, 2000

_log = structlog.get_logger("hub")
_secrets = msgspec.json.Decoder(list[PullSecret])


class PullSecretReceiver:
    """Takes ``PullSecrets``."""

    def __init__(self, integrations: Integrations) -> None:
        self._integrations = integrations

    async def take(self, connection: Connection, cluster: ClusterRef, message: pb.FromSensor) -> None:
        """See ``Receiver``. A secret that is none is left out; no message quotes one."""
        try:
            secrets = _secrets.decode(message.pull_secrets.secrets)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Spoilt("pull secrets that cannot be read") from None
        made: dict[str, ImageIntegration] = {}
        unread = 0
        for secret in secrets[:_MOST]:
            try:
                for each in _integrations(cluster, secret):
                    made[each.id] = each
            except InvalidArgument:
                unread += 1
        several = list(made.values())[:_MOST_MADE]
        changed = await self._integrations.put_of_cluster(connection, cluster.id, several)
        if changed or unread:
            _log.info(
                "integrations of a cluster's pull secrets",
                cluster=cluster.name,
                number=len(several),
                changed=changed,
                unread=unread,
            )


def _integrations(cluster: ClusterRef, secret: PullSecret) -> list[ImageIntegration]:
    """Raises ``InvalidArgument``."""
    place = f"{secret.namespace}/{secret.name}"
    return [
        msgspec.structs.replace(
            each,
            id=str(uuid5(NAMESPACE_URL, f"redoubt:cluster:{cluster.id}:{place}:{index}:{each.name}")),
            name=f"{pullsecrets.endpoint(each)} of the pull secret {place} in {cluster.name}"[:200],
            source=Source(
                cluster_id=str(cluster.id), namespace=secret.namespace, image_pull_secret_name=secret.name
            ),
        )
        for index, each in enumerate(pullsecrets.integrations(place, secret.config))
    ]
