from __future__ import annotations

import random
from pathlib import Path

import pytest

from redoubt.indexer.catalogers.gem import GemCataloger
from redoubt.indexer.catalogers.gemfile import GemfileCataloger
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent

PATH = "usr/local/bundle/specifications/shop-rails-1.2.0.rc1-x86_64-linux.gemspec"
BODY = """\
Gem::Specification.new do |s|
  s.name = "shop-rails".freeze
  s.version = "1.2.0.rc1"
  s.platform = "x86_64-linux".freeze
  s.description = "\\n  s.name = \\"not this\\"\\n"
  s.add_runtime_dependency(%q<rack>.freeze, ["~> 2.0"])
end
"""
STUBBED = f"# -*- encoding: utf-8 -*-\n# stub: shop-rails 1.2.0.rc1 x86_64-linux lib\n\n{BODY}"
SYSTEM_SPECIFICATIONS = Path("/usr/lib/ruby/gems")

LOCK = """\
GIT
  remote: https://example.org/forked.git
  revision: 0123456789abcdef0123456789abcdef01234567
  branch: main
  specs:
    forked (1.0.0)
      rack

PATH
  remote: engines/own
  specs:
    own (0.1.0)
      rack (>= 2)

GEM
  remote: https://rubygems.org/
  specs:
    nokogiri (1.13.0)
      racc (~> 1.4)
    nokogiri (1.13.0-x86_64-linux)
      racc (~> 1.4)
    racc (1.6.0.pre1)
    rack (2.2.3)

PLATFORMS
  ruby
  x86_64-linux

DEPENDENCIES
  forked!
  own!
  rack (~> 2.2)

CHECKSUMS
  rack (2.2.3) sha256=00

BUNDLED WITH
   2.3.14
"""


def installed(text: str | bytes, path: str = PATH) -> Catalog:
    data = text.encode() if isinstance(text, str) else text
    return GemCataloger().catalog(path, MemoryContent(data))


def locked(text: str | bytes) -> Catalog:
    data = text.encode() if isinstance(text, str) else text
    return GemfileCataloger().catalog("app/Gemfile.lock", MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(package.type, package.name, package.version) for package in catalog.packages]


@pytest.mark.parametrize(
    "text",
    [
        STUBBED,
        STUBBED.replace("\n", "\r\n"),
        BODY,
        BODY.replace('"1.2.0.rc1"', 'Gem::Version.new("1.2.0.rc1")').replace("|s|", "|spec|"),
        BODY.replace('"shop-rails".freeze', "%q{shop-rails}").replace('"1.2.0.rc1"', "'1.2.0.rc1'"),
    ],
)
def test_specification_names_the_gem_in_every_form_that_rubygems_wrote(text: str) -> None:
    assert found(installed(text, "specifications/x.gemspec")) == [("gem", "shop-rails", "1.2.0.rc1")]
    assert installed(text).problems == ()


def test_stub_line_counts_only_where_rubygems_looks_for_it() -> None:
    later = BODY + "# stub: other 9 ruby lib\n"
    assert found(installed(later)) == [("gem", "shop-rails", "1.2.0.rc1")]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0\xff\n\xfe",
        b"Gem::Specification.new do |s|\n  s.name = NAME\n  s.version = Shop::VERSION\nend\n",
        b'Gem::Specification.new do |s|\n  s.name = "#{name}"\n  s.version = "#{`reboot`}"\nend\n',
        b"# x\n# stub: shop-rails",
    ],
)
def test_what_only_running_it_would_tell_is_taken_from_the_file_s_name(text: bytes) -> None:
    catalog = installed(text)
    assert found(catalog) == [("gem", "shop-rails", "1.2.0.rc1")]
    assert len(catalog.problems) == 1
    nameless = installed(text, "specifications/x.gemspec")
    assert nameless.packages == ()
    assert len(nameless.problems) == 1


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"specifications/a-1.gemspec", True),
        (b"usr/local/bundle/specifications/a-1.gemspec", True),
        (b"usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.1.gemspec", True),
        (b"usr/local/bundle/gems/a-1/a.gemspec", False),
        (b"usr/local/bundle/specifications/other/a-1.gemspec", False),
        (b"usr/local/bundle/myspecifications/a-1.gemspec", False),
    ],
)
def test_only_installed_specifications_are_read(path: bytes, wanted: bool) -> None:
    assert GemCataloger().accepts(path) is wanted


