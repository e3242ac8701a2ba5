"""``roxctl`` against a real Central: what people type for definitions, tokens and logins, from the first start on."""

from __future__ import annotations

import http.client
import io
import json
import shutil
import ssl
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography import x509

from redoubt.cli.roxctl.releases import NEWEST_RELEASE
from redoubt.wire.authority import Authority
from redoubt.wire.identity import Service
from support import stackrox
from support.definitions_bundles import Site, delta_bundle, members
from support.up import PASSWORD, Up


@pytest.fixture(scope="module")
def site(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A channel that this Central trusts."""
    made = Site(tmp_path_factory.mktemp("site"))
    done(up.roxctl("definitions", "trust", "add", str(made.root), "--channel", "site"))
    return made


def done(answer: subprocess.CompletedProcess[str], code: int = 0) -> subprocess.CompletedProcess[str]:
    assert answer.returncode == code, f"{answer.returncode}\n{answer.stdout}\n{answer.stderr}"
    assert "Traceback" not in answer.stderr
    return answer


def token(up: Up, *roles: str, name: str = "pipeline") -> str:
    body = json.dumps({"name": name, "roles": list(roles)}).encode()
    status, made = up.call("POST", "/v1/apitokens/generate", body)
    assert status == 200, made
    return str(made["token"])


def test_the_ca_is_found_where_up_puts_it_and_the_password_counts(up: Up) -> None:
    shown = done(up.roxctl("central", "whoami")).stdout
    assert "User name:\n\tadmin" in shown
    assert "\t- Admin" in shown
    assert "\trw Administration" in shown
    wrong = done(up.roxctl("central", "whoami", ROX_ADMIN_PASSWORD="wrong"), 5)
    assert "did not accept what ROX_ADMIN_PASSWORD holds" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1


def test_another_ca_is_not_trusted_and_the_error_names_flag_and_file(up: Up, tmp_path: Path) -> None:
    stderr = done(up.roxctl("central", "whoami", ROX_CONFIG_DIR=str(tmp_path)), 6).stderr
    assert f"--ca, or put it at {tmp_path}/ca.pem" in stderr
    done(up.roxctl("central", "whoami", "--ca", str(up.config / "ca.pem"), ROX_CONFIG_DIR=str(tmp_path)))


def test_tokens_count_as_long_as_they_do_and_for_what_they_may(up: Up, site: Site, tmp_path: Path) -> None:
    reader = {"ROX_API_TOKEN": token(up, "Analyst", name="reader"), "ROX_ADMIN_PASSWORD": ""}
    assert "\t- Analyst" in done(up.roxctl("central", "whoami", **reader)).stdout
    refused = up.roxctl("scanner", "upload-db", "--scanner-db-file", str(site.bundle(1)), **reader)
    assert "ROX_API_TOKEN does not permit it" in done(refused, 5).stderr
    file = tmp_path / "token"
    file.write_text(token(up, "Admin") + "\n")
    done(up.roxctl("central", "whoami", "--token-file", str(file)))
    done(up.roxctl("central", "whoami", ROX_API_TOKEN="x"), 2)


def test_a_login_is_kept_for_this_central(up: Up, tmp_path: Path) -> None:
    shutil.copy(up.config / "ca.pem", tmp_path)
    home = {"ROX_CONFIG_DIR": str(tmp_path), "ROX_ADMIN_PASSWORD": ""}
    assert "no credentials" in done(up.roxctl("central", "whoami", **home), 5).stderr
    secret = token(up, "Admin", name="laptop")
    login = subprocess.run(
        ["sh", "-c", 'printf %s "$SECRET" | "$0" "$@"', *_roxctl("central", "login")],
        env=up.environment | home | {"SECRET": secret},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Logged in to" in done(login).stdout
    assert "until" in login.stdout
    assert secret not in login.stdout + login.stderr
    assert "\t- Admin" in done(up.roxctl("central", "whoami", **home)).stdout
    assert (tmp_path / "roxctl-config.yaml").stat().st_mode & 0o777 == 0o600


def _roxctl(*words: str) -> list[str]:
    return [sys.executable, "-c", "from redoubt.cli.roxctl import main; main()", *words]


def _active(up: Up) -> dict[str, str]:
    found: dict[str, str] = json.loads(done(up.roxctl("definitions", "status", "-o", "json")).stdout)[
        "active"
    ]
    return found


def test_definitions_from_the_first_upload_to_the_rollback(up: Up, tmp_path: Path) -> None:
    before = _active(up)
    other = Site(tmp_path, "shop")
    bundle = other.bundle(2)
    refused = done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(bundle)), 4)
    assert "roxctl definitions trust add" in refused.stderr
    done(up.roxctl("definitions", "trust", "add", str(other.root), "--channel", "shop"))
    assert "shop" in done(up.roxctl("definitions", "trust", "list")).stdout
    active = done(up.roxctl("scanner", "upload-db", f"--scanner-db-file={bundle}"))
    assert "Active now: definitions sha256:" in active.stdout
    assert "of channel shop, version 2" in active.stdout
    again = done(up.roxctl("scanner", "upload-db", f"--scanner-db-file={bundle}"))
    assert "Already active" in again.stdout
    assert _active(up)["channel"] == "shop"
    assert "Channel   shop, version 2" in done(up.roxctl("definitions", "status")).stdout
    assert "All advisories" in done(up.roxctl("definitions", "diff")).stdout
    history = done(up.roxctl("definitions", "history")).stdout
    assert "upload" in history.splitlines()[1]
    back = done(up.roxctl("definitions", "rollback"))
    assert f"of channel {before['channel']}" in back.stdout
    assert _active(up)["digest"] == before["digest"]
    assert "rollback" in done(up.roxctl("definitions", "history")).stdout.splitlines()[1]


def test_the_documents_own_lines_work_as_written(up: Up, site: Site) -> None:
    told = {"TOKEN": token(up, "Admin", name="documents"), "PASSWORD": PASSWORD, "ADDRESS": up.endpoint}
    with_token = """
        export ROX_API_TOKEN=$TOKEN
        export ROX_CENTRAL_ADDRESS=$ADDRESS
        roxctl scanner upload-db \\
          -e "$ROX_CENTRAL_ADDRESS" \\
          --scanner-db-file="$BUNDLE"
    """
    shown = done(up.typed(with_token, **told, BUNDLE=str(site.bundle(3))))
    assert "of channel site, version 3" in shown.stdout
    with_password = """
        export ROX_CENTRAL_ADDRESS=$ADDRESS
        roxctl scanner upload-db \\
          -p "$PASSWORD" \\
          -e "$ROX_CENTRAL_ADDRESS" \\
          --scanner-db-file="$BUNDLE"
    """
    shown = done(up.typed(with_password, **told, BUNDLE=str(site.bundle(4))))
    assert "of channel site, version 4" in shown.stdout


def test_the_documents_way_from_the_internet_to_a_central_without_it(up: Up, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream" / NEWEST_RELEASE
    upstream.mkdir(parents=True)
    stackrox.write(upstream, name=f"scanner-vulns-{NEWEST_RELEASE}.zip", created="2026-01-02T03:04:05Z")
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    fetched = up.typed(
        "roxctl scanner download-db --scanner-db-file scanner-vuln-updates.zip",
        folder=there,
        ROX_SCAN_DB_DL_BASE_URL=str(upstream.parent),
        REDOUBT_DATA_DIR=str(tmp_path / "data"),
    )
    assert "UNSIGNED" in done(fetched).stderr
    shutil.copy(there / "scanner-vuln-updates.zip", here)
    told = {"TOKEN": token(up, "Admin", name="carrier"), "ADDRESS": up.endpoint}
    upload = """
        export ROX_API_TOKEN=$TOKEN
        export ROX_CENTRAL_ADDRESS=$ADDRESS
        roxctl scanner upload-db \\
          -e "$ROX_CENTRAL_ADDRESS" \\
          --scanner-db-file=scanner-vuln-updates.zip
    """
    refused = done(up.typed(upload, folder=here, **told), 4)
    assert "roxctl definitions trust allow-unsigned stackrox" in refused.stderr
    done(
        up.typed(
            'roxctl definitions trust allow-unsigned stackrox -e $ADDRESS -p "$PASSWORD"',
            **told,
            PASSWORD=PASSWORD,
        )
    )
    assert "nobody" in done(up.typed(upload, folder=here, **told)).stderr
    assert _active(up)["channel"] == "stackrox"


def asked(
    up: Up, folder: Path, service: Service | None, query: str, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """``GET /api/extensions/scannerdefinitions`` by a service's certificate, or by nobody."""
    context = ssl.create_default_context(cafile=str(up.config / "ca.pem"))
    if service is not None:
        place = folder / service.name
        Authority.load(up.data / "ca").issue(service, hosts=["localhost"]).write(place)
        context.load_cert_chain(place / "cert.pem", place / "key.pem")
    one = http.client.HTTPSConnection("localhost", up.port, context=context, timeout=60)
    try:
        one.request("GET", f"/api/extensions/scannerdefinitions?{query}", headers=headers)
        answer = one.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        one.close()


def test_scanners_of_the_original_are_given_their_parts_of_an_upload(up: Up, tmp_path: Path) -> None:
    done(up.roxctl("definitions", "trust", "allow-unsigned", "stackrox"))
    bundle = stackrox.write(tmp_path, created="2026-02-02T03:04:05Z")
    done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(bundle)))
    for service in (Service.SCANNER_V4_MATCHER, Service.SCANNER_V4_INDEXER, Service.SENSOR):
        status, headers, body = asked(up, tmp_path, service, "version=v3")
        assert status == 200, body
        assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    matcher = Service.SCANNER_V4_MATCHER
    since = {"If-Modified-Since": headers["last-modified"]}
    assert asked(up, tmp_path, matcher, "version=v3", **since)[0] == 304
    assert asked(up, tmp_path, matcher, "version=v3", **{"If-None-Match": headers["etag"]})[0] == 304
    status, told, part = asked(up, tmp_path, matcher, "version=v3", Range="bytes=4-9")
    assert (status, part) == (206, body[4:10])
    assert told["content-range"] == f"bytes 4-9/{len(body)}"
    status, _, names = asked(up, tmp_path, matcher, "file=name2repos")
    assert (status, isinstance(json.loads(names), dict)) == (200, True)
    assert asked(up, tmp_path, matcher, "file=repo2cpe")[0] == 200
    for query, code in (("version=v1", 404), ("file=nothing", 404), ("", 400), ("version=v3&file=x", 400)):
        assert asked(up, tmp_path, matcher, query)[0] == code, query
    assert asked(up, tmp_path, Service.COLLECTOR, "version=v3")[0] == 403
    assert asked(up, tmp_path, None, "version=v3")[0] == 401
    other = Site(tmp_path, "plain")
    done(up.roxctl("definitions", "trust", "add", str(other.root), "--channel", "plain"))
    done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(other.bundle(1))))
    status, _, said = asked(up, tmp_path, matcher, "version=v3")
    assert (status, json.loads(said)["message"]) == (404, "No scanner definitions found")


