"""The real tools, each asked about many pairs in one process.

An oracle takes pairs of versions and answers -1, 0 or 1 for each, or None where it refuses one of them.
``missing`` names the Debian package that would have to be installed, if any.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

Pairs = Sequence[tuple[str, str]]
Answers = list[int | None]

_HERE = Path(__file__).parent
_MAVEN = Path("/usr/share/java/maven3-artifact.jar")
_GO_MODULES = Path("/usr/share/gocode")
_COMPOSER = Path("/usr/share/php/Composer/Semver/autoload.php")

#: dpkg's exit codes: 0 the relation holds, 1 it does not, 2 a version was refused.
_DPKG = """
while IFS= read -r a && IFS= read -r b; do
    dpkg --compare-versions "$a" lt "$b" 2>&-
    case $? in
        0) echo -1 ;;
        1) if dpkg --compare-versions "$a" eq "$b" 2>&-; then echo 0; else echo 1; fi ;;
        *) echo null ;;
    esac
done
"""

_RPM = """
import json, rpm, sys
def order(a, b):
    try:
        a, b = rpm.ver(a), rpm.ver(b)
    except ValueError:
        return None
    return (a > b) - (a < b)
print("\\n".join(map(json.dumps, (order(a, b) for a, b in json.load(sys.stdin)))))
"""

_ALPM = """
import ctypes, json, sys
vercmp = ctypes.CDLL(sys.argv[1]).alpm_pkg_vercmp
vercmp.argtypes, vercmp.restype = [ctypes.c_char_p] * 2, ctypes.c_int
def order(a, b):
    if not (a and b) or chr(0) in a + b:
        return None
    return max(-1, min(1, vercmp(*(text.encode("utf-8", "surrogatepass") for text in (a, b)))))
print("\\n".join(map(json.dumps, (order(a, b) for a, b in json.load(sys.stdin)))))
"""

_NODE = """
const semver = require(process.argv[1]);
const pairs = JSON.parse(require('fs').readFileSync(0));
for (const [a, b] of pairs) {
  const [x, y] = [semver.clean(a), semver.clean(b)];
  console.log(x === null || y === null ? 'null' : String(semver.compare(x, y)));
}
"""

_RUBY = """
require 'json'
JSON.parse($stdin.read).each do |a, b|
  x, y = [a, b].map { |text| Gem::Version.correct?(text) && !text.strip.empty? ? Gem::Version.new(text) : nil }
  puts((x && y ? x <=> y : nil).to_json)
end
"""

_PHP = """
require $argv[1];
$parser = new Composer\\Semver\\VersionParser();
foreach (json_decode(stream_get_contents(STDIN)) as [$a, $b]) {
    try {
        [$x, $y] = [$parser->normalize($a), $parser->normalize($b)];
        $branch = str_starts_with($x, 'dev-') || str_starts_with($y, 'dev-');
        echo $branch ? 'null' : version_compare($x, $y), "\\n";
    } catch (UnexpectedValueException $error) {
        echo "null\\n";
    }
}
"""


def _ask(command: list[str], question: str, **environment: str) -> Answers:
    done = subprocess.run(
        command,
        input=question,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, **environment},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _lines(pairs: Pairs) -> str:
    return "".join(f"{a}\t{b}\n" for a, b in pairs)


def deb(pairs: Pairs) -> Answers:
    """dpkg. Blanks in front keep ``-1`` from being read as an option; dpkg ignores them."""
    return _ask(["sh", "-c", _DPKG], "".join(f" {a}\n {b}\n" for a, b in pairs))


def rpm(pairs: Pairs) -> Answers:
    """librpm, by Debian's own Python."""
    return _ask(["/usr/bin/python3", "-c", _RPM], json.dumps(pairs))


def pypi(pairs: Pairs) -> Answers:
    """The ``packaging`` library."""

    def order(a: str, b: str) -> int | None:
        try:
            x, y = Version(a), Version(b)
        except InvalidVersion:
            return None
        return (x > y) - (x < y)

    return [order(a, b) for a, b in pairs]


