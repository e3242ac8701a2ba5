"""Facts that a cluster makes without a pause, each of them known to the test: what Central has of them can be counted.

Programs are started in a container of this machine's kernel, workloads made and deleted, forbidden ones tried again and again.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.kernel import Contained
from support.kube import Refused
from support.secured import IMAGE, Secured, pod_of, runs, workload

#: Starts a program for each line that it is given, and says so when that has ended.
_SHELL = 'while read -r line; do "$0" "$line"; echo "$line"; done'
#: Seconds between two facts of a kind.
_STARTED, _MADE, _TRIED = 0.05, 0.4, 0.15


class Shop:
    """A workload with a container that runs on this machine: in ``namespace``, with ``nmap`` as its program."""

    def __init__(self, secured: Secured, folder: Path, container: Contained, pod: dict[str, Any]) -> None:
        self.secured, self.container = secured, container
        self.namespace = str(pod["metadata"]["namespace"])
        self.program = folder / "nmap"
        shutil.copy("/bin/true", self.program)
        self.deployment = str(secured.deployments(self.namespace)["shop"]["id"])

    def programs(self) -> list[dict[str, Any]]:
        """What Central knows of programs that were started."""
        told = self.secured.central.get(f"/v1/processes/deployment/{self.deployment}")["processes"]
        return [each["signal"] for each in told if each["signal"]["execFilePath"] == str(self.program)]

    def started(self) -> dict[str, int]:
        """Their arguments, and how many rows each has."""
        return dict(Counter(each["args"] for each in self.programs()))


@contextmanager
def shop(secured: Secured, folder: Path) -> Iterator[Shop]:
    """A ``Shop`` that Central knows of, and the Collector watches: it is started."""
    namespace = secured.kube.namespace()
    secured.kube.admin.create(workload(namespace, "shop", IMAGE))
    pod = pod_of(secured, namespace, "shop")
    with Contained(pod["metadata"]["uid"]) as container:
        runs(secured, pod, container.identifier)
        secured.until("the shop at Central", lambda: "shop" in secured.deployments(namespace))
        secured.collector.start()
        secured.until("the Collector to watch", lambda: "watching" in secured.collector.said())
        yield Shop(secured, folder, container, pod)


class Storm:
    """What was made to happen so far. Times are ``time.monotonic()``'s."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop, self.name = shop, name
        self.namespace = shop.secured.kube.namespace()
        #: Programs' arguments, and when they were started.
        self.started: dict[str, float] = {}
        #: When a forbidden workload was tried, when the answer came, and whether it was refused.
        self.tried: list[tuple[float, float, bool]] = []
        #: Workloads that are there.
        self.made: set[str] = set()
        self._numbers = itertools.count()
        self._ending = threading.Event()
        self._failed: list[Exception] = []

    @property
    def refused(self) -> int:
        """How often the API server said no."""
        return sum(refused for _, _, refused in self.tried)

    def check(self) -> None:
        """Raise what a thread failed with."""
        if self._failed:
            raise self._failed[0]

    def since(self, moment: float) -> list[str]:
        """Arguments of programs that were started after a moment."""
        return [each for each, when in self.started.items() if when > moment]

    def again(self, work: Callable[[], None], seconds: float) -> threading.Thread:
        """``work`` in a thread, every so often, until the storm is over."""

        def run() -> None:
            try:
                while not self._ending.wait(seconds):
                    work()
            except Exception as error:  # noqa: BLE001  # raised by ``check``
                self._failed.append(error)

        thread = threading.Thread(target=run, name=work.__name__, daemon=True)
        thread.start()
        return thread

    def start_one(self, shell: subprocess.Popen[str]) -> None:
        """A program in the container."""
        assert shell.stdin is not None
        assert shell.stdout is not None
        word = f"{self.name}-{next(self._numbers)}"
        self.started[word] = time.monotonic()
        shell.stdin.write(word + "\n")
        shell.stdin.flush()
        assert shell.stdout.readline().strip() == word

    def make_one(self) -> None:
        """A workload comes, and now and then one goes."""
        number = len(self.made)
        name = f"made-{next(self._numbers)}"
        self.shop.secured.kube.admin.create(workload(self.namespace, name, IMAGE))
        self.made.add(name)
        if number % 3 == 2:
            gone = min(self.made)
            self.shop.secured.kube.admin.delete(workload(self.namespace, gone, IMAGE))
            self.made.discard(gone)

    def try_one(self) -> None:
        """A workload that is forbidden; where nobody forbids it, it is taken away again."""
        given = workload(self.namespace, "forbidden", IMAGE, securityContext={"privileged": True})
        began, refused = time.monotonic(), False
        try:
            self.shop.secured.kube.admin.create(given)
        except Refused as error:
            if "No privileged container" not in error.message:
                raise
            refused = True
        self.tried.append((began, time.monotonic(), refused))
        if not refused:
            self.shop.secured.kube.admin.delete(given)

    def end(self) -> None:
        """Nothing more happens after this."""
        self._ending.set()


