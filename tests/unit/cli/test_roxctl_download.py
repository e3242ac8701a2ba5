"""``roxctl scanner download-db``: which file of which release, from where, and who vouches for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from redoubt.cli.roxctl import releases, roxctl
from redoubt.definitions.library import Library
from redoubt.errors import UsageError
from support import stackrox
from support.definitions_bundles import NOW, Site
from support.inprocess import Outcome, invoke
from support.standin import TOKEN, StandIn, answer
from support.web import Answer, Asked, Web

BODY = stackrox.outer({"v3": stackrox.inner({})})


class Upstream(Web):
    """Files by path; 404 for the others."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        super().__init__(self._file)

    def _file(self, asked: Asked) -> Answer:
        body = self.files.get(asked.path)
        return Answer(404) if body is None else Answer(body=body, headers={"ETag": '"x"'})

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


def upstream(*releases_there: str, body: bytes = BODY) -> Upstream:
    return Upstream(**{f"/{one}/scanner-vulns-{one}.zip": body for one in releases_there})


@pytest.fixture
def download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    monkeypatch.chdir(tmp_path)

    def run(web: Web | str | Path, *words: str | Path, code: int = 0, **variables: str) -> Outcome:
        base = web.url if isinstance(web, Web) else str(web)
        given = {"ROX_SCAN_DB_DL_BASE_URL": base, "ROX_CLIENT_MAX_RETRIES": "0"}
        given |= {"REDOUBT_DATA_DIR": str(tmp_path / "data")} | variables
        return invoke(roxctl, "scanner", "download-db", *words, code=code, environment=given)

    return run


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("4.4.1-extra", ["4.4.1-extra", "4.4.1", "4.4"]),
        ("4.11.3-rc.1-7-gabc", ["4.11.3-rc.1-7-gabc", "4.11.3-rc.1-7", "4.11.3-rc.1", "4.11.3", "4.11"]),
        ("4.11", ["4.11"]),
        ("4.6.1", ["4.6.1", "4.6"]),
        ("4.3.x-10", ["4.3.x-10", "4.3.x", "4.3"]),
    ],
)
def test_variants_most_specific_first(version: str, names: list[str]) -> None:
    assert releases.variants(version) == names
    assert releases.files(version) == [f"{one}/scanner-vulns-{one}.zip" for one in names]
    assert releases.files(version, only_first=True) == [f"{names[0]}/scanner-vulns-{names[0]}.zip"]


@pytest.mark.parametrize("version", ["4.3.8", "3.74.9", "3.74"])
def test_releases_before_scanner_v4_have_one_file(version: str) -> None:
    assert releases.files(version) == ["scanner-vuln-updates.zip"]


@pytest.mark.parametrize(
    "version", ["", "latest", "4", "../../etc/passwd", "4.11/..", "4.11 ", "4." + "1" * 200]
)
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(UsageError):
        releases.files(version)


def test_less_specific_variants_are_tried(download: Callable[..., Outcome], tmp_path: Path) -> None:
    with upstream("4.4") as web:
        done = download(web, "--version", "4.4.1-x")
    assert web.paths == [f"/{one}/scanner-vulns-{one}.zip" for one in ("4.4.1-x", "4.4.1", "4.4")]
    assert (tmp_path / "4.4/scanner-vulns-4.4.zip").read_bytes() == BODY
    assert (tmp_path / "4.4").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "4.4.1").exists()
    assert done.stdout == f"Downloaded 4.4/scanner-vulns-4.4.zip ({len(BODY) // 1000 or 1} KB), UNSIGNED\n"
    assert "SHA-256 " in done.stderr


def test_skip_variants_tries_one(download: Callable[..., Outcome]) -> None:
    with upstream("4.4") as web:
        assert (
            "no bundle for release 4.4.1"
            in download(web, "--version=4.4.1", "--skip-variants", code=6).stderr
        )
    assert len(web.asked) == 1


