"""Probes for one kernel each: ours are taken, others refused by name, whatever they are."""

from __future__ import annotations

import gzip
import random
import struct
from pathlib import Path

import pytest

import make_probe
from redoubt.collector import kernelprobes, loader
from redoubt.collector.kernelprobes import MARK, SECTION, ForeignProbe
from redoubt.collector.libbpf import Unavailable


def elf(*sections: tuple[bytes, bytes], machine: int = 247) -> bytes:
    """An object of the kernel's with these sections."""
    names = b"\0"
    body = b""
    headers = [bytes(64)]
    for name, content in (*sections, (b".shstrtab", b"")):
        at = len(names)
        names += name + b"\0"
        if name == b".shstrtab":
            content = names
        headers.append(struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, 64 + len(body), len(content), 0, 0, 1, 0))
        body += content
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    count = len(headers)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 1, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, count, count - 1
    )
    return header + body + b"".join(headers)


OURS = (SECTION, MARK + kernelprobes.version().encode() + b"\0")


def test_the_version_is_the_one_that_the_builder_writes_in() -> None:
    assert kernelprobes.version() == make_probe.version()
    assert len(kernelprobes.version()) == 64


def test_a_probe_of_this_version_is_taken_packed_or_not() -> None:
    code = elf((b"tp_btf/x", b"code"), OURS)
    assert kernelprobes.checked(code, "x") == code
    assert kernelprobes.checked(gzip.compress(code), "x") == code


def test_what_make_probe_builds_is_one() -> None:
    try:
        code = loader.built()
    except Unavailable as error:
        pytest.skip(str(error))
    assert kernelprobes.checked(code, "x") == code


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"no object",
        elf((b"tracepoint/sched", b"code"), (b"license", b"GPL\0")),
        elf((b"redoubt.probe.other", MARK)),
        elf(OURS, machine=62),
        elf(OURS)[:100],
        b"\x7fELF\x02\x01" + b"\xff" * 200,
    ],
)
def test_one_of_others_is_refused_by_name(code: bytes) -> None:
    with pytest.raises(ForeignProbe, match=r"^/x/collector-ebpf-5\.o: not built from Redoubt's source"):
        kernelprobes.checked(code, "/x/collector-ebpf-5.o")


@pytest.mark.parametrize("mark", [MARK + b"0" * 64, MARK, b"something", b"", b"\xff" * 10])
def test_one_of_another_version_is_refused(mark: bytes) -> None:
    with pytest.raises(ForeignProbe, match="another version"):
        kernelprobes.checked(elf((SECTION, mark)), "x")


def test_a_damaged_or_endless_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(elf(OURS))
    for data in (packed[:-20], packed[:10] + b"\xff" + packed[11:], b"\x1f\x8b"):
        with pytest.raises(ForeignProbe):
            kernelprobes.checked(data, "x")
    monkeypatch.setattr(kernelprobes, "_LARGEST", 1 << 20)
    with pytest.raises(ForeignProbe, match="larger"):
        kernelprobes.checked(gzip.compress(bytes(8 << 20)), "x")


def test_noise_is_refused_and_nothing_else() -> None:
    random.seed(1)
    whole = elf((b"a", b"b"), OURS)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(random.randrange(1, 12)):
            data[random.randrange(len(data))] = random.randrange(256)
        try:
            kernelprobes.checked(bytes(data), "x")
        except ForeignProbe:
            continue


def test_a_folder_has_them_by_the_kernels_name(tmp_path: Path) -> None:
    assert kernelprobes.within(tmp_path, "5.10.0-26-amd64") is None
    (tmp_path / "collector-ebpf-5.10.0-26-amd64.o").write_bytes(b"plain")
    assert kernelprobes.within(tmp_path, "5.10.0-26-amd64") == b"plain"
    (tmp_path / "collector-ebpf-5.10.0-26-amd64.o.gz").write_bytes(b"packed")
    assert kernelprobes.within(tmp_path, "5.10.0-26-amd64") == b"packed"
    assert kernelprobes.within(tmp_path / "missing", "5") is None
