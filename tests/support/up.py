"""A whole ``redoubt up`` for tests: started, called, killed and stopped as people do it."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from redoubt.wire import ports

PASSWORD = "correct horse battery"


class Up:
    """``redoubt up`` on ``folder``. Use as a context manager; ``start`` again after ``stop`` or ``kill``."""

    def __init__(
        self,
        folder: Path,
        *,
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        python: str = sys.executable,
    ):
        self.folder = folder
        self.data = folder / "data"
        self.port = ports.free(1)[0]
        self.endpoint = f"localhost:{self.port}"
        self.config = folder / "roxctl"
        self._arguments = arguments
        self._prefix = prefix
        self._python = python
        self._environment = environment or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.said = ""

    def __enter__(self) -> Up:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What roxctl needs to find this Central, and nothing of the one who runs the tests."""
        left_out = ("REDOUBT_", "ROX_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        return {
            **kept,
            "ROX_CONFIG_DIR": str(self.config),
            "ROX_ADMIN_PASSWORD": PASSWORD,
            "ROX_ENDPOINT": self.endpoint,
            **self._environment,
        }

    def start(self) -> None:
        """Start it, and return when it says that it is up."""
        self.begin()
        self.await_word("Ctrl-C stops")

    def await_word(self, word: str) -> None:
        """Return when ``word`` is in what it said."""
        assert self.process is not None
        until = time.monotonic() + 120
        while word not in self.output():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < until, f"no {word!r} in: {self.output()}"
            time.sleep(0.02)

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        with tempfile.TemporaryFile() as out:
            self.process = subprocess.Popen(
                [
                    *self._prefix,
                    self._python,
                    "-m",
                    "redoubt",
                    "up",
                    "--data",
                    str(self.data),
                    "--port",
                    str(self.port),
                    *self._arguments,
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            self._out = os.dup(out.fileno())

    def output(self) -> str:
        """All that it said so far."""
        size = os.fstat(self._out).st_size
        return os.pread(self._out, size, 0).decode(errors="replace")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL to the one in charge, and wait until the others are gone as well."""
        assert self.process is not None
        tree = self.tree()
        self.process.kill()
        self.process.wait()
        until = time.monotonic() + 60
        while any(_alive(pid) for pid in tree):
            assert time.monotonic() < until, [
                Path(f"/proc/{pid}/cmdline").read_bytes() for pid in tree if _alive(pid)
            ]
            time.sleep(0.05)

    def tree(self) -> list[int]:
        """All processes below it, by pid."""
        assert self.process is not None
        found, todo = [], [self.process.pid]
        while todo:
            children = _children(todo.pop())
            found += children
            todo += children
        return found

    def pid(self, name: str) -> int:
        """The process of the service called ``name``: ``central``, ``indexer``, ``matcher`` or ``postgres``."""
        assert self.process is not None
        for pid in _children(self.process.pid):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:  # it has just ended
                continue
            if command[-2:-1] == [name.encode()] or (name == "postgres" and b"postgres" in command[0]):
                return pid
        raise LookupError(name)

    def roxctl(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``roxctl`` against it, as the administrator unless the environment says otherwise."""
        return subprocess.run(
            [
                *self._prefix,
                self._python,
                "-c",
                "from redoubt.cli.roxctl import main; main()",
                *arguments,
            ],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def typed(
        self, lines: str, *, folder: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Lines of a shell, with the installed ``roxctl``, and no variable of roxctl's but the folder with the CA."""
        kept = {name: value for name, value in self.environment.items() if not name.startswith("ROX_")}
        path = f"{Path(sys.executable).parent}:{kept['PATH']}"
        return subprocess.run(
            ["sh", "-ec", lines],
            cwd=folder,
            env=kept | {"PATH": path, "ROX_CONFIG_DIR": str(self.config)} | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """An HTTPS call as the administrator: status, and the JSON of the answer."""
        context = ssl.create_default_context(cafile=str(self.config / "ca.pem"))
        basic = b64encode(f"admin:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"https://{self.endpoint}{path}",
            data=body,
            method=method,
            headers={"Authorization": f"Basic {basic}", **headers},
        )
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def printed_password(self) -> str:
        """What the first start printed, if it did."""
        found = re.search(r"password, shown this once: (\S+)", self.output())
        return found[1] if found else ""


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
