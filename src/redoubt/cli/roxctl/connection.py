"""Central as a command sees it: requests go out with credentials, answers come back as structs, refusals as our errors.

Knows nothing of what is asked. HTTPS and JSON only, over ``egress``: what the original's roxctl says by gRPC, Central
answers under the REST path of the same call.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from redoubt import egress
from redoubt.cli.console import clean
from redoubt.cli.roxctl import credentials, logins, settings
from redoubt.cli.roxctl.credentials import Credentials
from redoubt.cli.roxctl.logins import Login, Logins
from redoubt.cli.roxctl.settings import Settings
from redoubt.egress import failures
from redoubt.errors import (
    EXIT_CREDENTIALS,
    EXIT_NETWORK,
    EXIT_UNREADABLE,
    EXIT_USAGE,
    AccessDenied,
    NetworkError,
    RedoubtError,
    UsageError,
)

if TYPE_CHECKING:
    from redoubt.cli.console import Console
    from redoubt.egress import Content, Response

T = TypeVar("T")

#: Bytes of an answer that is read whole. An image with all its findings is a few megabytes.
LARGEST = 256 << 20
#: Bytes of a refusal that are read, and characters of it that are shown.
_REFUSAL, _SHOWN = 64 << 10, 600
#: Seconds that a transfer may stand still where nobody limited the whole of it.
_STILL = 600.0
#: Seconds for finding out that nobody answers.
_CONNECT = 20.0
_REFRESH = "/sso/session/tokenrefresh"
_EXITS = {
    400: EXIT_USAGE,
    401: EXIT_CREDENTIALS,
    403: EXIT_CREDENTIALS,
    413: EXIT_UNREADABLE,
    422: EXIT_USAGE,
}
#: gRPC's number.
_ALREADY_EXISTS, _FAILED_PRECONDITION = 6, 9


class Refused(RedoubtError):
    """Central answered, and not with what was asked for. ``said`` is its own message, ``code`` gRPC's number.

    ``invalid``: what was sent is at fault.
    """

    def __init__(self, message: str, status: int, said: str, code: int) -> None:
        super().__init__(message)
        self.status = status
        self.said = said
        # A registry's credentials, a full disk: what was asked for is right, and cannot be now.
        self.invalid = status == 400 and code != _FAILED_PRECONDITION
        self.exit_code = _EXITS.get(status, EXIT_NETWORK)
        if code == _FAILED_PRECONDITION:
            self.exit_code = EXIT_CREDENTIALS
        elif code == _ALREADY_EXISTS:
            # It was typed; another name has to be.
            self.exit_code = EXIT_USAGE


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""
    error: str = ""


class _Refreshed(msgspec.Struct):
    token: str
    expiry: datetime | None = None


@contextmanager
def central(
    ctx: click.Context, console: Console, *, timeout: float, anonymous: bool = False
) -> Iterator[Central]:
    """Central as flags and environment name it. Nothing is sent yet. ``timeout`` in seconds, where none was given.

    Raises ``UsageError`` and ``AccessDenied`` (no credentials; never where ``anonymous``).
    """
    told = settings.load(ctx)
    if told.timeout == 0:
        raise UsageError("--timeout 0 leaves no time; leave it out for the default")
    with _reached(told) as reached:
        opened = Central(reached, None, timeout)
        try:
            if not anonymous:
                opened.credentials = credentials.choose(ctx) or _stored(opened, console)
            yield opened
        finally:
            opened.close()


@contextmanager
def _reached(told: Settings) -> Iterator[Settings]:
    """The settings, with a forwarded port where Central is reached through kubectl."""
    if not told.kube_context:
        yield told
        return
    from redoubt.cli.roxctl import forwarding

    with forwarding.forwarded(told) as reached:
        yield reached


def _stored(opened: Central, console: Console) -> Credentials:
    """The stored login, renewed where it has to be."""
    shelf = Logins(settings.config_dir())
    endpoint = opened.settings.endpoint.name
    login = shelf.find(endpoint)
    if login is None:
        raise AccessDenied(
            f"no credentials for {endpoint}; set ROX_API_TOKEN, give --token-file or --password, or run "
            f"`roxctl central login -e {endpoint}`"
        )
    if shelf.open_to_others():
        console.warn(f"{shelf.path} can be read by others; chmod 600 {shelf.path}")
    if login.expired(logins.now()):
        if login.refresh_token:
            login = opened.renew(login)
            shelf.store(endpoint, login)
        else:
            console.warn(
                f"the login for {endpoint} has expired; run `roxctl central login` again if it is refused"
            )
    return credentials.bearer(login.access_token, str(shelf.path))


class Central:
    """One Central. ``credentials`` are sent with every request where there are any."""

    def __init__(self, told: Settings, sent: Credentials | None, timeout: float) -> None:
        self.settings = told
        self.credentials = sent
        #: Seconds for the whole of the command's work, and whether somebody said so.
        self.timeout = told.timeout or timeout
        self.limited = told.timeout is not None
        self._deadline = time.monotonic() + self.timeout
        self._clients: dict[float, egress.Client] = {}

    def get(self, path: str, kind: type[T]) -> T:
        """Ask, again if need be, and decode. Raises ``Refused``, ``AccessDenied`` and ``NetworkError``."""
        return self._decoded(self._short("GET", path, None), kind)

    def ask(self, method: str, path: str, body: object, kind: type[T]) -> T:
        """Send ``body`` as JSON by a call that may be repeated without harm, and decode the answer."""
        return self._decoded(self._short(method, path, body), kind)

    def work(self, path: str, body: object) -> Response:
        """POST ``body`` as JSON for something that takes its time: one try, as long as ``timeout``."""
        return self.send("POST", path, msgspec.json.encode(body), {"Content-Type": "application/json"})

    def send(
        self, method: str, path: str, content: Content | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """One request without a second try; the answer is a good one, its body unread.

        It is waited for as long as the command may take; a file that is sent, as long as it moves.
        """
        moving = callable(content) and not self.limited
        wait = _STILL if moving else max(1.0, self._deadline - time.monotonic())
        return self._checked(self._client(wait), method, path, content, headers or {}, egress.Retry(1))

    def read(self, response: Response, kind: type[T]) -> T:
        """The body of an answer as ``kind``."""
        with response:
            return self._decoded((response, response.read(LARGEST)), kind)

    def in_time(self, chunks: Iterable[bytes], doing: str) -> Iterator[bytes]:
        """The same chunks, until the time that somebody allowed is over."""
        for chunk in chunks:
            if self.limited and time.monotonic() > self._deadline:
                raise NetworkError(
                    f"{doing} took longer than --timeout allows; give it more, as --timeout 30m"
                )
            yield chunk

    def renew(self, login: Login) -> Login:
        """A new access token for a refresh token, as the original's session service gives it."""
        headers = {"Cookie": f"RoxRefreshToken={login.refresh_token}"}
        try:
            with self.send("GET", _REFRESH, None, headers) as response:
                fresh = self._decoded((response, response.read(_REFUSAL)), _Refreshed)
        except Refused as error:
            raise AccessDenied(
                f"the login for {self.settings.endpoint.name} cannot be renewed ({error.said or error.status}); "
                "run `roxctl central login` again"
            ) from None
        return msgspec.structs.replace(
            login, access_token=fresh.token, expires_at=fresh.expiry, issued_at=logins.now()
        )

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()

    def _short(self, method: str, path: str, body: object) -> tuple[Response, bytes]:
        told = self.settings
        single = min(told.retry_timeout, self.timeout) or self.timeout
        tries = min(told.retries + 1, max(1, int(self.timeout // single))) if told.retry_timeout else 1
        retry = egress.Retry(attempts=1 if not told.endpoint.explicit else tries)
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        client = self._client(single)

        def once() -> tuple[Response, bytes]:
            with self._checked(client, method, path, content, headers, retry) as response:
                return response, response.read(LARGEST)

        return client.again(once)

    def _client(self, timeout: float) -> egress.Client:
        if timeout not in self._clients:
            told = self.settings
            self._clients[timeout] = egress.client(
                policy=egress.Policy.from_environment().allowing(told.endpoint.host),
                ca_file=told.ca,
                insecure=told.skip_verify,
                server_name=told.server_name,
                timeout=timeout,
                connect=min(timeout, told.retry_timeout or _CONNECT),
                retry=egress.Retry(attempts=told.retries + 1),
            )
        return self._clients[timeout]

    def _checked(
        self,
        client: egress.Client,
        method: str,
        path: str,
        content: Content | None,
        headers: dict[str, str],
        retry: egress.Retry,
    ) -> Response:
        if self.credentials is not None:
            headers = headers | {"Authorization": self.credentials.header}
        try:
            response = client.send(
                self.settings.endpoint.url + path,
                method=method,
                content=content,
                headers=headers,
                retry=retry,
                last_answer=True,
            )
        except NetworkError as error:
            raise self._unreached(error) from None
        if not 200 <= response.status < 300:
            with response:
                raise self._refusal(response)
        return response

    def _decoded(self, answer: tuple[Response, bytes], kind: type[T]) -> T:
        response, body = answer
        try:
            # Numbers of 64 bits travel as texts in protobuf's JSON.
            return msgspec.json.decode(body, type=kind, strict=False)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise NetworkError(
                f"{response.where}: the answer is not Central's; check the endpoint, and that no proxy answers for it"
            ) from None

    def _refusal(self, response: Response) -> RedoubtError:
        body = b""
        with suppress(RedoubtError):
            body = response.read(_REFUSAL)
        said, code = _said(body, response.header("content-type"))
        name = self.settings.endpoint.name
        sent = self.credentials
        if response.status == 401:
            reason = f" ({said})" if said else ""
            if sent is None:
                message = (
                    f"{name} wants credentials{reason}; set ROX_API_TOKEN, or give --token-file or --password"
                )
            else:
                right = "the right password" if sent.header.startswith("Basic ") else "a token that is valid"
                message = f"{name} did not accept what {sent.source} holds{reason}; give {right}"
        elif response.status == 403:
            message = f"{said or 'permission denied'}; {sent.source if sent else 'an anonymous caller'} does not permit it"
        elif response.status == 404 and said.lower().rstrip(".") in ("", "not found"):
            message = f"{response.where}: there is no such thing; this Central is of another version, or none"
        else:
            message = said or f"{response.where}: answered {response.status}"
        return Refused(message, response.status, said, code)

    def _unreached(self, error: NetworkError) -> NetworkError:
        told = self.settings
        name = told.endpoint.name
        if isinstance(error, egress.Untrusted):
            return egress.Untrusted(
                _untrusted(told, failures.certificate_failure(error.__cause__) or "verification failed")
            )
        text = str(error)
        if told.endpoint.plaintext is False and "WRONG_VERSION_NUMBER" in text:
            text = f"{name} does not speak TLS; with --plaintext --insecure it is asked without"
        elif not told.endpoint.explicit:
            text += f"; {name} is the default: name Central with -e HOST:PORT or ROX_ENDPOINT"
        elif told.endpoint.plaintext and "broke off" in text:
            text += "; it may speak TLS: leave out --plaintext and http://"
        elif ";" not in text:
            text += f"; check that Central runs at {name} and can be reached from here"
        return type(error)(text)


def _untrusted(told: Settings, why: str) -> str:
    text = f"{told.endpoint.name}: its certificate is not trusted ({why.rstrip('.')})"
    if "mismatch" in why.lower() or "not valid for" in why:
        return f"{text}; if it is the right server, say which name its certificate bears with --server-name"
    if told.ca is not None:
        return (
            f"{text}: {told.ca} does not hold the CA that signed it; name the right file with --ca, "
            f"or put it at {told.ca_default}"
        )
    return f"{text}; name Central's CA with --ca, or put it at {told.ca_default}"


def _said(body: bytes, kind: str) -> tuple[str, int]:
    """The message of a refusal as one line, and gRPC's code: grpc-gateway's JSON, or plain text."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        failure = msgspec.json.decode(body, type=_Failure)
        return _line(failure.message or failure.error), failure.code
    if "html" in kind.lower():
        return "", 0
    return _line(body.decode("utf-8", "replace")), 0


def _line(text: str) -> str:
    line = clean(" ".join(text.split()))
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
