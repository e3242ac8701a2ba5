"""``make image``: Redoubt and Debian's Python as one container image, for clusters. Needs root and the Debian package mmdebstrap.

Written as an OCI archive, to be pushed with skopeo or loaded with podman. Two layers: Debian, which changes seldom, and Redoubt.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from ociwriter import Entry, ImageWriter, tree

RELEASE, PYTHON = "bookworm", "3.11"
#: Where Debian's Python looks for what is not Debian's.
PLACE = f"usr/local/lib/python{PYTHON}/dist-packages"
PACKAGES = ("python3", "libbpf1", "ca-certificates", "tzdata")
USER = 4000
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_PROGRAM = "#!/usr/bin/python3 -I\nfrom redoubt.cli.{name} import main\n\nmain()\n"


def main(folder: Path) -> int:
    """Make it below ``folder``, and say where it is and how to push it."""
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        print("make image needs root, and mmdebstrap: apt install mmdebstrap", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    writer = ImageWriter(architecture={"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()])
    writer.settings = {
        "Cmd": ["redoubt", "--help"],
        "User": str(USER),
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
    }
    writer.add_tar(debian(folder / "debian.tar"))
    writer.add(redoubt(folder / "packages"))
    archive = writer.write_oci_archive(folder / "redoubt.tar", name="redoubt")
    print(f"{archive}: {archive.stat().st_size / 1e6:.0f} MB")
    print(f"skopeo copy oci-archive:{archive} docker://registry.example/redoubt:1.0")
    return 0


def debian(target: Path) -> bytes:
    """A root of Debian with what Redoubt needs of it; made once."""
    if not target.exists():
        out = target.with_suffix(".part")
        options = [f"--dpkgopt=path-exclude={each}" for each in _LEFT_OUT]
        options.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
        options.append(
            f'--customize-hook=chroot "$1" useradd --uid {USER} --no-create-home --shell /usr/sbin/nologin redoubt'
        )
        options.append('--customize-hook=rm -rf "$1"/var/cache/* "$1"/var/log/* "$1"/var/lib/apt/lists/*')
        command = [
            "mmdebstrap",
            "--quiet",
            "--format=tar",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
        ]
        subprocess.run([*command, *options, RELEASE, out], check=True)
        out.rename(target)
    return target.read_bytes()


def redoubt(folder: Path) -> list[Entry]:
    """Redoubt and the packages that it needs, as they are locked."""
    shutil.rmtree(folder, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    locked = [uv, "export", "--quiet", "--frozen", "--no-dev", "--extra", "postgres", "--no-emit-project"]
    (folder.parent / "locked.txt").write_bytes(subprocess.run(locked, check=True, capture_output=True).stdout)
    subprocess.run(
        [uv, "build", "--quiet", "--wheel", "--out-dir", folder.parent / "wheel", "--clear"], check=True
    )
    (wheel,) = (folder.parent / "wheel").glob("*.whl")
    into = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--target",
        folder,
        "--python-version",
        PYTHON,
        "--only-binary",
        ":all:",
    ]
    subprocess.run([*into, "--require-hashes", "--requirement", folder.parent / "locked.txt"], check=True)
    subprocess.run([*into, "--no-deps", wheel], check=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        # Compiled here, since a cluster's services may not write into their image.
        options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", folder, "-p", f"/{PLACE}"]
        subprocess.run([sys.executable, "-m", "compileall", *options, folder], check=True)
    programs = [
        Entry(f"usr/local/bin/{name}", _PROGRAM.format(name=name).encode(), mode=0o755)
        for name in ("redoubt", "roxctl")
    ]
    return [*tree(folder, f"{PLACE}/"), *programs]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
