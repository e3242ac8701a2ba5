"""The table: what it says, how wide it is, and what it lets through."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from formats_samples import APP, DEFINITIONS, IMAGE, INDEX, REPORT, SHELL
from hypothesis import given
from hypothesis import strategies as st

from redoubt import formats
from redoubt.errors import UsageError
from redoubt.formats import Options
from redoubt.formats.text import fold, printable, shorten, width
from redoubt.model import (
    Coverage,
    Finding,
    Image,
    IndexReport,
    Judged,
    Location,
    Package,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)

NARROW = Options(width=80)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def table(report: IndexReport | VulnerabilityReport, options: Options = NARROW) -> str:
    return formats.render(report, "table", options).decode()


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [80, 100, 132])
@pytest.mark.parametrize("report", [REPORT, INDEX], ids=["report", "index"])
def test_no_line_is_wider_than_the_terminal(report: IndexReport | VulnerabilityReport, columns: int) -> None:
    lines = table(report, Options(width=columns, age="three days old, " * 9)).splitlines()
    assert max(map(len, lines)) <= columns


def test_packages_of_one_source_with_the_same_findings_are_one_block() -> None:
    text = table(REPORT)
    assert text.count("CVE-2023-0286") == 1
    assert "openssl 1.1.1n-0+deb11u3  deb  upgrade to 1.1.1n-0+deb11u4" in text
    assert "libssl1.1 (amd64), openssl (amd64)" in text


def test_a_finding_shows_exploitation_likelihood_and_fix() -> None:
    (line,) = [line for line in table(REPORT).splitlines() if "CVE-2021-44228" in line]
    assert line.split() == ["CRITICAL", "CVE-2021-44228", "KEV", "94.4%", "2.15.0"]
    assert "1.1.1n-0+deb11u4 (DSA-5343-1)" in table(REPORT)


def test_the_sum_and_the_gaps_come_last() -> None:
    text = table(REPORT)
    gaps, total = text.index("NOT EVERYTHING COULD BE JUDGED"), text.index("4 findings in 3 packages")
    assert text.index("CVE-2023-0286") < gaps < total
    assert "! 300 npm packages were not judged" in text
    assert "! damaged: srv/shop/broken.jar" in text
    assert "CRITICAL 1  HIGH 2  LOW 1" in text[total:]
    assert "3 fixable by upgrading, 1 known to be exploited (KEV)" in text[total:]
    assert "2 findings under investigation, not counted" in text[total:]


def test_definitions_are_named_with_their_age() -> None:
    text = table(
        REPORT, Options(width=80, age="newest record 9 days old", stale=True, notices=("Starter data.",))
    )
    assert "sha256:999999999999, channel starter 20261122, built 2026-11-22" in text
    assert "newest record 9 days old" in text
    assert "Newest data  debian 2023-04-02, osv-maven (undated), 1 other source" in text
    assert "Starter data." in text


def test_unsigned_definitions_say_so() -> None:
    info = msgspec.structs.replace(DEFINITIONS, unsigned=True)
    assert "unsigned" in table(msgspec.structs.replace(REPORT, definitions=info))


@pytest.mark.parametrize(
    ("rows", "problems", "said"),
    [
        ((Coverage(type="deb", namespace="d", judged=Judged.MATCHED, packages=7),), (), "No known vulnerabilities in 7 packages"),
        (
            (Coverage(type="deb", namespace="d", judged=Judged.MATCHED, packages=7, unversioned=2),),
            (),
            "No known vulnerabilities in the 5 packages that could be judged",
        ),
        (
            (Coverage(type="deb", namespace="d", judged=Judged.MATCHED, packages=7),),
            REPORT.problems,
            "No known vulnerabilities in the 7 packages that could be judged",
        ),
        ((Coverage(type="deb", namespace="d", judged=Judged.NO_DATA, packages=7),), (), "Nothing could be judged"),
        ((Coverage(type="deb", namespace="d", judged=Judged.MATCHED, packages=7, unversioned=7),), (), "Nothing could be judged"),
        ((), (), "Nothing could be judged"),
    ],
)  # fmt: skip
def test_no_findings_is_never_the_answer_to_could_not_tell(
    rows: tuple[Coverage, ...], problems: tuple[object, ...], said: str
) -> None:
    report = VulnerabilityReport(
        image=IMAGE,
        definitions=DEFINITIONS,
        coverage=rows,
        package_count=sum(row.packages for row in rows),
        problems=problems,
    )
    assert said in table(report)


def test_findings_left_out_on_request_do_not_make_an_image_clean() -> None:
    report = VulnerabilityReport(image=IMAGE, definitions=DEFINITIONS, package_count=7, left_out=3)
    assert "No fixable vulnerabilities (3 findings without a fix left out)" in table(report)


def test_a_pipe_loses_nothing() -> None:
    places = tuple(Location(f"srv/{'deep/' * 40}{number}/x.jar", APP) for number in range(12))
    package = PackageFindings(
        type="maven", name="g:" + "a" * 120, version="1" * 90, locations=places, findings=(SHELL,)
    )
    report = VulnerabilityReport(image=IMAGE, definitions=DEFINITIONS, packages=(package,))
    text = table(report, Options())
    for part in (package.name, package.version, SHELL.title, *(where.path for where in places)):
        assert part in text
    assert "…" not in text
    narrow = table(report)
    assert "and 9 more places" in narrow
    assert max(map(len, narrow.splitlines())) <= 80


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = Terminal(), io.BytesIO()
    formats.write(REPORT, "table", terminal)
    formats.write(REPORT, "table", pipe)
    assert b"\x1b[" in terminal.getvalue()
    assert b"\x1b[" not in pipe.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    formats.write(REPORT, "table", plain)
    assert b"\x1b[" not in plain.getvalue()


def test_colours_change_nothing_else() -> None:
    assert ANSI.sub("", table(REPORT, Options(width=80, color=True))) == table(REPORT)


HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\x9b31m\u202eevil\u2066\u200b\ud800\x00\t\U000e0041"


def test_nothing_in_a_report_can_drive_the_terminal() -> None:
    finding = Finding(
        id=HOSTILE, status=Status.AFFECTED, severity=Severity.HIGH, title=HOSTILE, fixed_version=HOSTILE
    )
    package = PackageFindings(
        type=HOSTILE,
        name=HOSTILE,
        version=HOSTILE,
        arch=HOSTILE,
        upgrade=HOSTILE,
        locations=(Location(HOSTILE),),
        findings=(finding,),
    )
    report = msgspec.structs.replace(
        REPORT, image=Image(reference=HOSTILE, kind=HOSTILE, digest=HOSTILE), packages=(package,)
    )
    index = msgspec.structs.replace(
        INDEX,
        packages=(Package(type="npm", name=HOSTILE, version=HOSTILE, locations=package.locations),),
    )
    for document in (report, index):
        for columns in (None, 80):
            text = ANSI.sub(
                "", table(document, Options(width=columns, color=True, age=HOSTILE, notices=(HOSTILE,)))
            )
            assert not set(HOSTILE) - set("[2J]0;owned31mevil") & set(text) - {"\n"}
            assert "\\x1b[2J" in text


def test_an_unknown_format_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no format 'pdf'; choose one of table, json"):
        formats.render(REPORT, "pdf")
    with pytest.raises(UsageError, match="no format 'pdf'; choose one of table, json"):
        formats.check("pdf", index=False)


@pytest.mark.parametrize("name", formats.FORMATS)
@pytest.mark.parametrize("report", [REPORT, INDEX], ids=["report", "index"])
def test_the_same_report_gives_the_same_bytes_or_the_same_refusal(
    report: IndexReport | VulnerabilityReport, name: str
) -> None:
    try:
        formats.check(name, index=report is INDEX)
    except UsageError as refusal:
        with pytest.raises(UsageError, match=re.escape(str(refusal))):
            formats.render(report, name)
        return
    copy = msgspec.json.decode(msgspec.json.encode(report), type=type(report))
    assert formats.render(copy, name) == formats.render(report, name)


@given(st.text(max_size=60), st.integers(1, 30))
def test_folding_keeps_every_word_and_the_width(text: str, columns: int) -> None:
    text = printable(text)
    lines = fold(text, columns)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(width(line.rstrip(" ")) <= max(columns, 2) for line in lines)


@given(st.text(max_size=60))
def test_printable_text_has_nothing_to_obey(text: str) -> None:
    made = printable(text)
    assert printable(made) == made
    assert all(ord(character) >= 32 and not 0x7F <= ord(character) < 0xA0 for character in made)


@given(st.text(alphabet="ab漢é/", max_size=60), st.integers(8, 40))
def test_a_shortened_path_fits(text: str, columns: int) -> None:
    assert width(shorten(text, columns)) <= columns
    assert shorten(text, 200) == text


def test_folding_a_huge_word_is_quick_work() -> None:
    assert len(fold("漢" * 100_000, 80)) == 2500
