"""The sources that OSV's bucket carries: a zip of records for each ecosystem."""

from __future__ import annotations

from redoubt.definitions.feeds.almalinux import AlmaLinuxFeed
from redoubt.definitions.feeds.interface import Feed
from redoubt.definitions.feeds.osv import OsvFeed, go_page, rust_page
from redoubt.definitions.sources.interface import Download, Source

_OSV = "https://osv-vulnerabilities.storage.googleapis.com"


def _osv(name: str, ecosystem: str, feed: Feed, title: str, home: str, licence: str, who: str) -> Source:
    path = f"osv/{ecosystem}/all.zip"
    return Source(
        name=name,
        title=title,
        home=home,
        licence=licence,
        attribution=who,
        feed=feed,
        downloads=(Download(path, f"{_OSV}/{ecosystem}/all.zip"),),
        patterns=((path,),),
    )


SOURCES: tuple[Source, ...] = (
    _osv(
        "osv-pypi",
        "PyPI",
        OsvFeed("PyPI", "pypi"),
        "Python packages (PyPA advisory database and others, through OSV)",
        "https://github.com/pypa/advisory-database",
        "CC-BY-4.0",
        "Python Packaging Advisory Database, by the Python Packaging Authority; GitHub Advisory Database",
    ),
    _osv(
        "osv-go",
        "Go",
        OsvFeed("Go", "golang", go_page),
        "Go modules, standard library and toolchain (Go vulnerability database, through OSV)",
        "https://vuln.go.dev/",
        "CC-BY-4.0",
        "Go Vulnerability Database, by the Go authors; GitHub Advisory Database",
    ),
    _osv(
        "osv-crates.io",
        "crates.io",
        OsvFeed("crates.io", "crates.io", rust_page),
        "Rust crates (RustSec advisory database and others, through OSV)",
        "https://rustsec.org/",
        "CC0-1.0; records imported from GitHub CC-BY-4.0",
        "RustSec Advisory Database, by the Rust Secure Code Working Group; GitHub Advisory Database",
    ),
    _osv(
        "osv-npm",
        "npm",
        OsvFeed("npm", "npm"),
        "npm packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub; OpenSSF malicious packages",
    ),
    _osv(
        "osv-maven",
        "Maven",
        OsvFeed("Maven", "maven"),
        "Maven packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub",
    ),
    _osv(
        "osv-almalinux",
        "AlmaLinux",
        AlmaLinuxFeed(),
        "AlmaLinux errata (through OSV)",
        "https://errata.almalinux.org/",
        "MIT",
        "AlmaLinux OSV database, by the AlmaLinux OS Foundation",
    ),
    _osv(
        "osv-bitnami",
        "Bitnami",
        OsvFeed("Bitnami", "bitnami"),
        "Bitnami application images (Bitnami vulnerability database, through OSV)",
        "https://github.com/bitnami/vulndb",
        "Apache-2.0",
        "Bitnami Vulnerability Database, by Broadcom",
    ),
)
