"""The registry source against registries that lie, leak or break, played by a scripted server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import ociwriter
from ociwriter import Entry, ImageWriter
from redoubt import egress
from redoubt.errors import AccessDenied, LimitExceeded, NetworkError, RedoubtError, UnreadableInput
from redoubt.indexer.sources import ResolvedImage, SourceOptions, open_source
from support.web import Answer, Asked, Web

QUICK = egress.Retry(attempts=3, first=0.001, longest=0.002)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@dataclass
class Played:
    """A registry with one image, ``app:1``. ``change`` may replace an answer."""

    change: Callable[[Asked, Answer], Answer | None] = lambda asked, answer: None
    writer: ImageWriter = field(default_factory=lambda: ImageWriter().add([Entry("a", b"a" * 200_000)]))

    def __post_init__(self) -> None:
        self.blobs, descriptor = self.writer.blobs("none")
        self.manifest = str(descriptor["digest"])
        self.layer = ociwriter.sha256(self.writer.tars[0])
        self.config = ociwriter.sha256(self.writer.config())

    def __call__(self, asked: Asked) -> Answer:
        name = asked.path.rpartition("/")[2].replace("1", self.manifest) if asked.path.endswith("/1") else ""
        digest = name or asked.path.partition("?")[0].rpartition("/")[2]
        answer = Answer(404)
        if (data := self.blobs.get(digest)) is not None:
            kind = (
                "application/vnd.oci.image.manifest.v1+json"
                if "/manifests/" in asked.path
                else "application/x"
            )
            answer = Answer(body=data, headers={"Content-Type": kind})
            start = int(asked.headers.get("range", "bytes=0-")[6:-1])
            if start:
                rest = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
                answer = Answer(206, data[start:], answer.headers | rest)
        return self.change(asked, answer) or answer


def pulled(web: Web, name: str = "app:1", **more: object) -> tuple[ResolvedImage, bytes]:
    options = SourceOptions(retry=QUICK, timeout=2.0, **more)  # type: ignore[arg-type]
    with open_source(f"{web.host}/{name}", options=options) as source:
        resolved = source.resolve(None)
        with source.open_layer(resolved.layers[0]) as stream:
            return resolved, stream.read(-1)


def test_played_registry_is_pulled_with_three_requests() -> None:
    played = Played()
    with Web(played) as web:
        resolved, body = pulled(web)
        assert body == played.writer.tars[0]
        assert resolved.image.digest == played.manifest
        assert [asked.path.split("/")[3] for asked in web.asked] == ["manifests", "blobs", "blobs"]


def refuse(
    change: Callable[[Asked, Answer], Answer | None], error: type[RedoubtError], message: str, **more: object
) -> None:
    with Web(Played(change)) as web, pytest.raises(error, match=message):
        pulled(web, **more)  # type: ignore[arg-type]


def test_bytes_that_are_not_the_digest_asked_for_are_refused() -> None:
    played = Played(
        lambda asked, answer: Answer(body=answer.body + b" ") if "/manifests/" in asked.path else None
    )
    with Web(played) as web, pytest.raises(UnreadableInput, match="damaged or altered"):
        pulled(web, f"app@{played.manifest}")


def test_digest_that_the_registry_announces_must_fit() -> None:
    other = {"Docker-Content-Digest": "sha256:" + "0" * 64}
    refuse(
        lambda asked, answer: (
            Answer(body=answer.body, headers=other) if "/manifests/" in asked.path else None
        ),
        UnreadableInput,
        "damaged or altered",
    )


def test_altered_configuration_is_refused() -> None:
    refuse(
        lambda asked, answer: (
            Answer(body=answer.body.replace(b"amd64", b"arm64")) if len(answer.body) < 999 else None
        ),
        UnreadableInput,
        "damaged or altered",
    )


@pytest.mark.parametrize("length", [None, 10**15])
def test_huge_manifest_is_refused(length: int | None) -> None:
    refuse(
        lambda asked, answer: Answer(body=b" " * ((4 << 20) + 1), length=length),
        LimitExceeded,
        "limit of 4194304",
    )


def test_schema_1_is_refused_clearly() -> None:
    body = json.dumps({"schemaVersion": 1, "name": "app", "fsLayers": []}).encode()
    refuse(lambda asked, answer: Answer(body=body), UnreadableInput, "schema 1 manifest")


def test_layer_of_another_length_is_refused() -> None:
    for body in (b"short", b"x" * 300_000):
        refuse(
            lambda asked, answer, body=body: Answer(body=body) if len(answer.body) > 9999 else None,
            UnreadableInput,
            r"the registry has \d+ bytes, not \d+",
        )


def test_endless_layer_is_cut_where_it_should_end() -> None:
    def endless(asked: Asked, answer: Answer) -> Answer | None:
        if len(answer.body) < 9999:
            return None
        return Answer(
            body=hex(400_000)[2:].encode() + b"\r\n" + b"x" * 400_000,
            headers={"Transfer-Encoding": "chunked"},
        )

    refuse(endless, UnreadableInput, "sends more than the")


def test_range_that_was_not_asked_for_is_refused() -> None:
    def change(asked: Asked, answer: Answer) -> Answer | None:
        if answer.status == 206:
            return Answer(206, answer.body, {"Content-Range": "bytes 5-99/100"})
        return Answer(body=answer.body[:1000], length=len(answer.body)) if len(answer.body) > 9999 else None

    refuse(change, NetworkError, "another range than was asked for")


def test_registry_without_ranges_sends_again_and_the_known_part_is_skipped() -> None:
    broken: list[int] = [70_000, 150_000]

    def change(asked: Asked, answer: Answer) -> Answer | None:
        whole = played.blobs[played.layer]
        if not asked.path.endswith(played.layer):
            return None
        return Answer(body=whole[: broken.pop(0)], length=len(whole)) if broken else Answer(body=whole)

    played = Played(change)
    with Web(played) as web:
        assert pulled(web)[1] == played.writer.tars[0]


def test_layer_that_is_gone_is_named() -> None:
    refuse(
        lambda asked, answer: Answer(404) if len(answer.body) > 9999 else None,
        UnreadableInput,
        r"layer sha256:\w+: not in 127\.0\.0\.1",
    )


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (403, AccessDenied, "wants credentials for app"),
        (404, UnreadableInput, "no such image"),
        (500, NetworkError, "answered 500, 3 times"),
        (418, NetworkError, "answered 418"),
        (206, NetworkError, "answered 206"),
    ],
)
def test_statuses_become_errors(status: int, error: type[RedoubtError], message: str) -> None:
    refuse(lambda asked, answer: Answer(status), error, message)


def test_credentials_go_to_the_registry_and_not_to_its_blob_store() -> None:
    with Web(Played()) as store:

        def change(asked: Asked, answer: Answer) -> Answer | None:
            if not asked.headers.get("authorization", "").startswith("Basic "):
                return Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            if "/blobs/" in asked.path:
                return Answer(307, headers={"Location": f"{store.url}{asked.path}?signature=hunter2"})
            return None

        with Web(Played(change)) as web:
            assert len(pulled(web, username="me", password="secret")[1]) > 200_000
        assert len(store.asked) == 2
        assert not any("authorization" in asked.headers for asked in store.asked)


def test_signature_of_a_redirect_is_not_shown() -> None:
    with Web(lambda asked: Answer(500)) as store:
        refuse(
            lambda asked, answer: (
                Answer(307, headers={"Location": f"{store.url}/b?signature=hunter2"})
                if "/blobs/" in asked.path
                else None
            ),
            NetworkError,
            r"answered 500, 3 times; try again later\Z",
        )


@pytest.mark.parametrize(
    ("header", "error", "message"),
    [
        ("", AccessDenied, "do not allow pulling"),
        ("Digest realm=x", AccessDenied, "do not allow pulling"),
        ('Bearer realm="ftp://x/"', NetworkError, "no address"),
        ('Bearer realm="/token"', NetworkError, "no address"),
        ('Bearer realm="http://[bad"', NetworkError, "cannot be read"),
        ('Bearer realm="file:///etc/passwd"', NetworkError, "no address"),
    ],
)
def test_challenges_that_cannot_be_met(header: str, error: type[RedoubtError], message: str) -> None:
    headers = {"WWW-Authenticate": header} if header else {}
    refuse(
        lambda asked, answer: Answer(401, headers=headers), error, message, username="me", password="hunter2"
    )


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\nb: c"}', b'{"token": ""}', b"{" * 9999]
)
def test_token_that_is_none_is_a_network_error(body: bytes) -> None:
    def change(asked: Asked, answer: Answer) -> Answer:
        if asked.path.startswith("/token"):
            return Answer(body=body)
        return Answer(
            401, headers={"WWW-Authenticate": f'Bearer realm="http://{asked.headers["host"]}/token"'}
        )

    refuse(change, NetworkError, r"usable token|cannot be read")


def test_token_is_asked_with_service_and_scope_and_sent_once_got() -> None:
    def change(asked: Asked, answer: Answer) -> Answer | None:
        if asked.path.startswith("/token"):
            return Answer(body=b'{"access_token": "abc"}')
        if asked.headers.get("authorization") == "Bearer abc":
            return None
        realm = f'Bearer realm="http://{asked.headers["host"]}/token?x=1",service="some service"'
        return Answer(401, headers={"WWW-Authenticate": realm})

    with Web(Played(change)) as web:
        pulled(web)
        asked = [request.path for request in web.asked if request.path.startswith("/token")]
    assert asked == ["/token?x=1&service=some+service&scope=repository%3Aapp%3Apull"]


def test_foreign_layer_is_named_and_its_address_never_asked() -> None:
    with Web(lambda asked: Answer(body=b"x")) as elsewhere:
        played = Played()
        manifest = json.loads(played.blobs[played.manifest])
        manifest["layers"][0] |= {
            "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "urls": [elsewhere.url],
        }
        body = json.dumps(manifest).encode()

        def change(asked: Asked, answer: Answer) -> Answer | None:
            if "/manifests/" in asked.path:
                return Answer(body=body)
            return Answer(404) if asked.path.endswith(played.layer) else None

        played.change = change
        with Web(played) as web, pytest.raises(UnreadableInput, match="foreign, kept by its maker"):
            pulled(web)
        assert elsewhere.asked == []


def test_encrypted_layer_is_said() -> None:
    played = Played()
    manifest = json.loads(played.blobs[played.manifest])
    manifest["layers"][0]["mediaType"] += "+encrypted"
    body = json.dumps(manifest).encode()
    refuse(
        lambda asked, answer: Answer(body=body) if "/manifests/" in asked.path else None,
        UnreadableInput,
        "encrypted",
    )


def test_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Web(Played()) as web:
        assert pulled(web, blob_cache=tmp_path / "file" / "cache")[1]
