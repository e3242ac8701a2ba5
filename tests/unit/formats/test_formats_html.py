"""The HTML report: one file, everything escaped, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest
from formats_samples import INDEX, REPORT

from redoubt import formats
from redoubt.formats import Options
from redoubt.formats.markup import Markup, escape, tag
from redoubt.model import (
    Coverage,
    Finding,
    Image,
    IndexReport,
    Judged,
    Location,
    Package,
    PackageFindings,
    Problem,
    ProblemKind,
    Severity,
    SourceInfo,
    Status,
    VulnerabilityReport,
)

VOID = {"meta", "br", "input"}


class Page(HTMLParser):
    """Reads a page strictly: balanced elements, their attributes, and the text between them."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(data.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, text: str) -> None:
        self.texts.append(text)

    def values(self, attribute: str) -> list[str]:
        return [given[attribute] or "" for _, given in self.elements if attribute in given]


def page(report: IndexReport | VulnerabilityReport, options: Options | None = None) -> Page:
    return Page(formats.render(report, "html", options))


EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'\x1b[2J\u202e&lt;"


def hostile() -> tuple[VulnerabilityReport, IndexReport]:
    finding = Finding(
        id=EVIL,
        status=Status.AFFECTED,
        severity=Severity.HIGH,
        severity_source=EVIL,
        title=EVIL,
        fixed_version=EVIL,
        fixing_advisory=EVIL,
        aliases=(EVIL,),
        cwes=(EVIL,),
        url="javascript:alert(1)",
        references=('https://x.example/"onmouseover="alert(1)', "data:text/html,x"),
        namespace=EVIL,
    )
    package = PackageFindings(
        type=EVIL, name=EVIL, version=EVIL, upgrade=EVIL, locations=(Location(EVIL),), findings=(finding,)
    )
    source = SourceInfo(name=EVIL, title=EVIL, url="javascript:alert(1)", newest=EVIL)
    report = msgspec.structs.replace(
        REPORT,
        image=Image(reference=EVIL, kind=EVIL, digest=EVIL),
        packages=(package,),
        definitions=msgspec.structs.replace(REPORT.definitions, channel=EVIL, sources=(source,)),
        coverage=(Coverage(type=EVIL, namespace=EVIL, judged=Judged.NO_DATA, packages=1, detail=EVIL),),
        problems=(Problem(kind=ProblemKind.HOSTILE, message=EVIL, path=EVIL),),
        layers=(msgspec.structs.replace(REPORT.layers[0], created_by=EVIL),),
    )
    index = msgspec.structs.replace(
        INDEX, packages=(Package(type=EVIL, name=EVIL, version=EVIL, locations=(Location(EVIL),)),)
    )
    return report, index


@pytest.mark.parametrize("at", [0, 1])
def test_hostile_texts_become_text(at: int) -> None:
    found = page(hostile()[at], Options(age=EVIL, notices=(EVIL,)))
    names = [name for name, _ in found.elements]
    assert names.count("script") == 1
    assert "img" not in names
    assert not [key for _, given in found.elements for key in given if key.startswith("on")]
    assert found.values("href") == []
    assert any('"><script>alert(1)</script>' in text for text in found.texts)
    assert not {"\x1b", "\u202e"} & set("".join(found.texts))


@pytest.mark.parametrize("report", [REPORT, INDEX], ids=["report", "index"])
def test_nothing_is_loaded_and_only_our_own_script_and_style_may_run(
    report: IndexReport | VulnerabilityReport,
) -> None:
    data = formats.render(report, "html").decode()
    found = page(report)
    assert not [name for name, _ in found.elements if name in {"link", "img", "iframe", "object", "base"}]
    assert found.values("src") == []
    assert found.values("style") == []
    assert "url(" not in data
    assert "@import" not in data
    policy = next(value for value in found.values("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    for name in ("style", "script"):
        body = re.search(f"<{name}>(.*?)</{name}>", data, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body.group(1).encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_the_report_holds_what_a_reader_needs() -> None:
    found = page(REPORT, Options(age="newest record 9 days old", stale=True))
    text = " ".join(" ".join(found.texts).split())
    for part in (
        "registry.example/shop:1.4",
        "Debian GNU/Linux 11 (bullseye)",
        "4 findings in 3 packages",
        "Upgrade to 2.17.1",
        "CVE-2021-44228",
        "94.4%",
        "DSA-5343-1",
        "300 npm packages were not judged",
        "damaged: srv/shop/broken.jar",
        "newest record 9 days old",
        "Debian security tracker",
        "2023-04-02",
        "COPY shop /srv/shop",
        ">= 2.13.0, < 2.15.0",
    ):
        assert part in text
    assert "https://osv.example/GHSA-jfh8-c2jp-5v3q" in found.values("href")
    rows = [
        given for name, given in found.elements if name == "tr" and given.get("class", "").startswith("row")
    ]
    assert [(row["data-severity"], "data-fixable" in row) for row in rows] == [
        ("CRITICAL", True),
        ("LOW", False),
        ("HIGH", True),
        ("UNKNOWN", False),
    ]


def test_the_inventory_lists_every_package() -> None:
    text = " ".join(page(INDEX).texts)
    for item in INDEX.packages:
        assert item.name in text


def test_markup_is_only_what_was_declared_to_be() -> None:
    assert escape("<b>") == "&lt;b&gt;"
    assert escape(Markup("<b>")) == "<b>"
    assert tag("a", "<i>", tag("b", "x"), None, href='"', class_=None, hidden=True) == (
        '<a href="&quot;" hidden>&lt;i&gt;<b>x</b></a>'
    )
