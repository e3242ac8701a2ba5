"""The order of each scheme, as ladders: every rung is lower than the next, all on one rung are equal.

The rungs were put together by hand from each scheme's documentation; the real tools are asked in
``tests/integration/versions``.
"""

from __future__ import annotations

from itertools import combinations

import pytest

from redoubt import versions

LADDERS = {
    "deb-policy": """
        1.0~~ | 1.0~~a | 1.0~ | 1.0~rc1-1 | 1.0 1.0-0 0:1.0 1.00 1.0-00 | 1.0-0+deb9u1 | 1.0-1~bpo9+1 | 1.0-1 01.0-1 | 1.0-1+b1 | 1.0-1.1
        | 1.0-2 | 1.0-10 | 1.0a | 1.0+b1 | 1.0.1 | 1.0.1-1-1 | 1.2 | 1.10 | 1:0.1 01:0.1 | 2:0 | 10:0
    """,
    "deb-what-dpkg-only-warns-of": "1.a | 1.z | 1.é | 1.+ | 1._",
    "rpm": """
        1.0~rc1-1 | 1.0-1~a | 1.0-1 0:1.0-1 :1.0-1 1.00-1 1_0-01 1+0-1 | 1.0-1^git1 | 1.0-1.el8 | 1.0-1.el8_2 1.0-1.el8.2 | 1.0-1.el10 | 1.0-2 | 1.0-10
        | 1.0^-1 | 1.0^git1~rc1-1 | 1.0^git1-1 | 1.0a-1 1.0.a-1 | 1.0.1-1 | 1.1-1 | 1.10-1 | 1:0.1-1 | 2:0.1-1
    """,
    "rpm-release-missing-or-empty": "1 | 1-~ | 1- 1-. | 1-^ | 1-a | 1-0 | 1.0",
    "rpm-epoch-is-digits-only": "a:1-1 | a:2-1 | 0a:1-1 | 1-1 | 1a:1-1 | 1:1-1",
    "pacman": """
        1.0alpha-1 | 1.0beta-1 | 1.0beta2-1 | 1.0rc-1 | 1.0-0.1 | 1.0-1 0:1.0-1 :1.0-1 1.00-1 01.0-01 1_0-1 1~0-1 1^0-1 | 1.0-1.1 | 1.0-2 | 1.0-10 | 1.0.a-1 | 1.0.rc1-1 | 1.0.0-1 1.0_0-1 1.0~0-1
        | 1.0.1-1 | 1.0..a-1 | 1.0..0-1 1.0.~0-1 | 1.0...0-1 | 1.1-1 | 1.9-1 | 1.10-1 | 1..0-1 | 6.12.arch1-1 | 6.12.1.arch1-1 | 6.12.1.arch2-1 | 20240101-1 | 1:0.1-1 01:0.1-1 | 2:0.1-1 | 10:0-1
    """,
    "pacman-words-and-nothing": "a-1 | ab-1 | b-1 | r9.abc-1 | r10.abc-1 | -1 0:-1 | 0a-1 | 0-1",
    "pacman-epoch-is-digits-only": "a:1-1 | a:2-1 | 1a:1-1 | 1-1 | 1éa-1 | 1:1-1",
    "apk": """
        1_alpha | 1_alpha0 | 1_alpha1 1_alpha01 | 1_alpha_p1 | 1_beta | 1_pre2 | 1_rc1 | 1_rc1-r1 | 1_rc1_p1 | 1 01 | 1-r0 1-r00 | 1-r1 | 1-r9 | 1-r10
        | 1~abc | 1~abc-r1 | 1~abcd | 1_cvs | 1_svn | 1_git | 1_git20200101 | 1_hg | 1_p | 1_p1_rc1 | 1_p1 | 1_p1-r1 | 1_p2 | 1_p_p | 1a | 1a-r1 | 1b_rc | 1b
        | 1.0 | 1.0.1 | 1.00 | 1.01 | 1.05 | 1.1 | 1.1a | 1.1.1 | 1.9 | 1.10 | 2 | 006 6 | 006-r0 6-r0 | 20050718-r1
    """,
    "pypi": """
        1.dev0 1.0.dev 1-dev-0 | 1a0.dev1 | 1a0 1.0a 1.0-alpha_0 1A0 | 1a0.post1 1a0-1 | 1b2 1.beta.2 | 1rc1 1c1 1-pre1 1PREVIEW1 v1rc1
        | 1.0 1 1.0.0 01 v1 0!1 | 1+a 1+A | 1+a.b 1+a-b 1+a_b | 1+z | 1+2 1+02 | 1+2.a | 1+10 | 1.post0.dev1 | 1.post0 1.post 1.r0 1-0
        | 1.post1 1-1 1rev1 | 1.0.1 | 1.1 | 1.9 | 1.10 | 1.10.0.0.1 | 2022.12.0b4 | 1!0.5
    """,
    "npm": """
        1.0.0-0 | 1.0.0-9 | 1.0.0-10 | 1.0.0-- | 1.0.0-A | 1.0.0-alpha 1.0.0-alpha+b =1.0.0-alpha | 1.0.0-alpha.1 | 1.0.0-alpha.beta | 1.0.0-beta.2 | 1.0.0-beta.11 | 1.0.0-rc.1 | 1.0.0-rc1
        | 1.0.0 v1.0.0 =v1.0.0 1.0.0+build | 1.0.1 | 1.9.0 | 1.10.0 | 9007199254740991.0.0
    """,
    "npm-numbers-beyond-doubles": "1.0.0-9007199254740992 | 1.0.0-9007199254740993 | 1.0.0-90071992547409930",
    "semver": """
        1.0.0-alpha | 1.0.0-alpha.1 1.0.0-alpha.01 1-alpha.1 | 1.0.0-alpha.beta | 1.0.0-beta | 1.0.0-beta.2 | 1.0.0-beta.11 | 1.0.0-rc.1 v1.0.0-rc.1+b
        | 1.0.0 1 1.0 v1 v1.0.0 01.00.0 1.0.0+b 1.0.0+ | 1.2 | 1.10 | 2024.03.30 2024.3.30 | 2024.10.1
    """,
    "pub": """
        1.0.0-0 | 1.0.0-9 | 1.0.0-10 | 1.0.0-alpha | 1.0.0-alpha+1 | 1.0.0-alpha+2 | 1.0.0-alpha.1 1.0.0-alpha.01 | 1.0.0-rc.1 | 1.0.0 1 1.0 v1.0.0 01.00.0 1.0.0+ | 1.0.0+0 1.0.0+00 | 1.0.0+0.0 | 1.0.0+1 v1+1
        | 1.0.0+9 | 1.0.0+10 | 1.0.0+10.a | 1.0.0+10.a.1 | 1.0.0+A | 1.0.0+a | 1.0.0+hotfix | 1.0.0+hotfix.1 | 1.0.1-dev | 1.0.1 | 1.2.3+18446744073709551616 | 1.2.3+18446744073709551617
    """,
    "julia": """
        1.0.0- 1- v1.0- | 1.0.0-0 | 1.0.0-9 | 1.0.0-10 | 1.0.0-- | 1.0.0-A | 1.0.0-DEV | 1.0.0-alpha 1.0alpha 1-alpha | 1.0.0-alpha+0 | 1.0.0-alpha.1 1alpha.1 | 1.0.0-rc1 1.0rc1 v1.0.0rc1
        | 1.0.0 1 1.0 v1 V1.0.0 01.0 | 1.0.0+0 1+0 1.0.0+00 | 1.0.0+0.1 | 1.0.0+1 | 1.0.0+9 | 1.0.0+10 | 1.0.0+A | 1.0.0+a | 1.0.0+b | 1.0.0+ 1+ | 1.0.1- | 1.0.1+0 | 3.0.16+0 | 3.0.16+1 | 2024.3.11+0 2024.03.11+0
    """,
    "golang": """
        v0.0.0-20180816102801-aaf60122140d | 0.0.0-20191109021931-daa7c04131f5 | v0.1.0 0.1 v0.1.0+incompatible | v1.2.3 | v1.2.4-0.20191109021931-daa7c04131f5 | v1.2.4-rc.1
        | v1.2.4-rc.1.0.20191109021931-daa7c04131f5 | v1.2.4-rc.2 | v1.2.4 | v1.19.13 go1.19.13 go1.19.13-bigcorp | v1.20 1.20.0 go1.20 go1.20.0 | 1.21.0-0 | go1.21beta1 1.21.0-beta.1
        | go1.21rc2 1.21rc2 1.21.0-rc.2 | go1.21rc10 | go1.21.0 1.21.0 | go1.21.1rc1 | go1.21.1 1.21.1 | 1.22.4 go1.22.4@X:boringcrypto | v2 v2.0.0+incompatible go2
    """,
    "maven": """
        1.0-alpha-1 1.0a1 | 1-alpha.1 | 1.0-beta2 1.0.b2 | 1.0-milestone-3 1.0m3 1.0.0.M3 | 1.0-rc 1.0.CR | 1.0-rc1 1.0-cr1 1.0.0.RC1 | 1.0-SNAPSHOT 1-snapshot 1.0.snapshot
        | 1 1.0 1.0.0 1-0 1.ga 1.0.Final 1-RELEASE | 1.0-sp 1.0.SP | 1.0-sp1 | 1-foo | 1-foo1 | 1-foo2 | 1-jre | 1-1 1.0-01 | 1-2 | 1.0.1 | 1.1-rc1 | 1.1 | 1.9 | 1.10
        | 1.10.0.v20180605 1.10-v20180605 | 2.2147483648 | 2.9223372036854775808 | 20040616
    """,
    "gem": """
        1.A | 1.a.b | 1.a.0.b | 1.a.0.0.b | 1.a | 1.a.1-x | 1.a.1 1.0.a1 1.0.0.a.01 1.a.1.0 | 1.a.10 | 1.pre.java 1-java 1.0.0-java | 1.rc1 1.0.0.rc1 | 1.0.0 1 01 1.0 | 1.0.0.1
        | 1.0.1.a | 1.0.1 | 1.2.0.beta.2 1.2.beta2 | 1.2.0.beta10 | 1.2 | 1.9 | 1.10 | 2.18446744073709551616 | 2.18446744073709551617
    """,
    "gem-words-alone-after-zeros": "0.a | 0 0.0 00 | 0.0.0.1 | 0.1",
    "nuget": """
        1.0.0-0 | 1.0.0-9 | 1.0.0-10 1.0.0-010 | 1.0.0-- | 1.0.0-alpha 1.0.0-ALPHA 1-Alpha | 1.0.0-alpha.1 | 1.0.0-alpha.beta | 1.0.0-BETA | 1.0.0-beta.2 | 1.0.0-beta.11 | 1.0.0-rc.1 1.0-RC.1+b
        | 1 1.0 1.0.0 1.0.0.0 01.00 1.0.0+build | 1.0.0.1-rc | 1.0.0.1 | 1.0.1 | 1.9 | 1.10 | 2.0.0.2147483647
    """,
    "composer": """
        1.0-dev 1.dev 1.0.0.0-dev | 1.0-alpha-dev | 1.0-alpha 1.0a | 1.0a0 | 1.0-alpha1-dev | 1.0-alpha1 1.0.a.1 1.0_alpha-1 1.0.0.ALPHA1 | 1.0-alpha.1.2 1.0a1-2 | 1.0b2 1.0-beta.2 | 1.0-beta10 | 1.0-RC1 1.0rc1
        | 1.0 1 v1.0.0 V1.0.0.0 01 1.0-stable 1.0+build 1.0-stable-dev | 1.0-p1 1.0pl1 1.0.patch.1 | 1.0-patch2 | 1.0.0.1 | 1.0.1-dev | 1.0.1 | 1.9 | 1.10 | 1.x-dev 1.X-dev 1.*-dev 1.9999999.x-dev
        | 2-beta | 2.0 | 2010-01-02-beta | 2010-01-02 2010:01:02 | 2010.01.02 2010.1.2 | 99999.1 | 123456-dev | 20100102-RC1 | 20100102
    """,
    "jvm": """
        1.4.2_19 | 1.6.0_05 6u5 | 1.6.0_45 | 1.7.0 1.7 | 1.7.0_80-b15 7u80 | 1.8.0_312-ea | 1.8.0_312 8u312 1.8.0_312-b07 8u312-b07 1.8.0.312 8.0.312 | 1.8.1 | 9-ea+1 9-ea | 9 9.0 9.0.0+181 | 9.0.4
        | 11.0.9 11.0.9+11 | 11.0.9.1+1 11.0.9.1 | 11.0.13-1 11.0.13-01 | 11.0.13-2 | 11.0.13-10 | 11.0.13-EA | 11.0.13-ea 11.0.13-ea+9 | 11.0.13 11.0.13+8 11.0.13+8-LTS 11.0.13+-x | 17-internal | 17 17+35-2724 | 17.0.1
        | 17.0.15+6-Debian-1deb12u1 | 99999999999.1 | 100000000000
    """,
}  # fmt: skip

