"""Files as each cataloger knows them, by the path at which it looks for them: what fuzzing begins with.

They say as much of their format as fits a few lines: a fuzzer finds what is broken, but seldom what is meant.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable

import zstandard

from support import dnfwriter, rpmwriter

Files = list[tuple[str, bytes]]


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _header() -> bytes:
    return rpmwriter.header(name="a", epoch=1, version="1", release="1", source_rpm="a-1-1.src.rpm")


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip of stored members: a fuzzer reaches what is in them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _history() -> Files:
    rows = [("a", "1", "1", "noarch", "b-rpms", "Install"), ("a", "1", "1", "noarch", "c", "Remove")]
    return [
        ("var/lib/dnf/history.sqlite", dnfwriter.dnf4(rows)),
        ("usr/lib/sysimage/libdnf5/transaction_history.sqlite", dnfwriter.dnf5(rows)),
    ]


_WALL = b"""{"jsonwall":"1.0","schema":"1.0","count":3}
{"kind":"package","name":"a","version":"1-1","sha256":"00","arch":"amd64"}
{"kind":"path","path":"/a","mode":"0644","slices":["a_b"]}
"""
_PODS = b'PODS:\n  - A (4.4.0):\n    - I/C (~> 3)\n  - I/C (3.1.0)\n  - "G+L (1.0)"\n\nDEPENDENCIES:\n  - A (= 9)\n'
_PNPM_6 = b"""lockfileVersion: '6.0'
importers:
  .:
    dependencies:
      a:
        specifier: ^1
        version: 1.0.0(b@2.0.0)
packages:
  /a@1.0.0(b@2.0.0):
    resolution: {integrity: sha512-00}
    dev: false
  /@s/c@2.0.0:
    dev: true
"""
_PNPM_9 = b"""lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      'a':
        version: 1.0.0(b@2.0.0)
      f:
        version: r@3.0.0
    devDependencies:
      d:
        version: 1.0.0
