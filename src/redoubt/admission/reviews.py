"""What the API server asks and is answered: ``AdmissionReview`` of ``admission.k8s.io/v1``. Pure: bytes in, bytes out.

Only what is looked at is read; the object stays bytes until somebody wants it. It must not know what is decided.
"""

from __future__ import annotations

import msgspec

from redoubt.errors import UnreadableInput

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


class Request(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """``AdmissionRequest``. ``object`` and ``old_object`` are JSON; ``null``, or nothing, where there is none."""

    uid: str
    operation: str
    kind: Named = Named()
    resource: Named = Named()
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    user_info: User = User()
    object: msgspec.Raw = msgspec.Raw()
    old_object: msgspec.Raw = msgspec.Raw()
    dry_run: bool | None = False


class _Review(msgspec.Struct, frozen=True, rename="camel", gc=False):
    request: Request
    api_version: str = ""


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

_review = msgspec.json.Decoder(_Review)
_anything = msgspec.json.Decoder(_Anything)


def read(body: bytes | bytearray) -> Request:
    """The request of a review. Raises :class:`Unusable`."""
    try:
        review = _review.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"no AdmissionReview: {str(error)[:200]}", _uid(body)) from None
    if not review.request.uid:
        raise Unusable("an AdmissionReview without a uid")
    if review.api_version != VERSION:
        raise Unusable(f"an AdmissionReview of another version than {VERSION}", review.request.uid)
    return review.request


def _uid(body: bytes | bytearray) -> str:
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