REFUSED = {
    "deb": ["", " ", "1-", "-1", "1:", ":1", "a:1", "1 2", "2147483648:1", "1\x002", "1:-1", "+1:2", "٣:1", "\t"],
    "rpm": ["", "1\x002"],
    "pacman": ["", "1\x002-1"],
    "apk": ["", "a", "1.", "1..2", "1ab", "1a.2", "1_x", "1_", "1-r", "1-1", "1-r1-r1", "1~", "1~g", "1.0 ", "1A", "1_p~-r1", "v1", "1_alphax", "١", "1\n"],
    "pypi": ["", "a", "1.0x", "1.0.", "1..0", "1.0+", "1.0+a+b", "1.0+a..b", "1 .0", "1!", "١.٠", "1.0.poſt1", "1.0+ß", "1.0-p1", "latest"],
    "npm": ["", "1", "1.0", "01.0.0", "1.0.0.0", "1.0.0-", "1.0.0-01", "1.0.0-a..b", "1.0.0+", "1.0.0rc1", "1.0.0-é", "9007199254740992.0.0", "1.0.0-" + "a" * 251, "1.0.0\x1c", "1.٠.0"],
    "semver": ["", "a", "1.2.3.4", "1.", "1.0.0-", "1.0.0-a..b", "1.0.0-a_b", " 1.0.0", "1.0.0\n", "nightly.2026-03-10.0", "١"],
    "pub": ["", "a", "1.2.3.4", "1.", "1.0.0-", "1.0.0-a..b", "1.0.0+a..b", "1.0.0+a+b", "1.0.0+.", "1.0.0+a_b", "1.0.0rc1", " 1.0.0", "1.0.0\n", "any", "١"],
    "julia": ["", "a", "1.2.3.4", "1.", "1.0.0-+1", "1.0.0-a..b", "1.0.0+a..b", "1.0.0+a+b", "1.0.0+.", "1.0.0a_b", "1.0.0-a.", " 1.0.0", "1.0.0\n", "∞", "١"],
    "golang": ["", "(devel)", "devel go1.21-abcdef", "v", "v01.0.0", "v1.0.0-01", "v1-rc.1", "v1.0.0.0", "v1.0.0-", "go1.21rc", "go01", "go", "vgo1.21", "latest", "v1.0.0\n", "v1.٠.0"],
    "maven": ["", "1.0é", "1\n", "1\x00", "١"],
    "gem": ["", " ", "a", "a.1", "1..1", "1.", ".1", "-1", "1-", "1.0_1", "1 .0", "1+b", "1.é", "v1", "١", "1.0-.1"],
    "nuget": ["", "a", "v1.0", "1.2.3.4.5", "1.", ".1", "1..0", "1.0-", "1.0+", "1.0-a..b", "1.0-a_b", "1.0+a+b", "1.0.é", "2147483648", "1.0.0.2147483648", "١", "-1"],
    "composer": ["", "dev-main", "DEV-x", "master", "trunk", "1.*", "*", "1.0.0.0.0", "1..0", "1.-_", "1.0-foo", "1.0-1", "1234567.1.2", "1.0@foo", "1.0+", "1.0 as 2.0", "1 .0", "١", "foo-dev", "1.x", "latest", "1.0\n-dev"],
    "jvm": ["", "0", "017", "17.", "17..1", "17-", "17+", "17.01", "17+08", "17_1", "17u1", "v17", " 17", "17\n", "17.x", "17-ea+-x", "1.8.0_", "1.8.0_x", "8u", "Temurin-17.0.1", "١٧"],
}  # fmt: skip


