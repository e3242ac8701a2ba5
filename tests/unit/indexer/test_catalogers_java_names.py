from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers import java_names
from redoubt.indexer.catalogers.java_names import Coordinates


@pytest.mark.parametrize(
    ("path", "artifact", "version"),
    [
        ("lib/commons-io-2.11.0.jar", "commons-io", "2.11.0"),
        ("commons-io.jar", "commons-io", ""),
        ("guava-31.1-jre.jar", "guava", "31.1-jre"),
        ("log4j-1.2-api-2.17.1.jar", "log4j-1.2-api", "2.17.1"),
        ("scala-xml_2.13-1.2.0.jar", "scala-xml_2.13", "1.2.0"),
        ("geronimo-annotation_1.3_spec-1.3.jar", "geronimo-annotation_1.3_spec", "1.3"),
        ("spring-core-5.3.9.RELEASE.jar", "spring-core", "5.3.9.RELEASE"),
        ("a-1.0-beta-2.jar", "a", "1.0-beta-2"),
        ("a-1.0-20230101.123456-1.jar", "a", "1.0-20230101.123456-1"),
        ("a-1.0-SNAPSHOT.jar", "a", "1.0-SNAPSHOT"),
        ("a-2.0-sources.jar", "a", "2.0"),
        (
            "netty-transport-native-epoll-4.1.94.Final-linux-x86_64.jar",
            "netty-transport-native-epoll",
            "4.1.94.Final",
        ),
        ("org.eclipse.osgi_3.18.0.v20220516.jar", "org.eclipse.osgi", "3.18.0.v20220516"),
        ("bcprov-jdk15on-1.70.jar", "bcprov-jdk15on", "1.70"),
        ("-1.jar", "-1", ""),
        ("h2-2.1.214.jar", "h2", "2.1.214"),
        ("app.jar!/BOOT-INF/lib/core-1.jar", "core", "1"),
        (".jar", ".jar", ""),
    ],
)
def test_file_name_gives_artifact_and_version(path: str, artifact: str, version: str) -> None:
    assert java_names.of_file_name(path) == (artifact, version)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"groupId=org.a\nartifactId=b\nversion=1.0\n", Coordinates("org.a", "b", "1.0")),
        (
            b"#c\r\n! d\r\ngroupId : org.a\r\nartifactId:b\r\nversion=1\\:0\r\n",
            Coordinates("org.a", "b", "1:0"),
        ),
        (b"version=1.0", Coordinates("path.group", "path-artifact", "1.0")),
        (b"version=${project.version}\ngroupId=${g}", Coordinates("path.group", "path-artifact", "")),
        (b"\xff\xfe\0\0===", Coordinates("path.group", "path-artifact", "")),
    ],
)
def test_properties_are_read_and_the_path_stands_in(data: bytes, expected: Coordinates) -> None:
    path = "META-INF/maven/path.group/path-artifact/pom.properties"
    assert java_names.of_properties(data, path) == expected


def test_manifest_lines_are_joined_and_only_the_main_section_counts() -> None:
    manifest = (
        b"Manifest-Version: 1.0\r\nIMPLEMENTATION-version: 1.2\r\n .3\r\nBundle-SymbolicName: a.b;x\r\n =y\r\n"
        b"\r\nName: other/\r\nImplementation-Vendor-Id: evil\r\n"
    )
    assert java_names.main_section(manifest) == {
        "implementation-version": "1.2.3",
        "bundle-symbolicname": "a.b;x=y",
    }


