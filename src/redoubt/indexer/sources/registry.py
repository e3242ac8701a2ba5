"""An image in a registry, read while it downloads: the OCI distribution-spec 1.1 (Docker Registry HTTP API V2).

A manifest is trusted because its bytes hash to the digest that was asked for (or, for a tag, because the user
chose to ask this registry); everything below it is named by digest. A layer that breaks off is continued where
it broke, by range. Nothing is fetched from addresses that an image names itself (foreign layers).
"""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from redoubt import egress
from redoubt.errors import AccessDenied, NetworkError, TryLater, UnreadableInput
from redoubt.indexer.limits import NotAsPromised
from redoubt.indexer.sources import challenge, manifests
from redoubt.indexer.sources.credentials import TOKEN_USER, Credentials, find_credentials
from redoubt.indexer.sources.interface import LayerBlob, ResolvedImage
from redoubt.indexer.sources.manifests import Descriptor, Manifest
from redoubt.indexer.sources.options import SourceOptions
from redoubt.indexer.sources.reference import DOCKER_HUB, ImageReference, host_name, is_digest
from redoubt.model import Platform

if TYPE_CHECKING:
    from typing_extensions import Buffer

KIND = "registry"
#: A stream that got this far since it last broke is worth all its attempts again.
_PROGRESS = 1 << 20
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)\Z")
_ONCE = egress.Retry(attempts=1)


class RegistrySource:
    """One image of a registry. Nothing is contacted before ``resolve``."""

    def __init__(self, target: str, reference: ImageReference, options: SourceOptions) -> None:
        self._target = target
        self._reference = reference
        self._options = options
        self._cache = _BlobCache(options.blob_cache)
        self._session: _Session | None = None
        self._lock = threading.Lock()

    def resolve(self, platform: Platform | None) -> ResolvedImage:
        """The image for a platform. With a blob cache, one request for a tag that was resolved before,
        none for a digest."""
        top, media_type = self._top()
        manifest = self._manifest(top, media_type, platform)
        config = self._blob(manifest.config)
        return manifests.resolved(
            manifest, config, platform, reference=self._target, kind=KIND, immutable=True
        )

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        """A layer's bytes as they arrive. May be called from several threads.

        Reading raises ``NetworkError`` where the layer breaks off for good.
        """
        manifests.refuse_unreadable(layer)
        if not is_digest(layer.digest):
            raise UnreadableInput(f"layer {layer.diff_id}: has no digest to ask for")
        return cast(BinaryIO, LayerStream(self._connected(), layer, str(self._reference)))

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def __enter__(self) -> RegistrySource:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _connected(self) -> _Session:
        with self._lock:
            if self._session is None:
                # A bare word names no host: offline mode does not tell Docker Hub of a typing error.
                named = self._reference.host != DOCKER_HUB or DOCKER_HUB in self._target
                self._session = _Session(self._reference, self._options, named=named)
            return self._session

    def _top(self) -> tuple[bytes, str]:
        """The bytes that the reference names, and what they were announced as."""
        reference = self._reference
        if reference.digest and (data := self._cache.get(reference.digest)) is not None:
            return data, ""
        data, media_type = self._connected().manifest(reference.name)
        self._cache.put(manifests.sha256(data), data)
        return data, media_type

    def _manifest(self, top: bytes, media_type: str, platform: Platform | None) -> Manifest:
        what = str(self._reference)
        if not manifests.is_index(top, what):
            return manifests.read_manifest(top, media_type, what)
        root = Descriptor(digest=manifests.sha256(top), size=len(top), media_type=manifests.OCI_INDEX)

        def fetch(descriptor: Descriptor) -> bytes:
            if descriptor.digest == root.digest:
                return top
            if (data := self._cache.get(descriptor.digest)) is None:
                data, _ = self._connected().manifest(manifests.checked(descriptor, what).digest)
                self._cache.put(descriptor.digest, data)
            return manifests.verified(data, descriptor, what)

        return manifests.choose((root,), platform, fetch, what)

    def _blob(self, descriptor: Descriptor) -> bytes:
        if (data := self._cache.get(descriptor.digest)) is None:
            data = self._connected().document(descriptor)
            self._cache.put(descriptor.digest, data)
        return manifests.verified(data, descriptor, str(self._reference))


def ping(host: str, options: SourceOptions) -> None:
    """Ask a registry (``host[:port]``) whether it is one, and takes the credentials that it may ask for.

    Raises ``AccessDenied``, ``NetworkError``, and ``UnreadableInput`` for a CA that is none.
    """
    session = _Session(ImageReference(host=host, repository="-"), options, named=False)
    try:
        session.ping()
    finally:
        session.close()