def _rungs(name: str) -> list[list[str]]:
    # "@" stands for a space inside a version.
    return [[text.replace("@", " ") for text in rung.split()] for rung in LADDERS[name].split("|")]


@pytest.mark.parametrize("name", LADDERS)
def test_ladder_is_climbed_by_keys_and_by_compare(name: str) -> None:
    scheme = name.partition("-")[0]
    placed = [(place, version) for place, rung in enumerate(_rungs(name)) for version in rung]
    for (i, a), (j, b) in combinations(placed, 2):
        expected = (i > j) - (i < j)
        key_a, key_b = versions.key(scheme, a), versions.key(scheme, b)
        assert versions.is_exact(key_a)
        assert versions.is_exact(key_b)
        assert (key_a > key_b) - (key_a < key_b) == expected, (a, b)
        assert versions.compare(scheme, a, b) == expected, (a, b)
        assert versions.compare(scheme, b, a) == -expected, (b, a)


@pytest.mark.parametrize("scheme", sorted(REFUSED))
def test_text_outside_the_grammar_is_refused_and_has_an_inexact_key(scheme: str) -> None:
    for text in REFUSED[scheme]:
        with pytest.raises(versions.InvalidVersion):
            versions.key(scheme, text)
        with pytest.raises(versions.InvalidVersion):
            versions.compare(scheme, text, "1.0.0")
        with pytest.raises(versions.InvalidVersion):
            versions.compare(scheme, "1.0.0", text)
        assert not versions.is_exact(versions.lenient_key(scheme, text))


