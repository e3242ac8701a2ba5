"""Policies asked of every workload whenever something changed that they look at; what they say is told, once, and enforced.

Whatever changes marks workloads; marks coalesce. Asking is done in a thread, many workloads at a time. Until all images of a
workload are known, nothing is told of it, unless that takes too long: half an answer would resolve what still stands.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from redoubt import tasks
from redoubt.errors import NetworkError, RedoubtError
from redoubt.kubeapi import ApiFailure
from redoubt.model.cluster import Enforcement
from redoubt.model.workload import Deployment, Surroundings
from redoubt.policies import ImagePart, Policy, PolicySet
from redoubt.policies.alerts import Alert
from redoubt.policies.policy import understood
from redoubt.sensor.detection.enforcement import Enforcer
from redoubt.sensor.detection.evaluation import (
    Asked,
    Outcome,
    encoded,
    enforced,
    evaluate,
    fingerprint,
)
from redoubt.sensor.detection.images import Images, key_of
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.stream.spool import Spool
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

_log = structlog.get_logger("detection")
#: Workloads that are asked about at a time, and containers of these.
_AT_ONCE, _CONTAINERS = 32, 500
#: Seconds until something is told of a workload though an image of its is not known; and until all are asked about again:
#: exclusions end, images grow old.
_WAIT, _ALL_AGAIN = 120.0, 3600.0
#: How often an enforcement is tried again while the API server is away, and seconds before the first time.
_TRIES, _PAUSE = 10, 2.0
#: What the API server answers while it, or a webhook that it asks, cannot.
_LATER = frozenset({429, 500, 503, 504})


class Detector:
    """Asks, tells, enforces. ``run`` it; ``mark`` at any time."""

    def __init__(self, inventory: Inventory, images: Images, spool: Spool, enforcer: Enforcer) -> None:
        self._inventory = inventory
        self._images = images
        self._spool = spool
        self._enforcer = enforcer
        self.policies = PolicySet(())
        self._loaded = False
        self._marked: OrderedDict[str, None] = OrderedDict()
        #: Made while we watched, and not asked about with all images known yet.
        self._fresh: set[str] = set()
        self._wake = asyncio.Event()
        #: When it was first found that an image is not known.
        self._waiting: dict[str, float] = {}
        self._using: dict[str, set[str]] = defaultdict(set)
        self._uses: dict[str, tuple[str, ...]] = {}
        self._told: dict[str, bytes] = {}
        #: What was done, until it is told.
        self._done: dict[str, dict[str, Alert]] = {}
        self._tries: dict[str, int] = {}
        self._linked = False
        self.cut = 0
        self.asked = 0

    # What others ask

    def parts(self, deployment: Deployment) -> tuple[ImagePart | None, ...]:
        """What the policies make of a workload's images; None for one that is not known."""
        now = datetime.now(UTC)
        return tuple(self._images.part(self.policies, each.image, now) for each in deployment.containers)

    def around(self, deployment: Deployment) -> Surroundings:
        """What a workload's own description does not say."""
        return self._inventory.around(deployment.id)

    # What happens

    def mark(self, identifier: str, *, fresh: bool = False) -> None:
        """Something changed that a workload's verdict hangs on."""
        if fresh:
            self._fresh.add(identifier)
        self._marked[identifier] = None
        self._wake.set()

    def mark_all(self) -> None:
        """Everything did."""
        for each in self._inventory.deployments:
            self.mark(each)

    def images_known(self, keys: Iterable[str]) -> None:
        """Images are known now, or otherwise than before."""
        for key in keys:
            for each in self._using.get(key, ()):
                self.mark(each)

    async def say_policies(self, policies: Sequence[msgspec.Raw]) -> None:
        """These are asked from now on."""
        read: list[Policy] = []
        for each in policies:
            try:
                read.append(understood(msgspec.json.decode(each)))
            except (RedoubtError, msgspec.DecodeError) as error:
                _log.error("a policy cannot be read", problem=str(error)[:300])
        made = await asyncio.to_thread(PolicySet, read)
        for refused in made.refused:
            _log.error("a policy cannot be asked", policy=refused.policy.id, reason=refused.reason[:300])
        self.policies, self._loaded = made, True
        self.mark_all()

    def linked(self, *, forgotten: bool) -> None:
        """Central has all objects. ``forgotten``: it may not have what it was told before."""
        self._linked = True
        if forgotten:
            self._told.clear()
        self.mark_all()

    def unlinked(self) -> None:
        """Central is away: what would be told is told when it is back."""
        self._linked = False

    async def run(self) -> None:
        """For ever."""
        again = asyncio.create_task(self._again(), name="detect-again")
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._marked and self._loaded:
                    await self._batch()
        finally:
            await tasks.end(again)

    async def _again(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_WAIT / 8 * random.uniform(0.8, 1.2))  # noqa: S311
            now = time.monotonic()
            for identifier, since in self._waiting.items():
                if now - since >= _WAIT:
                    self.mark(identifier)
            if now - last >= _ALL_AGAIN:
                last = now
                self.mark_all()

    async def _batch(self) -> None:
        asked, policies = self._next(), self.policies
        if not asked:
            return
        now = datetime.now(UTC)

        def work() -> list[Outcome | Exception]:
            return [self._asked(policies, each, now) for each in asked]

        for each, outcome in zip(asked, await asyncio.to_thread(work), strict=True):
            if isinstance(outcome, Outcome):
                await self._take(each, outcome)
            else:
                _log.error("policies could not be asked", deployment=each.deployment.id, exc_info=outcome)

    def _next(self) -> list[Asked]:
        found: list[Asked] = []
        containers = 0
        while self._marked and len(found) < _AT_ONCE and containers < _CONTAINERS:
            identifier, _ = self._marked.popitem(last=False)
            deployment = self._inventory.deployment(identifier)
            self._use(identifier, deployment)
            if deployment is None:
                self._forget(identifier)
                continue
            containers += len(deployment.containers)
            whole = True
            for each in deployment.containers:
                if each.image is not None and not self._images.known(each.image, deployment.namespace):
                    whole = False
            fresh = identifier in self._fresh
            found.append(Asked(deployment, self._inventory.around(identifier), (), whole, fresh))
        return found

    def _asked(self, policies: PolicySet, given: Asked, now: datetime) -> Outcome | Exception:
        """In a thread."""
        try:
            parts = tuple(
                self._images.part(policies, each.image, now) for each in given.deployment.containers
            )
            self.asked += 1
            return evaluate(policies, msgspec.structs.replace(given, parts=parts), now)
        except Exception as error:  # noqa: BLE001 (one odd workload must not end the asking about all others)
            return error

    async def _take(self, given: Asked, outcome: Outcome) -> None:
        identifier = given.deployment.id
        if given.whole or outcome.enforce:
            # Once is enough, whatever else is found when its images are known.
            self._fresh.discard(identifier)
        if outcome.enforce:
            outcome = await self._enforce(given.deployment, outcome)
        if given.whole:
            self._waiting.pop(identifier, None)
            self._images.used(each.image for each in given.deployment.containers)
        elif time.monotonic() - self._waiting.setdefault(identifier, time.monotonic()) < _WAIT:
            return
        self._tell(identifier, outcome.alerts)

    async def _enforce(self, deployment: Deployment, outcome: Outcome) -> Outcome:
        alert = next(each for each in outcome.alerts if each.policy.id in outcome.because)
        try:
            await self._enforcer.act(
                Enforcement(
                    action=outcome.enforce,
                    deployment_id=deployment.id,
                    deployment_type=deployment.type,
                    namespace=deployment.namespace,
                    name=deployment.name,
                    alert_id=alert.id,
                )
            )
        except RedoubtError as error:
            if isinstance(error, NetworkError) or (isinstance(error, ApiFailure) and error.code in _LATER):
                self._try_again(deployment.id)
            _log.error(
                "not enforced", deployment=deployment.id, action=outcome.enforce, reason=str(error)[:300]
            )
            return Outcome(outcome.alerts)
        done = enforced(outcome)
        self._done[deployment.id] = {each.policy.id: each for each in done.alerts if each.enforcement}
        return done

    def _try_again(self, identifier: str) -> None:
        """The API server was away: it is still new when that is back."""
        tries = self._tries.get(identifier, 0) + 1
        if tries <= _TRIES:
            self._tries[identifier] = tries
            self._fresh.add(identifier)
            asyncio.get_running_loop().call_later(_PAUSE * tries, self.mark, identifier)

    def _tell(self, identifier: str, alerts: Sequence[Alert]) -> None:
        if not self._linked:
            return
        done = self._done.pop(identifier, {})
        alerts = [_as_done(each, done.pop(each.policy.id, None)) for each in alerts]
        # What was broken and is not any more was enforced all the same.
        alerts += done.values()
        said = fingerprint(alerts)
        if self._told.get(identifier) == said:
            return
        content, cut = encoded(alerts)
        self.cut += cut
        results = pb.AlertResults(stage=pb.AlertResults.DEPLOY, deployment_id=identifier, alerts=content)
        if self._spool.append("alerts", pb.FromSensor(alerts=results)):
            self._told[identifier] = said
        else:
            self._told.pop(identifier, None)

    def _use(self, identifier: str, deployment: Deployment | None) -> None:
        """Which images a workload has now."""
        containers = () if deployment is None else deployment.containers
        now = tuple(dict.fromkeys(key for each in containers if (key := key_of(each.image))))
        before = self._uses.get(identifier, ())
        if now == before:
            return
        for key in before:
            self._using[key].discard(identifier)
            if not self._using[key]:
                del self._using[key]
        for key in now:
            self._using[key].add(identifier)
        if now:
            self._uses[identifier] = now
        else:
            self._uses.pop(identifier, None)
        self._images.release(key for key in before if key not in self._using)

    def _forget(self, identifier: str) -> None:
        """It is gone: Central hears of that as of every object."""
        self._fresh.discard(identifier)
        for there in (self._waiting, self._told, self._done, self._tries):
            there.pop(identifier, None)


def _as_done(alert: Alert, done: Alert | None) -> Alert:
    if done is None:
        return alert
    return msgspec.structs.replace(
        alert, id=done.id, enforcement=done.enforcement, enforcement_count=done.enforcement_count
    )
