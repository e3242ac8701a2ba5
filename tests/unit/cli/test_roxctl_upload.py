"""``roxctl scanner upload-db`` against a stand-in: what is sent, and what is said when it is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from redoubt.cli.roxctl import roxctl, settings
from support.inprocess import Outcome, invoke
from support.standin import PASSWORD, TOKEN, StandIn, answer, refusal
from support.web import Answer, Asked

PATH = "/api/extensions/scannerdefinitions"
BECAME = {
    "digest": "sha256:" + "ab" * 32,
    "channel": "main",
    "version": 20990101000000,
    "created": "2099-01-01T00:00:00Z",
    "previous": "sha256:" + "cd" * 32,
    "records": 1234,
    "sources": [
        {"name": "debian", "records": 1234, "state": "fresh"},
        {"name": "alpine", "state": "missing", "detail": "never read"},
    ],
}


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    folder = tmp_path / "central"
    folder.mkdir()
    with StandIn(folder) as web:
        web.routes[f"POST {PATH}"] = answer(BECAME)
        yield web


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    file = tmp_path / "today.zip"
    with zipfile.ZipFile(file, "w") as whole:
        whole.writestr("payload", bytes(range(256)) * 4000)
    return file


def upload(central: StandIn, *words: str | Path, code: int = 0, **variables: str) -> Outcome:
    given = {"ROX_ENDPOINT": central.endpoint, "ROX_CA_CERT_FILE": str(central.authority.file)}
    given |= {"ROX_API_TOKEN": TOKEN} | variables
    return invoke(roxctl, "scanner", "upload-db", *words, code=code, environment=given)


def test_the_documents_commands_work_as_written(central: StandIn, bundle: Path) -> None:
    told = {"ROX_ENDPOINT": "", "ROX_CENTRAL_ADDRESS": central.endpoint}
    by_token = upload(central, "-e", central.endpoint, f"--scanner-db-file={bundle}", **told)
    assert "Active now: definitions sha256:abababababab" in by_token.stdout
    told["ROX_API_TOKEN"] = ""
    words = ("-p", PASSWORD, "-e", central.endpoint, f"--scanner-db-file={bundle}")
    assert "Active now" in upload(central, *words, **told).stdout
    assert (
        "Active now"
        in upload(
            central, f"--scanner-db-file={bundle}", ROX_ENDPOINT="", ROX_CENTRAL_ADDRESS=central.endpoint
        ).stdout
    )
    assert central.bodies("POST", PATH) == [bundle.read_bytes()] * 3


def test_what_became_active_is_told(central: StandIn, bundle: Path) -> None:
    done = upload(central, "--scanner-db-file", bundle)
    assert "channel main, version 20990101000000, built 2099-01-01T00:00:00Z" in done.stdout
    assert "1,234 records from 1 source" in done.stderr
    assert "missing in this bundle: alpine (never read)" in done.stderr
    assert "`roxctl definitions rollback` goes back" in done.stderr
    assert done.stdout.count("\n") == 1


def test_an_answer_in_words_is_passed_on(central: StandIn, bundle: Path) -> None:
    central.routes[f"POST {PATH}"] = Answer(body=b"Successfully stored scanner vulnerability definitions\n")
    assert upload(central, "--scanner-db-file", bundle).stdout.startswith("Successfully stored")


def test_older_is_asked_for_by_name(central: StandIn, bundle: Path) -> None:
    central.routes[f"POST {PATH}"] = answer(BECAME | {"older": True})
    done = upload(central, "--scanner-db-file", bundle, "--allow-older=true")
    assert central.asked[-1].path == f"{PATH}?allowOlder=true"
    assert "older than what this channel had before" in done.stderr


def test_a_refused_bundle_is_exit_code_4_with_centrals_reason(central: StandIn, bundle: Path) -> None:
    reason = "no root is trusted for channel main; run `roxctl definitions trust add ROOT --channel main`"
    central.routes[f"POST {PATH}"] = refusal(400, reason, 3)
    assert reason in upload(central, "--scanner-db-file", bundle, code=4).stderr
    central.routes[f"POST {PATH}"] = refusal(400, "the disk is full", 9)
    assert "the disk is full" in upload(central, "--scanner-db-file", bundle, code=5).stderr


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (403, "needs write access to Administration", 5),
        (409, "another upload is under way", 6),
        (503, "the disk is full", 6),
    ],
)
def test_other_refusals_are_one_line_with_their_own_code(
    central: StandIn, bundle: Path, status: int, message: str, code: int
) -> None:
    central.routes[f"POST {PATH}"] = refusal(status, message)
    done = upload(central, "--scanner-db-file", bundle, code=code)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_wrong_credentials_are_found_out_before_the_file_travels(central: StandIn, bundle: Path) -> None:
    done = upload(central, "--scanner-db-file", bundle, code=5, ROX_API_TOKEN="stale")
    assert "did not accept what ROX_API_TOKEN holds (invalid credentials)" in done.stderr
    assert "stale" not in done.stderr
    assert central.bodies("POST", PATH) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: file.write_text("<html>Please log in</html>"), "is no zip"),
        (lambda file: file.write_bytes(b""), "is no zip"),
        (lambda file: file.unlink(), "no such file"),
        (lambda file: (file.unlink(), file.mkdir()), "is a folder"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1000]), "is cut off"),
    ],
)
def test_what_is_no_bundle_is_not_sent(central: StandIn, bundle: Path, make: object, words: str) -> None:
    make(bundle)  # type: ignore[operator]
    assert words in upload(central, "--scanner-db-file", bundle, code=3).stderr
    assert central.asked == []


def test_a_server_that_hangs_up_is_one_line(central: StandIn, bundle: Path) -> None:
    central.routes[f"POST {PATH}"] = Answer(body=b"{", length=100)
    done = upload(central, "--scanner-db-file", bundle, code=6)
    assert "broke off" in done.stderr


def test_timeout_ends_a_transfer_that_somebody_limited(central: StandIn, bundle: Path) -> None:
    def slow(asked: Asked) -> Answer:
        import time

        time.sleep(1.5)
        return answer(BECAME)

    central.routes[f"POST {PATH}"] = slow
    done = upload(central, "--scanner-db-file", bundle, "-t", "1s", code=6)
    assert "timed out" in done.stderr


def test_no_endpoint_was_named_and_nobody_answers(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DEFAULT_ENDPOINT", "localhost:9")
    words = ("scanner", "upload-db", "--scanner-db-file", bundle)
    done = invoke(roxctl, *words, code=6, environment={"ROX_API_TOKEN": "x"})
    assert "localhost:9 is the default: name Central with -e HOST:PORT or ROX_ENDPOINT" in done.stderr


def test_no_credentials_is_said_without_asking(central: StandIn, bundle: Path) -> None:
    done = upload(central, "--scanner-db-file", bundle, code=5, ROX_API_TOKEN="")
    assert f"no credentials for {central.endpoint}" in done.stderr
    assert "roxctl central login" in done.stderr
    assert central.asked == []


def test_an_untrusted_certificate_names_ca_and_the_default_file(
    central: StandIn, bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    words = ("--scanner-db-file", bundle)
    told = {"ROX_CA_CERT_FILE": "", "ROX_CONFIG_DIR": str(config)}
    done = upload(central, *words, code=6, **told)
    assert f"name Central's CA with --ca, or put it at {config}/ca.pem" in done.stderr
    config.mkdir()
    (config / "ca.pem").write_bytes(central.authority.file.read_bytes())
    assert "Active now" in upload(central, *words, **told).stdout


def test_json_of_another_server_is_not_taken_for_centrals(central: StandIn, bundle: Path) -> None:
    central.routes["GET /v1/auth/status"] = Answer(body=b"<html>")
    assert "not Central's" in upload(central, "--scanner-db-file", bundle, code=6).stderr


def test_nothing_secret_is_in_any_message(central: StandIn, bundle: Path) -> None:
    for status in (400, 401, 403, 409, 500):
        central.routes[f"POST {PATH}"] = refusal(status, json.dumps({"x": 1}))
        code = {400: 4, 401: 5, 403: 5}.get(status, 6)
        done = upload(central, "--scanner-db-file", bundle, code=code)
        assert TOKEN not in done.stderr + done.stdout


def test_a_server_that_dies_in_the_midst_of_an_upload_is_one_line(
    central: StandIn, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(bundle, "a") as file:
        file.writestr("more", bytes(8 << 20))  # than fits on the way
    handler = central._server.RequestHandlerClass
    read = handler._body  # type: ignore[attr-defined]

    def dying(self: BaseHTTPRequestHandler) -> bytes:
        if self.command == "POST":
            self.rfile.read(100_000)
            raise ConnectionError
        return read(self)  # type: ignore[no-any-return]

    monkeypatch.setattr(handler, "_body", dying)
    stderr = upload(central, "--scanner-db-file", bundle, code=6).stderr
    assert "broke off" in stderr
    assert stderr.count("\n") == 1