@pytest.mark.skipif(not SYSTEM_SPECIFICATIONS.is_dir(), reason="needs the Debian package ruby")
def test_what_comes_with_ruby_is_read_without_a_problem() -> None:
    paths = list(SYSTEM_SPECIFICATIONS.glob("*/specifications/**/*.gemspec"))
    assert paths
    for path in paths:
        catalog = installed(path.read_bytes(), str(path))
        assert [f"{name}-{version}.gemspec" for _, name, version in found(catalog)] == [path.name]
        assert catalog.problems == ()
        unstubbed = path.read_bytes().replace(b"# stub: ", b"# ")
        assert installed(unstubbed, "specifications/x.gemspec") == catalog


def test_lock_file_lists_each_gem_once_and_judges_only_what_servers_gave() -> None:
    catalog = locked(LOCK)
    assert found(catalog) == [
        ("gem", "forked", ""),
        ("gem", "nokogiri", "1.13.0"),
        ("gem", "racc", "1.6.0.pre1"),
        ("gem", "rack", "2.2.3"),
    ]
    assert catalog.problems == ()
    assert locked(LOCK.replace("\n", "\r\n")) == catalog


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\0",
        b"<html>\n",
        b"GEM\n  specs:\n    rack\n",
        b"GEM\n  specs:\n    rack (-x86)\n",
        b"GEM\n  specs:\n    rack (1 2)\n",
        b"    rack (2.2.3)\n",
        b"GEM\n  specs:\n    " + b"a" * 1025 + b" (1)\n",
    ],
)
def test_what_is_not_a_lock_file_is_damaged(text: bytes) -> None:
    catalog = locked(text)
    assert catalog.packages == ()
    assert len(catalog.problems) == 1


def test_unfinished_merge_is_told_and_both_sides_are_listed() -> None:
    text = "GEM\n  specs:\n<<<<<<< ours\n    rack (1)\n=======\nGEM\n  specs:\n    rack (2)\n>>>>>>> theirs\n"
    catalog = locked(text)
    assert ("gem", "rack", "2") in found(catalog)
    assert len(catalog.problems) == 1


def test_file_of_nothing_but_damage_is_given_up() -> None:
    catalog = locked("GEM\n  specs:\n" + "    rack\n" * 100_000)
    assert catalog.packages == ()
    assert len(catalog.problems) == 21


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"Gemfile.lock", True),
        (b"srv/gems/my-app/gems.locked", True),
        (b"usr/local/bundle/gems/rbs-2.7.0/Gemfile.lock", False),
        (b"usr/local/bundle/gems/rbs-2.7.0/steep/Gemfile.lock", False),
        (b"usr/local/bundle/bundler/gems/forked-0123456789ab/Gemfile.lock", False),
    ],
)
def test_lock_files_inside_of_gems_are_not_read(path: bytes, wanted: bool) -> None:
    assert GemfileCataloger().accepts(path) is wanted


def test_mutated_files_never_raise_and_stay_clean() -> None:
    chance = random.Random(1)
    for number in range(1000):
        read, text = ((installed, STUBBED), (installed, BODY), (locked, LOCK))[number % 3]
        data = bytearray(text.encode())
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        catalog = read(bytes(data[: chance.randrange(len(data) + 1)]))
        assert all(item.name and (item.name + item.version).isprintable() for item in catalog.packages)
