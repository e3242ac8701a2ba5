"""The demo's image: real packages with known flaws, fetched by name and hash, laid out by our own writer.

Python's packages come through pip, npm's through npm (two of them carry what the demo needs of Go and
Java: a Go binary and a folder of jars), Debian's through apt. What the machine has no client for is left
out, and that is said. Nothing that is fetched is ever run.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ociwriter import Entry, ImageWriter, directory, symlink

PYTHON = {
    "Django==2.2": "a2814bffd1f007805b19194eb0b9a331933b82bd5da1c3ba3d7b7ba16e06dc4b",
    "Jinja2==2.11.2": "f0a4641d3cf955324a89c04f3d94663aa4d638abe8f733ecd3582848e1c37035",
    "Werkzeug==0.16.0": "e5f4a1f98b52b18a93da705a7458e55afb26f32bff83ff5d19189f92462d65c4",
    "requests==2.19.1": "63b52e3c866428a224f97cab011de738c36aec0185aa91cfacd418b5d58911d1",
    "urllib3==1.24.1": "61bf29cada3fc2fbefad4fdf059ea4bd1b4a86d2b6d15e1c7c0b582b9752fe39",
}

NPM = {
    "lodash@4.17.15": "8xOcRHvCjnocdS5cpwXQXVzmmh5e5+saE2QGoeQmbKmRS6J3VQppPOIt0MnmE+4xlZoumy0GPG0D0MVIQbNA1A==",
    "minimist@1.2.0": "7Wl+Jz+IGWuSdgsQEJ4JunV0si/iMhg42MnQQG6h1R6TNeVenp4U9x5CC5v/gYqz/fENLQITAWXidNtVL0NNbw==",
    "axios@0.21.0": "fmkJBknJKoZwem3/IKSSLpkdNXZeBu5Q7GA/aRsr2btgrptmSCxi2oFjZHqGdK9DoTil9PIHlPIZw2EcRJXRvw==",
}
GO = {  # a Go program that npm carries
    "esbuild-linux-64@0.14.0": "7buo31kp1/yKWPm9vU44FEUwkeIROrIgnCDV9KLMLSbOjGEHBZXYJ2L0p4ZnB7Z+m5YiW7F/AfJu0/1E87nOeQ=="
}
JAVA = {  # a Java program that npm carries, with its libraries as jars
    "allure-commandline@2.8.1": "tC4I7/8p1AXTjD8cnMNzgScYhJU2TXUVlWlAymFqyQxIwapKQ/hsApPetq1juJ4vJ7i8MUSbKCBEXRp+Aw1QPw=="
}

DEBIAN_RELEASE = "bullseye"  # where the starter definitions' Debian data ends
DEBIAN = ("base-files", "openssl", "libssl1.1", "zlib1g", "tar", "curl", "libcurl4", "libexpat1")

Say = Callable[[str], None]


class LeftOut(Exception):
    """This machine cannot supply a layer; the text says why."""


@dataclass(frozen=True)
class Part:
    """One layer of the demo image."""

    name: str
    entries: Callable[[Path], Iterator[Entry]]


def build(folder: Path, say: Say = print) -> ImageWriter:
    """The demo image, from packages fetched into ``folder`` (kept there for the next time).

    Raises ``LeftOut`` if not even Python's packages can be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = ImageWriter()
    for part in PARTS:
        try:
            entries = list(part.entries(folder))
        except LeftOut as reason:
            say(f"  {part.name:<8} left out: {reason}")
            continue
        image.add(entries)
        say(f"  {part.name:<8} {len(entries):>6,} entries")
    if not image.tars:
        raise LeftOut("no package could be fetched; is a package index reachable from here?")
    return image


def python_layer(folder: Path) -> Iterator[Entry]:
    """Wheels, unpacked into site-packages."""
    site = "usr/lib/python3/dist-packages"
    for wheel in _fetch_wheels(folder / "pypi"):
        with zipfile.ZipFile(wheel) as archive:
            for member in sorted(archive.infolist(), key=lambda info: info.filename):
                if not member.is_dir():
                    yield Entry(f"{site}/{member.filename}", archive.read(member))


def npm_layer(folder: Path) -> Iterator[Entry]:
    """npm packages of an application."""
    for spec, integrity in NPM.items():
        name = spec.rpartition("@")[0]
        yield from _npm_package(folder / "npm", spec, integrity, f"srv/app/node_modules/{name}")


def go_layer(folder: Path) -> Iterator[Entry]:
    """One Go program."""
    for spec, integrity in GO.items():
        for entry in _npm_package(folder / "npm", spec, integrity, ""):
            if entry.path == "/bin/esbuild":
                yield Entry("usr/local/bin/esbuild", entry.data, mode=0o755)