@contextmanager
def storm(shop: Shop, name: str) -> Iterator[Storm]:
    """Facts, until the block ends or the storm is told to ``end``. Raises what a thread failed with."""
    made = Storm(shop, name)
    shell = subprocess.Popen(
        ["/bin/sh", "-c", _SHELL, str(shop.program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=shop.container.enter,
    )
    threads: list[threading.Thread] = []
    try:
        threads = [
            made.again(lambda: made.start_one(shell), _STARTED),
            made.again(made.make_one, _MADE),
            made.again(made.try_one, _TRIED),
        ]
        yield made
        made.end()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a thread that makes facts did not end within 30 s"
        made.check()
    finally:
        made.end()
        shell.kill()
        shell.wait(10)
        for stream in (shell.stdin, shell.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()


def told(made: Storm, expected: set[str]) -> bool:
    """Whether Central has these programs, and none twice or that never ran."""
    rows = made.shop.started()
    mine = {word: number for word, number in rows.items() if word.startswith(f"{made.name}-")}
    assert set(mine) <= set(made.started), "programs that never ran"
    assert set(mine.values()) <= {1}, f"programs that are there twice: {mine}"
    return expected <= set(mine)


def attempts(made: Storm) -> int:
    """How many refusals Central knows of."""
    query = quote(f"Namespace:{made.namespace}+Violation State:ATTEMPTED")
    alerts = made.shop.secured.central.get(f"/v1/alerts?query={query}")["alerts"]
    assert len(alerts) <= 1, "one alert for a policy and a workload"
    return sum(int(each["enforcementCount"]) for each in alerts)


def check(made: Storm, expected: set[str], refused: int) -> None:
    """Central has all that it must have, once. ``refused``: refusals that were in no memory when that was killed."""
    secured = made.shop.secured
    try:
        secured.until("the programs at Central", lambda: told(made, expected))
    except AssertionError as error:
        rest = expected - set(made.shop.started())
        raise AssertionError(
            f"{error}\nnot there: {sorted((made.started[each], each) for each in rest)}"
        ) from None
    secured.until("the workloads at Central", lambda: set(secured.deployments(made.namespace)) == made.made)
    secured.until(f"{refused} refusals at Central", lambda: attempts(made) >= refused)
    assert attempts(made) <= made.refused
    active = secured.alerts(made.shop.namespace, "Violation State:ACTIVE+Lifecycle Stage:RUNTIME")
    assert active.count("nmap Execution") == 1


def refused_since(made: Storm, moment: float) -> int:
    """How often the API server said no after a moment."""
    return sum(yes for began, _, yes in made.tried if began > moment)


def enforced(made: Storm, since: float, until: float) -> None:
    """Nothing forbidden was let through while the admission controller was there."""
    let_through = [began for began, ended, yes in made.tried if began > since and ended < until and not yes]
    assert not let_through, f"{len(let_through)} forbidden workloads were let through"


def goes_on(made: Storm, since: float) -> None:
    """Wait until more happens."""
    made.shop.secured.until("programs to go on", lambda: len(made.since(since)) > 5)


def warm(secured: Secured, made: Storm) -> None:
    """Wait until all that comes before the fault works."""
    secured.until("programs at Central", lambda: any(each in made.started for each in made.shop.started()))
    secured.until("a refusal at Central", lambda: attempts(made))
    secured.until("a workload at Central", lambda: secured.deployments(made.namespace))
