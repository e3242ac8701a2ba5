"""The sources about distributions of deb packages."""

from __future__ import annotations

from redoubt.definitions.feeds.debian import DebianFeed
from redoubt.definitions.feeds.files import Limits
from redoubt.definitions.feeds.ubuntu import UbuntuFeed
from redoubt.definitions.sources.interface import Download, Source

SOURCES: tuple[Source, ...] = (
    Source(
        name="debian",
        title="Debian security tracker",
        home="https://security-tracker.debian.org/",
        licence="published without a licence of its own",
        attribution="Debian security tracker, by the Debian security team",
        feed=DebianFeed(),
        downloads=(Download("debian/tracker.json", "https://security-tracker.debian.org/tracker/data/json"),),
        patterns=(
            ("debian/tracker.json",),
            ("debian/tracker.json.gz",),
            ("debian/json", "debian/json.gz"),
        ),
    ),
    Source(
        name="ubuntu",
        title="Ubuntu security notices and CVE tracker (OSV and VEX)",
        home="https://ubuntu.com/security/cves",
        licence="CC-BY-SA-4.0",
        attribution="Ubuntu security data, by Canonical Ltd.",
        feed=UbuntuFeed(),
        downloads=tuple(
            Download(
                f"ubuntu/{kind}-all.tar.xz",
                f"https://security-metadata.canonical.com/{kind}/{kind}-all.tar.xz",
            )
            for kind in ("osv", "vex")
        ),
        patterns=(("ubuntu/osv-all.tar*", "ubuntu/vex-all.tar*"),),
        limit=2 << 30,
        # The same sentences a hundred thousand times over: xz makes a thousandth of them.
        limits=Limits(content=64 << 30, ratio=2000),
    ),
)
