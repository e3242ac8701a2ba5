"""What an admission controller decides by, compiled: settings and policies, sorted by what they are asked about. Pure.

Only policies that are enforced are asked of workloads. Those that need nothing but the workload's own description come
first; the others wait for images.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.indexer.sources import reference
from redoubt.model.cluster import AdmissionSettings
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import ImageName, Surroundings
from redoubt.policies import ImagePart, Policy, PolicySet, objects
from redoubt.policies import policy as policies
from redoubt.policies.alerts import DEPLOY_ENFORCEMENTS
from redoubt.policies.glance import Glance, Spec
from redoubt.policies.plan import Asking

#: Seconds that an answer may take at most: Kubernetes allows a webhook 30.
LONGEST = 28
ON_CREATE, ON_UPDATE = "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT", "FAIL_DEPLOYMENT_UPDATE_ENFORCEMENT"
ON_REQUEST = "FAIL_KUBE_REQUEST_ENFORCEMENT"
#: A request about a pod → what the original calls it.
EVENTS = {"exec": "PODS_EXEC", "portforward": "PODS_PORTFORWARD", "attach": "PODS_ATTACH"}

#: What a workload is called, and what is asked of it; all of it that policies look at.
Called: TypeAlias = tuple[str | None, ...]
Content: TypeAlias = tuple[Spec | objects.Texts | None, ...]
#: The longest name of an image that registries take, and its digest.
_LONG = 512
#: What one costs of which only the name is kept, in bytes.
_NAME_ONLY = 500

_decoder = msgspec.json.Decoder(AdmissionSettings, strict=False)


class Stage:
    """The policies that are asked of a workload in two steps: of its description, and of its images too.

    Before either it is glanced at: see ``policies.glance``.
    """

    def __init__(self, whole: PolicySet, wanted: Callable[[Policy], bool]) -> None:
        needy = {id(each.policy) for each in whole.compiled if each.needs_image}
        self.described = whole.only(lambda policy: wanted(policy) and id(policy) not in needy)
        self.imaged = whole.only(lambda policy: wanted(policy) and id(policy) in needy)
        plan = whole.only(wanted).plan
        self.glance = Glance(plan, named)
        self._described = plan.sections.only(lambda each: not each.needs_image)
        self._imaged = plan.sections.only(lambda each: each.needs_image)
        #: Whether anything is asked of images, and whether nothing is asked at all.
        self.asks_images = bool(self.imaged.compiled)
        self.is_empty = not self.imaged.compiled and not self.described.compiled

    def suspects(self, bits: int) -> Asking:
        """Which of ``described`` a description with these bits may break."""
        return self._described.among(bits)

    def suspects_with(self, bits: int) -> Asking:
        """The same of ``imaged``; ``bits`` are those of the description and its images."""
        return self._imaged.among(bits)


class SeenWorkload:
    """A workload whose description broke nothing: its ``bits`` of it, and its images. ``stamps`` are theirs when they broke nothing either."""

    __slots__ = ("bits", "images", "stamps")

    def __init__(self, images: Iterable[ImageName], bits: int = 0) -> None:
        self.images = list(images)
        self.bits = bits
        self.stamps: list[int] | None = None


class Seen:
    """Workloads that broke nothing: what is applied again and again is not asked about each time.

    Told apart by all that policies look at, byte by byte, for ``LIFETIME`` seconds: exclusions end. Of workloads that are called the
    same the last one is kept, and from the second time on: most come once.
    """

    LIFETIME = 60.0
    _MEMORY, _LARGEST = 16 << 20, 256 << 10

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Called, tuple[float, int, Content, SeenWorkload | None]] = OrderedDict()
        self.size = 0

    def find(self, called: Called, content: Content) -> SeenWorkload | None:
        """The workload, if it was looked at."""
        found = self._kept.get(called)
        if found is None or found[2] != content:
            return None
        if found[0] < self._clock():
            self._drop(called)
            return None
        return found[3]

    def keep(self, called: Called, content: Content, seen: SeenWorkload, size: int) -> None:
        """Its description is in order. ``size`` is that of the review, which is kept with it."""
        if size > self._LARGEST:
            return
        again = called in self._kept
        self._drop(called)
        self._kept[called] = (
            (self._clock() + self.LIFETIME, size, content, seen)
            if again
            else (self._clock() + self.LIFETIME, _NAME_ONLY, (), None)
        )
        self.size += size if again else _NAME_ONLY
        while self.size > self._MEMORY:
            self._drop(next(iter(self._kept)))

    def _drop(self, called: Called) -> None:
        if (found := self._kept.pop(called, None)) is not None:
            self.size -= found[1]


@lru_cache(maxsize=4096)
def _short_named(name: str) -> ImageName:
    return reference.named(name)


def named(name: str) -> ImageName:
    """An image's name taken apart. What is as long as a name gets is remembered."""
    return _short_named(name) if len(name) <= _LONG else reference.named(name)


