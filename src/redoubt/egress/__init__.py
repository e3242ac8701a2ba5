"""The only door to the outside: every connection Redoubt opens to another machine is made here.

What goes through it has timeouts, size limits, a retry policy, the environment's proxy, the caller's
CA, and offline mode's allow-list. It must not know what is fetched or why. Nobody else names an HTTP
library, so callers see ``Client``, ``Response`` and Redoubt's own errors, never the library's.

Secrets: messages hold scheme, host and path of a URL, never its user, query or fragment (a redirect to a
blob store carries its signature there), and never a header. The HTTP library's own log is silenced.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

import redoubt
from redoubt.egress import failures, refusals
from redoubt.egress.downloads import Downloaded as Downloaded
from redoubt.egress.downloads import download as download
from redoubt.egress.failures import ConnectionBroken as ConnectionBroken
from redoubt.egress.failures import Missing as Missing
from redoubt.egress.failures import Unreachable as Unreachable
from redoubt.egress.failures import Untrusted as Untrusted
from redoubt.egress.hosts import is_own
from redoubt.errors import (
    AccessDenied,
    HostRefused,
    LimitExceeded,
    NetworkError,
    TryLater,
    UnreadableInput,
    UsageError,
)

if TYPE_CHECKING:
    import ssl
    from http.cookiejar import CookiePolicy

    import httpx

USER_AGENT = f"redoubt/{redoubt.__version__}"
TIMEOUT = 30.0
MAX_REDIRECTS = 5
MAX_RETRY_AFTER = 120.0
#: A document (not a stream) that has not arrived after this many timeouts is given up on.
_DOCUMENT_TIMEOUTS = 4
#: A stream slower than this many bytes a second, over two timeouts, stands still.
_CRAWL = 1024

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
T = TypeVar("T")
#: A request's body: bytes, or a function that gives its chunks anew for each try.
Content: TypeAlias = bytes | Callable[[], Iterable[bytes]]

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Policy(msgspec.Struct, frozen=True):
    """Who may be contacted. ``allowed_hosts`` (names without port, lower-case) matter in offline mode only.

    ``own``: this machine and the cluster that it is in may be contacted in any case, as services do.
    """

    offline: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    own: bool = False

    @classmethod
    def from_environment(cls) -> Policy:
        """``REDOUBT_OFFLINE`` (1, true, yes, on) and ``REDOUBT_ALLOWED_HOSTS`` (comma-separated)."""
        offline = os.environ.get("REDOUBT_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}
        hosts = os.environ.get("REDOUBT_ALLOWED_HOSTS", "").split(",")
        return cls(offline, frozenset(host.strip().lower() for host in hosts if host.strip()))

    def allowing(self, *hosts: str) -> Policy:
        """The same policy, with hosts that the user named."""
        return msgspec.structs.replace(
            self, allowed_hosts=self.allowed_hosts | {host.lower() for host in hosts}
        )

    def check(self, host: str) -> None:
        """Raises ``HostRefused`` if ``host`` may not be contacted, and tells whoever counts that (``refusals``)."""
        if not self.allows(host):
            refusals.tell(host)
            raise HostRefused.of(host)

    def allows(self, host: str) -> bool:
        """Whether ``host`` may be contacted."""
        return not self.offline or host.lower() in self.allowed_hosts or (self.own and is_own(host))


class Retry(msgspec.Struct, frozen=True):
    """How often a request is tried, and how long to wait in between: seconds, doubled each time, jittered."""

    attempts: int = 5
    first: float = 0.5
    longest: float = 20.0
    #: A server that asks to come back later than this is not waited for.
    patience: float = MAX_RETRY_AFTER

    def delay(self, attempt: int, retry_after: str = "") -> float:
        """Seconds to wait after failed attempt number ``attempt`` (from 0); the server's wish comes first."""
        asked = _retry_after_seconds(retry_after)
        if asked is not None:
            return asked
        import random

        whole: float = min(self.longest, self.first * 2.0 ** min(attempt, 16))
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, hides nothing)