@pytest.mark.parametrize(
    ("manifest", "path", "expected"),
    [
        ({"implementation-version": "2", "bundle-version": "3"}, "a.jar", ("", "a", "2")),
        ({"implementation-version": "9"}, "a-1.jar", ("", "a", "1")),
        ({"implementation-vendor-id": "org.x"}, "a-1.jar", ("org.x", "a", "1")),
        ({"implementation-vendor-id": "Some Firm, Inc."}, "a-1.jar", ("", "a", "1")),
        (
            {"bundle-symbolicname": "org.apache.commons.lang3"},
            "commons-lang3-3.jar",
            ("org.apache.commons", "commons-lang3", "3"),
        ),
        (
            {"bundle-symbolicname": "org.a.core.a-databind;singleton:=true"},
            "a-databind-2.jar",
            ("org.a.core", "a-databind", "2"),
        ),
        ({"bundle-symbolicname": "com.google.guava"}, "guava-31.jar", ("", "guava", "31")),
        (
            {"implementation-vendor-id": "org.apache", "bundle-symbolicname": "org.apache.commons.io"},
            "commons-io-2.11.0.jar",
            ("commons-io", "commons-io", "2.11.0"),
        ),
        (
            {"implementation-vendor-id": "org.apache", "bundle-symbolicname": "org.apache.commons.text"},
            "commons-text-1.9.jar",
            ("org.apache.commons", "commons-text", "1.9"),
        ),
        ({"implementation-vendor-id": "org.apache"}, "thing-1.jar", ("", "thing", "1")),
        (
            {"bundle-symbolicname": "org.apache.tomcat-embed-core"},
            "app.jar!/BOOT-INF/lib/tomcat-embed-core-9.0.50.jar",
            ("org.apache.tomcat.embed", "tomcat-embed-core", "9.0.50"),
        ),
        ({"bundle-symbolicname": "org.apache.my-thing"}, "my-thing-1.jar", ("", "my-thing", "1")),
        ({}, "spring-beans-5.3.9.jar", ("org.springframework", "spring-beans", "5.3.9")),
        ({}, "spring-boot-starter-2.5.0.jar", ("org.springframework.boot", "spring-boot-starter", "2.5.0")),
        ({}, "dom4j-1.6.1.jar", ("dom4j", "dom4j", "1.6.1")),
        ({}, "dom4j-2.1.1.jar", ("org.dom4j", "dom4j", "2.1.1")),
        ({}, "dom4j.jar", ("", "dom4j", "")),
        (
            {"bundle-symbolicname": "org.objectweb.asm.tree"},
            "asm-tree-9.1.jar",
            ("org.ow2.asm", "asm-tree", "9.1"),
        ),
        ({}, "spring-unheard-of-1.jar", ("", "spring-unheard-of", "1")),
        (
            {"implementation-title": "spring-core", "implementation-version": "4.3.30.RELEASE"},
            "spring3-core-3.x.jar",
            ("org.springframework", "spring-core", "4.3.30.RELEASE"),
        ),
        ({"implementation-title": "Some Prose"}, "a-1.x.jar", ("", "a", "")),
    ],
)
def test_group_is_taken_only_where_it_is_certain(
    manifest: dict[str, str], path: str, expected: tuple[str, str, str]
) -> None:
    assert java_names.of_manifest(manifest, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("root/.m2/repository/org/a/b-c/core/1.0/core-1.0.jar", ("org.a.b-c", "core", "1.0")),
        ("usr/share/maven-repo/a/b-2/1/b-2-1-linux.jar", ("a", "b-2", "1")),
        ("x/files-2.1/org.a/core/1.0/0123abc/core-1.0.jar", ("org.a", "core", "1.0")),
        ("root/.m2/repository/org/a/core/1.0/other-1.0.jar", ("", "other", "1.0")),
        ("root/.m2/repository/org/a/core/1.1/core-1.0.jar", ("", "core", "1.0")),
        ("repository/core/1.0/core-1.0.jar", ("", "core", "1.0")),
        ("repository/org/a/w/1/w-1.war!/WEB-INF/lib/b-2.jar", ("", "b", "2")),
        ("my-repository/org/a/core/1.0/core-1.0.jar", ("", "core", "1.0")),
    ],
)
def test_repository_says_group_artifact_and_version(path: str, expected: tuple[str, str, str]) -> None:
    assert java_names.of_manifest({}, path) == expected


def test_path_of_many_repositories_is_searched_in_bounded_steps() -> None:
    path = "repository/" * 350 + "a/1/b-1.jar"
    assert java_names.of_manifest({}, path) == ("", "b", "1")


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="ab-_.0123456789!/", max_size=60))
def test_any_file_name_is_split_without_loss(name: str) -> None:
    artifact, version = java_names.of_file_name(name + ".jar")
    assert not version or version[0].isdigit()
    assert artifact or not version


def test_many_dashes_are_split_in_linear_steps() -> None:
    name = "a" + "-1x" * 20_000
    assert java_names.of_file_name(name + ".jar")[0].startswith("a")
