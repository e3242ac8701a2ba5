"""Kernel support packages as the documents have it: ``roxctl`` carries them to an offline Central, and Sensors fetch them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import time
import zipfile
import zlib
from base64 import b64encode
from pathlib import Path

import pytest

from redoubt.cli.roxctl.probes import manifest
from redoubt.wire.authority import Authority
from redoubt.wire.identity import Service
from redoubt.wire.material import Files
from support.up import PASSWORD, Up

A, B = "2.9.0/collector-5.4.0-1.ko.gz", "2.9.0/collector-ebpf-6.1.0-3.o.gz"
FILES = {A: b"module " * 100, B: b"ebpf " * 300_000}


@pytest.fixture
def empty(up: Up) -> Up:
    up.call("DELETE", "/v1/probeupload/probes/2.9.0")
    return up


def package(folder: Path, files: dict[str, bytes], under: str = "kernel-modules/") -> str:
    path = folder / f"package-{time.monotonic_ns()}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{under}{name}", data)
    return str(path)


def upload(up: Up, *words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = up.roxctl("collector", "support-packages", "upload", *words, **environment)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def connection(up: Up, client: Files | None = None) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(up.config / "ca.pem"))
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return http.client.HTTPSConnection("localhost", up.port, context=context, timeout=60)


def fetch(up: Up, files: Files | None, name: str, **headers: str) -> tuple[int, bytes]:
    one = connection(up, files)
    try:
        one.request("GET", f"/kernel-objects/{name}", headers=headers)
        answer = one.getresponse()
        return answer.status, answer.read()
    finally:
        one.close()


def certificate(up: Up, folder: Path, service: Service) -> Files:
    place = folder / service.name
    Authority.load(up.data / "ca").issue(service, identifier="0e" * 16, hosts=["localhost"]).write(place)
    return Files.within(place)


def back(up: Up, killed: int) -> bool:
    """Whether another Central answers than the one that was killed."""
    try:
        return up.pid("central") != killed and up.call("GET", "/v1/ping")[0] == 200
    except (OSError, LookupError):
        return False


def test_a_package_is_uploaded_once_and_a_sensor_gets_its_files(empty: Up, tmp_path: Path) -> None:
    first = upload(empty, package(tmp_path, FILES))
    assert first.stdout == "Uploaded 2 of 2 files\n"
    assert "4.5" in first.stderr
    again = upload(empty, package(tmp_path, FILES))
    assert again.stdout == "All files of this package are at Central already\n"
    more = upload(empty, package(tmp_path, FILES | {"2.9.0/collector-5.9.ko.gz": b"new"}))
    assert more.stdout == "Uploaded 1 of 3 files\n"
    sensor = certificate(empty, tmp_path, Service.SENSOR)
    assert fetch(empty, sensor, A) == (200, FILES[A])
    assert fetch(empty, sensor, B, Range="bytes=0-3") == (206, b"ebpf")
    assert fetch(empty, sensor, "2.9.0/collector-6.6.ko.gz")[0] == 404, "offline, and nobody uploaded it"
    assert fetch(empty, certificate(empty, tmp_path, Service.COLLECTOR), A)[0] == 403
    assert fetch(empty, None, A)[0] == 401
    status, listed = empty.call("GET", "/v1/probeupload/probes?version=2.9.0")
    assert (status, listed["count"]) == (200, 3)
    assert {one["uploadedBy"] for one in listed["probes"]} == {"user:admin"}


def test_other_contents_under_the_same_name_stay_unless_overwriting_is_asked_for(
    empty: Up, tmp_path: Path
) -> None:
    upload(empty, package(tmp_path, FILES))
    other = package(tmp_path, FILES | {A: b"other contents"})
    kept = upload(empty, other)
    assert "1 file is at Central with other contents, and stayed so" in kept.stderr
    assert "--overwrite" in kept.stderr
    sensor = certificate(empty, tmp_path, Service.SENSOR)
    assert fetch(empty, sensor, A) == (200, FILES[A])
    assert upload(empty, other, "--overwrite").stdout == "Uploaded 1 of 2 files\n"
    assert fetch(empty, sensor, A) == (200, b"other contents")
    assert fetch(empty, sensor, B) == (200, FILES[B])


def test_the_documents_lines_work_as_written(empty: Up, tmp_path: Path) -> None:
    body = json.dumps({"name": "documents", "roles": ["Admin"]}).encode()
    told = {
        "TOKEN": str(empty.call("POST", "/v1/apitokens/generate", body)[1]["token"]),
        "ADDRESS": empty.endpoint,
        "FIRST": package(tmp_path, FILES),
        "OTHER": package(tmp_path, FILES | {A: b"other contents", "2.9.0/collector-7.1.ko.gz": b"new"}),
    }
    variables = """
        export ROX_API_TOKEN=$TOKEN
        export ROX_CENTRAL_ADDRESS=$ADDRESS
    """
    line = """
        roxctl collector support-packages upload $PACKAGE \\
          -e "$ROX_CENTRAL_ADDRESS"
    """
    first = empty.typed(variables + line, PACKAGE=told["FIRST"], **told)
    assert (first.returncode, first.stdout) == (0, "Uploaded 2 of 2 files\n"), first.stderr
    other = empty.typed(variables + line, PACKAGE=told["OTHER"], **told)
    assert (other.returncode, other.stdout) == (0, "Uploaded 1 of 3 files\n"), other.stderr
    assert "other contents, and stayed so" in other.stderr
    forced = empty.typed(variables + line.rstrip() + " --overwrite", PACKAGE=told["OTHER"], **told)
    assert (forced.returncode, forced.stdout) == (0, "Uploaded 1 of 3 files\n"), forced.stderr


def test_a_zip_without_kernel_modules_is_an_error_and_uploads_nothing(empty: Up, tmp_path: Path) -> None:
    refused = upload(empty, package(tmp_path, FILES, under="modules/"), code=3)
    assert "holds no probes" in refused.stderr
    assert empty.call("GET", "/v1/probeupload/probes")[1]["count"] == 0


def test_who_may_not_write_the_administration_is_refused(empty: Up, tmp_path: Path) -> None:
    body = json.dumps({"name": "reader", "roles": ["Analyst"]}).encode()
    token = str(empty.call("POST", "/v1/apitokens/generate", body)[1]["token"])
    refused = upload(empty, package(tmp_path, FILES), code=5, ROX_API_TOKEN=token, ROX_ADMIN_PASSWORD="")
    assert len(refused.stderr.strip().splitlines()) <= 2


def test_kill_in_the_middle_of_an_upload_leaves_what_was_there(empty: Up, tmp_path: Path) -> None:
    upload(empty, package(tmp_path, {A: FILES[A]}))
    new = {A: b"half-made " * 100, B: b"x" * 5_000_000}
    head = manifest([(name, len(data), zlib.crc32(data)) for name, data in new.items()])
    content = head + b"".join(new.values())
    incoming = empty.data / "central" / "probes" / "incoming"
    one = connection(empty)
    one.putrequest("POST", f"/api/extensions/probeupload?manifestLen={len(head)}")
    one.putheader("Authorization", "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode())
    one.putheader("Content-Length", str(len(content)))
    one.endheaders()
    one.send(content[:-1])
    until = time.monotonic() + 60
    while not any(path.stat().st_size > 1_000_000 for path in incoming.rglob("1")):
        assert time.monotonic() < until, list(incoming.rglob("*"))
        time.sleep(0.02)
    killed = empty.pid("central")
    os.kill(killed, signal.SIGKILL)
    one.close()
    while not back(empty, killed):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert list(incoming.iterdir()) == []
    assert fetch(empty, certificate(empty, tmp_path, Service.SENSOR), A) == (200, FILES[A])
    assert empty.call("GET", "/v1/probeupload/probes")[1]["count"] == 1
    assert len(list((empty.data / "central" / "probes" / "files").iterdir())) == 1
    assert upload(empty, package(tmp_path, new), "--overwrite").stdout == "Uploaded 2 of 2 files\n"
