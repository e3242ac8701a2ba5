"""Network policies, changed in a cluster by its Sensor; and how that is undone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from redoubt.central.auth.caller import Caller
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.networkpolicies import modifying
from redoubt.central.networkpolicies.modifying import Modification, Reference
from redoubt.central.refusals import Exhausted, InvalidArgument, NotFound, PermissionDenied, Unavailable
from redoubt.central.services import Services
from redoubt.central.store.network_policies import NetworkPolicyStore
from redoubt.errors import UnreadableInput
from redoubt.model.cluster import AppliedPolicies, PoliciesToApply, PolicyReference
from redoubt.networkpolicies import writing
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Seconds that a Sensor has for it, and bytes of what it is told.
_PATIENCE, _LARGEST = 60.0, 3_500_000


class UndoRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``NetworkPolicyApplicationUndoRecord``. ``namespaces``, where something was changed, is ours."""

    cluster_id: str
    user: str
    apply_timestamp: datetime
    original_modification: Modification
    undo_modification: Modification
    namespaces: tuple[str, ...] = ()


async def applied(
    services: Services, caller: Caller, cluster: UUID, modification: Modification, deployment: str = ""
) -> UndoRecord:
    """Have it done, and remember how it is undone: for the deployment where one is named.

    Raises ``InvalidArgument``, ``PermissionDenied``, ``NotFound``, ``FailedPrecondition`` where the Sensor is away or could not
    do it (then nothing is changed), ``Unavailable`` where it did not say.
    """
    policies = await asyncio.to_thread(modifying.read, modification)
    if not policies and not modification.to_delete:
        raise InvalidArgument("the modification is empty: neither applyYaml nor toDelete")
    for each in modification.to_delete:
        try:
            writing.check_name(each.namespace, each.name)
        except UnreadableInput as error:
            raise InvalidArgument(str(error)) from None
    namespaces = {each.namespace for each in policies} | {each.namespace for each in modification.to_delete}
    within = await reach(services.pool, caller, Resource.NETWORK_POLICY, Access.READ_WRITE)
    if denied := sorted(each for each in namespaces if not within.has(cluster, each)):
        raise PermissionDenied(f"network policies of {', '.join(denied)[:300]} are not yours to change")
    if await NetworkPolicyStore(services.pool).name(cluster) is None:
        raise NotFound(f"there is no cluster {cluster}")
    asked = PoliciesToApply(
        policies=tuple(writing.to_object(each) for each in policies),
        delete=tuple(
            PolicyReference(namespace=each.namespace, name=each.name) for each in modification.to_delete
        ),
    )
    told = msgspec.json.encode(asked)
    if len(told) > _LARGEST:
        raise Exhausted(f"the policies have {len(told)} bytes, more than {_LARGEST}; apply less at once")
    if services.hub is None:
        raise Unavailable("this Central has no Sensors")
    # Whoever asked may go away; what is done is remembered all the same.
    return await asyncio.shield(
        asyncio.create_task(_done(services, caller.name, cluster, deployment, modification, told, namespaces))
    )


async def _done(
    services: Services,
    user: str,
    cluster: UUID,
    deployment: str,
    modification: Modification,
    told: bytes,
    namespaces: set[str],
) -> UndoRecord:
    assert services.hub is not None  # looked at before
    request = pb.Request(apply_network_policies=told)
    answer = await services.hub.pusher.request(cluster, request, patience=_PATIENCE)
    try:
        done = msgspec.json.decode(answer, type=AppliedPolicies)
        restored = writing.dumped(done.restore)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unavailable("the policies were changed, and the Sensor's answer cannot be read") from None
    record = UndoRecord(
        cluster_id=str(cluster),
        user=user,
        apply_timestamp=datetime.now(UTC),
        original_modification=modification,
        undo_modification=Modification(
            apply_yaml=restored,
            to_delete=tuple(Reference(namespace=each.namespace, name=each.name) for each in done.delete),
        ),
        namespaces=tuple(sorted(namespaces)),
    )
    text = msgspec.json.encode(record).decode()
    await NetworkPolicyStore(services.pool).put_undo(cluster, deployment, text)
    return record


async def undo(services: Services, caller: Caller, cluster: UUID, deployment: str = "") -> UndoRecord:
    """What was applied last. Raises ``NotFound``, also where the caller may not see all that was changed."""
    found = await NetworkPolicyStore(services.pool).undo(cluster, deployment)
    record = None if found is None else msgspec.json.decode(found, type=UndoRecord)
    within = await reach(services.pool, caller, Resource.NETWORK_POLICY)
    if record is None or not all(within.has(cluster, each) for each in record.namespaces):
        raise NotFound("nothing was applied that can be undone")
    return record