def test_every_scheme_has_a_ladder_and_refuses_something() -> None:
    assert {name.partition("-")[0] for name in LADDERS} == versions.SCHEMES == set(REFUSED)


@pytest.mark.parametrize("scheme", ["pub", "julia"])
def test_without_build_metadata_the_order_is_that_of_semantic_versions(scheme: str) -> None:
    for rungs in ("semver", "npm"):
        for text in (text for rung in _rungs(rungs) for text in rung if "+" not in text and "=" not in text):
            assert versions.key(scheme, text) == versions.key("semver", text)


def test_maven_versions_in_a_ring_are_compared_one_by_one_and_one_key_is_inexact() -> None:
    ring = ["3.7.0.Final", "3.7.0-04", "3.7.0.rc.2"]
    for lower, higher in zip(ring, ring[1:] + ring[:1], strict=True):
        assert versions.compare("maven", lower, higher) == -1
        assert versions.compare("maven", higher, lower) == 1
    assert [versions.is_exact(versions.key("maven", version)) for version in ring] == [True, True, False]


@pytest.mark.parametrize(
    ("version", "equal", "lower", "higher"),
    [
        ("1.0", ["1.0-1", "1.0-2", "0:1.0-9"], ["1.0rc-1", "0.9-1", "0.9"], ["1.0.1-1", "1:0-1", "1.0."]),
        ("1.0.-1", ["1.0..-1", "1.0_-1", "1.0."], ["1.0-1", "1.0.a-1", "1.0..a-1"], ["1.0.0-1", "1.0..0-1", "1.0.-2"]),
        ("1.0-1.", ["1.0", "1.0-1.."], ["1.0-1", "1.0-1.a"], ["1.0-1.0", "1.0-2"]),
    ],
)  # fmt: skip
def test_arch_versions_that_vercmp_puts_in_two_places_are_inexact_and_compared_as_it_does(
    version: str, equal: list[str], lower: list[str], higher: list[str]
) -> None:
    assert not versions.is_exact(versions.key("pacman", version))
    for order, others in ((0, equal), (1, lower), (-1, higher)):
        for other in others:
            assert versions.compare("pacman", version, other) == order, (version, other)
            assert versions.compare("pacman", other, version) == -order, (other, version)