def test_a_delta_is_enough_where_its_base_is_there(up: Up, tmp_path: Path) -> None:
    other = Site(tmp_path, "days")
    done(up.roxctl("definitions", "trust", "add", str(other.root), "--channel", "days"))
    done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(other.bundle(1))))
    day = delta_bundle(other, 1, 2)
    carried = done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(day)))
    assert "of channel days, version 2" in carried.stdout
    whole = json.loads(members(other.bundle(2))["manifest.json"])["digest"]
    assert _active(up)["digest"] == whole
    far = done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(delta_bundle(other, 8, 9))), 4)
    assert "are not on the shelf" in far.stderr
    assert len(far.stderr.splitlines()) == 1
    assert _active(up)["digest"] == whole


def test_older_needs_to_be_meant(up: Up, site: Site) -> None:
    done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(site.bundle(9))))
    old = str(site.bundle(5))
    assert "older" in done(up.roxctl("scanner", "upload-db", "--scanner-db-file", old), 4).stderr
    taken = done(up.roxctl("scanner", "upload-db", "--scanner-db-file", old, "--allow-older"))
    assert "--allow-older was given and recorded" in taken.stderr
    assert "upload-older" in done(up.roxctl("definitions", "history")).stdout


def test_a_damaged_bundle_leaves_what_is_active(up: Up, site: Site, tmp_path: Path) -> None:
    before = _active(up)["digest"]
    data = bytearray(site.bundle(20).read_bytes())
    data[data.rindex(b"(\xb5/\xfd") + 20] ^= 1  # in the compressed stream
    (tmp_path / "damaged.zip").write_bytes(data)
    done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(tmp_path / "damaged.zip")), 4)
    assert _active(up)["digest"] == before


