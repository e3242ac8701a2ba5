"""What the API server asks and is answered: ``AdmissionReview`` of ``admission.k8s.io/v1``. Pure: bytes in, bytes out.

Only what is looked at is read, in one pass; what is large of an object stays JSON until somebody wants it. It must not know what is decided.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.policies import objects
from redoubt.policies.glance import Workload

VERSION = "admission.k8s.io/v1"
#: A message of ours, in characters: what the API server hands on to whoever asked it.
LONGEST_MESSAGE = 16_000


class Unusable(UnreadableInput):
    """A request that cannot be read. ``uid`` is the review's where that much can be: it can be answered."""

    def __init__(self, reason: str, uid: str = "") -> None:
        super().__init__(reason)
        self.uid = uid


class Named(msgspec.Struct, frozen=True, gc=False):
    """A ``GroupVersionKind``, or a ``GroupVersionResource``."""

    group: str = ""
    version: str = ""
    kind: str = ""
    resource: str = ""


class User(msgspec.Struct, frozen=True, gc=False):
    """Who asks."""

    username: str = ""
    groups: tuple[str, ...] | None = ()


class MetaPieces(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """``ObjectMeta``, of which labels and annotations are JSON still."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: msgspec.Raw = msgspec.Raw()
    annotations: msgspec.Raw = msgspec.Raw()
    owner_references: tuple[objects.Owner, ...] | None = None


class Pieces(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An object, of which what is large is JSON still. What is not looked at (``managedFields``, ``status``) is gone."""

    api_version: str | None = None
    kind: str | None = None
    metadata: MetaPieces | None = None
    spec: msgspec.Raw = msgspec.Raw()


class Options(msgspec.Struct, frozen=True, gc=False):
    """``PodExecOptions``, ``PodAttachOptions`` and ``PodPortForwardOptions``, as much as is looked at."""

    container: str | None = ""
    command: tuple[str, ...] | None = ()
    ports: tuple[int, ...] | None = ()


class Request(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """``AdmissionRequest``, without what it is about."""

    uid: str
    operation: str
    kind: Named = Named()
    resource: Named = Named()
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    user_info: User = User()
    dry_run: bool | None = False


class WorkloadRequest(Request, frozen=True, rename="camel", gc=False):
    """A request to make or change an object."""

    object: Pieces | None = None
    old_object: Pieces | None = None


class GlancedRequest(Request, frozen=True, rename="camel", gc=False):
    """The same, read as far as a glance needs it."""

    object: Workload | None = None


class EventRequest(Request, frozen=True, rename="camel", gc=False):
    """A request to be connected to a pod."""

    object: Options | None = None


class _Workloads(msgspec.Struct, frozen=True, rename="camel", gc=False):
    request: WorkloadRequest
    api_version: str = ""


class _Glanced(msgspec.Struct, frozen=True, rename="camel", gc=False):
    request: GlancedRequest
    api_version: str = ""


class _Events(msgspec.Struct, frozen=True, rename="camel", gc=False):
    request: EventRequest
    api_version: str = ""


_Review = TypeVar("_Review", _Workloads, _Events)


class _OnlyUid(msgspec.Struct, frozen=True):
    uid: str = ""


class _Anything(msgspec.Struct, frozen=True):
    request: _OnlyUid = _OnlyUid()


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is answered. ``message`` says why, to whoever made the request; ``note`` is for the API server's audit log."""

    allowed: bool
    message: str = ""
    note: str = ""


ALLOWED = Answer(allowed=True)

_workloads = msgspec.json.Decoder(_Workloads)
_glanced = msgspec.json.Decoder(_Glanced)
_events = msgspec.json.Decoder(_Events)
_anything = msgspec.json.Decoder(_Anything)
Body: TypeAlias = bytes | bytearray


class Asked:
    """A review of an object: its request as a glance needs it, and all of it when somebody wants that. ``size`` is in bytes."""

    __slots__ = ("_body", "_whole", "request")

    def __init__(self, body: Body, request: GlancedRequest | WorkloadRequest) -> None:
        self.request = request
        self._body = body
        self._whole = request if isinstance(request, WorkloadRequest) else None

    @property
    def uid(self) -> str:
        """The review's."""
        return self.request.uid

    @property
    def size(self) -> int:
        """Of all of it."""
        return len(self._body)

    def whole(self) -> WorkloadRequest:
        """All of it. Raises :class:`Unusable`."""
        if self._whole is None:
            self._whole = read(self._body)
        return self._whole


def look(body: Body) -> Asked:
    """A review of objects, read as far as it has to be. Raises :class:`Unusable`."""
    try:
        review = _glanced.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Asked(body, read(body))  # perhaps it is of something else, with a spec of its own
    if not review.request.uid or review.api_version != VERSION:
        return Asked(body, read(body))
    return Asked(body, review.request)


def read(body: Body) -> WorkloadRequest:
    """The request of a review of objects. Raises :class:`Unusable`."""
    review = _decoded(_workloads, body)
    return review.request


def read_event(body: Body) -> EventRequest:
    """The request of a review of connections to pods. Raises :class:`Unusable`."""
    review = _decoded(_events, body)
    return review.request


def _decoded(decoder: msgspec.json.Decoder[_Review], body: Body) -> _Review:
    try:
        review = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"no AdmissionReview: {str(error)[:200]}", _uid(body)) from None
    if not review.request.uid:
        raise Unusable("an AdmissionReview without a uid")
    if review.api_version != VERSION:
        raise Unusable(f"an AdmissionReview of another version than {VERSION}", review.request.uid)
    return review


def _uid(body: Body) -> str:
    try:
        return _anything.decode(body).request.uid
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


_HEAD = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":'


def written(uid: str, answer: Answer) -> bytes:
    """The answer to the review of that uid, as JSON."""
    if answer is ALLOWED:
        return _HEAD + msgspec.json.encode(uid) + b',"allowed":true}}'
    response: dict[str, object] = {"uid": uid, "allowed": answer.allowed}
    message = answer.message
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + "\n…"
    if not answer.allowed:
        response["status"] = {
            "status": "Failure",
            "code": 403,
            "reason": "Failed currently enforced policies from Redoubt",
            "message": message,
        }
    elif message:
        response["warnings"] = [message]
    if answer.note:
        response["auditAnnotations"] = {"decision": answer.note}
    return msgspec.json.encode({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response})
