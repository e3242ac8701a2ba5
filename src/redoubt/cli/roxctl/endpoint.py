"""Where Central is, from what somebody typed. Pure text: opens nothing, reads no environment."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from redoubt.errors import UsageError

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Endpoint:
    """``host`` without brackets; ``explicit``: somebody named it."""

    host: str
    port: int
    plaintext: bool = False
    explicit: bool = True

    @property
    def name(self) -> str:
        """``host:port``, as it is typed and as logins are filed."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address that paths are appended to."""
        return f"{'http' if self.plaintext else 'https'}://{self.name}"


def parse(text: str, *, plaintext: bool | None = None, explicit: bool = True) -> Endpoint:
    """``host:port`` or ``http(s)://host[:port]``. ``plaintext`` is None where nobody said.

    Raises ``UsageError``: for a host without a port, a URL with a path, an IPv6 address without brackets, and where
    scheme and ``plaintext`` disagree.
    """
    scheme, divided, rest = text.strip().partition("://")
    scheme = scheme.lower() if divided else ""
    if divided and scheme not in _PORTS:
        raise UsageError(f"endpoint {text!r}: {scheme!r} is neither http nor https")
    if divided and plaintext is not None and plaintext != (scheme == "http"):
        raise UsageError(f"endpoint {text!r} and --plaintext={str(plaintext).lower()} contradict each other")
    host, port = _taken_apart(text, rest if divided else text.strip(), _PORTS.get(scheme))
    return Endpoint(host, port, scheme == "http" if divided else bool(plaintext), explicit)


def _taken_apart(text: str, address: str, default: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        if address.count(":") > 1 and "[" not in address:
            raise UsageError(f"endpoint {text!r}: write an IPv6 address in brackets, as [::1]:8443") from None
        raise UsageError(f"endpoint {text!r} is no address; write host:port or https://host") from None
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(f"endpoint {text!r} has a path; write host:port or https://host")
    if parts.username is not None or parts.password is not None:
        raise UsageError("the endpoint has a user in it; give credentials with --token-file or --password")
    if not host or any(c.isspace() or not c.isprintable() for c in host):
        raise UsageError(f"endpoint {text!r} names no host; write host:port or https://host")
    if ":" in host and "[" not in address:
        raise UsageError(f"endpoint {text!r}: write an IPv6 address in brackets, as [::1]:8443")
    if port is None and default is None:
        raise UsageError(
            f"endpoint {text!r} has no port; write {address.rstrip(':')}:443 or https://{address}"
        )
    if port == 0:
        raise UsageError(f"endpoint {text!r}: there is no port 0")
    return host, port or default or 0
