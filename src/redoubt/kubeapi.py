"""The API server's HTTP interface: objects as JSON, watches as lines. Credentials and TLS are lightkube's.

Why objects are not lightkube's own types: ``docs/decisions/0036-the-api-servers-json.md``. It must not know which objects
there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import yaml
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError

from redoubt.errors import AccessDenied, LimitExceeded, NetworkError, RedoubtError, UnreadableInput

#: Bytes of an answer, and of one line of a watch. etcd takes no object of more than 1.5 MB; a page has some of them.
LARGEST, LONGEST_LINE = 1 << 30, 32 << 20
MERGE = "application/merge-patch+json"
#: Seconds between two readings of the CA and the credentials, where these are not taken.
_RENEW = 10.0


class ApiFailure(RedoubtError):
    """The API server refuses. ``code`` is HTTP's, or the one in a ``Status`` that a watch brought."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def configured(kubeconfig: Path | None) -> SingleConfig:
    """How the API server is reached. Raises ``UnreadableInput``."""
    try:
        found = (KubeConfig.from_env() if kubeconfig is None else KubeConfig.from_file(kubeconfig)).get()
    except ConfigError as error:
        raise UnreadableInput(f"the API server: {error}; name a kubeconfig") from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        yaml.YAMLError,
        msgspec.ValidationError,
    ) as error:
        raise UnreadableInput(f"{kubeconfig or 'kubeconfig'}: is none ({type(error).__name__})") from None
    assert found is not None  # without a default there is one, or an error
    return found


class Api:
    """Requests to one API server. ``close`` it in the end. Raises ``UnreadableInput`` for a kubeconfig that is none.

    The kubeconfig and what it names are read again when the server's certificate or our credentials are not taken.
    """

    def __init__(self, kubeconfig: Path | None, *, timeout: float = 30.0) -> None:
        self._kubeconfig = kubeconfig
        self._timeout = timeout
        config = configured(kubeconfig)
        self.host = urlsplit(config.cluster.server).hostname or ""
        self._renewed = -math.inf
        self._client = self._made(config)

    def _made(self, config: SingleConfig) -> httpx2.AsyncClient:
        parameters = client_adapter.ConnectionParams(timeout=httpx2.Timeout(self._timeout), trust_env=False)
        try:
            return client_adapter.AsyncClient(config, parameters)
        except (OSError, ValueError, ConfigError, AssertionError) as error:
            raise UnreadableInput(
                f"{self.host}: its CA or our credentials cannot be read ({error})"
            ) from None

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def renew(self) -> None:
        """Read the kubeconfig, the CA and the credentials again; connections that there are end. Raises ``UnreadableInput``."""
        before, self._client = self._client, self._made(await asyncio.to_thread(configured, self._kubeconfig))
        await before.aclose()

    async def _renew_now_and_then(self) -> None:
        """They may have been exchanged: they are read again, every ten seconds at most. Half of a file changes nothing."""
        if time.monotonic() - self._renewed >= _RENEW:
            self._renewed = time.monotonic()
            with contextlib.suppress(UnreadableInput):
                await self.renew()

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> bytes:
        """An object or list, as JSON. Raises ``ApiFailure``, ``NetworkError``."""
        async with self._asked("GET", path, parameters=parameters) as answer:
            return await _whole(answer)

    async def change(self, method: str, path: str, body: object, kind: str = "application/json") -> bytes:
        """POST, PUT, PATCH (``kind`` is the patch's) or DELETE. Raises ``ApiFailure``, ``NetworkError``."""
        async with self._asked(method, path, body=msgspec.json.encode(body), kind=kind) as answer:
            return await _whole(answer)

    async def lines(
        self, path: str, parameters: Mapping[str, str], silence: float
    ) -> AsyncGenerator[bytes, None]:
        """A watch's lines, until the server ends it. Raises also where nothing comes for ``silence`` seconds."""
        timeout = httpx2.Timeout(self._timeout, read=silence)
        async with self._asked("GET", path, parameters=parameters, timeout=timeout) as answer:
            rest: list[bytes] = []
            held = 0
            async for piece in answer.aiter_bytes():
                first, *others = piece.split(b"\n")
                rest.append(first)
                held += len(first)
                if held > LONGEST_LINE:
                    raise LimitExceeded(f"{path}: a line of more than {LONGEST_LINE} bytes")
                for other in others:
                    if line := b"".join(rest):
                        yield line
                    rest, held = [other], len(other)

    @contextlib.asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "",
        timeout: httpx2.Timeout | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        headers = {"accept": "application/json"} | ({"content-type": kind} if kind else {})
        client = self._client
        request = client.build_request(
            method,
            path.lstrip("/"),
            params=dict(parameters or {}),
            content=body,
            headers=headers,
            timeout=httpx2.USE_CLIENT_DEFAULT if timeout is None else timeout,
        )
        try:
            answer = await client.send(request, stream=True)
            try:
                if answer.status_code >= 300:
                    refusal = _refusal(path, answer.status_code, await _whole(answer))
                    if refusal.code == 401:
                        await self._renew_now_and_then()
                    raise refusal
                yield answer
            finally:
                with contextlib.suppress(httpx2.HTTPError):
                    await answer.aclose()
        except (httpx2.HTTPError, httpx2.StreamError, OSError, RuntimeError) as error:
            said = str(error) or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in said:
                await self._renew_now_and_then()
            raise NetworkError(f"{self.host}: the API server cannot be reached ({said[:200]})") from error
        except ConfigError as error:
            raise AccessDenied(f"{self.host}: credentials cannot be read ({error})") from None


async def _whole(answer: httpx2.Response) -> bytes:
    parts, size = [], 0
    async for piece in answer.aiter_bytes():
        size += len(piece)
        if size > LARGEST:
            raise LimitExceeded(f"an answer of the API server of more than {LARGEST} bytes")
        parts.append(piece)
    return b"".join(parts)


def _refusal(path: str, code: int, body: bytes) -> ApiFailure:
    try:
        status: Any = msgspec.json.decode(body)
        said = status["message"] if isinstance(status["message"], str) else ""
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        said = ""
    return ApiFailure(f"{path}: {said[:300] or f'HTTP {code}'}", code)