class Response:
    """An answer whose body has not been read yet. Close it, or use it as a context manager."""

    def __init__(self, inner: httpx.Response, library: ModuleType, timeout: float) -> None:
        self._inner = inner
        self._library = library
        self._timeout = timeout
        self.status: int = inner.status_code
        self.where = scrub(str(inner.request.url))
        self.scheme: str = inner.request.url.scheme

    def header(self, name: str) -> str:
        """One header, or an empty text."""
        return str(self._inner.headers.get(name, ""))

    def headers(self, name: str) -> list[str]:
        """Every header of that name, as sent."""
        return [str(value) for value in self._inner.headers.get_list(name)]

    def chunks(self, *, decoded: bool = False) -> Iterator[bytes]:
        """The body as it arrives, at most about 64 KB at a time; ``decoded`` undoes a content encoding.

        Raises ``ConnectionBroken`` where the body ends early, times out, or crawls.
        """
        arriving = self._inner.iter_bytes() if decoded else self._inner.iter_raw()
        waited, got = 0.0, 0
        try:
            while True:
                began = time.monotonic()
                if (chunk := next(arriving, None)) is None:
                    return
                waited += time.monotonic() - began
                got += len(chunk)
                yield chunk
                if waited > 2 * self._timeout:
                    if got < _CRAWL * waited:
                        raise ConnectionBroken(f"{self.where}: too slow")
                    waited, got = 0.0, 0
        except self._library.TransportError as error:
            raise ConnectionBroken(f"{self.where}: {failures.reason(error)}") from error
        except self._library.DecodingError as error:
            raise ConnectionBroken(f"{self.where}: the body is damaged") from error

    def read(self, limit: int, *, decoded: bool = False) -> bytes:
        """The whole body, at most ``limit`` bytes (else ``LimitExceeded``) and within a deadline."""
        if (length := self.length) is not None and length > limit:
            raise LimitExceeded(f"{self.where}: {length} bytes, more than the limit of {limit}")
        deadline = time.monotonic() + self._timeout * _DOCUMENT_TIMEOUTS
        body = bytearray()
        for chunk in self.chunks(decoded=decoded):
            body += chunk
            if len(body) > limit:
                raise LimitExceeded(f"{self.where}: more than the limit of {limit} bytes")
            if time.monotonic() > deadline:
                raise ConnectionBroken(f"{self.where}: too slow")
        return bytes(body)

    @property
    def length(self) -> int | None:
        """The body's length as announced, in bytes; None where it is not, or not a number."""
        text = self.header("content-length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def require(self, *statuses: int) -> None:
        """Raise ``AccessDenied``, ``Missing`` or ``NetworkError`` unless the answer is one of ``statuses``."""
        if self.status in statuses:
            return
        if self.status in (401, 403):
            raise AccessDenied(f"{self.where}: access denied ({self.status})")
        kind = Missing if self.status in (404, 410) else NetworkError
        raise kind(f"{self.where}: answered {self.status}")

    @property
    def certificate(self) -> bytes:
        """The server's own certificate in DER, while the body is unread; empty where there is no TLS."""
        stream = self._inner.extensions.get("network_stream")
        secured = stream.get_extra_info("ssl_object") if stream is not None else None
        return bytes(secured.getpeercert(True) or b"") if secured is not None else b""

    def close(self) -> None:
        """Let go of the connection; an unread body is not fetched."""
        self._inner.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Client:
    """Connections to whoever the policy allows. May be used from several threads at once."""

    def __init__(
        self,
        inner: httpx.Client,
        library: ModuleType,
        policy: Policy,
        retry: Retry,
        timeout: float,
        server_name: str = "",
    ) -> None:
        self._inner = inner
        self._server_name = server_name
        self._library = library
        self._policy = policy
        self._timeout = timeout
        self.retry = retry

    def send(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        content: Content | None = None,
        retry: Retry | None = None,
        last_answer: bool = False,
    ) -> Response:
        """Send a request and return the answer, whatever its status, with the body still to be read.

        ``content`` is a body: bytes, or what gives its chunks anew for each try (then name its length in
        ``Content-Length``, or it goes out chunked). What it raises ends the request and is passed on.
        Redirects are followed, at most ``MAX_REDIRECTS`` and never from https to http, and not with ``content``;
        ``Authorization`` and forms stay with the host that they were meant for. Failures to connect and answers
        that ask to come back (408, 429, 5xx) are retried; with ``last_answer`` the last of these is returned, because
        its body says why. Raises ``NetworkError``.
        """
        retry = retry or self.retry
        attempt = 0
        while True:
            last = attempt + 1 >= retry.attempts
            try:
                response = self._follow(url, method, headers or {}, form, content)
            except self._library.TransportError as error:
                if last or not failures.passes(error):
                    raise failures.failure(error)(f"{scrub(url)}: {failures.reason(error)}") from error
                wait = retry.delay(attempt)
            else:
                if response.status not in _PASSING or (last and last_answer):
                    return response
                response.close()
                wait = retry.delay(attempt, response.header("retry-after"))
                if last or wait > retry.patience:
                    raise _gave_up(response, attempt + 1, wait, retry.patience)
            time.sleep(wait)
            attempt += 1

    def _follow(
        self,
        url: str,
        method: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        content: Content | None,
    ) -> Response:
        try:
            request = self._inner.build_request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **headers},
                data=form,
                content=content() if callable(content) else content,
                extensions={"sni_hostname": self._server_name} if self._server_name else None,
            )
        except (self._library.InvalidURL, UnicodeError, ValueError) as error:
            raise NetworkError(f"{scrub(url)}: not a usable address") from error
        for _ in range(MAX_REDIRECTS + 1):
            self._policy.check(request.url.host)
            try:
                inner = self._inner.send(request, stream=True)
            except (self._library.RemoteProtocolError, self._library.InvalidURL) as error:
                if isinstance(error, self._library.TransportError) and not failures.bad_location(error):
                    raise
                raise NetworkError(f"{scrub(str(request.url))}: redirected to an unusable address") from error
            if inner.status_code not in _REDIRECTS or inner.next_request is None:
                return Response(inner, self._library, self._timeout)
            inner.close()
            if content is not None:
                raise NetworkError(
                    f"{scrub(url)}: redirected what was sent to another place; name that address"
                )
            following = inner.next_request
            if request.url.scheme == "https" and following.url.scheme != "https":
                raise NetworkError(f"{scrub(url)}: redirected from https to {following.url.scheme}; refused")
            if following.method != "GET" and _origin(following.url) != _origin(request.url):
                # 307 and 308 repeat the form, which may hold an identity token.
                raise NetworkError(f"{scrub(url)}: what was sent was redirected to another host; refused")
            if _origin(following.url) != _origin(request.url):
                following.extensions.pop("sni_hostname", None)
            request = following
        raise NetworkError(f"{scrub(url)}: redirected more than {MAX_REDIRECTS} times")

    def get_bytes(self, url: str, limit: int, *, headers: Mapping[str, str] | None = None) -> bytes:
        """The body of a 200 answer, at most ``limit`` bytes. Raises ``NetworkError`` or ``LimitExceeded``."""

        def once() -> bytes:
            with self.send(url, headers=headers) as response:
                response.require(200)
                return response.read(limit)

        return self.again(once)

    def again(self, work: Callable[[], T]) -> T:
        """What ``work`` gives; it is repeated, as the retry policy says, where a body breaks off."""
        for attempt in range(self.retry.attempts - 1):
            try:
                return work()
            except ConnectionBroken:
                time.sleep(self.retry.delay(attempt))
        return work()

    def close(self) -> None:
        """Close every connection."""
        self._inner.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def client(
    *,
    policy: Policy | None = None,
    ca_file: Path | Sequence[Path] | None = None,
    insecure: bool = False,
    only_ca: bool = False,
    client_certificate: tuple[Path, Path] | None = None,
    server_name: str = "",
    timeout: float = TIMEOUT,
    connect: float | None = None,
    retry: Retry | None = None,
) -> Client:
    """A client. ``timeout`` is in seconds, for each read, and for connecting where ``connect`` is not given.

    ``ca_file`` (PEM; one or several) is trusted beside the system's certificates, or with ``only_ca`` in their place; ``insecure``
    checks no certificate at all. ``client_certificate`` is shown to servers that ask who is there: certificate and
    key, PEM files. ``server_name`` is the name that the server's certificate must bear, and that it is
    asked for in the handshake, where that is not the host's in the address. Proxies come from the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``);
    this machine itself is never reached through one. Raises ``UnreadableInput`` for a CA file that
    is none or a client's certificate that cannot be used, and ``UsageError`` for a proxy that cannot be used.
    """
    httpx = _httpx()
    try:
        inner = httpx.Client(
            verify=_trust(ca_file, insecure, only_ca=only_ca, client_certificate=client_certificate),
            timeout=httpx.Timeout(timeout, pool=None, connect=connect or timeout),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
            headers={"User-Agent": USER_AGENT, "Accept": "*/*"},
            mounts={f"all://{host}": None for host in _LOOPBACK},
            follow_redirects=False,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(
            "the proxy named in the environment cannot be used; see HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
        ) from error
    inner.cookies.jar.set_policy(_no_cookies())
    return Client(inner, httpx, policy or Policy.from_environment(), retry or Retry(), timeout, server_name)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def scrub(url: str) -> str:
    """A URL as it may be shown: scheme, host, port and path."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(an address that cannot be read)"
    path = "".join(c for c in parts.path if c.isprintable())
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{path}"


def _gave_up(response: Response, attempts: int, wait: float, patience: float) -> TryLater:
    text = f"{response.where}: answered {response.status}"
    after = _retry_after_seconds(response.header("retry-after")) or 0.0
    if wait > patience:
        return TryLater(f"{text} and asks to come back in {wait:.0f} seconds; try again then", after)
    return TryLater(f"{text}, {attempts} times; try again later" if attempts > 1 else text, after)


def _retry_after_seconds(text: str) -> float | None:
    """``Retry-After`` (RFC 9110, 10.2.3): seconds, or a date."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _trust(
    ca_file: Path | Sequence[Path] | None,
    insecure: bool,
    *,
    only_ca: bool = False,
    client_certificate: tuple[Path, Path] | None = None,
) -> ssl.SSLContext:
    """The system's certificates (a site adds its CA there), else the ones that come with the HTTP library."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif not only_ca:
        context = ssl.create_default_context()
        folder = ssl.get_default_verify_paths().capath
        if not context.cert_store_stats()["x509_ca"] and not (folder and any(Path(folder).iterdir())):
            import certifi

            context.load_verify_locations(certifi.where())
    named = [ca_file] if isinstance(ca_file, Path) else ca_file or []
    for path in [] if insecure else named:
        with _readable(path, "CA file", "holds no certificate in PEM form"):
            context.load_verify_locations(path)
    if client_certificate is not None:
        certificate, key = client_certificate
        with _readable(certificate, "certificate or key", f"is no certificate for the key in {key}"):
            context.load_cert_chain(certificate, key, password="")
    return context


@contextmanager
def _readable(path: Path, what: str, otherwise: str) -> Iterator[None]:
    import ssl

    try:
        yield
    except FileNotFoundError:
        raise UnreadableInput(f"{path}: no such {what}") from None
    except PermissionError:
        raise AccessDenied(f"{path}: the {what} may not be read") from None
    except (OSError, ssl.SSLError):
        raise UnreadableInput(f"{path}: {otherwise}") from None


def _httpx() -> ModuleType:
    """The HTTP library, quiet (its log holds whole URLs) and without the command-line program that it loads
    along with itself wherever rich is installed (0.3 s for nothing)."""
    program = "httpx._main"
    first = "httpx" not in sys.modules
    if first:
        sys.modules[program] = cast(ModuleType, None)  # importing it now fails, and httpx does without
    import httpx

    if first:
        sys.modules.pop(program, None)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return httpx


def _no_cookies() -> CookiePolicy:
    from http.cookiejar import DefaultCookiePolicy

    return DefaultCookiePolicy(allowed_domains=[])
