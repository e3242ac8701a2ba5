"""The registry source against a real registry that wants passwords, tokens or a certificate's trust."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ociwriter import Entry, ImageWriter
from redoubt import egress
from redoubt.errors import AccessDenied, NetworkError
from redoubt.indexer.sources import ResolvedImage, SourceOptions, open_source
from support.registry import (
    PASSWORD,
    USERNAME,
    Registry,
    StandInTokenService,
    make_authority,
    needs_registry,
    start_registry,
)

pytestmark = needs_registry
QUICK = egress.Retry(attempts=3, first=0.01, longest=0.02)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without credentials."""
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = ImageWriter().add([Entry("etc/os-release", b"ID=debian\n")]).add([Entry("a", b"a" * 5000)])
    return writer.write_oci_dir(tmp_path_factory.mktemp("image") / "layout")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with start_registry(tmp_path_factory.mktemp("locked"), password=True) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInTokenService]:
    service = StandInTokenService(tmp_path_factory.mktemp("tokens"))
    yield service
    service.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, tokens: StandInTokenService) -> Iterator[Registry]:
    with start_registry(tmp_path_factory.mktemp("guarded"), tokens=tokens) as running:
        yield running


def pulled(target: str, **more: object) -> ResolvedImage:
    options = SourceOptions(retry=QUICK, timeout=5.0, **more)  # type: ignore[arg-type]
    with open_source(target, options=options) as source:
        resolved = source.resolve(None)
        for layer in resolved.layers:
            with source.open_layer(layer) as stream:
                assert len(stream.read(-1)) == layer.size
    return resolved


def auth(username: str = USERNAME, password: str = PASSWORD) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def test_no_credentials_says_how_to_log_in(locked: Registry, layout: Path) -> None:
    reference = locked.push(f"oci:{layout}:latest", "app:1")
    with pytest.raises(AccessDenied, match=f"log in with 'docker login {locked.host}'"):
        pulled(reference)


def test_given_password_is_used(locked: Registry, layout: Path) -> None:
    reference = locked.push(f"oci:{layout}:latest", "app:1")
    assert len(pulled(reference, username=USERNAME, password=PASSWORD).layers) == 2


def test_wrong_password_is_access_denied_and_stays_secret(locked: Registry, layout: Path) -> None:
    reference = locked.push(f"oci:{layout}:latest", "app:1")
    with pytest.raises(AccessDenied, match="do not allow pulling app") as caught:
        pulled(reference, username=USERNAME, password="hunter2-wrong")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(SourceOptions(username="u", password="hunter2-wrong"))


@pytest.mark.parametrize("place", [".docker/config.json", ".config/containers/auth.json"])
def test_login_of_docker_and_podman_is_used(locked: Registry, layout: Path, home: Path, place: str) -> None:
    reference = locked.push(f"oci:{layout}:latest", "app:1")
    file = home / place
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"auths": {locked.host: auth()}}))
    assert len(pulled(reference).layers) == 2


def test_token_is_asked_for_the_repository_and_once(
    guarded: Registry, tokens: StandInTokenService, layout: Path
) -> None:
    reference = guarded.push(f"oci:{layout}:latest", "team/app:1")
    tokens.asked.clear()
    assert len(pulled(reference, username=USERNAME, password=PASSWORD).layers) == 2
    assert tokens.asked == [{"service": tokens.service, "scope": "repository:team/app:pull"}]


def test_token_service_refusing_is_access_denied(guarded: Registry, layout: Path) -> None:
    reference = guarded.push(f"oci:{layout}:latest", "team/app:1")
    with pytest.raises(AccessDenied, match="the credentials were refused"):
        pulled(reference, username=USERNAME, password="wrong")
    with pytest.raises(AccessDenied, match="no token without credentials"):
        pulled(reference)


def test_anonymous_token_is_enough_where_pulling_is_open(
    guarded: Registry, tokens: StandInTokenService, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = guarded.push(f"oci:{layout}:latest", "team/app:1")
    monkeypatch.setattr(tokens, "allow_anonymous", True)
    assert len(pulled(reference).layers) == 2


def test_identity_token_is_exchanged(
    guarded: Registry, tokens: StandInTokenService, layout: Path, home: Path
) -> None:
    reference = guarded.push(f"oci:{layout}:latest", "team/app:1")
    (home / ".docker").mkdir()
    entry = {"auth": auth("00000000", "")["auth"], "identitytoken": tokens.refresh_token}
    (home / ".docker/config.json").write_text(json.dumps({"auths": {guarded.host: entry}}))
    tokens.asked.clear()
    assert len(pulled(reference).layers) == 2
    assert tokens.asked[0]["grant_type"] == "refresh_token"


def test_expired_token_is_renewed_between_layers(
    guarded: Registry, tokens: StandInTokenService, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = guarded.push(f"oci:{layout}:latest", "team/app:1")
    options = SourceOptions(retry=QUICK, timeout=5.0, username=USERNAME, password=PASSWORD)
    with open_source(reference, options=options) as source:
        monkeypatch.setattr(tokens, "lifetime", -3600)  # expired when it is given
        with pytest.raises(AccessDenied):
            source.resolve(None)
        monkeypatch.setattr(tokens, "lifetime", 60)
        resolved = source.resolve(None)
        with source.open_layer(resolved.layers[1]) as stream:
            assert len(stream.read(-1)) == resolved.layers[1].size


def test_own_ca_is_trusted_where_its_file_is_named(tmp_path: Path, layout: Path) -> None:
    authority = make_authority(tmp_path / "ca")
    with start_registry(tmp_path / "registry", tls=authority, password=True) as running:
        reference = running.push(f"oci:{layout}:latest", "app:1")
        login = {"username": USERNAME, "password": PASSWORD}
        with pytest.raises(NetworkError, match=r"certificate is not trusted .* name the file of the CA"):
            pulled(reference, **login)
        assert len(pulled(reference, ca_file=authority.ca_file, **login).layers) == 2
        assert len(pulled(reference, insecure=True, **login).layers) == 2
        other = make_authority(tmp_path / "other")
        with pytest.raises(NetworkError, match="certificate is not trusted"):
            pulled(reference, ca_file=other.ca_file, **login)


def test_offline_mode_contacts_the_named_registry_only(locked: Registry, layout: Path) -> None:
    reference = locked.push(f"oci:{layout}:latest", "app:1")
    offline = egress.Policy(offline=True)
    assert pulled(reference, username=USERNAME, password=PASSWORD, policy=offline).layers


def test_offline_mode_refuses_a_token_service_elsewhere(
    guarded: Registry, tokens: StandInTokenService, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = guarded.host.partition(":")[2]
    guarded.push(f"oci:{layout}:latest", "team/app:1")
    target = (
        f"localhost:{port}/team/app:1"  # the token service is on 127.0.0.1: another name, so another host
    )
    login = {"username": USERNAME, "password": PASSWORD}
    with pytest.raises(NetworkError, match=r"offline mode: 127\.0\.0\.1 was not named"):
        pulled(target, policy=egress.Policy(offline=True), **login)
    monkeypatch.setenv("REDOUBT_OFFLINE", "1")
    monkeypatch.setenv("REDOUBT_ALLOWED_HOSTS", "127.0.0.1")
    assert pulled(target, **login).layers