packages:
  a@1.0.0:
    resolution: {integrity: sha512-00}
  b@2.0.0:
    resolution: {tarball: https://x/b.tgz}
  d@1.0.0: {}
snapshots:
  a@1.0.0(b@2.0.0):
    dependencies:
      b: 2.0.0
  b@2.0.0: {}
  d@1.0.0: {}
"""
_YARN_1 = b"""# yarn lockfile v1

"@s/a@^1", a@^1.0.0:
  version "1.0.0"
  resolved "https://x/a/-/a-1.0.0.tgz#00"
  dependencies:
    b "^2"

"r@npm:b@2":
  version "2.0.0"
  resolved "git+ssh://git@x/b.git#00"
"""
_YARN_8 = b"""__metadata:
  version: 8

"@s/a@npm:^7.0.0, @s/a@npm:^7.1.0":
  version: 7.1.0
  resolution: "@s/a@npm:7.1.0"

? "lib@npm:^2.0.0"
:
  version: 2.0.0
  resolution: "lib@patch:lib@npm%3A2.0.0#./fix.patch::version=2.0.0&hash=00"

"shop@workspace:.":
  version: 0.0.0-use.local
  resolution: "shop@workspace:."
"""
_BUN = b"""{
  "lockfileVersion": 1,
  "workspaces": { "": { "name": "s", "dependencies": { "a": "^7", }, "devDependencies": { "d": "8", }, }, },
  "packages": {
    "a": ["@s/a@7.1.0", "", { "dependencies": { "b": "^2" } }, "sha512-00"],
    "a/b": ["b@2.0.0", "", {}, "sha512-00"],
    "d": ["d@8.0.0", "", {}, "sha512-00"],
    "g": ["g@github:x/g#00", {}, "x-g-00"],
  }
}
"""
_UV = b"""version = 1
[[package]]
name = "shop"
version = "0.1.0"
source = { editable = "." }
dependencies = [
    { name = "a", marker = "x" },
    { name = "b", extra = ["c"] },
]
[package.dev-dependencies]
dev = [{ name = "d" }]
[package.optional-dependencies]
f = [
    { name = "a" },
]
[[package]]
name = "a"
version = "4.4.0"
source = { registry = "https://x/simple" }
sdist = { url = "https://x/a.tar.gz", hash = "sha256:00", size = 1 }
[[package]]
name = "b"
version = "1"
source = { git = "https://x/b?rev=1#00" }
[[package]]
name = "d"
version = "1"
source = { registry = "https://x/simple" }
"""
_POETRY = b"""[[package]]
name = "a"
version = "1.0"
category = "main"
description = \"\"\"x
y\"\"\"
groups = ["main", "dev"]
files = [
    {file = "a-1.0.tar.gz", hash = "sha256:00"},
]

[package.source]
type = "git"
url = "https://x/a"

[metadata]
lock-version = "2.0"
"""
_PDM = b'[metadata]\ngroups = ["default", "dev"]\n\n[[package]]\nname = "a"\nversion = "1.0"\ngroups = ["default"]\ngit = "https://x"\n'
_PYLOCK = b'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1.0"\nindex = "https://x"\nwheels = [{name = "a.whl", url = "https://x", hashes = {sha256 = "00"}}]\n[[packages]]\nname = "b"\nvcs = { type = "git", url = "x" }\n'
_PUB = b"""packages:
  a:
    dependency: "direct main"
    description:
      name: a
      url: "https://x"
    source: hosted
    version: "4.4.0"
  d:
    dependency: "direct dev"
    source: hosted
    version: "8.0.0"
  f:
    description:
      url: "https://x/f.git"
    source: git
    version: "1.0.0"
"""
_JULIA = b"""manifest_format = "2.0"

[[deps.A]]
deps = ["I"]
git-tree-sha1 = "00"
uuid = "00"
version = "4.4.0"

    [deps.A.extensions]
    E = "I"

[[deps.F]]
repo-url = "https://x"
uuid = "01"
version = "1.0.0"
"""
_PROPS = b"""<Project>
  <PropertyGroup><V>13.0.1</V></PropertyGroup>
  <ItemGroup>
    <PackageVersion Include="A" Version="$(V)" />
    <PackageVersion Include="B" Version="[1.0.0,2.0.0)" />
  </ItemGroup>
</Project>
"""
_DEPS = {
    "runtimeTarget": {"name": ".NETCoreApp,Version=v8.0/linux-x64"},
    "targets": {
        ".NETCoreApp,Version=v8.0/linux-x64": {
            "Shop/0.1.0": {"dependencies": {"A": "1"}, "runtime": {"Shop.dll": {}}},
            "runtimepack.Base.Runtime.linux-x64/8.0.1": {"runtime": {"System.dll": {}}},
            "A/1": {"runtime": {"lib/net6.0/A.dll": {"assemblyVersion": "13.0.0.0"}}},
        }
    },
    "libraries": {
        "Shop/0.1.0": {"type": "project"},
        "runtimepack.Base.Runtime.linux-x64/8.0.1": {"type": "runtimepack"},
        "A/1": {"type": "package"},
    },
}
_NPM = {
    "name": "s",
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "s", "dependencies": {"l": "^1"}},
        "node_modules/@s/c": {"version": "7.1.0", "resolved": "https://x/@s/c/-/c-7.1.0.tgz"},
        "node_modules/@s/c/node_modules/l": {"version": "2.0.0", "name": "r", "inBundle": True},
        "node_modules/d": {"version": "8", "dev": True},
        "node_modules/o": {"resolved": "packages/o", "link": True},
    },
}
_NPM_1 = {
    "lockfileVersion": 1,
    "dependencies": {
        "a": {"version": "1.0.0", "dependencies": {"b": {"version": "npm:c@2.0.0", "dev": True}}},
        "g": {"version": "git+ssh://git@x/g.git#00", "from": "g@x"},
    },
}
_COMPOSER = [
    {"name": "M/F", "version": "v4.4.0", "version_normalized": "4.4.0.0", "dist": {"type": "zip"}},
    {"name": "m/n", "version": "dev-main", "source": {"type": "git"}},
]
_SPDX = {
    "spdxVersion": "SPDX-2.3",
    "packages": [
        {
            "name": "a",
            "externalRefs": [
                {"referenceType": "purl", "referenceLocator": "pkg:bitnami/a@4.4.0-12?arch=arm64&distro=x"}
            ],
        }
    ],
}
_SPDX_TAGS = b"SPDXVersion: SPDX-2.3\nPackageName: a\nExternalRef: PACKAGE-MANAGER purl pkg:bitnami/a@4.4.0-12?arch=arm64\n"
_INVENTORY = {
    "Content": [
        {
            "Name": "a",
            "Publisher": "B",
            "Version": "2",
            "Release": "1",
            "Epoch": "0",
            "Architecture": "x86_64",
        }
    ]
}
_PINS_1 = {
    "object": {"pins": [{"package": "a", "repositoryURL": "https://X/a.git", "state": {"version": "4.4.0"}}]},
    "version": 1,
}
_PINS_3 = {"pins": [{"location": "git@x:f/a", "state": {"branch": "main", "revision": "00"}}], "version": 3}
_REBAR = b'{"1.2.0",\n[{<<"a">>,{pkg,<<"r">>,<<"2.9.0">>},0},\n {<<"f">>,\n  {git,"https://x",\n       {ref,"00"}},\n  0}]}.\n[\n{pkg_hash,[]}].\n'
_MIX = b'%{\n  "a": {:hex, :a, "2.9.0", "00", [:make], [{:i, "1.0.0", [hex: :i]}], "hexpm", "00"},\n  "f": {:git, "https://x", "00", []},\n}\n'
_PEAR = b'a:3:{s:4:"name";s:1:"A";s:4:"lead";a:1:{s:4:"name";s:1:"S";}s:7:"version";a:2:{s:7:"release";s:5:"1.4.9";s:3:"api";s:5:"1.4.0";}}'

#: By cataloger, as ``Cataloger.name``. A test holds that none is missing.
FILES: dict[str, Callable[[], Files]] = {
    "alpm": lambda: [
        (
            "var/lib/pacman/local/a-1-1/desc",
            b"%NAME%\na\n\n%VERSION%\n1:2-3\n\n%BASE%\nb\n\n%ARCH%\nx86_64\n\n",
        ),
        ("var/lib/pacman/local/a-1-1/files", b"%FILES%\nusr/\nusr/bin/x\n\n%BACKUP%\netc/x\t0\n"),
    ],
    "apk": lambda: [
        (
            "lib/apk/db/installed",
            b"P:a\nV:1-r0\nA:x86_64\no:b\n\nP:c\nV:2\nF:usr/bin\nR:c\na:0:0:755\nZ:Q1=\n\n",
        )
    ],
    "bitnami": lambda: [
        ("opt/bitnami/a/.spdx-a.spdx", _json(_SPDX)),
        ("opt/bitnami/a/.spdx-a.spdx", _SPDX_TAGS),
        ("opt/bitnami/.bitnami_components.json", _json({"a": {"version": "4.4.0-12", "arch": "amd64"}})),
    ],
    "sbom": lambda: [
        ("opt/a/a.spdx.json", _json(_SPDX)),
        (
            "opt/a/bom.json",
            _json({"bomFormat": "CycloneDX", "components": [{"purl": "pkg:npm/a@1", "name": "a"}]}),
        ),
    ],
    "bottlerocket": lambda: [("usr/share/bottlerocket/application-inventory.json", _json(_INVENTORY))],
    "bun-lock": lambda: [
        ("app/bun.lock", _BUN),
        (
            "app/deno.lock",
            _json({"version": "4", "npm": {"@s/c@7.1.0_l@2.0.0": {"integrity": "00"}, "l@2.0.0": {}}}),
        ),
        (
            "app/deno.lock",
            _json({"version": "3", "packages": {"npm": {"@s/c@7.1.0_l@2.0.0": {"integrity": "00"}}}}),
        ),
    ],
    "cargo": lambda: [
        (
            "app/Cargo.lock",
            b'version = 3\n\n[[package]]\nname = "a"\nversion = "1.0.0"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\ndependencies = [\n "b",\n]\n',
        )
    ],
    "chisel": lambda: [("var/lib/chisel/manifest.wall", zstandard.compress(_WALL))],
    "cocoapods": lambda: [("app/Podfile.lock", _PODS)],
    "composer": lambda: [
        ("app/vendor/composer/installed.json", _json(_COMPOSER)),
        (
            "app/vendor/composer/installed.json",
            _json({"packages": _COMPOSER, "dev": True, "dev-package-names": ["m/n"]}),
        ),
    ],
    "composer-lock": lambda: [
        (
            "app/composer.lock",
            _json({"packages": _COMPOSER, "packages-dev": [{"name": "m/c", "version": "8"}]}),
        )
    ],
    "conan": lambda: [
        (
            "app/conan.lock",
            _json(
                {
                    "graph_lock": {"nodes": {"1": {"ref": "a/4.4.0@me/stable#00%1", "context": "host"}}},
                    "version": "0.4",
                }
            ),
        ),
        (
            "app/conan.lock",
            _json({"version": "0.5", "requires": ["a/4.4.0#00%1.0"], "build_requires": ["h/1.0.0"]}),
        ),
    ],
    "conda": lambda: [
        (
            "opt/conda/conda-meta/a-1-0.json",
            _json({"name": "a", "version": "4.4.0", "channel": "https://x/t/secret/main"}),
        )
    ],
    "content-sets": lambda: [
        (
            "usr/share/buildinfo/content-sets.json",
            b'{"metadata": {"icm_version": 1}, "from_dnf_hint": true, "content_sets": ["a-rpms", "b-rpms"]}',
        )
    ],
    "dnf": _history,
    "dotnet": lambda: [("app/Shop.deps.json", _json(_DEPS))],
    "dpkg": lambda: [
        (
            "var/lib/dpkg/status",
            b"Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1-1\nSource: b (2)\nDescription: c\n d\n\n",
        ),
        ("var/lib/dpkg/status.d/a", b"Package: a\nVersion: 1-1\n"),
    ],
    "dpkg-files": lambda: [
        ("var/lib/dpkg/info/a:amd64.list", b"/.\n/usr\n/usr/bin\n/usr/bin/a\n/usr/share/java/a.jar\n"),
        ("var/lib/dpkg/status.d/a.md5sums", b"d41d8cd98f00b204e9800998ecf8427e  usr/bin/a\n"),
        ("var/lib/dpkg/diversions", b"/usr/bin/a\n/usr/bin/a.real\nb\n"),
    ],
    "erlang": lambda: [
        (
            "app/lib/a-2.9.0/ebin/a.app",
            b'%% x\n{application, a, [\n    {description, "H {vsn, \\"9\\"}"},\n    {vsn, "2.9.0"}]}.\n',
        )
    ],
    "gem": lambda: [
        (
            "usr/lib/ruby/specifications/a-1.gemspec",
            b"# -*- encoding: utf-8 -*-\n# stub: a 1.0 ruby lib\nGem::Specification.new do |s|\ns.name = 'a'.freeze\nend\n",
        ),
        (
            "usr/lib/ruby/specifications/a-1.gemspec",
            b"Gem::Specification.new do |s|\n  s.name = %q{a}\n  s.version = Gem::Version.new('1.0')\nend\n",
        ),
    ],
    "gemfile": lambda: [
        (
            "app/Gemfile.lock",
            b"GIT\n  remote: https://x/g\n  revision: 00\n  specs:\n    g (2)\n\nGEM\n  remote: https://x/\n  specs:\n    a (1.0-java)\n      b (>= 1)\n    b (2)\n\nDEPENDENCIES\n  a\n",
        )
    ],
    "haskell": lambda: [
        ("app/stack.yaml.lock", b"packages:\n- completed:\n    hackage: a-core-4.4.0@sha256:00,5947\n"),
        (
            "app/cabal.project.freeze",
            b"constraints: any.a ==4.4.0.1,\n             any.b-i ==1.0,\n             a +fast -slow\n",
        ),
    ],
    "hex-lock": lambda: [("app/mix.lock", _MIX), ("app/rebar.lock", _REBAR)],
    "homebrew": lambda: [
        ("home/linuxbrew/.linuxbrew/Cellar/a@3/3.2.1_2/INSTALL_RECEIPT.json", b'{"homebrew_version":"4.2"}')
    ],
    "julia": lambda: [("app/Manifest.toml", _JULIA), ("app/Manifest.toml", _JULIA.replace(b"deps.", b""))],
    "jvm": lambda: [
        (
            "opt/java/release",
            b'IMPLEMENTOR="F & S"\nJAVA_RUNTIME_VERSION="21.0.4+7-LTS"\nJAVA_VERSION="21.0.4"\n',
        )
    ],
    "luarocks": lambda: [
        ("usr/local/lib/luarocks/rocks-5.1/a/4.4.0-1/a-4.4.0-1.rockspec", b'package = "a"\n')
    ],
    "nix": lambda: [("nix/store/0123456789abcdfghijklmnpqrsvwxyz-bash-5.2-p26/", b"")],
    "npm": lambda: [
        ("app/node_modules/a/package.json", b'{"name":"a","version":"1.0.0","license":{"a":[1]}}'),
        ("app/node_modules/@s/a/package.json", b'{"name":"@s/a","version":"1.0.0","dependencies":{"b":"1"}}'),
    ],
    "npm-lock": lambda: [("app/package-lock.json", _json(_NPM)), ("app/npm-shrinkwrap.json", _json(_NPM_1))],
    "nuget-lock": lambda: [
        ("app/Directory.Packages.props", _PROPS),
        (
            "app/packages.config",
            b'<?xml version="1.0"?>\n<packages><package id="A" version="1.0" targetFramework="net48" /></packages>\n',
        ),
        (
            "app/packages.lock.json",
            _json(
                {
                    "version": 1,
                    "dependencies": {
                        "net8.0": {"A": {"type": "Direct", "resolved": "1.0", "requested": "[1, )"}}
                    },
                }
            ),
        ),
    ],
    "opkg": lambda: [
        (
            "usr/lib/opkg/status",
            b"Package: a\nVersion: 1-r1\nStatus: install user installed\nArchitecture: x86_64\nSource: t\n\n",
        )
    ],
    "os-release": lambda: [("etc/os-release", b'ID=debian\nVERSION_ID="12"\nNAME=\'D\'\nID_LIKE="a b"\n')],
    "pear": lambda: [
        ("usr/share/php/.registry/a.reg", _PEAR),
        ("usr/share/php/.registry/a.reg", b'a:2:{s:4:"name";s:1:"A";s:7:"version";s:3:"1.2";}'),
    ],
    "pnpm-lock": lambda: [("app/pnpm-lock.yaml", _PNPM_9), ("app/pnpm-lock.yaml", _PNPM_6)],
    "portage": lambda: [("var/db/pkg/dev-libs/a-3.0.12b_p1-r3/PF", b"a-3.0.12b_p1-r3\n")],
    "pub": lambda: [("app/pubspec.lock", _PUB)],
    "python": lambda: [
        ("lib/site-packages/a-1.dist-info/METADATA", b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n\ntext"),
        ("lib/site-packages/a.egg-info/PKG-INFO", b"Metadata-Version: 1.0\nName: a\n b\nVersion: 1.0\n"),
        (
            "lib/site-packages/a-1.dist-info/direct_url.json",
            b'{"url": "https://u:p@x/a", "vcs_info": {"vcs": "git", "commit_id": "00"}}',
        ),
    ],
    "python-egg": lambda: [
        (
            "lib/site-packages/a-1-py3.egg",
            zipped({"EGG-INFO/PKG-INFO": b"Metadata-Version: 1.0\nName: a\nVersion: 1.0\n"}),
        )
    ],
    "python-lock": lambda: [
        ("app/uv.lock", _UV),
        ("app/poetry.lock", _POETRY),
        ("app/pdm.lock", _PDM),
        ("app/pylock.toml", _PYLOCK),
        (
            "app/Pipfile.lock",
            _json({"default": {"a": {"version": "==1.0"}, "g": {"git": "x"}}, "develop": {}}),
        ),
    ],
    "r": lambda: [
        (
            "usr/lib/R/site-library/a/DESCRIPTION",
            b"Package: a\nVersion: 4.4-0\nDescription: H\n    Version: 9\nBuilt: R 4.3.0; ; ; unix\n",
        )
    ],
    "redhat-container": lambda: [
        (
            "root/buildinfo/Dockerfile-a-1-2",
            b'FROM b\nENV N=a\nLABEL name="x/$N" \\\n  architecture=\'y\' com.redhat.component=a\\"c\n',
        ),
        (
            "usr/share/buildinfo/labels.json",
            _json(
                {
                    "name": "x/a",
                    "architecture": "x86_64",
                    "cpe": "cpe:/a:x:y:1",
                    "org.opencontainers.image.created": "2099-01-01T00:00:00Z",
                }
            ),
        ),
    ],
    "requirements": lambda: [
        (
            "app/requirements.txt",
            b'# a\na==1.0 ; python_version < "3" --hash=sha256:00\nb[c]==2.0 \\\n  --hash=sha256:11\n-r o.txt\nd>=1\ne @ https://x\n',
        )
    ],
    "rpm-manifest": lambda: [
        (
            "var/lib/rpmmanifest/container-manifest-2",
            b"a-libs\t1.0-1.cm2\t1\t1\tV\t(none)\t5\tx86_64\t0\ta-1.0-1.cm2.src.rpm\n",
        )
    ],
    "snap": lambda: [
        ("snap/a/x1/meta/snap.yaml", b"name: a\nversion: '1'\narchitectures:\n- amd64\n"),
        ("snap/a/x1/meta/snap.yaml", b'version: "1.2"  # x\nname: a\narchitectures: [ arm64 ]\n'),
    ],
    "swift": lambda: [("app/Package.resolved", _json(_PINS_1)), ("app/Package.resolved", _json(_PINS_3))],
    "yarn-lock": lambda: [("app/yarn.lock", _YARN_1), ("app/yarn.lock", _YARN_8)],
    "yumdb": lambda: [("var/lib/yum/yumdb/a/0a-a-1-2-noarch/from_repo", b"amzn2-core")],
    "rpm": lambda: [("var/lib/rpm/rpmdb.sqlite", rpmwriter.database([_header()]))],
}
