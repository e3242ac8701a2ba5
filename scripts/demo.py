"""`make demo`: an image out of real packages, scanned on the spot, and then through a Central that is offline.

`make run` does the same and leaves Central running. Everything that is typed is shown, so that a reader can go on by hand.
State stays below the folder given, but for PostgreSQL's where root's folders are closed to others.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import demo_image
import demo_registry
from redoubt.definitions.trust import STARTER_ROOT
from redoubt.wire import ports

#: Of the demo only; a real first start makes one.
_PASSWORD = "demo-password"


def main(folder: Path, *, stay: bool) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    print("Building an image out of real, outdated packages (fetched by name and hash, never run):")
    try:
        image = demo_image.build(folder / "packages")
    except demo_image.LeftOut as reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 6
    archive = image.write_docker_archive(folder / "shop.tar", tag="shop:demo")
    shutil.rmtree(folder / "layout", ignore_errors=True)
    layout = image.write_oci_dir(folder / "layout")
    print(f"  written to {archive}: {len(image.tars)} layers, {archive.stat().st_size / 1e6:.0f} MB\n")
    state = folder.absolute()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("REDOUBT_", "ROX_"))
    }
    environment |= {
        "REDOUBT_DATA_DIR": str(state / "data"),
        "REDOUBT_CACHE_DIR": str(state / "cache"),
        "ROX_CONFIG_DIR": str(state / "roxctl"),
    }
    print("1. On the spot: no server, no database\n")
    report = folder / "report.html"
    for words in (
        ["definitions", "import", "--starter"],
        ["scan", str(archive)],
        ["scan", str(archive), "--output-file", str(report)],
    ):
        if code := _show("redoubt", words, environment):
            return code
    print(f"The same report for people who do not live in a terminal: {report}\n")
    print("2. Through Central, which is offline: upload definitions, scan an image of a registry\n")
    port = ports.free(1)[0]
    with _central(folder, port, environment) as process, demo_registry.serve(layout) as registry:
        environment |= {"ROX_ADMIN_PASSWORD": _PASSWORD, "ROX_ENDPOINT": f"localhost:{port}"}
        name = f"{registry}/shop:demo"
        for words in (
            ["central", "whoami"],
            ["scanner", "upload-db", "--scanner-db-file", str(STARTER_ROOT.with_name("starter.zip"))],
            ["image", "scan", "--image", name, "--output", "table", "--severity", "CRITICAL"],
        ):
            if code := _show("roxctl", words, environment):
                return code
        print("Go on by hand:" if stay else "`make run` does the same and leaves Central running. By hand:")
        print(
            f"  export ROX_CONFIG_DIR={state / 'roxctl'} ROX_ENDPOINT=localhost:{port} ROX_ADMIN_PASSWORD={_PASSWORD}"
        )
        print(f"  {_program('roxctl')} image scan --image {name} -o json")
        print(
            f"  {_program('redoubt')} scan IMAGE.tar        (or registry/name:tag, an OCI layout, a root folder)"
        )
        if stay:
            print("\nCentral runs until Ctrl-C.", flush=True)
            with suppress(KeyboardInterrupt):
                process.wait()
    return 0


@contextmanager
def _central(folder: Path, port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    words = ["up", "--data", str(folder / "up"), "--port", str(port), "--no-starter", "--offline"]
    shutil.rmtree(folder / "up", ignore_errors=True)
    print(f"$ redoubt {' '.join(words)} &", flush=True)
    began = time.perf_counter()
    log = folder / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [_program("redoubt"), *words],
            env=environment | {"ROX_ADMIN_PASSWORD": _PASSWORD},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while "Ctrl-C stops" not in (said := log.read_text()):
            if process.poll() is not None:
                print(said, file=sys.stderr)
                raise SystemExit(process.returncode or 1)
            time.sleep(0.05)
        print("".join(f"  {line}\n" for line in said.splitlines()), end="")
        print(f"  ({time.perf_counter() - began:.1f} s)\n", flush=True)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _show(program: str, words: list[str], environment: dict[str, str]) -> int:
    print(f"$ {program} {' '.join(words)}", flush=True)
    began = time.perf_counter()
    code = subprocess.run([_program(program), *words], env=environment, check=False).returncode
    if not code:
        print(f"  ({time.perf_counter() - began:.2f} s)\n", flush=True)
    return code


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "--stay"]
    sys.exit(main(Path(given[0] if given else "build/demo"), stay="--stay" in sys.argv))
