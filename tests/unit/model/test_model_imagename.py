"""Names of images: what packageurl reads back, and that one image has one name however it was typed."""

from __future__ import annotations

import pytest
from packageurl import PackageURL

from redoubt.model import Image, imagename

DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("reference", "repository", "tag"),
    [
        ("registry.example/shop:1.4", "registry.example/shop", "1.4"),
        ("registry:registry.example:5000/team/shop", "registry.example:5000/team/shop", "latest"),
        ("docker://registry.example/shop@" + DIGEST, "registry.example/shop", ""),
        ("localhost/shop:1", "localhost/shop", "1"),
        ("nginx", "docker.io/library/nginx", "latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx", "latest"),
        ("team/shop:1", "docker.io/team/shop", "1"),
    ],
)
def test_an_image_of_a_registry_has_one_name(reference: str, repository: str, tag: str) -> None:
    image = Image(reference=reference, kind="registry", digest=DIGEST)
    assert (imagename.repository(image), imagename.tag(image)) == (repository, tag)
    parsed = PackageURL.from_string(imagename.purl(image))
    assert (parsed.type, parsed.name, parsed.version) == ("oci", repository.rpartition("/")[2], DIGEST)
    assert parsed.qualifiers == {"repository_url": repository}


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (Image(reference="oci-dir:out/Shop:1.4", kind="oci-dir", digest=DIGEST), "shop"),
        (Image(reference="oci-archive:/", kind="oci-archive", digest=DIGEST), "image"),
        (Image(reference="a/b c.tar", kind="oci-archive", digest=DIGEST), "b c.tar"),
    ],
)
def test_a_layout_has_the_name_of_its_file(image: Image, name: str) -> None:
    parsed = PackageURL.from_string(imagename.purl(image))
    assert (parsed.name, parsed.version, parsed.qualifiers) == (name, DIGEST, {})
    assert (imagename.repository(image), imagename.tag(image)) == ("", "")


def test_every_digest_names_an_image() -> None:
    typed = "sha256:" + "3" * 64
    image = Image(
        reference=f"a/b@{typed}", kind="registry", digest=DIGEST, config_digest="sha256:" + "2" * 64
    )
    assert imagename.digests(image) == (DIGEST, "sha256:" + "2" * 64, typed)
    assert imagename.digests(Image(reference="a@b", kind="dir")) == ()
    assert imagename.purl(Image(reference="shop.tar", kind="docker-archive", config_digest=DIGEST)) == ""
    assert imagename.iri(Image(reference="shop.tar", kind="docker-archive", config_digest=DIGEST)) == DIGEST
    assert imagename.iri(Image(reference="dir:/a b", kind="dir")) == "dir:/a%20b"