class LayerStream(io.RawIOBase):
    """A layer's bytes, continued by range where the connection breaks. Used by one thread."""

    def __init__(self, session: _Session, layer: LayerBlob, image: str) -> None:
        super().__init__()
        self._session = session
        self._layer = layer
        self._image = image
        self._at = 0
        self._failures = 0
        self._good_until = 0
        self._rest = memoryview(b"")
        self._response: egress.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._reopen()

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, as they arrived; empty at the end."""
        if size < 0:
            return self.readall()
        if not self._rest and not self._fill():
            return b""
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def readinto(self, buffer: Buffer, /) -> int:
        """The next bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not view or (not self._rest and not self._fill()):
            return 0
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None
        super().close()

    def _fill(self) -> bool:
        """Get the next chunk; False at the end of the layer."""
        size = self._layer.size
        while not 0 <= size == self._at:
            try:
                chunk = next(self._chunks, b"")
                if not chunk:
                    if size < 0:
                        return False
                    raise egress.ConnectionBroken(f"{self._image}: layer {self._layer.digest} ends early")
            except egress.ConnectionBroken as broken:
                self._retry(broken)
                continue
            if 0 <= size < self._at + len(chunk):
                raise NotAsPromised(
                    f"layer {self._layer.digest}: the registry sends more than the {size} bytes it should have"
                )
            self._at += len(chunk)
            self._rest = memoryview(chunk)
            return True
        return False

    def _retry(self, broken: egress.ConnectionBroken) -> None:
        if self._at - self._good_until >= _PROGRESS:
            self._failures, self._good_until = 0, self._at
        self._failures += 1
        if self._failures >= self._session.retry.attempts:
            raise TryLater(
                f"{broken}; layer {self._layer.digest} stopped at byte {self._at} of {self._layer.size}"
            ) from broken
        time.sleep(self._session.retry.delay(self._failures - 1))
        self._reopen()

    def _reopen(self) -> None:
        """Ask for the layer from where it broke; a registry that knows no ranges sends it again."""
        if self._response is not None:
            self._response.close()
            self._response = None
        headers = {"Range": f"bytes={self._at}-"} if self._at else {}
        response = self._session.get(f"blobs/{self._layer.digest}", headers)
        try:
            skip = self._start(response)
        except BaseException:
            response.close()
            raise
        self._response = response
        self._chunks = _after(response.chunks(), skip)

    def _start(self, response: egress.Response) -> int:
        """How many of the bytes that come now are known already."""
        if response.status == 404:
            raise manifests.missing_layer(self._layer, self._image)
        if response.status == 206 and self._at:
            begins = _RANGE.match(response.header("content-range"))
            if begins is None or int(begins[1]) != self._at:
                raise NetworkError(f"{response.where}: answered with another range than was asked for")
            return 0
        if response.status != 200:
            raise NetworkError(f"{response.where}: answered {response.status} for a layer")
        length = response.length
        if length is not None and 0 <= self._layer.size != length:
            raise NotAsPromised(
                f"layer {self._layer.digest}: the registry has {length} bytes, not {self._layer.size}"
            )
        return self._at


