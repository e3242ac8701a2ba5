"""Our errors as gRPC's statuses, and back: what is refused on one side is the same error on the other.

The class travels beside the status code, so that a registry's refusal, say, is not taken for the Indexer's own.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from redoubt import errors
from redoubt.errors import AccessDenied, NetworkError, RedoubtError
from redoubt.wire.proto.redoubt.v1 import failure_pb2


class NotFound(RedoubtError):
    """The one asked has no such thing."""


class Changed(RedoubtError):
    """What was asked about changed meanwhile; ask again."""


class Refused(AccessDenied):
    """The service that was called does not know this caller, or does not serve it."""


class Unavailable(NetworkError):
    """The service cannot be reached, or ended the call. Trying again later may help."""


class Unimplemented(RedoubtError):
    """The service is of a version that has no such call."""


#: First match counts. Subclasses before what they derive from.
_STATUSES: tuple[tuple[type[RedoubtError], Status], ...] = (
    (NotFound, Status.NOT_FOUND),
    (Changed, Status.ABORTED),
    (Unimplemented, Status.UNIMPLEMENTED),
    (errors.DefinitionsMissing, Status.FAILED_PRECONDITION),
    (errors.DefinitionsError, Status.FAILED_PRECONDITION),
    (errors.LimitExceeded, Status.RESOURCE_EXHAUSTED),
    (AccessDenied, Status.PERMISSION_DENIED),
    (NetworkError, Status.UNAVAILABLE),
    (RedoubtError, Status.INVALID_ARGUMENT),
)
_KINDS: dict[str, type[RedoubtError]] = {
    kind.__name__: kind
    for kind in (
        *(kind for kind, _ in _STATUSES),
        errors.UsageError,
        errors.HostRefused,
        errors.TryLater,
        errors.UnreadableInput,
        errors.DefinitionsRefused,
        errors.DefinitionsStale,
    )
}
#: For servers that do not say the class: gRPC's own answers, and other versions.
_FALLBACK: dict[Status, type[RedoubtError]] = {
    Status.NOT_FOUND: NotFound,
    Status.ABORTED: Changed,
    Status.UNIMPLEMENTED: Unimplemented,
    Status.FAILED_PRECONDITION: errors.DefinitionsMissing,
    Status.RESOURCE_EXHAUSTED: errors.LimitExceeded,
    Status.PERMISSION_DENIED: Refused,
    Status.UNAUTHENTICATED: Refused,
    Status.INVALID_ARGUMENT: errors.UnreadableInput,
}
_LONGEST = 4096
#: X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_DATES = (9, 10)


def status(error: RedoubtError, code: Status | None = None) -> GRPCError:
    """The status that tells a caller of ``error``; with another code than it has of itself, where one is given."""
    code = code or next(code for kind, code in _STATUSES if isinstance(error, kind))
    kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in _KINDS), "RedoubtError")
    after = error.after if isinstance(error, errors.TryLater) else 0.0
    return GRPCError(code, str(error)[:_LONGEST], failure_pb2.Failure(kind=kind, retry_after=after))


def error(status: GRPCError, where: str = "") -> RedoubtError:
    """What a status tells. ``where`` is said in front of what does not explain itself."""
    message = (status.message or "").strip()
    if (
        isinstance(status.details, failure_pb2.Failure)
        and (kind := _KINDS.get(status.details.kind)) is not None
    ):
        if kind is errors.TryLater:
            return errors.TryLater(message, max(0.0, status.details.retry_after))
        return kind(message)
    said = f"{where}: {message}" if where and message else message or where
    if status.status is Status.DEADLINE_EXCEEDED:
        return Unavailable(f"{where}: no answer in time")
    return _FALLBACK.get(status.status, Unavailable)(said or f"answered {status.status.name}")


def distrust(failed: ssl.SSLCertVerificationError) -> str:
    """Why a certificate is not trusted. Where that is a matter of dates, the clock here is named: it may be the one that is wrong."""
    said = str(failed.verify_message or "it cannot be verified")
    if failed.verify_code not in _DATES:
        return said
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return f"{said} by the clock here, which shows {now} UTC: one of the two clocks may be wrong"


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """Whatever a call to ``where`` fails with is raised as one of Redoubt's errors."""
    try:
        yield
    except RedoubtError:
        raise
    except GRPCError as failed:
        raise error(failed, where) from failed
    except ssl.SSLCertVerificationError as failed:
        raise Unavailable(f"{where}: its certificate is not trusted ({distrust(failed)})") from failed
    except StreamTerminatedError as failed:
        raise Unavailable(f"{where}: the call broke off ({failed})") from failed
    except TimeoutError as failed:
        raise Unavailable(f"{where}: no answer in time") from failed
    except OSError as failed:  # and with it what TLS fails with
        raise Unavailable(f"{where}: cannot be reached ({failed.strerror or failed})") from failed
    except (ProtocolError, DecodeError, AssertionError) as failed:
        raise Unavailable(f"{where}: answered something unusable") from failed


class Details(StatusDetailsCodecBase):
    """``grpc-status-details-bin``, in the form of google.rpc.Status: other clients can read it, too."""

    _TYPE = f"type.googleapis.com/{failure_pb2.Failure.DESCRIPTOR.full_name}"

    def encode(self, status: Status, message: str | None, details: object) -> bytes:
        said = failure_pb2.Status(code=status.value, message=message or "")
        if isinstance(details, failure_pb2.Failure):
            said.details.add(type_url=self._TYPE, value=details.SerializeToString())
        return said.SerializeToString()

    def decode(self, status: Status, message: str | None, data: bytes) -> failure_pb2.Failure | None:
        try:
            for detail in failure_pb2.Status.FromString(data).details:
                if detail.type_url == self._TYPE:
                    return failure_pb2.Failure.FromString(detail.value)
        except DecodeError:
            pass
        return None