class Rules:
    """Settings, compiled. ``unreadable`` are policies that could not be read, ``refused`` those that cannot be asked."""

    def __init__(self, settings: AdmissionSettings) -> None:
        self.settings = settings
        self.revision = settings.revision
        #: What was found in order by its description, for a while. It goes when these rules do.
        self.seen = Seen()
        self.config = settings.config.admission
        self.timeout = float(min(max(self.config.timeout_seconds, 1), LONGEST))
        self.unreadable = 0
        whole = PolicySet(self._policies())
        self.refused = [each.policy.name for each in whole.refused]
        self._whole = whole
        self.created = _stage(whole, ON_CREATE)
        self.updated = _stage(whole, ON_UPDATE)
        #: For containers that are put into a pod that runs: what is asked of containers, and not of the pod around them.
        contained = {
            id(each.policy) for each in whole.compiled if all(one.contained for one in each.sections)
        }
        self.added = _stage(whole, ON_UPDATE, lambda policy: id(policy) in contained)
        self.events = Stage(whole, _about_requests)
        cluster = settings.config
        self.cluster_id, self.cluster_name = cluster.cluster_id, cluster.cluster_name
        self._around = {
            name: Surroundings(cluster_labels=cluster.cluster_labels, namespace_labels=labels)
            for name, labels in settings.namespace_labels.items()
        }
        self._elsewhere = Surroundings(cluster_labels=cluster.cluster_labels)

    def around(self, namespace: str) -> Surroundings:
        """What is known of a namespace."""
        return self._around.get(namespace, self._elsewhere)

    def image(self, image: ScannedImage, now: datetime) -> ImagePart:
        """What these policies make of an image."""
        return self._whole.image(image, now)

    def unscanned(self, name: ImageName, now: datetime) -> ImagePart:
        """What they make of one of which it is known that nothing is known."""
        return self._whole.image(ScannedImage(name=name), now)

    def _policies(self) -> Sequence[Policy]:
        found = []
        for raw in self.settings.policies:
            try:
                found.append(policies.read(bytes(raw)))
            except UnreadableInput:
                self.unreadable += 1
        return found


def _stage(whole: PolicySet, own: str, besides: Callable[[Policy], bool] = lambda _: True) -> Stage:
    wanted = {*DEPLOY_ENFORCEMENTS, own}
    return Stage(
        whole,
        lambda policy: (
            "DEPLOY" in policy.lifecycle_stages
            and not wanted.isdisjoint(policy.enforcement_actions)
            and besides(policy)
        ),
    )


def _about_requests(policy: Policy) -> bool:
    return (
        "RUNTIME" in policy.lifecycle_stages
        and policy.event_source == "DEPLOYMENT_EVENT"
        and any(group.field_name == "Kubernetes Resource" for group in policy.groups())
    )


def read(content: bytes) -> Rules:
    """Settings as JSON, compiled. Raises ``UnreadableInput`` for what are none: those before stay."""
    try:
        settings = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableInput(f"no settings of an admission controller: {str(error)[:200]}") from None
    if settings.config.admission.at_deadline not in ("ALLOW", "DENY"):
        raise UnreadableInput("no settings of an admission controller: at_deadline is neither ALLOW nor DENY")
    return Rules(settings)
