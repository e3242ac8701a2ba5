"""What network policies of a cluster would be after a modification. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import uuid4

import msgspec

from redoubt.central.refusals import InvalidArgument
from redoubt.errors import UnreadableInput
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.networkpolicies import writing

#: Where nothing is changed from here: Kubernetes' own, and the original's.
PROTECTED = frozenset({"kube-system", "stackrox"})
#: Policies that are named to be deleted, at most.
_MOST = 10_000


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """``NetworkPolicyReference``."""

    namespace: str = ""
    name: str = ""


class Modification(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``NetworkPolicyModification``. What is both to be deleted and in the YAML is replaced."""

    apply_yaml: str = ""
    to_delete: tuple[Reference, ...] = ()


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """A policy after a modification; ``status`` is a word of the original's ``NetworkPolicyInSimulation``."""

    status: str
    policy: ClusterNetworkPolicy | None = None
    old: ClusterNetworkPolicy | None = None


def read(modification: Modification) -> list[ClusterNetworkPolicy]:
    """The policies in the YAML. Raises ``InvalidArgument`` for what Kubernetes would not take, and for what is protected."""
    if len(modification.to_delete) > _MOST:
        raise InvalidArgument(f"at most {_MOST} network policies are deleted at once")
    try:
        found = writing.read(modification.apply_yaml)
    except UnreadableInput as error:
        raise InvalidArgument(str(error)) from None
    for namespace in (
        *(each.namespace for each in found),
        *(each.namespace for each in modification.to_delete),
    ):
        if namespace in PROTECTED:
            raise InvalidArgument(f"network policies of {namespace} are not changed from here")
    return found


def simulated(existing: Sequence[ClusterNetworkPolicy], modification: Modification) -> list[Simulated]:
    """Each policy that there is or would be. Raises ``InvalidArgument``.

    One that is changed keeps its identifier, a new one gets one.
    """
    given = {(each.namespace, each.name): each for each in read(modification)}
    there = {(each.namespace, each.name) for each in existing}
    deleted = {(each.namespace, each.name) for each in modification.to_delete}
    if missing := sorted(deleted - there - given.keys()):
        namespace, name = missing[0]
        raise InvalidArgument(f"there is no network policy {namespace[:253]}/{name[:253]} to be deleted")
    found = []
    for old in existing:
        new = given.pop((old.namespace, old.name), None)
        if new is not None:
            found.append(_changed(old, new))
        elif (old.namespace, old.name) in deleted:
            found.append(Simulated(status="DELETED", old=old))
        else:
            found.append(Simulated(status="UNCHANGED", policy=old))
    for new in given.values():
        found.append(Simulated(status="ADDED", policy=msgspec.structs.replace(new, id=str(uuid4()))))
    return found


def after(several: Iterable[Simulated]) -> list[ClusterNetworkPolicy]:
    """The policies that there would be."""
    return [each.policy for each in several if each.policy is not None]


def _changed(old: ClusterNetworkPolicy, new: ClusterNetworkPolicy) -> Simulated:
    if new.spec == old.spec and new.labels == old.labels:
        return Simulated(status="UNCHANGED", policy=old)
    new = msgspec.structs.replace(new, id=old.id, cluster_id=old.cluster_id, cluster_name=old.cluster_name)
    return Simulated(status="MODIFIED", policy=new, old=old)
