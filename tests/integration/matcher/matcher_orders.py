"""Versions in the order of the real tools: each is asked once about many small groups of versions.

``orders`` takes a scheme and groups of texts (the versions of one package) and gives a comparison for each
group. A text that the tool refuses has no place: comparing it with any other gives None.
Shares nothing with the code under test.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cmp_to_key
from pathlib import Path

from packaging.version import InvalidVersion, Version

Ranks = list["int | None"]


class Order:
    """Compares two versions of one group. ``known`` is for the oracle to remember answers in."""

    def __init__(self, compare: Callable[[str, str], int | None]) -> None:
        self._compare = compare
        self.known: dict[tuple[int, str], bool] = {}
        self.ends: dict[int, set[str]] = {}
        self.held: dict[tuple[str, str], bool] = {}

    def satisfies(self, requirement: str, version: str) -> bool:
        """Whether RubyGems says that a gem requirement holds a version. Ask ``requirements`` first."""
        return self.held[requirement, version]

    def __call__(self, a: str, b: str) -> int | None:
        return self._compare(a, b)


_MAVEN = Path("/usr/share/java/maven3-artifact.jar")
_MAVEN_MAIN = Path(__file__).resolve().parent.parent / "versions" / "MavenOrder.java"

_RANK = """
import functools, json, sys
def ranks(texts, valid, compare):
    good = sorted((text for text in texts if valid(text)), key=functools.cmp_to_key(compare))
    found, place = {}, 0
    for index, text in enumerate(good):
        place += index > 0 and compare(good[index - 1], text) != 0
        found[text] = place
    return [found.get(text) for text in texts]
def answer(valid, compare):
    json.dump([ranks(texts, valid, compare) for texts in json.load(sys.stdin)], sys.stdout)
"""

_DEB = """
import apt_pkg, re
apt_pkg.init_system()
text = re.compile(r"(\\d+:)?[A-Za-z0-9.+~:-]+").fullmatch
answer(lambda a: bool(text(a)), apt_pkg.version_compare)
"""

_RPM = """
import rpm
def parts(text):
    epoch, colon, rest = text.partition(":")
    if not (colon and epoch.isdigit()):
        epoch, rest = "0", text
    version, dash, release = rest.rpartition("-")
    return (epoch, version, release) if dash else (epoch, rest, "")
answer(lambda a: True, lambda a, b: rpm.labelCompare(parts(a), parts(b)))
"""

_RUBY = """
require 'json'
data = JSON.parse($stdin.read)
ranks = data['groups'].map do |texts|
  good = texts.select { |text| Gem::Version.correct?(text) && !text.strip.empty? }
  sorted = good.map { |text| Gem::Version.new(text) }.uniq { |one| one.canonical_segments }.sort
  places = sorted.each_with_index.to_h { |one, index| [one.canonical_segments, index] }
  texts.map { |text| good.include?(text) ? places[Gem::Version.new(text).canonical_segments] : nil }
end
held = data['requirements'].zip(data['groups']).map do |wanted, texts|
  wanted.map do |text|
    one = Gem::Requirement.new(*text.split(',').map(&:strip))
    texts.map { |version| Gem::Version.correct?(version) ? one.satisfied_by?(Gem::Version.new(version)) : false }
  end
