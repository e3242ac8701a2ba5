"""Credentials that docker and podman left, their helpers, and the challenges of registries."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.indexer.sources import credentials, parse_reference
from redoubt.indexer.sources.challenge import Challenge, read_challenges
from redoubt.indexer.sources.credentials import Credentials, find_credentials


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "home"


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def found(name: str) -> tuple[str, str, str] | None:
    got = find_credentials(parse_reference(name))
    return None if got is None else (got.username, got.password, got.identity_token)


def helper(tmp_path: Path, name: str, script: str) -> None:
    path = tmp_path / "bin" / f"docker-credential-{name}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    path.chmod(0o755)


def test_nothing_anywhere_is_nothing() -> None:
    assert found("example.org/app") is None


@pytest.mark.parametrize(
    "key",
    [
        "example.org",
        "https://example.org",
        "http://example.org/",
        "https://example.org/v1/",
        "example.org/v2/",
    ],
)
def test_key_may_be_written_as_an_address(home: Path, key: str) -> None:
    write(home / ".docker/config.json", {"auths": {key: auth("me:pa:ss")}})
    assert found("example.org/app") == ("me", "pa:ss", "")
    assert found("example.org:5000/app") is None
    assert found("sub.example.org/app") is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_has_several_keys(home: Path, key: str) -> None:
    write(home / ".docker/config.json", {"auths": {key: auth("me:x")}})
    assert found("alpine") == ("me", "x", "")
    assert found("docker.io/team/app") == ("me", "x", "")


def test_longest_key_counts(home: Path) -> None:
    auths = {
        "example.org": auth("host:1"),
        "example.org/team": auth("team:2"),
        "example.org/team/app": auth("app:3"),
    }
    write(home / ".config/containers/auth.json", {"auths": auths})
    assert found("example.org/other") == ("host", "1", "")
    assert found("example.org/team/other") == ("team", "2", "")
    assert found("example.org/team/app") == ("app", "3", "")
    assert found("example.org/teams") == ("host", "1", "")


def test_places_are_looked_at_in_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def place(path: Path, user: str) -> None:
        write(path, {"auths": {"example.org": auth(f"{user}:x")}})
        got = found("example.org/app")
        assert got is not None
        assert got[0] == user

    place(home / ".config/containers/auth.json", "config")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    place(tmp_path / "run/containers/auth.json", "runtime")
    place(home / ".docker/config.json", "docker")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    place(tmp_path / "docker/config.json", "named-folder")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth"))
    place(tmp_path / "auth", "named-file")


def test_identity_token_comes_before_the_password(home: Path) -> None:
    write(home / ".docker/config.json", {"auths": {"example.org": auth("u:") | {"identitytoken": "refresh"}}})
    assert found("example.org/app") == ("u", "", "refresh")


def test_entry_without_a_secret_leads_to_the_store(home: Path, tmp_path: Path) -> None:
    write(
        home / ".docker/config.json", {"auths": {"example.org": {}, "other.org": None}, "credsStore": "desk"}
    )
    helper(tmp_path, "desk", 'read host; echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"for $host\\"}"')
    assert found("example.org/app") == ("me", "for example.org", "")
    assert found("alpine") == ("me", "for https://index.docker.io/v1/", "")


def test_helper_of_a_host_comes_before_what_is_written(home: Path, tmp_path: Path) -> None:
    config = {"auths": {"example.org": auth("file:x")}, "credHelpers": {"example.org": "cloud"}}
    write(home / ".docker/config.json", config)
    helper(tmp_path, "cloud", 'echo \'{"Username":"<token>","Secret":"refresh"}\'')
    assert found("example.org/app") == ("", "", "refresh")


def test_helper_that_holds_nothing_is_no_error(home: Path, tmp_path: Path) -> None:
    write(home / ".docker/config.json", {"credsStore": "desk"})
    helper(tmp_path, "desk", "echo 'credentials not found in native keychain'; exit 1")
    assert found("example.org/app") is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo hunter2; exit 3", r"failed for example\.org \(exit code 3\)"),
        ("echo '{\"Username\": hunter2'", "cannot be read"),
        ("exec sleep 30", r"gave no answer in 0 seconds"),
        ("head -c 100000 /dev/zero", "cannot be read"),
    ],
)
def test_helper_that_fails_is_named_and_quoted_never(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    monkeypatch.setattr(credentials, "HELPER_TIMEOUT", 0.3)
    write(home / ".docker/config.json", {"credsStore": "desk"})
    helper(tmp_path, "desk", script)
    with pytest.raises(AccessDenied, match=f"docker-credential-desk: .*{message}") as caught:
        found("example.org/app")
    assert "hunter2" not in str(caught.value)


def test_missing_helper_is_named(home: Path) -> None:
    write(home / ".docker/config.json", {"credsStore": "desk"})
    with pytest.raises(AccessDenied, match="docker-credential-desk, which is not installed"):
        found("example.org/app")


@pytest.mark.parametrize("name", ["../../bin/sh", "a/b", "a b", "-x", "a;b", "a\nb"])
def test_helper_is_a_name_and_no_path(home: Path, name: str) -> None:
    write(home / ".docker/config.json", {"credsStore": name})
    with pytest.raises(UnreadableInput, match="not the name of a credential helper"):
        found("example.org/app")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "hunter2",
        "[]",
        '{"auths": []}',
        '{"auths": {"example.org": "hunter2"}}',
        '{"auths": {"example.org": {"auth": "hunter2!"}}}',
        '{"auths": {"example.org": {"auth": "aHVudGVyMg=="}}}',
        '{"auths":' * 5000,
    ],
)
def test_damaged_file_is_named_and_quoted_never(home: Path, content: str) -> None:
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/config.json").write_text(content)
    with pytest.raises(UnreadableInput, match=r"\.docker/config\.json: .*log in again") as caught:
        found("example.org/app")
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(Credentials("me", "hunter2", "hunter2"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        (["Basic"], [Challenge("basic", {})]),
        (['Basic realm="a, b"'], [Challenge("basic", {"realm": "a, b"})]),
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"'],
            [
                Challenge(
                    "bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:x:pull,push"}
                )
            ],
        ),
        (
            ["bearer Realm=https://a/t , SERVICE = s"],
            [Challenge("bearer", {"realm": "https://a/t", "service": "s"})],
        ),
        (
            ['Negotiate, Basic realm="x", Bearer realm="y"'],
            [
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": "x"}),
                Challenge("bearer", {"realm": "y"}),
            ],
        ),
        (
            ["Basic realm=x", 'Bearer realm="\\"q\\\\"'],
            [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": '"q\\'})],
        ),
        (['Bearer realm="a", realm="b"'], [Challenge("bearer", {"realm": "a"})]),
    ],
)
def test_challenges_are_read(headers: list[str], expected: list[Challenge]) -> None:
    assert read_challenges(headers) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet='Basicer ="\\,:/\t x~é', max_size=60), max_size=3))
def test_any_challenge_is_read_to_an_end(headers: list[str]) -> None:
    for found_challenge in read_challenges(headers):
        assert found_challenge.scheme


def test_long_hostile_challenge_is_read_at_once() -> None:
    for header in (
        'Bearer realm="' + '\\"' * 100_000,
        "a " * 100_000,
        ", " * 100_000,
        'Bearer a="' + "x" * 100_000,
    ):
        assert len(read_challenges([header])) < 8192
