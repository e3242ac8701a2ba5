"""What is told in several messages where it does not fit into one."""

from __future__ import annotations

import msgspec
import pytest

from redoubt.central.hub import portions
from redoubt.model.cluster import (
    BaselinePeer,
    BaselineSync,
    ContainerBaseline,
    DeploymentNetworkBaseline,
    Entity,
)


def container(number: int, paths: int = 10) -> ContainerBaseline:
    return ContainerBaseline(
        deployment_id=f"uid-{number}",
        container_name="main",
        paths=tuple(f"/usr/bin/tool-{n}" for n in range(paths)),
    )


def network(number: int) -> DeploymentNetworkBaseline:
    peer = BaselinePeer(entity=Entity(type="DEPLOYMENT", id="uid-1"), port=443)
    return DeploymentNetworkBaseline(deployment_id=f"uid-{number}", peers=(peer,) * 5)


@pytest.mark.parametrize("number", [0, 1, 20, 400])
@pytest.mark.parametrize("largest", [6000, portions.LARGEST])
def test_together_the_messages_say_the_same_and_only_the_first_is_whole(number: int, largest: int) -> None:
    sync = BaselineSync(
        whole=True,
        processes=tuple(container(each) for each in range(number)),
        networks=tuple(network(each) for each in range(number)),
        removed_deployments=("uid-x",),
    )
    messages = list(portions.baselines(sync, largest))
    assert all(len(each) <= largest for each in messages)
    told = [msgspec.json.decode(each, type=BaselineSync) for each in messages]
    assert [each.whole for each in told] == [True, *[False] * (len(told) - 1)]
    assert tuple(one for each in told for one in each.processes) == sync.processes
    assert tuple(one for each in told for one in each.networks) == sync.networks
    assert told[0].removed_deployments == ("uid-x",)
    if number == 400 and largest == 6000:
        assert len(told) > 10


def test_one_that_fits_into_no_message_is_left_out() -> None:
    sync = BaselineSync(processes=(container(1), container(2, 100_000), container(3)))
    told = [msgspec.json.decode(each, type=BaselineSync) for each in portions.baselines(sync, 100_000)]
    assert [one.deployment_id for each in told for one in each.processes] == ["uid-1", "uid-3"]


def test_policies_keep_their_order_and_the_largest_have_no_room() -> None:
    written = [b'"a"', b'"' + b"x" * 100 + b'"', b'"b"']
    assert portions.policies(written) == (b"[" + b",".join(written) + b"]", 0)
    assert portions.policies(written, 50) == (b'["a","b"]', 1)
    assert portions.policies([]) == (b"[]", 0)
