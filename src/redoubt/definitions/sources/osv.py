"""The sources about languages' packages: OSV's bucket, with a zip for each ecosystem, GitHub's and Ruby's databases."""

from __future__ import annotations

from redoubt.definitions.feeds.almalinux import AlmaLinuxFeed
from redoubt.definitions.feeds.interface import Feed
from redoubt.definitions.feeds.osv import OsvFeed, go_page, rust_page
from redoubt.definitions.feeds.ruby import RubyFeed
from redoubt.definitions.sources.interface import Download, Source

#: OSV's names of the ecosystems that GitHub's reviewed advisories speak of. Its "GitHub Actions" are left
#: out: they name workflow steps, which no image holds.
_GITHUB = {
    "npm": "npm",
    "Maven": "maven",
    "PyPI": "pypi",
    "RubyGems": "rubygems",
    "NuGet": "nuget",
    "Packagist": "packagist",
    "Go": "golang",
    "crates.io": "crates.io",
    "Hex": "hex",
    "Pub": "pub",
    "SwiftURL": "swift",
}

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
        OsvFeed({"PyPI": "pypi"}),
        "Python packages (PyPA advisory database and others, through OSV)",
        "https://github.com/pypa/advisory-database",
        "CC-BY-4.0",
        "Python Packaging Advisory Database, by the Python Packaging Authority; GitHub Advisory Database",
    ),
    _osv(
        "osv-go",
        "Go",
        OsvFeed({"Go": "golang"}, go_page),
        "Go modules, standard library and toolchain (Go vulnerability database, through OSV)",
        "https://vuln.go.dev/",
        "CC-BY-4.0",
        "Go Vulnerability Database, by the Go authors; GitHub Advisory Database",
    ),
    _osv(
        "osv-crates.io",
        "crates.io",
        OsvFeed({"crates.io": "crates.io"}, rust_page),
        "Rust crates (RustSec advisory database and others, through OSV)",
        "https://rustsec.org/",
        "CC0-1.0; records imported from GitHub CC-BY-4.0",
        "RustSec Advisory Database, by the Rust Secure Code Working Group; GitHub Advisory Database",
    ),
    _osv(
        "osv-npm",
        "npm",
        OsvFeed({"npm": "npm"}),
        "npm packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub; OpenSSF malicious packages",
    ),
    _osv(
        "osv-maven",
        "Maven",
        OsvFeed({"Maven": "maven"}),
        "Maven packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub",
    ),
    _osv(
        "osv-rubygems",
        "RubyGems",
        OsvFeed({"RubyGems": "rubygems"}),
        "Ruby gems (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0; malicious packages Apache-2.0",
        "GitHub Advisory Database, by GitHub; OpenSSF malicious packages",
    ),
    _osv(
        "osv-nuget",
        "NuGet",
        OsvFeed({"NuGet": "nuget"}),
        ".NET packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0; malicious packages Apache-2.0",
        "GitHub Advisory Database, by GitHub; OpenSSF malicious packages",
    ),
    _osv(
        "osv-packagist",
        "Packagist",
        OsvFeed({"Packagist": "packagist"}),
        "PHP packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub; Drupal advisories",
    ),
    _osv(
        "osv-hex",
        "Hex",
        OsvFeed({"Hex": "hex"}),
        "Erlang and Elixir packages (Erlang Ecosystem Foundation and others, through OSV)",
        "https://cna.erlef.org/",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub; Erlang Ecosystem Foundation CNA",
    ),
    _osv(
        "osv-pub",
        "Pub",
        OsvFeed({"Pub": "pub"}),
        "Dart packages (GitHub advisory database, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub",
    ),
    _osv(
        "osv-swift",
        "SwiftURL",
        OsvFeed({"SwiftURL": "swift"}),
        "Swift packages (GitHub advisory database, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub",
    ),
    _osv(
        "osv-julia",
        "Julia",
        OsvFeed({"Julia": "julia"}),
        "Julia packages (Julia's security advisories, through OSV)",
        "https://github.com/JuliaLang/SecurityAdvisories.jl",
        "CC-BY-4.0",
        "Julia security advisories, by the Julia language's developers",
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
        OsvFeed({"Bitnami": "bitnami"}),
        "Bitnami application images (Bitnami vulnerability database, through OSV)",
        "https://github.com/bitnami/vulndb",
        "Apache-2.0",
        "Bitnami Vulnerability Database, by Broadcom",
    ),
    Source(
        name="github",
        title="GitHub advisory database, reviewed advisories",
        home="https://github.com/github/advisory-database",
        licence="CC-BY-4.0",
        attribution="GitHub Advisory Database, by GitHub",
        feed=OsvFeed(_GITHUB, within="/github-reviewed/"),
        downloads=(
            Download(
                "github/advisory-database.zip",
                "https://codeload.github.com/github/advisory-database/zip/refs/heads/main",
            ),
        ),
        patterns=(("github/advisory-database.zip", "github/advisory-database-*.zip"),),
        limit=2 << 30,
    ),
    Source(
        name="ruby",
        title="Ruby advisory database",
        home="https://github.com/rubysec/ruby-advisory-db",
        licence="public domain; what it imported from OSVDB is its owners'",
        attribution="Ruby advisory database, by the rubysec contributors",
        feed=RubyFeed(),
        downloads=(
            Download(
                "ruby/ruby-advisory-db.zip",
                "https://codeload.github.com/rubysec/ruby-advisory-db/zip/refs/heads/master",
            ),
        ),
        patterns=(("ruby/ruby-advisory-db.zip", "ruby/ruby-advisory-db-*.zip"),),
        limit=256 << 20,
    ),
)
