"""``roxctl central``: who am I, the certificate, exports, log levels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from redoubt.cli.roxctl.asking import _described
from redoubt.wire.authority import Authority
from support.roxctl import Run, runner
from support.standin import StandIn, answer, refusal
from support.web import Answer, script


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as web:
        yield web


@pytest.fixture
def run(central: StandIn) -> Run:
    return runner(central)


def test_whoami(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/auth/status"] = answer(
        {
            "userId": "auth-token:7",
            "expires": "2099-01-01T00:00:00Z",
            "userInfo": {
                "username": "x",
                "friendlyName": "pipe\x1bline",
                "roles": [{"name": "Admin"}, {"name": "CI"}],
            },
        }
    )
    central.routes["GET /v1/mypermissions"] = answer(
        {"resourceToAccess": {"Image": "READ_WRITE_ACCESS", "Alert": "READ_ACCESS", "Access": "NO_ACCESS"}}
    )
    assert run("central", "whoami").stdout.splitlines() == [
        "UserID:",
        "\tauth-token:7",
        "User name:",
        "\tpipe\N{REPLACEMENT CHARACTER}line",
        "Valid until:",
        "\t2099-01-01T00:00:00Z",
        "Roles:",
        "\t- Admin",
        "\t- CI",
        "Access:",
        "\t-- Access",
        "\tr- Alert",
        "\trw Image",
    ]


def test_a_short_request_is_repeated_where_that_may_help(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/mypermissions"] = answer({})
    status = central.routes["GET /v1/auth/status"]
    assert isinstance(status, Answer)
    central.routes["GET /v1/auth/status"] = script(Answer(503, headers={"Retry-After": "0"}), status)
    run("central", "whoami", ROX_CLIENT_MAX_RETRIES="1")
    central.routes["GET /v1/auth/status"] = script(Answer(503, headers={"Retry-After": "0"}), status)
    run("central", "whoami", "--retry-timeout", "0", ROX_CLIENT_MAX_RETRIES="1", code=6)


def test_a_password_that_is_wrong_names_where_it_came_from(run: Run) -> None:
    stderr = run("central", "whoami", "-p", "wrong", code=5).stderr
    assert "did not accept what --password holds" in stderr
    stderr = run("central", "whoami", code=5, ROX_API_TOKEN="", ROX_ADMIN_PASSWORD="wrong").stderr
    assert "did not accept what ROX_ADMIN_PASSWORD holds" in stderr


def test_cert_prints_the_leaf_and_sends_no_credentials(run: Run, central: StandIn, tmp_path: Path) -> None:
    central.routes["GET /v1/ping"] = answer({"status": "ok"})
    done = run("central", "cert")
    found = x509.load_pem_x509_certificate(done.stdout.encode())
    assert found.subject.rfc4514_string() == "CN=localhost"
    assert "issuer CN=Test CA" in done.stderr
    assert "SHA-256 fingerprint " in done.stderr
    assert "authorization" not in central.asked[-1].headers
    run("central", "cert", "--output", tmp_path / "central.pem")
    assert (tmp_path / "central.pem").read_text() == done.stdout
    assert "--ca" in run("central", "cert", ROX_CA_CERT_FILE="", code=6).stderr
    untrusted = run("central", "cert", "--insecure-skip-tls-verify", ROX_CA_CERT_FILE="")
    assert untrusted.stdout == done.stdout


def test_a_cas_serial_number_is_named(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    _, lines = _described(authority.certificate.public_bytes(Encoding.DER))
    assert "serialNumber=" in lines[0]
    assert "2.5.4" not in " ".join(lines)


def test_a_certificate_of_another_name_points_to_server_name(tmp_path: Path) -> None:
    with StandIn(tmp_path, "central.stackrox") as central:
        central.routes["GET /v1/ping"] = answer({})
        run = runner(central)
        assert "--server-name" in run("central", "cert", code=6).stderr
        assert "BEGIN CERTIFICATE" in run("central", "cert", "-s", "central.stackrox").stdout


def test_a_server_that_speaks_no_tls_is_told_apart(tmp_path: Path) -> None:
    from support.web import Web

    with Web(script(Answer())) as plain, StandIn(tmp_path) as central:
        stderr = runner(central)("central", "whoami", "-e", plain.host, code=6).stderr
    assert "does not speak TLS; with --plaintext --insecure" in stderr


def stream(*lines: object) -> Answer:
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return Answer(body=body, headers={"Content-Type": "application/x-ndjson"})


def test_export_is_an_image_a_line(run: Run, central: StandIn) -> None:
    images = [{"image": {"id": str(number), "name": {"fullName": "x"}}} for number in range(3)]
    central.routes["GET /v1/export/images"] = stream(*({"result": image} for image in images))
    assert [json.loads(line) for line in run("central", "export", "images").stdout.splitlines()] == images
    central.routes["GET /v1/export/images"] = stream(*images)
    assert [json.loads(line) for line in run("central", "export", "images").stdout.splitlines()] == images
    run("central", "export", "-t", "2m", "images")
    assert central.asked[-1].path == "/v1/export/images?timeout=120"
    central.routes["GET /v1/export/images"] = Answer()
    assert run("central", "export", "images").stdout == ""


def test_an_export_that_breaks_off_is_no_success(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/export/images"] = stream(
        {"result": {"image": {}}}, {"error": {"message": "out of time"}}
    )
    done = run("central", "export", "images", code=6)
    assert "the export broke off: out of time" in done.stderr
    assert done.stdout == '{"image": {}}\n'
    whole = stream({"image": {}}).body
    central.routes["GET /v1/export/images"] = Answer(body=whole, length=len(whole) + 5)
    assert "broke off" in run("central", "export", "images", code=6).stderr
    central.routes["GET /v1/export/images"] = Answer(body=b"<html>\n")
    assert "is no export" in run("central", "export", "images", code=6).stderr


def test_log_levels(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/debug/loglevel"] = answer(
        {"level": "Info", "moduleLevels": [{"module": "api", "level": "Debug"}]}
    )
    central.routes["PATCH /v1/debug/loglevel"] = answer({})
    shown = run("central", "debug", "log", "-m", "api,wire").stdout
    assert central.asked[-1].path == "/v1/debug/loglevel?modules=api&modules=wire"
    assert shown.splitlines() == ["Current log level is Info", "MODULE  LEVEL", "api     Debug"]
    assert "Successfully set" in run("central", "debug", "log", "--level", "debug", "-m", "api").stdout
    assert json.loads(central.bodies("PATCH", "/v1/debug/loglevel")[0]) == {
        "level": "Debug",
        "modules": ["api"],
    }
    run("central", "debug", "log", "--level", "loud", code=2)


def test_a_refusal_of_permission_is_exit_code_5_with_centrals_words(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/debug/loglevel"] = refusal(403, "not authorized: READ on Administration", 7)
    stderr = run("central", "debug", "log", code=5).stderr
    assert "not authorized: READ on Administration; ROX_API_TOKEN does not permit it" in stderr


def test_a_refusal_cannot_steer_the_terminal(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/debug/loglevel"] = refusal(
        400, "bad\x1b[2J\nroxctl: error: forged " + "x" * 2000, 3
    )
    stderr = run("central", "debug", "log", code=2).stderr
    assert "\x1b" not in stderr
    assert stderr.count("\n") == 1
    assert len(stderr) < 800


def test_a_path_that_central_does_not_know_is_told_apart(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/export/images"] = refusal(404, "Not Found", 5)
    stderr = run("central", "export", "images", code=6).stderr
    assert "/v1/export/images: there is no such thing; this Central is of another version" in stderr
