from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from redoubt.indexer.catalogers.golang import GoCataloger
from redoubt.indexer.catalogers.interface import MemoryContent


@pytest.mark.skipif(shutil.which("go") is None, reason="needs the Debian package golang-go")
@pytest.mark.parametrize("mode", ["exe", "pie"])
def test_a_program_that_the_real_linker_made(tmp_path: Path, mode: str) -> None:
    (tmp_path / "go.mod").write_text("module example.org/shop\n\ngo 1.16\n")
    (tmp_path / "main.go").write_text('package main\n\nfunc main() { println("x") }\n')
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(tmp_path / "cache")}
    environment |= {"CGO_ENABLED": "0", "GO111MODULE": "on", "GOTOOLCHAIN": "local", "HOME": str(tmp_path)}
    command = ["go", "build", f"-buildmode={mode}", "-ldflags=-s -w", "-o", "shop", "."]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    data = (tmp_path / "shop").read_bytes()
    reader = GoCataloger().reader("shop", len(data))
    for at in range(0, len(data), 65536):
        if not reader.feed(data[at : at + 65536]):
            break
    catalog = reader.finish()
    assert catalog is not None
    assert [package.name for package in catalog.packages] == ["stdlib", "example.org/shop"]
    assert catalog.packages[0].version[:2] == "1."
    assert catalog == GoCataloger().catalog("shop", MemoryContent(data))