end
puts JSON.generate([ranks, held])
"""

_COMPOSER = Path("/usr/share/php/Composer/Semver/autoload.php")
_PHP = """
require $argv[1];
$parser = new Composer\\Semver\\VersionParser();
echo json_encode(array_map(function ($texts) use ($parser) {
  $good = [];
  foreach ($texts as $text) {
    try {
      $plain = $parser->normalize($text);
      if (!str_starts_with($plain, 'dev-')) $good[$text] = $plain;
    } catch (UnexpectedValueException $error) {}
  }
  uasort($good, 'version_compare');
  $found = []; $place = 0; $before = null;
  foreach ($good as $text => $plain) {
    if ($before !== null && version_compare($before, $plain) !== 0) $place++;
    $found[$text] = $place; $before = $plain;
  }
  return array_map(fn ($text) => $found[$text] ?? null, $texts);
}, json_decode(stream_get_contents(STDIN))));
"""

_ALPM = """
import ctypes
vercmp = ctypes.CDLL(ctypes.util.find_library("alpm")).alpm_pkg_vercmp
vercmp.argtypes, vercmp.restype = [ctypes.c_char_p] * 2, ctypes.c_int
answer(bool, lambda a, b: vercmp(a.encode(), b.encode()))
"""

_NODE = """
const semver = require(process.argv[1]);
const groups = JSON.parse(require('fs').readFileSync(0));
console.log(JSON.stringify(groups.map(texts => {
  const clean = new Map(texts.map(text => [text, semver.clean(text)]));
  const good = texts.filter(text => clean.get(text) !== null)
    .sort((a, b) => semver.compare(clean.get(a), clean.get(b)));
  const found = new Map(); let place = 0;
  good.forEach((text, index) => {
    if (index > 0 && semver.compare(clean.get(good[index - 1]), clean.get(text)) !== 0) place++;
    found.set(text, place);
  });
  return texts.map(text => found.has(text) ? found.get(text) : null);
})));
"""


def _ask(command: list[str], question: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        input=question,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    return done.stdout


def _python(program: str, groups: Sequence[Sequence[str]]) -> list[Ranks]:
    answers = _ask(["/usr/bin/python3", "-c", _RANK + program], json.dumps(groups))
    return list(json.loads(answers))


def _node(groups: Sequence[Sequence[str]]) -> list[Ranks]:
    command = ["node", "-e", _NODE, "/usr/share/nodejs/semver"]
    return list(json.loads(_ask(command, json.dumps(groups), NODE_PATH="/usr/share/nodejs")))


def _keyed(key: Callable[[str], object | None], groups: Sequence[Sequence[str]]) -> list[Ranks]:
    answers: list[Ranks] = []
    for texts in groups:
        keys = {text: key(text) for text in texts}
        good = sorted((one for one in keys.items() if one[1] is not None), key=lambda one: one[1])  # type: ignore[arg-type, return-value]
        places: dict[str, int] = {}
        place = 0
        for index, (text, one) in enumerate(good):
            place += index > 0 and good[index - 1][1] != one
            places[text] = place
        answers.append([places.get(text) for text in texts])
    return answers


def _pypi(text: str) -> object | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


_GO = re.compile(
    r"v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?"
)
_GO_RELEASE = re.compile(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?(?:(beta|rc)(\d+))?(?:[ -].*)?")


def _golang(text: str) -> object | None:
    """Semantic Versioning 2.0.0, section 11, and the names of Go's own releases."""
    found = _GO.fullmatch(text)
    if found:
        numbers, before = found.groups()[:3], found[4]
    else:
        release = _GO_RELEASE.fullmatch(text)
        if not release or (not text.startswith("go") and not release[4]):
            return None
        numbers, before = release.groups()[:3], f"{release[4]}.{release[5]}" if release[4] else None
    core = tuple(int(number or 0) for number in numbers)
    if before is None:
        return (core, 1, ())
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".")]
    return (core, 0, tuple(parts))


_APK = re.compile(
    r"(\d+)((?:\.\d+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(?:~([0-9a-f]+))?(?:-r(\d+))?"
)
_SUFFIXES = ("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p")
#: What may follow, the strongest first: whichever version goes on with the stronger is the higher.
_NUMBER, _LETTER, _SUFFIX, _SUFFIX_NUMBER, _COMMIT, _BUILD, _NOTHING = range(7)


def _apk_parts(text: str) -> list[tuple[int, str]] | None:
    found = _APK.fullmatch(text)
    if not found:
        return None
    parts = [(_NUMBER, "+" + found[1]), *((_NUMBER, part) for part in found[2].split(".")[1:])]
    if found[3]:
        parts.append((_LETTER, found[3]))
    for suffix in found[4].split("_")[1:]:
        word = suffix.rstrip("0123456789")
        parts.append((_SUFFIX, word))
        if suffix != word:
            parts.append((_SUFFIX_NUMBER, suffix[len(word) :]))
    if found[5]:
        parts.append((_COMMIT, found[5]))
    if found[6]:
        parts.append((_BUILD, found[6]))
    return [*parts, (_NOTHING, "")]


def _apk_order(first: list[tuple[int, str]], second: list[tuple[int, str]]) -> int:
    for (kind, a), (other, b) in zip(first, second, strict=False):
        if kind != other:
            # A pre-release is below everything that could stand in its place.
            for side, text, sign in ((kind, a, -1), (other, b, 1)):
                if side == _SUFFIX and _SUFFIXES.index(text) < 4:
                    return sign
            return 1 if kind < other else -1
        if a == b:
            continue
        x: object = a
        y: object = b
        if kind == _SUFFIX:
            x, y = _SUFFIXES.index(a), _SUFFIXES.index(b)
        elif kind in (_NUMBER, _SUFFIX_NUMBER, _BUILD) and not (
            kind == _NUMBER and (a.startswith("0") or b.startswith("0"))
        ):
            x, y = int(a), int(b)
        if x != y:
            return 1 if x > y else -1  # type: ignore[operator]
    return 0


def _apk(text: str) -> object | None:
    """apk-package(5), as apk 3 reads it."""
    parts = _apk_parts(text)
    return None if parts is None else cmp_to_key(_apk_order)(parts)