class _Session:
    """A conversation with one repository: how its host is reached, and who we are to it."""

    def __init__(self, reference: ImageReference, options: SourceOptions, *, named: bool) -> None:
        self._reference = reference
        self._options = options
        policy = options.policy or egress.Policy.from_environment()
        if named and not options.on_behalf:
            policy = policy.allowing(host_name(reference.api_host))
        self._client = egress.client(
            policy=policy,
            ca_file=options.ca_file,
            insecure=options.insecure,
            timeout=options.timeout,
            retry=options.retry,
        )
        self.retry = options.retry
        self._lock = threading.Lock()
        self._base = ""
        self._authorization = ""
        self._known = False

    def manifest(self, name: str) -> tuple[bytes, str]:
        """The manifest or index called ``name`` (a tag or a digest), verified, and its media type."""
        accept = {"Accept": ", ".join(manifests.ACCEPTED)}

        def once() -> tuple[bytes, str]:
            with self.get(f"manifests/{name}", accept) as response:
                if response.status == 404:
                    raise UnreadableInput(
                        f"{self._reference}: {self._reference.api_host} has no such image;"
                        " check the name and tag (a private one may be hidden until you log in)"
                    )
                self._must_be_200(response)
                announced = response.header("docker-content-digest")
                media_type = response.header("content-type").partition(";")[0].strip().lower()
                data = response.read(manifests.MAX_MANIFEST, decoded=True)
            for digest in {name, announced}:
                if is_digest(digest) and manifests.sha256(data) != digest:
                    raise UnreadableInput(
                        f"{self._reference}: the registry's bytes for {digest} are not those"
                        " (damaged or altered)"
                    )
            return data, media_type

        return self._client.again(once)

    def ping(self) -> None:
        """Ask whether this is a registry that takes our credentials (distribution-spec, "Determining Support")."""
        url = f"{self._reached()}/v2/"
        response = self._send(url, {}, "")
        if response.status == 401:
            response.close()
            response = self._send(url, {}, self._authorize(response, "", scope=""))
        response.close()
        if response.status in (401, 403):
            raise self._denied()
        self._must_be_200(response)

    def document(self, descriptor: Descriptor) -> bytes:
        """A small blob (a configuration); the caller verifies it."""

        def once() -> bytes:
            with self.get(f"blobs/{descriptor.digest}", {}) as response:
                if response.status == 404:
                    raise UnreadableInput(
                        f"{self._reference}: the registry lacks {descriptor.digest}; push the image again"
                    )
                self._must_be_200(response)
                return response.read(manifests.MAX_CONFIG, decoded=True)

        return self._client.again(once)

    def get(self, path: str, headers: dict[str, str]) -> egress.Response:
        """Ask for something below the repository; a challenge is answered, once for each token's life."""
        url = f"{self._reached()}/v2/{self._reference.repository}/{path}"
        used = self._authorization
        response = self._send(url, headers, used)
        if response.status == 401:
            response.close()
            used = self._authorize(response, used)
            response = self._send(url, headers, used)
        if response.status in (401, 403):
            response.close()
            raise self._denied()
        return response

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _send(self, url: str, headers: dict[str, str], authorization: str) -> egress.Response:
        if authorization:
            headers = {**headers, "Authorization": authorization}
        return self._client.send(url, headers=headers)

    def _authorize(self, refused: egress.Response, used: str, scope: str | None = None) -> str:
        """A new ``Authorization``; if another thread got one meanwhile, that. ``scope``: None means pulling."""
        with self._lock:
            if self._authorization == used:
                challenges = challenge.read_challenges(refused.headers("www-authenticate"))
                credentials = self._credentials()
                self._known = credentials is not None
                if scope is None:
                    scope = f"repository:{self._reference.repository}:pull"
                scheme = self._base.partition(":")[0]
                given = challenge.answer(self._client, challenges, credentials, scope, scheme)
                if not given:
                    raise self._denied()
                self._authorization = given
            return self._authorization

    def _credentials(self) -> Credentials | None:
        if self._options.username == TOKEN_USER:
            return Credentials(identity_token=self._options.password)
        if self._options.username:
            return Credentials(self._options.username, self._options.password)
        return None if self._options.on_behalf else find_credentials(self._reference)

    def _denied(self) -> AccessDenied:
        host, repository = self._reference.host, self._reference.repository
        if self._known:
            return AccessDenied(
                f"{host}: the credentials do not allow pulling {repository};"
                f" log in as a user who may ('docker login {host}', 'podman login {host}' or --username)"
            )
        return AccessDenied(
            f"{host}: wants credentials for {repository};"
            f" log in with 'docker login {host}' or 'podman login {host}', or give --username"
        )

    def _must_be_200(self, response: egress.Response) -> None:
        if response.status != 200:
            raise NetworkError(f"{response.where}: answered {response.status}")

    def _reached(self) -> str:
        """``https://host``; http where the user allowed it, or on this machine, and https finds nobody."""
        with self._lock:
            if not self._base:
                host = self._reference.api_host
                secure = f"https://{host}"
                if not (self._options.insecure or self._reference.loopback):
                    self._base = secure
                else:
                    self._base = secure if self._speaks_tls(secure) else f"http://{host}"
            return self._base

    def _speaks_tls(self, base: str) -> bool:
        try:
            self._client.send(f"{base}/v2/", retry=_ONCE).close()
        except egress.Untrusted:
            raise
        except egress.Unreachable:
            return False
        except NetworkError:
            return True
        return True


class _BlobCache:
    """Small documents by digest, in a folder. What does not hash to its name is as good as not there."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, digest: str) -> bytes | None:
        """The bytes named ``digest``, or None."""
        if self._folder is None or not is_digest(digest):
            return None
        try:
            with self._path(self._folder, digest).open("rb") as file:
                data = file.read(manifests.MAX_CONFIG + 1)
        except OSError:
            return None
        return data if manifests.sha256(data) == digest else None

    def put(self, digest: str, data: bytes) -> None:
        """Keep ``data``, if it is what ``digest`` says. A cache that cannot be written is done without."""
        if self._folder is None or manifests.sha256(data) != digest:
            return
        path = self._path(self._folder, digest)
        part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink()

    @staticmethod
    def _path(folder: Path, digest: str) -> Path:
        return folder / digest.replace(":", "-")


def _after(chunks: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """``chunks`` without their first ``skip`` bytes."""
    for chunk in chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
        else:
            yield chunk[skip:] if skip else chunk
            skip = 0