def npm(pairs: Pairs) -> Answers:
    """node-semver: ``clean``, then ``compare``."""
    return _ask(
        ["node", "-e", _NODE, "/usr/share/nodejs/semver"], json.dumps(pairs), NODE_PATH="/usr/share/nodejs"
    )


def maven(pairs: Pairs) -> Answers:
    """ComparableVersion of Maven."""
    java = [
        "java",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        str(_MAVEN),
        str(_HERE / "MavenOrder.java"),
    ]
    return _ask(java, _lines(pairs))


def golang(pairs: Pairs) -> Answers:
    """golang.org/x/mod/semver, with the ``v`` that it insists on put in front where it lacks."""
    with tempfile.TemporaryDirectory() as cache:
        return _ask(
            ["go", "run", str(_HERE / "go_order.go")],
            _lines(pairs),
            GO111MODULE="off",
            GOPATH=str(_GO_MODULES),
            GOFLAGS="",
            GOCACHE=cache,
        )


def gem(pairs: Pairs) -> Answers:
    """RubyGems' ``Gem::Version``; the empty text, which it takes for 0, is answered as refused."""
    return _ask(["ruby", "-e", _RUBY], json.dumps(pairs))


def composer(pairs: Pairs) -> Answers:
    """composer/semver's ``normalize``, then PHP's ``version_compare``; branches are answered as refused."""
    return _ask(["php", "-r", _PHP, str(_COMPOSER)], json.dumps(pairs))


def nuget(pairs: Pairs) -> Answers:
    """node-semver on small letters: the part of NuGet's rules that is Semantic Versioning."""
    return npm([(a.lower(), b.lower()) for a, b in pairs])


def jvm(pairs: Pairs) -> Answers:
    """Java's ``Runtime.Version``, without build and what follows it."""
    return _ask(["java", "-XX:TieredStopAtLevel=1", str(_HERE / "JavaOrder.java")], _lines(pairs))


def pacman(pairs: Pairs) -> Answers:
    """libalpm's ``alpm_pkg_vercmp``, which the program vercmp is a wrapper of."""
    return _ask([sys.executable, "-c", _ALPM, str(ctypes.util.find_library("alpm"))], json.dumps(pairs))


ORACLES = {"deb": deb, "rpm": rpm, "pypi": pypi, "npm": npm, "maven": maven, "golang": golang, "semver": npm}
ORACLES |= {"gem": gem, "composer": composer, "nuget": nuget, "jvm": jvm, "pacman": pacman}


def missing(scheme: str) -> str:
    """The Debian package whose tool is not there, or an empty string."""
    match scheme:
        case "deb" if not shutil.which("dpkg"):
            return "dpkg"
        case "rpm":
            python = Path("/usr/bin/python3")
            if (
                not python.exists()
                or subprocess.run([python, "-c", "import rpm; rpm.ver"], capture_output=True).returncode
            ):
                return "python3-rpm"
        case "npm" | "semver" | "nuget":
            if not shutil.which("node") or not Path("/usr/share/nodejs/semver").exists():
                return "node-semver"
        case "maven":
            if not shutil.which("javac"):
                return "default-jdk-headless"
            if not _MAVEN.exists():
                return "libmaven3-core-java"
        case "golang":
            if not shutil.which("go"):
                return "golang-go"
            if not (_GO_MODULES / "src/golang.org/x/mod/semver").is_dir():
                return "golang-golang-x-mod-dev"
        case "gem" if not shutil.which("ruby"):
            return "ruby"
        case "composer":
            if not shutil.which("php"):
                return "php-cli"
            if not _COMPOSER.exists():
                return "php-composer-semver"
        case "jvm" if not shutil.which("javac"):
            return "default-jdk-headless"
        case "pacman" if not ctypes.util.find_library("alpm"):
            return "pacman-package-manager"
    return ""
