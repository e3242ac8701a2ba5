"""``redoubt scan``, ``index`` and ``match``: a target, a file or both ends of what lies between them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, require
from redoubt.cli.redoubt import options
from redoubt.errors import (
    EXIT_FINDINGS,
    EXIT_UNREADABLE,
    AccessDenied,
    DefinitionsMissing,
    DefinitionsStale,
    NetworkError,
    UnreadableInput,
    UsageError,
)

if TYPE_CHECKING:
    from redoubt.cli.redoubt.suppressing import Assessments
    from redoubt.definitions.age import Age
    from redoubt.definitions.snapshot import Snapshot
    from redoubt.indexer.catalogers.interface import Cataloger
    from redoubt.model import IndexReport, Platform, VulnerabilityReport

_STARTER = "starter definitions: dated, facts only, for trying out"

#: Index reports larger than this are not read: a real one has about 300 bytes a package.
_INDEX_LIMIT = 512 << 20


@dataclass(frozen=True)
class Output:
    """Where a report goes and in which form."""

    format: str
    file: Path | None

    @property
    def elsewhere(self) -> bool:
        """Whether the report is not what the person at the terminal reads, who is then told beside it."""
        return self.format != "table" or self.file is not None

    def check(self, *, index: bool = False) -> None:
        """Find out before the work whether the report can be put down. Raises ``UsageError``, ``AccessDenied``.

        ``index``: it is an index report, which not every format has a form for.
        """
        from redoubt import formats

        formats.check(self.format, index=index)
        if self.file is None:
            return
        folder = self.file.parent
        require(folder.is_dir(), f"there is no folder {folder} to write {self.file.name} into; make it first")
        if not os.access(
            self.file if self.file.exists() and not _replaceable(self.file) else folder, os.W_OK
        ):
            raise AccessDenied(f"cannot write to {self.file}: permission denied")

    def write(
        self,
        report: IndexReport | VulnerabilityReport,
        age: Age | None = None,
        notices: tuple[str, ...] = (),
        *,
        show_suppressed: bool = False,
    ) -> None:
        """Write the report; a file appears whole or not at all. Raises ``AccessDenied``.

        A reader that goes away early (`| head`) changes nothing, least of all the exit code.
        """
        from redoubt import formats

        message, stale = (age.message, age.stale) if age else ("", False)
        if self.file is None:
            with suppress(BrokenPipeError):
                formats.write(
                    report,
                    self.format,
                    sys.stdout.buffer,
                    age=message,
                    stale=stale,
                    notices=notices,
                    show_suppressed=show_suppressed,
                )
            return
        from redoubt.definitions import durable

        wishes = formats.Options(age=message, stale=stale, notices=notices, show_suppressed=show_suppressed)
        data = formats.render(report, self.format, wishes)
        with durable.writing(self.file), suppress(BrokenPipeError):
            if _replaceable(self.file):
                durable.replace(self.file, data)
            else:
                self.file.write_bytes(data)


@dataclass(frozen=True)
class Judging:
    """Which definitions, how old they may be, and what makes a pipeline stop."""

    definitions: str | None
    notice_after: timedelta
    warn_after: timedelta
    fail_on_stale: bool
    fail_on: str | None
    fail_on_incomplete: bool
    fail_on_end_of_life: bool
    only_fixed: bool
    detection: str
    show_suppressed: bool
    ignore_file: tuple[Path, ...]
    vex: tuple[Path, ...]

    def assessments(self, console: Console) -> Assessments:
        """What people have judged: read before the work, so that a file that is wrong is found out early."""
        from redoubt.cli.redoubt import suppressing

        if line := suppressing.left_lying(self.ignore_file):
            console.notice(line)
        return suppressing.load(self.ignore_file, self.vex, datetime.now(UTC).date())

    def match(
        self, report: IndexReport, snapshot: Snapshot, assessments: Assessments, console: Console
    ) -> VulnerabilityReport:
        """What the definitions say of an index report, and what people have judged of that."""
        from redoubt.matcher import match as match_report
        from redoubt.model import Detection

        found = match_report(report, snapshot, detection=Detection(self.detection))
        return assessments.applied(found, console)

    def open(self, stack: ExitStack, console: Console) -> tuple[Snapshot, Age]:
        """The definitions, and what their age is today. Raises ``DefinitionsStale`` where asked to."""
        from redoubt.definitions import age as ages
        from redoubt.definitions.library import Library

        require(self.definitions != "", "--definitions is empty; leave it out for the active ones")
        library = Library(settings.data_dir())
        try:
            opened = library.open(self.definitions) if self.definitions else library.open_active()
        except DefinitionsMissing as error:
            if self.definitions:
                raise
            raise DefinitionsMissing(
                f"{str(error).partition(';')[0]}; run `redoubt definitions import BUNDLE.zip`, "
                "or `redoubt definitions import --starter` to try the dated ones that came along"
            ) from None
        snapshot = stack.enter_context(opened)
        age = ages.judge(snapshot.info, datetime.now(UTC), notice=self.notice_after, warn=self.warn_after)
        if age.stale and self.fail_on_stale:
            raise DefinitionsStale(age.message)
        return snapshot, age

    def finish(self, report: VulnerabilityReport, output: Output, age: Age, console: Console) -> None:
        """Write what is asked for, and leave with the exit code that it deserves."""
        from redoubt.definitions.age import Level
        from redoubt.definitions.trust import STARTER_CHANNEL
        from redoubt.formats import summary
        from redoubt.matcher import only_fixed
        from redoubt.model import Severity

        if self.only_fixed:
            report = only_fixed(report)
        notices: tuple[str, ...] = (_STARTER,) if report.definitions.channel == STARTER_CHANNEL else ()
        ended = summary.ended(report, datetime.now(UTC).date())
        notices += (ended,) if ended else ()
        output.write(report, age, notices, show_suppressed=self.show_suppressed)
        if output.elsewhere:
            for notice in notices:
                console.notice(notice)
        if age.stale:
            console.warn(age.message)
        elif age.level is Level.NOTICE:
            console.notice(age.message)
        gaps = summary.gaps(report)
        if output.elsewhere:
            console.warn_all(gaps)
            console.done(summary.verdict(report))
        worst = summary.worst(report)
        if self.fail_on and worst is not None and worst.rank >= Severity(self.fail_on.upper()).rank:
            sys.stdout.flush()
            raise click.exceptions.Exit(EXIT_FINDINGS)
        incomplete = (self.fail_on_incomplete and gaps) or (self.fail_on_end_of_life and ended)
        if incomplete or _unread(report):
            sys.stdout.flush()
            raise click.exceptions.Exit(EXIT_UNREADABLE)


@dataclass(frozen=True)
class Look:
    """How a target is looked at."""

    platform: str | None
    ca_file: Path | None
    insecure: bool
    username: str | None
    password_stdin: bool
    java_index: Path | None
    package_files: bool
    no_cache: bool
    workers: int | None

    def index(self, target: str, console: Console) -> IndexReport:
        """The index report of ``target``."""
        from redoubt.indexer.sources import SourceOptions, open_source

        cache = None if self.no_cache else settings.cache_dir()
        source_options = SourceOptions(
            username=self.username or "",
            password=self._password(),
            ca_file=self.ca_file,
            insecure=self.insecure,
            blob_cache=cache / "blobs" if cache else None,
        )
        catalogers = self._catalogers()
        with _explained(target), open_source(target, options=source_options) as source:
            from redoubt.indexer.sources.directory import DirectorySource

            if isinstance(source, DirectorySource):
                from redoubt.indexer.index import index_directory

                require(not self.platform, "a folder has one platform, its own; leave --platform out")
                return index_directory(source.root, target, catalogers=catalogers)
            from redoubt.indexer.sources.sbom import SbomSource

            if isinstance(source, SbomSource):
                require(not self.platform, "an SBOM is of one platform; leave --platform out")
                return source.index()
            from redoubt.indexer.cache import LayerCache
            from redoubt.indexer.index import index_image

            resolved = source.resolve(_platform(self.platform))
            with console.bars("layer") as advance:
                return index_image(
                    source,
                    resolved,
                    catalogers=catalogers,
                    cache=LayerCache(cache / "layers") if cache else None,
                    progress=lambda layer, done, total: advance(str(layer + 1), done, max(total, 0)),
                    workers=self.workers or _workers(),
                )

    def _catalogers(self) -> Sequence[Cataloger]:
        from redoubt.indexer.catalogers import chosen

        if self.java_index is None:
            return chosen(package_files=self.package_files)
        from redoubt.indexer.java_index import JavaIndex

        return chosen(JavaIndex(self.java_index), package_files=self.package_files)

    def _password(self) -> str:
        require(
            self.password_stdin == bool(self.username),
            "--username and --password-stdin go together; a password is never an argument",
        )
        return sys.stdin.readline().rstrip("\r\n") if self.password_stdin else ""


@click.command(context_settings=HELP)
@click.argument("target")
@options.output
@options.judging
@options.age
@options.image
@options.quiet
def scan(target: str, quiet: bool, **given: object) -> None:
    """Find the vulnerabilities of TARGET with the active definitions. Nothing but TARGET's registry is contacted.

    \b
    TARGET is one of
      registry.local/shop:1.4        an image in a registry (also registry:NAME, docker://NAME)
      shop.tar                       what `docker save` or `skopeo copy` wrote, recognised by content
      docker-archive:PATH[:TAG]      the same, said aloud
      oci-archive:PATH[:NAME]        an OCI layout in a tar
      oci-dir:PATH[:NAME]            an OCI layout
      dir:PATH                       an unpacked root file system
      sbom:PATH                      an SBOM of one, CycloneDX or SPDX in JSON, recognised by content (`sbom:-`: standard input)

    \b
    redoubt scan shop.tar                                     a table on the terminal
    redoubt scan shop.tar --output-file report.html           a page to hand on
    redoubt scan shop.tar --fail-on high --only-fixed -o json for a pipeline
    """
    console = Console(quiet=quiet)
    output, judging, look = _output(given), _judging(given), _look(given)
    output.check()
    assessments = judging.assessments(console)
    with ExitStack() as stack:
        snapshot, age = judging.open(stack, console)
        report = look.index(target, console)
        judging.finish(judging.match(report, snapshot, assessments, console), output, age, console)


@click.command(context_settings=HELP)
@click.argument("target")
@options.output
@options.image
@options.quiet
def index(target: str, quiet: bool, **given: object) -> None:
    """List the packages of TARGET (see `redoubt scan --help` for its forms). Needs no definitions.

    \b
    redoubt index shop.tar                               a table on the terminal
    redoubt index shop.tar --output-file shop.json       to match later, again and again
    redoubt index shop.tar --output-file shop.cdx.json   a CycloneDX SBOM with a purl for every package
    """
    console = Console(quiet=quiet)
    output, look = _output(given), _look(given)
    output.check(index=True)
    report = look.index(target, console)
    output.write(report)
    if output.elsewhere:
        from redoubt.formats import summary

        console.warn_all(summary.index_gaps(report))
    if _unread(report):
        sys.stdout.flush()
        raise click.exceptions.Exit(EXIT_UNREADABLE)


@click.command("match", context_settings=HELP)
@click.argument("index_file", metavar="INDEX", type=click.Path(path_type=Path, allow_dash=True))
@options.output
@options.judging
@options.age
@options.quiet
def match(index_file: Path, quiet: bool, **given: object) -> None:
    """Match an index made with `redoubt index -o json`, or an SBOM, against definitions. `-` reads standard input.

    The image is not needed again: index once, match as often as definitions change.
    """
    console = Console(quiet=quiet)
    output, judging = _output(given), _judging(given)
    output.check()
    report = _report_in(_read(index_file), str(index_file))
    assessments = judging.assessments(console)
    with ExitStack() as stack:
        snapshot, age = judging.open(stack, console)
        judging.finish(judging.match(report, snapshot, assessments, console), output, age, console)


def index_of(target: str, given: dict[str, object], console: Console) -> IndexReport:
    """The index report of ``target``, or the one that ``target``, a JSON file or ``-``, is."""
    from redoubt.indexer.sources.sbom import may_be_sbom

    if target == "-" or may_be_sbom(Path(target)):
        return _report_in(_read(Path(target)), target)
    return _look(given).index(target, console)


def _report_in(data: bytes, name: str) -> IndexReport:
    """The index report in ``data``, which is one or an SBOM. Raises ``UnreadableInput``."""
    from redoubt.indexer import sbom

    if sbom.recognise(data):
        from redoubt.indexer.sources.sbom import index_sbom

        return index_sbom(data, name, name)
    from redoubt.formats.json import read_index

    return read_index(data, name)


def _output(given: dict[str, object]) -> Output:
    file = taken(given, ("output_file",))["output_file"]
    assert file is None or isinstance(file, Path)
    form = given["output"]
    return Output(options.format_of(form if isinstance(form, str) else None, file), file)


def _judging(given: dict[str, object]) -> Judging:
    return Judging(**taken(given, tuple(Judging.__dataclass_fields__)))  # type: ignore[arg-type]  # click's types


def _look(given: dict[str, object]) -> Look:
    return Look(**taken(given, tuple(Look.__dataclass_fields__)))  # type: ignore[arg-type]  # click's types


def _unread(report: IndexReport | VulnerabilityReport) -> bool:
    """Whether a whole layer, or the image, could not be read: then the report is not one of the image."""
    return any(not problem.path for problem in report.problems)


@contextmanager
def _explained(target: str) -> Iterator[None]:
    """Say of a bare word that failed as an image of Docker Hub's why it was taken for one."""
    try:
        yield
    except (NetworkError, AccessDenied) as error:
        from redoubt.indexer.sources.reference import DOCKER_HUB, parse_reference

        if (
            target.startswith(("docker:", "registry:"))
            or DOCKER_HUB in target
            or parse_reference(target).host != DOCKER_HUB
        ):
            raise
        reason = f"nothing of the name {target} lies here, so it was looked for on docker.io"
        if Path(target).is_dir():
            reason = f"the folder {target} has no operating system in it; dir:{target} reads it all the same"
        raise type(error)(f"{error}; {reason}") from None


def _replaceable(file: Path) -> bool:
    """Whether ``file`` is a file or nothing yet: a device or a pipe is written to, never replaced.

    So is what a link leads to: only the kernel can tell whether a link in /tmp is to be trusted
    (``fs.protected_symlinks``, proc_sys_fs(5)), and it is asked where the link is opened, not resolved.
    """
    return not file.is_symlink() and (file.is_file() or not file.exists())


def taken(given: dict[str, object], names: Sequence[str]) -> dict[str, object]:
    """Some of a command's options."""
    return {name: given[name] for name in names}


def _platform(text: str | None) -> Platform | None:
    if not text:
        return None
    from redoubt.model import Platform

    parts = text.split("/")
    if len(parts) == 1:
        parts = ["linux", *parts]
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise UsageError(f"{text!r} is not a platform; write os/architecture, for example linux/arm64")
    return Platform(*parts)


def _workers() -> int:
    return max(2, min(os.cpu_count() or 2, 4))


def _read(path: Path) -> bytes:
    """A whole index report. Raises ``UnreadableInput`` or ``AccessDenied``."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(_INDEX_LIMIT + 1)
        else:
            with path.open("rb") as file:
                data = file.read(_INDEX_LIMIT + 1)
    except PermissionError:
        raise AccessDenied(f"{path}: permission denied") from None
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror}") from None
    if len(data) > _INDEX_LIMIT:
        raise UnreadableInput(f"{path}: larger than {_INDEX_LIMIT >> 20} MiB; this is no index report")
    return data