def _maven(groups: Sequence[Sequence[str]]) -> list[Order]:
    """ComparableVersion is no order (it has circles), so every pair is asked for."""
    pairs = [(a, b) for texts in groups for a in texts for b in texts]
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", str(_MAVEN), str(_MAVEN_MAIN)]
    answers = _ask(command, "".join(f"{a}\t{b}\n" for a, b in pairs)).split()
    known = dict(zip(pairs, map(int, answers), strict=True))
    return [Order(lambda a, b: known[a, b]) for _ in groups]


def requirements(groups: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> list[Order]:
    """As ``orders`` of gems, and which of each group each of its ``wanted`` requirements holds."""
    question = json.dumps({"groups": groups, "requirements": wanted})
    ranks, held = json.loads(_ask(["ruby", "-e", _RUBY], question))
    found = []
    for texts, places, texts_wanted, answers in zip(groups, ranks, wanted, held, strict=True):
        order = _order(dict(zip(texts, places, strict=True)))
        for one, answer in zip(texts_wanted, answers, strict=True):
            order.held |= {(one, text): held for text, held in zip(texts, answer, strict=True)}
        found.append(order)
    return found


_SEMVER = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]*)?")
_NUGET = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9a-z.-]+))?(?:\+[0-9a-z.-]*)?")


def _semver(text: str, pattern: re.Pattern[str] = _SEMVER) -> object | None:
    """Semantic Versioning 2.0.0, section 11; with ``_NUGET``, NuGet's fourth number as well."""
    found = pattern.fullmatch(text)
    if not found:
        return None
    *numbers, before = found.groups()
    core = tuple(int(number or 0) for number in numbers)
    if before is None:
        return (core, 1, ())
    return (core, 0, tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in before.split(".")))


_BUILT = re.compile(
    r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


def _built(text: str) -> object | None:
    """pub_semver's and Julia's order, as far as both agree: builds are told apart, and none is below any."""
    found = _BUILT.fullmatch(text)
    if not found:
        return None
    *numbers, before, build = found.groups()
    words = [
        tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in each.split(".")) if each else ()
        for each in (before, build)
    ]
    return (tuple(int(number or 0) for number in numbers), before is None, *words)


def orders(scheme: str, groups: Sequence[Sequence[str]]) -> list[Order]:
    """A comparison for each group: below zero, zero, above; None where a text is no version."""
    match scheme:
        case "maven":
            return _maven(groups)
        case "deb":
            ranks = _python(_DEB, groups)
        case "rpm":
            ranks = _python(_RPM, groups)
        case "npm":
            ranks = _node(groups)
        case "pypi":
            ranks = _keyed(_pypi, groups)
        case "golang":
            ranks = _keyed(_golang, groups)
        case "gem":
            return requirements(groups, [() for _ in groups])
        case "composer":
            ranks = json.loads(_ask(["php", "-r", _PHP, str(_COMPOSER)], json.dumps(groups)))
        case "semver":
            ranks = _keyed(_semver, groups)
        case "pub" | "julia":
            ranks = _keyed(_built, groups)
        case "nuget":
            ranks = _keyed(lambda text: _semver(text.lower(), _NUGET), groups)
        case "pacman":
            ranks = _python("import ctypes.util" + _ALPM, groups)
        case "apk":
            ranks = _keyed(_apk, groups)
        case _:
            raise ValueError(scheme)
    return [
        _order(dict(zip(texts, places, strict=True))) for texts, places in zip(groups, ranks, strict=True)
    ]


def _order(places: dict[str, int | None]) -> Order:
    def compare(a: str, b: str) -> int | None:
        first, second = places[a], places[b]
        return None if first is None or second is None else (first > second) - (first < second)

    return Order(compare)


def ascending(order: Order, texts: Sequence[str]) -> list[str]:
    """Sorted; what has no place is left out."""
    good = sorted(text for text in set(texts) if order(text, text) is not None)
    return sorted(good, key=cmp_to_key(lambda a, b: order(a, b) or 0))


def missing(scheme: str) -> str:
    """The Debian package whose tool is not there, or an empty string."""
    module = {"deb": "apt_pkg", "rpm": "rpm"}.get(scheme)
    if module:
        python = Path("/usr/bin/python3")
        ok = (
            python.exists()
            and not subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode
        )
        return "" if ok else {"deb": "python3-apt", "rpm": "python3-rpm"}[scheme]
    if scheme == "npm" and not (shutil.which("node") and Path("/usr/share/nodejs/semver").exists()):
        return "node-semver"
    if scheme == "gem" and not shutil.which("ruby"):
        return "ruby"
    if scheme == "composer" and not (shutil.which("php") and _COMPOSER.exists()):
        return "php-composer-semver"
    if scheme == "pacman" and not ctypes.util.find_library("alpm"):
        return "pacman-package-manager"
    if scheme == "maven":
        if not shutil.which("javac"):
            return "default-jdk-headless"
        if not _MAVEN.exists():
            return "libmaven3-core-java"
    return ""
