"""A Central with a real Indexer and a real Matcher over the wire, in one process, on real databases.

Definitions are built of a mirror that tests write; ``roxctl`` and ``redoubt scan`` can be run against the same.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from ociwriter import Entry, ImageWriter
from redoubt.central.images import parts
from redoubt.central.services import Services
from redoubt.definitions.build import build
from redoubt.definitions.library import Library
from redoubt.definitions.mirror import Mirror
from redoubt.egress import Policy
from redoubt.scanner import config, serving
from redoubt.wire import ports
from redoubt.wire.identity import Service
from redoubt.wire.server import OnePort
from support import centrals
from support.definitions_bundles import Site
from support.pipeline import Pipeline, dpkg, dpkg_status, os_release
from support.registry import Registry
from support.wire import Certificates

NOWHERE = "127.0.0.1:1"
BOOKWORM = os_release(ID="debian", VERSION_ID="12", VERSION_CODENAME="bookworm")


class Shelf:
    """Definitions of one CVE in Debian's ``fixture``, on a shelf; ``publish`` makes others active."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = Site(folder / "site")
        self.library: Library = self.site.library("data")
        self.version = 0

    @property
    def data(self) -> Path:
        return self.site.folder / "data"

    def publish(self, **releases: dict[str, str]) -> str:
        """Build and import definitions that say this of the flaw; the digest."""
        self.version += 1
        mirror = self.folder / f"mirror{self.version}"
        mirror.mkdir()
        pipeline = Pipeline(mirror).debian(**releases)
        with build(Mirror(pipeline.mirror)) as built:
            bundle = self.site.bundle(self.version, list(built.records()))
        return self.library.import_bundle(bundle).entry.digest

    def active(self) -> str:
        return self.library.info().entry.digest if self.library.list() else ""


AFFECTED = {"status": "resolved", "fixed_version": "1.2-3", "urgency": "high"}
OPEN = {"status": "open", "urgency": "low"}


def image(name: str = "shop", version: str = "1.0-1") -> ImageWriter:
    """A Debian image with ``fixture`` in it; another ``name`` is another digest."""
    writer = ImageWriter()
    writer.add([BOOKWORM, dpkg_status(dpkg("libfixture", version, Source="fixture"), dpkg("other", "2"))])
    return writer.add([Entry("srv/name", name.encode())])


def pushed(registry: Registry, folder: Path, name: str, **more: str) -> str:
    """An image in the registry; its reference."""
    layout = image(name, **more).write_oci_dir(folder / f"layout-{name.replace('/', '-').replace(':', '-')}")
    return registry.push(f"oci:{layout}:latest", name)


class Scanners(centrals.Central):
    """``Central`` with Scanners. ``urls`` are of the databases of Central and of the Indexer."""

    def __init__(
        self,
        urls: tuple[str, str],
        folder: Path,
        definitions: Shelf,
        *,
        policy: Policy | None = None,
        **settings: Any,
    ) -> None:
        self.indexer_port, self.matcher_port = ports.free(2)
        super().__init__(
            urls[0],
            folder / "central",
            indexer=f"127.0.0.1:{self.indexer_port}",
            matcher=f"127.0.0.1:{self.matcher_port}",
            **settings,
        )
        self._scanner_url = urls[1]
        self.definitions = definitions
        self.policy = policy or Policy()
        self.certificates = Certificates(folder / "certificates")
        self._folder = folder
        self._running: dict[str, AsyncExitStack] = {}
        self.indexer: OnePort
        self.matcher: OnePort

    async def equip(self, services: Services) -> None:
        services.policy = self.policy
        material = self.certificates.material(Service.CENTRAL)
        for service in (Service.SCANNER_V4_INDEXER, Service.SCANNER_V4_MATCHER):
            self.certificates.files(service)
        await self.start_indexer()
        await self.start_matcher()
        parts.equip(services, material, self.definitions.active)

    async def start_indexer(self) -> None:
        stack = self._running["indexer"] = AsyncExitStack()
        self.indexer = await stack.enter_async_context(serving.indexer(self._scanner("indexer")))

    async def start_matcher(self) -> None:
        stack = self._running["matcher"] = AsyncExitStack()
        self.matcher = await stack.enter_async_context(serving.matcher(self._scanner("matcher")))

    async def kill_matcher(self) -> None:
        """As abruptly as can be in one process."""
        await self.matcher.stop(0)
        await self._running.pop("matcher").aclose()

    async def __aexit__(self, *exc: object) -> None:
        await super().__aexit__(*exc)
        for stack in self._running.values():
            await stack.aclose()

    def _scanner(self, name: str) -> config.Settings:
        return config.Settings(
            data=self.definitions.data if name == "matcher" else self._folder / name,
            host="127.0.0.1",
            port=self.indexer_port if name == "indexer" else self.matcher_port,
            health_port=0,
            database_url=self._scanner_url,
            certificates=self._folder / "certificates" / f"scanner-v4-{name}",
            central=NOWHERE,
            shared_shelf=True,
        )

    async def scan(self, name: str, code: int = 200, **more: Any) -> Any:
        """``POST /v1/images/scan`` as the administrator."""
        answer = await self.http.post(
            "/v1/images/scan",
            json={"imageName": name, **more},
            auth=("admin", centrals.PASSWORD),
            timeout=60,
        )
        assert answer.status_code == code, answer.text
        return answer.json()

    async def get(self, path: str, code: int = 200, **query: Any) -> Any:
        """A question as the administrator."""
        answer = await self.http.get(path, params=query, auth=("admin", centrals.PASSWORD), timeout=60)
        assert answer.status_code == code, answer.text
        return msgspec.json.decode(answer.content)
