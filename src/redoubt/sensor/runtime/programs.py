"""Programs that were started, in the containers they were started in: new ones are told, and policies asked of them. Pure."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from redoubt.model import happening, noderecords
from redoubt.model.happening import StartedProcess
from redoubt.sensor.runtime.alerting import Gathering
from redoubt.sensor.runtime.baselines import Baselines
from redoubt.sensor.runtime.indicators import Seen, arguments, indicator, key
from redoubt.sensor.runtime.surroundings import Judging, Place, Workloads

#: Processes whose endpoints can be told by name, and characters of their arguments that are remembered for that.
_LISTENERS = 1 << 15
_ARGUMENTS = 512
#: What holds a pod's namespaces, and is no program of anybody's.
_SANDBOX = ("/pause", "/usr/bin/pod", "/usr/bin/pause")


class Programs:
    """Those of the cluster's containers."""

    def __init__(self, workloads: Workloads, judging: Judging, baselines: Baselines) -> None:
        self._workloads = workloads
        self._judging = judging
        self._baselines = baselines
        self._seen = Seen()
        self._running: OrderedDict[tuple[str, int], tuple[str, str, str]] = OrderedDict()
        #: New ones, to be told.
        self.told: list[happening.Process] = []
        self.same = 0

    def take(self, place: Place, process: noderecords.Process, alerts: Gathering, now: datetime) -> None:
        """One that was started in ``place``."""
        if (place.guessed or not place.container_name) and process.path in _SANDBOX:
            return
        self._remember(process)
        identity = key(place, process)
        if self._seen.again(identity):
            self.same += 1
            return
        new = indicator(place, process, identity, self._judging.cluster[0])
        self.told.append(new)
        deployment = self._workloads.deployment(place.deployment_id)
        if deployment is None:
            return
        strange = self._baselines.strange_program(deployment.id, place.container_name, process.path)
        verdict = self._judging.policies.process(
            deployment,
            self._judging.parts(deployment),
            StartedProcess(process=new, not_in_baseline=strange),
            now,
            self._judging.around(deployment),
        )
        for broken in verdict.broken:
            alerts.process(broken, deployment, new, now)

    def listening(self, container: str, pid: int) -> tuple[str, str, str]:
        """Name, path and arguments of a process; empty where it is not known."""
        return self._running.get((container, pid), ("", "", ""))

    def _remember(self, process: noderecords.Process) -> None:
        which = (process.container, process.pid)
        self._running.pop(which, None)
        if len(self._running) >= _LISTENERS:
            self._running.popitem(last=False)
        self._running[which] = (process.name, process.path, arguments(process)[:_ARGUMENTS])
