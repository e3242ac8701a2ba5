"""Names of images in registries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import UsageError
from redoubt.indexer.sources import parse_reference
from redoubt.indexer.sources.reference import is_digest, named

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("alpine", "docker.io", "library/alpine", "latest", ""),
        ("alpine:3.20", "docker.io", "library/alpine", "3.20", ""),
        ("team/app", "docker.io", "team/app", "latest", ""),
        ("docker.io/alpine", "docker.io", "library/alpine", "latest", ""),
        ("index.docker.io/team/app:1", "docker.io", "team/app", "1", ""),
        ("localhost/app", "localhost", "app", "latest", ""),
        ("localhost:5000/app", "localhost:5000", "app", "latest", ""),
        ("myhost:5000/a/b/c:v1", "myhost:5000", "a/b/c", "v1", ""),
        ("example.org/app", "example.org", "app", "latest", ""),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app", "latest", ""),
        ("[::1]:5000/app:x", "[::1]:5000", "app", "x", ""),
        ("Host/app", "Host", "app", "latest", ""),
        (f"example.org/app@{DIGEST}", "example.org", "app", "", DIGEST),
        (f"example.org:443/app:tag@{DIGEST}", "example.org:443", "app", "tag", DIGEST),
        ("a__b/c---d/e.f_g", "docker.io", "a__b/c---d/e.f_g", "latest", ""),
    ],
)
def test_parts_are_found(text: str, host: str, repository: str, tag: str, digest: str) -> None:
    found = parse_reference(text)
    assert (found.host, found.repository, found.tag, found.digest) == (host, repository, tag, digest)
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "App",
        "app:",
        "app:-tag",
        "app:" + "t" * 129,
        "app tag",
        "a//b",
        "/app",
        "app/",
        "a..b/c..d",
        "example.org/../etc",
        "example.org/a_-b",
        "example.org/App",
        "host:99999/app",
        "host:0/app",
        "-host.org/app",
        "[::1/app",
        "user:pass@host.org/app",
        "app@sha256:short",
        "app@md5:" + "0" * 32,
        "app@sha256:" + "0A" * 32,
        f"app@{DIGEST}\n",
        f"app@{DIGEST}@{DIGEST}",
        "app\n",
        "app:tag\n",
        "example.org/app?x=1",
        "example.org/app#x",
        "example.org/" + "a" * 256,
        "ex\u00e4mple.org/app",
        "\u0660pp",
    ],
)
def test_what_the_grammar_does_not_allow_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an image reference"):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "registry", "remote", "tag"),
    [
        ("evil.example/x@sha512:" + "a" * 128, "evil.example", "x", ""),
        ("evil.example:443/x:1@sha384:" + "b" * 96, "evil.example:443", "x", "1"),
        ("x@sha512:" + "a" * 128, "docker.io", "library/x", ""),
        # Container runtimes count the repository alone.
        ("evil.example/" + "a" * 250, "evil.example", "a" * 250, "latest"),
        (f"evil.example/x:safe@{DIGEST}", "evil.example", "x", "safe"),
        ("evil.example/x@md5:short", "", "", ""),
        ("evil.example/../x@sha512:" + "a" * 128, "", "", ""),
    ],
)
def test_policies_are_told_the_registry_of_whatever_container_runtimes_pull(
    text: str, registry: str, remote: str, tag: str
) -> None:
    found = named(text)
    assert (found.registry, found.remote, found.tag) == (registry, remote, tag)
    assert found.full_name.partition("@")[2] == text.partition("@")[2]


def test_docker_hub_answers_under_another_name() -> None:
    assert parse_reference("alpine").api_host == "registry-1.docker.io"
    assert parse_reference("example.org:1/app").api_host == "example.org:1"


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost/app", True),
        ("localhost:5000/app", True),
        ("127.0.0.1:5000/app", True),
        ("127.1.2.3/app", True),
        ("[::1]:5000/app", True),
        ("127.0.0.1.example.org/app", False),
        ("localhost.example.org/app", False),
        ("128.0.0.1/app", False),
    ],
)
def test_this_machine_is_recognised(text: str, loopback: bool) -> None:
    assert parse_reference(text).loopback is loopback


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aZ09.-_:/@[]% \n\\~\u0660" + "sha256", max_size=60))
def test_whatever_is_accepted_is_safe_in_a_path(text: str) -> None:
    try:
        found = parse_reference(text)
    except UsageError:
        return
    assert not set(found.repository) & set(" \n\\%?#@:~")
    assert ".." not in found.repository.split("/")
    assert not set(found.host) & set("/@ \n\\%?#")
    assert not found.digest or is_digest(found.digest)
    assert parse_reference(str(found)) == found