def test_the_release_to_fetch_is_the_one_that_central_follows(up: Up, site: Site, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    shutil.copy(site.bundle(30), stick / f"scanner-vulns-{NEWEST_RELEASE}.zip")
    fetched = up.roxctl(
        *("scanner", "download-db", "--scanner-db-file", str(tmp_path / "today.zip")),
        ROX_SCAN_DB_DL_BASE_URL=str(stick),
        REDOUBT_DATA_DIR=str(tmp_path / "data"),
    )
    assert f"release {NEWEST_RELEASE}, which Central follows" in done(fetched).stderr
    carried = done(up.roxctl("scanner", "upload-db", "--scanner-db-file", str(tmp_path / "today.zip")))
    assert "version 30" in carried.stdout


def test_certificate_and_log_levels(up: Up) -> None:
    pem = done(up.roxctl("central", "cert")).stdout
    assert "CENTRAL_SERVICE" in x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()
    done(up.roxctl("central", "debug", "log", "--level", "Info"))
    assert "Current log level is Info" in done(up.roxctl("central", "debug", "log")).stdout


def test_nobody_is_let_in_with_what_is_none(up: Up) -> None:
    for variables in (
        {"ROX_API_TOKEN": "x.y.z", "ROX_ADMIN_PASSWORD": ""},
        {"ROX_ADMIN_PASSWORD": PASSWORD + "x"},
    ):
        assert done(up.roxctl("definitions", "status", **variables), 5).stdout == ""