def test_nothing_there_says_what_was_tried_and_what_to_do(
    download: Callable[..., Outcome], tmp_path: Path
) -> None:
    with upstream() as web:
        stderr = download(web, "--version", "4.4.1", code=6).stderr
    assert "4.4.1/scanner-vulns-4.4.1.zip: answered 404" in stderr
    assert "name another with --version, or another place with ROX_SCAN_DB_DL_BASE_URL" in stderr
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_does_not_stop_other_variants(
    download: Callable[..., Outcome], tmp_path: Path
) -> None:
    there = tmp_path / "4.4.1/scanner-vulns-4.4.1.zip"
    there.parent.mkdir()
    there.write_bytes(b"old")
    with upstream("4.4.1", "4.4") as web:
        done = download(web, "--version", "4.4.1")
        assert "4.4.1/scanner-vulns-4.4.1.zip is here already" in done.stderr
        assert "Downloaded 4.4/" in done.stdout
        assert there.read_bytes() == b"old"
        assert "is here already" in download(web, "--version", "4.4.1", code=2).stderr
        download(web, "--version", "4.4.1", "--force")
    assert there.read_bytes() == BODY


def test_a_named_file_is_not_replaced_without_force(download: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "today.zip"
    file.write_bytes(b"old")
    with upstream("4.4") as web:
        words = ("--version", "4.4", "--scanner-db-file", file)
        assert "--force replaces it" in download(web, *words, code=2).stderr
        assert web.asked == []
        download(web, *words, "--force")
    assert file.read_bytes() == BODY


def test_what_is_no_bundle_leaves_the_old_file(download: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "today.zip"
    file.write_bytes(b"old")
    with upstream("4.4", body=b"<html>please log in</html>") as web:
        stderr = download(web, "--version", "4.4", "--scanner-db-file", file, "--force", code=4).stderr
    assert "what was fetched is not kept" in stderr
    assert file.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["today.zip"]


def test_a_download_that_broke_off_goes_on(download: Callable[..., Outcome], tmp_path: Path) -> None:
    padded = stackrox.zipped({"scanner-defs.zip": bytes(300_000)}, 0)
    half = len(padded) // 2

    def flaky(asked: Asked) -> Answer:
        if begins := asked.headers.get("range"):
            start = int(begins.removeprefix("bytes=").rstrip("-"))
            headers = {"Content-Range": f"bytes {start}-{len(padded) - 1}/{len(padded)}", "ETag": '"x"'}
            return Answer(206, padded[start:], headers)
        return Answer(body=padded[:half], length=len(padded), headers={"ETag": '"x"'})

    with Web(flaky) as web:
        words = ("--version", "4.4", "--scanner-db-file", tmp_path / "today.zip")
        download(web, *words, code=6)
        download(web, *words)
        assert [asked.headers.get("range") for asked in web.asked] == [None, f"bytes={half}-"]
    assert (tmp_path / "today.zip").read_bytes() == padded


def test_a_folder_and_a_file_url_are_bases_too(download: Callable[..., Outcome], tmp_path: Path) -> None:
    stick = tmp_path / "my stick"
    (stick / "4.4").mkdir(parents=True)
    (stick / "4.4/scanner-vulns-4.4.zip").write_bytes(BODY)
    (stick / "scanner-vulns-4.5.zip").write_bytes(BODY)
    assert "Downloaded" in download(stick, "--version", "4.4.7", "--scanner-db-file", "a.zip").stdout
    assert "Downloaded" in download(stick.as_uri(), "--version", "4.5", "--scanner-db-file", "b.zip").stdout
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes() == BODY
    assert "is no folder" in download(tmp_path / "none", code=3).stderr
    assert "none of https, http and file" in download("ftp://x", code=2).stderr


def test_a_file_that_is_copied_onto_itself_stays_whole(
    download: Callable[..., Outcome], tmp_path: Path
) -> None:
    file = tmp_path / "4.4/scanner-vulns-4.4.zip"
    file.parent.mkdir()
    file.write_bytes(BODY)
    assert download(tmp_path, "--version", "4.4", "--force").stdout.startswith("Downloaded")
    assert file.read_bytes() == BODY


def test_our_own_bundle_is_verified(download: Callable[..., Outcome], tmp_path: Path) -> None:
    site = Site(tmp_path)
    body = site.bundle().read_bytes()
    with upstream("4.4", body=body) as web:
        words = ("--version", "4.4", "--scanner-db-file", "today.zip", "--force")
        unknown = download(web, *words)
        assert "signature of channel site NOT CHECKED" in unknown.stdout
        assert "root is not trusted on this machine" in unknown.stderr
        Library(tmp_path / "data").trust.add(site.root, "site", now=NOW)
        assert "signed for channel site, version 1" in download(web, *words).stdout
        web.files["/4.4/scanner-vulns-4.4.zip"] = body[:-2000] + body[-1999:]
        assert "not kept" in download(web, *words, code=4).stderr
    assert (tmp_path / "today.zip").read_bytes() == body


def test_http_without_tls_is_warned_of(download: Callable[..., Outcome]) -> None:
    with upstream("4.4") as web:
        assert "anybody on the way" in download(web, "--version", "4.4").stderr


def test_an_unreachable_base_is_one_line(download: Callable[..., Outcome]) -> None:
    stderr = download("http://127.0.0.1:9", "--version", "4.4.1", code=6).stderr
    assert "cannot connect" in stderr.splitlines()[-1]
    assert "run this where there is internet, or name another place" in stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("metadata", "release", "said"),
    [
        ({"version": "0.1.0", "upstreamRelease": "4.10.2"}, "4.10.2", "which Central follows"),
        ({"version": "4.6.1"}, "4.6.1", "which Central follows"),
        ({"version": "0.1.0"}, releases.NEWEST_RELEASE, "the newest that roxctl knows"),
        ({}, releases.NEWEST_RELEASE, "the newest that roxctl knows"),
        ({"upstreamRelease": "../../x"}, releases.NEWEST_RELEASE, "the newest that roxctl knows"),
    ],
)
def test_central_says_which_release(
    download: Callable[..., Outcome], tmp_path: Path, metadata: dict[str, str], release: str, said: str
) -> None:
    folder = tmp_path / "central"
    folder.mkdir()
    with StandIn(folder) as central, upstream(release) as web:
        central.routes["GET /v1/metadata"] = answer(metadata)
        told = {"ROX_ENDPOINT": central.endpoint, "ROX_CA_CERT_FILE": str(central.authority.file)}
        done = download(web, **told, ROX_API_TOKEN=TOKEN)
        assert f"release {release}, {said}" in done.stderr
        assert f"Downloaded {release}/" in done.stdout
        asked = len(central.asked)
        download(web, "--skip-central", "--force", "--version", release, **told, ROX_API_TOKEN=TOKEN)
        assert len(central.asked) == asked


def test_a_central_that_does_not_answer_is_a_warning_only(download: Callable[..., Outcome]) -> None:
    with upstream(releases.NEWEST_RELEASE) as web:
        done = download(web, ROX_ENDPOINT="127.0.0.1:9", ROX_API_TOKEN="x")
        assert "warning: Central was not asked" in done.stderr
        assert "Downloaded" in done.stdout


def test_a_zip_may_be_named_itself(download: Callable[..., Outcome], tmp_path: Path) -> None:
    with Upstream(**{"/site/bundle.zip": BODY, "/site/my%20bundle.zip": BODY}) as web:
        done = download(f"{web.url}/site/bundle.zip")
        assert done.stdout.startswith("Downloaded bundle.zip")
        assert "release" not in done.stderr
        assert "Downloaded my bundle.zip" in download(f"{web.url}/site/my%20bundle.zip").stdout
        assert "no bundle for other.zip" in download(f"{web.url}/site/other.zip", code=6).stderr
    assert (tmp_path / "bundle.zip").read_bytes() == BODY
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick/today.zip").write_bytes(BODY)
    assert "Downloaded a.zip" in download(tmp_path / "stick/today.zip", "--scanner-db-file", "a.zip").stdout
    assert "Downloaded today.zip" in download((tmp_path / "stick/today.zip").as_uri()).stdout
