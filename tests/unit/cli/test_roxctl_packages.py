"""``roxctl collector support-packages upload``: only what Central lacks is sent, and nothing is replaced unasked."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from redoubt.wire.proto.redoubt.v1 import probes_pb2
from support.roxctl import Run, runner
from support.standin import StandIn, answer, refusal
from support.web import Answer, Asked

VERSION = "2.9.0"
PROBES = {
    f"{VERSION}/collector-5.4.0-1.ko.gz": b"module " * 100,
    f"{VERSION}/collector-ebpf-5.4.0-2.o.gz": b"ebpf " * 100_000,
    f"{'0a' * 32}/collector-ebpf-6.1.0-3.o.gz": b"third",
}


def entry(name: str, size: int | str, crc32: int) -> dict[str, object]:
    return {"name": name, "size": size, "crc32": crc32}


class Probes(StandIn):
    """A Central that keeps probes as the contract says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.kept: dict[str, bytes] = {}
        self.uploads = 0
        self.routes["POST /v1/probeupload/getexisting"] = self._existing
        self.routes["POST /api/extensions/probeupload"] = self._upload

    def _existing(self, asked: Asked) -> Answer:
        wanted = json.loads(asked.body)["filesToCheck"]
        found = [
            entry(name, str(len(data)), zlib.crc32(data))
            for name, data in self.kept.items()
            if name in wanted
        ]
        return answer({"existingFiles": found})

    def _upload(self, asked: Asked) -> Answer:
        self.uploads += 1
        length = int(asked.path.partition("manifestLen=")[2])
        manifest = probes_pb2.GetExistingProbesReply.FromString(asked.body[:length])
        at = length
        for file in manifest.existing_files:
            data = asked.body[at : at + file.size]
            assert zlib.crc32(data) == file.crc32
            self.kept[file.name] = data
            at += file.size
        assert at == len(asked.body)
        return answer({})


@pytest.fixture
def central(tmp_path: Path) -> Iterator[Probes]:
    with Probes(tmp_path) as web:
        yield web


@pytest.fixture
def run(central: Probes) -> Run:
    inner = runner(central)
    return lambda *words, **more: inner("collector", "support-packages", "upload", *words, **more)


def package(folder: Path, files: dict[str, bytes], name: str = "package.zip") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("kernel-modules/", b"")
        archive.writestr("README", b"not looked at")
        for file, data in files.items():
            archive.writestr(f"kernel-modules/{file}", data)
    return path


def test_new_probes_are_uploaded_as_they_are(run: Run, central: Probes, tmp_path: Path) -> None:
    file = package(tmp_path, PROBES | {"LICENSE": b"GPL"})
    done = run(file)
    assert done.stdout == "Uploaded 3 of 3 files\n"
    assert central.kept == PROBES
    assert "deprecated" in done.stderr
    assert "no probes" not in done.stderr


def test_what_is_there_is_not_sent_again(run: Run, central: Probes, tmp_path: Path) -> None:
    first, *others = PROBES
    central.kept[first] = PROBES[first]
    assert run(package(tmp_path, PROBES)).stdout == "Uploaded 2 of 3 files\n"
    assert run(package(tmp_path, PROBES)).stdout == "All files of this package are at Central already\n"
    assert central.uploads == 1
    assert others


def test_other_contents_stay_unless_overwriting_is_asked_for(
    run: Run, central: Probes, tmp_path: Path
) -> None:
    theirs = dict.fromkeys(PROBES, b"older")
    central.kept |= theirs
    done = run(package(tmp_path, PROBES))
    assert "3 files are at Central with other contents, and stayed so: " in done.stderr
    assert "and 1 other; --overwrite replaces them" in done.stderr
    assert done.stdout == ""
    assert central.kept == theirs
    assert run(package(tmp_path, PROBES), "--overwrite").stdout == "Uploaded 3 of 3 files\n"
    assert central.kept == PROBES


def test_unknown_files_are_warned_of_and_left_out(run: Run, central: Probes, tmp_path: Path) -> None:
    strange = {
        f"{VERSION}/readme.txt": b"",
        "2.9/collector-5.4.0.ko.gz": b"",
        f"{VERSION}/../collector-5.4.0.ko.gz": b"",
        f"{VERSION}/collector-5.4.0.ko": b"",
        f"{VERSION}/nested/collector-5.4.0.ko.gz": b"",
    }
    done = run(package(tmp_path, PROBES | strange))
    assert "files that are no probes" in done.stderr
    assert "and 3 others" in done.stderr
    assert central.kept == PROBES


def test_a_package_without_probes_is_refused(run: Run, central: Probes, tmp_path: Path) -> None:
    assert "holds no probes" in run(package(tmp_path, {}), code=3).stderr
    (tmp_path / "text").write_text("hello")
    assert "is no zip" in run(tmp_path / "text", code=3).stderr
    assert "no such file" in run(tmp_path / "none", code=3).stderr
    run(code=2)
    run("a", "b", code=2)
    assert central.asked == []


def test_a_damaged_file_is_found_out_while_it_is_sent(run: Run, central: Probes, tmp_path: Path) -> None:
    name = f"{VERSION}/collector-5.4.0-1.ko.gz"
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"kernel-modules/{name}", b"module " * 100)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"module module", b"module moduIe", 1))
    stderr = run(path, code=3).stderr
    assert f"{name} is damaged" in stderr
    assert central.kept == {}


def test_centrals_refusal_is_passed_on(run: Run, central: Probes, tmp_path: Path) -> None:
    central.routes["POST /api/extensions/probeupload"] = refusal(403, "not authorized", 7)
    assert "not authorized" in run(package(tmp_path, PROBES), code=5).stderr
    central.routes["POST /v1/probeupload/getexisting"] = Answer(body=b"<html>")
    assert "not Central's" in run(package(tmp_path, PROBES), code=6).stderr
