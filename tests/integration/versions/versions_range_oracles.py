"""The real tools, each asked which versions many range expressions hold, in one process.

An oracle takes questions, an expression and versions each, and answers for each expression None where it is
refused, or a list: True or False for each version, None where the version is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

Questions = Sequence[tuple[str, Sequence[str]]]
Answers = list[list[bool | None] | None]

_HERE = Path(__file__).parent
_MAVEN = Path("/usr/share/java/maven3-artifact.jar")
_MAVEN_NEEDS = Path("/usr/share/java/commons-lang3.jar")
_COMPOSER = Path("/usr/share/php/Composer/Semver/autoload.php")

_NODE = """
const semver = require(process.argv[1]);
const options = { includePrerelease: process.argv[2] === 'all' };
for (const [text, versions] of JSON.parse(require('fs').readFileSync(0))) {
  let range = null;
  try { range = new semver.Range(text, options); } catch (error) { }
  const answers = range && versions.map(version => {
    const clean = semver.clean(version);
    return clean === null ? null : range.test(clean);
  });
  console.log(JSON.stringify(answers));
}
"""

_RUBY = """
require 'json'
JSON.parse($stdin.read).each do |text, versions|
  begin
    wanted = Gem::Requirement.new(text.split(',', -1))
    answers = versions.map { |version| Gem::Version.correct?(version) ? wanted.satisfied_by?(Gem::Version.new(version)) : nil }
  rescue Gem::Requirement::BadRequirementError
    answers = nil
  end
  puts answers.to_json
end
"""

_PHP = """
require $argv[1];
$parser = new Composer\\Semver\\VersionParser();
foreach (json_decode(stream_get_contents(STDIN)) as [$text, $versions]) {
    try {
        $wanted = $parser->parseConstraints($text);
        $answers = [];
        foreach ($versions as $version) {
            try {
                $given = new Composer\\Semver\\Constraint\\Constraint('==', $parser->normalize($version));
                $answers[] = $wanted->matches($given);
            } catch (UnexpectedValueException $error) {
                $answers[] = null;
            }
        }
    } catch (UnexpectedValueException $error) {
        $answers = null;
    }
    echo json_encode($answers), "\\n";
}
"""


def _ask(command: list[str], question: str) -> Answers:
    done = subprocess.run(
        command,
        input=question,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "NODE_PATH": "/usr/share/nodejs"},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def npm(questions: Questions, prereleases: str = "all") -> Answers:
    """node-semver, pre-releases included as in any other range, or with ``npm``'s own rule about them."""
    return _ask(["node", "-e", _NODE, "/usr/share/nodejs/semver", prereleases], json.dumps(questions))


def gem(questions: Questions) -> Answers:
    """RubyGems' ``Gem::Requirement``."""
    return _ask(["ruby", "-e", _RUBY], json.dumps(questions))


def composer(questions: Questions) -> Answers:
    """composer/semver's ``parseConstraints``."""
    return _ask(["php", "-r", _PHP, str(_COMPOSER)], json.dumps(questions))


def maven(questions: Questions) -> Answers:
    """Maven's ``VersionRange``."""
    java = [
        "java",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        f"{_MAVEN}:{_MAVEN_NEEDS}",
        str(_HERE / "MavenRanges.java"),
    ]
    return _ask(java, "".join("\t".join((text, *versions)) + "\n" for text, versions in questions))


ORACLES = {"npm": npm, "gem": gem, "composer": composer, "maven": maven}
