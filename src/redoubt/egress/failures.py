"""Why a connection failed, in our errors and in words that hold nothing of what was sent.

Translates the HTTP library's exceptions; makes no connection.
"""

from __future__ import annotations

from redoubt.errors import NetworkError, TryLater


class ConnectionBroken(TryLater):
    """The connection ended, or stood still, before the body did. What was read so far is usable."""


class Missing(NetworkError):
    """The server says that it has no such thing."""


class Unreachable(NetworkError):
    """Nobody answers there, or not in TLS where that was asked for."""


class Untrusted(NetworkError):
    """Somebody answers there, with a certificate that nobody vouches for."""


def reason(error: Exception) -> str:
    """Why a connection failed, in words that hold nothing of what was sent."""
    import httpx

    if (certificate := certificate_failure(error)) is not None:
        return (
            f"its certificate is not trusted ({certificate});"
            " name the file of the CA that signed it (--ca-file), or add that CA to the system's"
        )
    match error:
        case httpx.ConnectTimeout():
            return "no answer to connecting; timed out"
        case httpx.TimeoutException():
            return "timed out"
        case httpx.ConnectError():
            return f"cannot connect ({error})"
        case httpx.ProxyError():
            return "the proxy refused"
        case httpx.UnsupportedProtocol():
            return "neither http nor https"
        case httpx.ReadError() | httpx.RemoteProtocolError() | httpx.WriteError():
            return "the connection broke off"
        case _:
            return "the request failed"


def certificate_failure(error: BaseException | None) -> str | None:
    """What TLS found wrong with the certificate, where that is why ``error`` happened."""
    import ssl

    for _ in range(8):
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "verification failed"
        if error is None:
            return None
        error = error.__cause__ or error.__context__
    return None


def failure(error: Exception) -> type[NetworkError]:
    """The kind of error that a failed request is."""
    import httpx

    if certificate_failure(error) is not None:
        return Untrusted
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return Unreachable
        case httpx.TimeoutException() | httpx.NetworkError() | httpx.RemoteProtocolError():
            return TryLater
        case _:
            return NetworkError


def passes(error: Exception) -> bool:
    """Whether trying again can help."""
    import httpx

    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return False
    return certificate_failure(error) is None


def bad_location(error: Exception) -> bool:
    return "location" in str(error).lower()