def java_layer(folder: Path) -> Iterator[Entry]:
    """The jars of one Java program."""
    for spec, integrity in JAVA.items():
        for entry in _npm_package(folder / "npm", spec, integrity, ""):
            if entry.path.startswith("/dist/lib/") and entry.path.endswith(".jar"):
                yield Entry("opt/allure/lib/" + entry.path.rpartition("/")[2], entry.data)


def debian_layer(folder: Path) -> Iterator[Entry]:
    """Debian packages: their files, and the status database that dpkg would have written."""
    packages = _fetch_debian(folder / "debian")
    status = []
    seen: set[str] = set()
    for path in packages:
        fields = _run(["dpkg-deb", "--field", str(path)]).decode()
        head, _, rest = fields.partition("\n")
        status.append(f"{head}\nStatus: install ok installed\n{rest.rstrip()}\n")
        data = _run(["dpkg-deb", "--fsys-tarfile", str(path)])
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                entry = _copied(archive, member)
                if entry and entry.path not in seen:
                    seen.add(entry.path)
                    yield entry
    yield Entry("var/lib/dpkg/status", "\n".join(status).encode())


PARTS = (
    Part("debian", debian_layer),
    Part("python", python_layer),
    Part("npm", npm_layer),
    Part("java", java_layer),
    Part("go", go_layer),
)


def debian_site() -> str:
    """The Debian mirror that apt uses on this machine. Raises ``LeftOut`` where there is none."""
    listed = _run(["apt-get", "indextargets", "--format", "$(SITE)"]).decode().split()
    site = next((line for line in listed if line.endswith("/debian")), "")
    if not site:
        raise LeftOut("apt has no Debian mirror configured here")
    return site


def _fetch_wheels(folder: Path) -> list[Path]:
    wanted = set(PYTHON.values())
    if not wanted <= {_sha256(path) for path in folder.glob("*.whl")}:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / "requirements.txt"
        lock.write_text("".join(f"{spec} --hash=sha256:{digest}\n" for spec, digest in PYTHON.items()))
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(lock), "-d", str(folder)]
        _run(pip)
    return sorted(path for path in folder.glob("*.whl") if _sha256(path) in wanted)


def _npm_package(folder: Path, spec: str, integrity: str, prefix: str) -> Iterator[Entry]:
    if not shutil.which("npm"):
        raise LeftOut("npm is not installed here")
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / (spec.replace("@", "-") + ".tgz")
    if not archive.exists() or _sha512(archive) != integrity:
        _run(["npm", "pack", "--silent", "--pack-destination", str(folder), spec])
        if _sha512(archive) != integrity:
            archive.unlink()
            raise LeftOut(f"{spec} is not the package that this demo was written for (its hash differs)")
    with tarfile.open(archive) as package:
        for member in package:
            if member.isfile():
                file = package.extractfile(member)
                assert file is not None
                yield Entry(
                    f"{prefix}/{member.name.partition('/')[2]}", file.read(), mode=member.mode & 0o777
                )


def _fetch_debian(folder: Path) -> list[Path]:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise LeftOut("apt is not installed here")
    found = [sorted(folder.glob(f"{name}_*.deb")) for name in DEBIAN]
    if all(found):
        return [paths[-1] for paths in found]
    site = debian_site()
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keyring.exists():
        raise LeftOut("Debian's keyring is not installed here")
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    sources = apt / "sources.list"
    sources.write_text(f"deb [signed-by={keyring} arch=amd64] {site} {DEBIAN_RELEASE} main\n")
    (apt / "status").write_text("")
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": apt / "parts",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::Status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [
        word
        for key, value in settings.items()
        for word in ("-o", f"{key}={value.absolute() if isinstance(value, Path) else value}")
    ]
    _run(["apt-get", "-qq", *options, "update"])
    _run(["apt-get", "-qq", *options, "download", *DEBIAN], cwd=folder)
    shutil.rmtree(apt)
    return [sorted(folder.glob(f"{name}_*.deb"))[-1] for name in DEBIAN]


def _copied(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry | None:
    path = member.name.removeprefix("./")
    if not path or path == ".":
        return None
    if member.isdir():
        return directory(path)
    if member.issym():
        return symlink(path, member.linkname)
    if member.isfile():
        file = archive.extractfile(member)
        assert file is not None
        return Entry(path, file.read(), mode=member.mode & 0o777)
    return None


def _run(command: list[str], cwd: Path | None = None) -> bytes:
    environment = os.environ | {"npm_config_update_notifier": "false", "PIP_NO_INPUT": "1"}
    done = subprocess.run(command, capture_output=True, cwd=cwd, env=environment, timeout=600, check=False)
    if done.returncode:
        text = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise LeftOut(f"{Path(command[0]).name} failed: {text[-1] if text else done.returncode}")
    return done.stdout


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sha512(path: Path) -> str:
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
