from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from redoubt.indexer.catalogers.golang import GoCataloger
from redoubt.indexer.catalogers.interface import MemoryContent

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="needs the Debian package golang-go")


def build(folder: Path, *arguments: str, **changes: str) -> bytes:
    (folder / "go.mod").write_text("module example.org/shop\n\ngo 1.16\n")
    (folder / "main.go").write_text(
        'package main\n\nvar version = "none"\n\nfunc main() { println(version) }\n'
    )
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(folder / "cache")}
    environment |= {"CGO_ENABLED": "0", "GO111MODULE": "on", "GOTOOLCHAIN": "local", "HOME": str(folder)}
    command = ["go", "build", *arguments, "-o", "shop", "."]
    subprocess.run(command, cwd=folder, env=environment | changes, check=True)
    return (folder / "shop").read_bytes()


def indexed(data: bytes) -> list[tuple[str, str]]:
    """What is found while streaming, which must be what is found by place."""
    reader = GoCataloger().reader("shop", len(data))
    for at in range(0, len(data), 65536):
        if not reader.feed(data[at : at + 65536]):
            break
    catalog = reader.finish()
    assert catalog is not None
    assert catalog == GoCataloger().catalog("shop", MemoryContent(data))
    assert catalog.packages[0].name == "stdlib"
    assert catalog.packages[0].version[:2] == "1."
    return [(package.name, package.version) for package in catalog.packages[1:]]


@needs_go
@pytest.mark.parametrize("mode", ["exe", "pie"])
def test_a_program_that_the_real_linker_made(tmp_path: Path, mode: str) -> None:
    data = build(tmp_path, f"-buildmode={mode}", "-ldflags=-s -w")
    assert indexed(data) == [("example.org/shop", "")]


@needs_go
@pytest.mark.parametrize(
    "system", ["windows/amd64", "windows/386", "darwin/arm64", "linux/ppc64", "linux/mips"]
)
def test_a_program_for_another_system_and_byte_order(tmp_path: Path, system: str) -> None:
    goos, goarch = system.split("/")
    data = build(tmp_path, "-ldflags=-s -w -X main.version=1.4.2", GOOS=goos, GOARCH=goarch)
    assert indexed(data) == [("example.org/shop", "v1.4.2")]
