"""How the collector is: by what method it sees, what that one does not show, and what was lost. Plain data."""

from __future__ import annotations

from typing import Literal

import msgspec

Method = Literal["core_bpf", "proc_connector", "none"]


class Health(msgspec.Struct, kw_only=True, rename="camel"):
    """Renewed by the collector while it runs."""

    method: Method = "none"
    #: Why it is no better method, in one line.
    degraded: str = ""
    #: What this method does not show, each in a line.
    unseen: list[str] = []
    #: Events that were told.
    events: int = 0
    #: Records that the kernel's side made, by kind.
    made: dict[str, int] = {}
    #: Records that found no room: for each CPU, by kind.
    lost: list[dict[str, int]] = []
    #: How often the kernel did not run a program because it was running already, by program.
    missed: dict[str, int] = {}
    #: Records that could not be read.
    spoilt: int = 0
    #: Records of containers whose names were not told: their doings are not told either.
    unnamed: int = 0
    #: Connections and endpoints that only a look at all sockets showed, opened or gone.
    reconciled: int = 0
    #: Processes whose descriptors or network could not be seen at the last look (CAP_SYS_PTRACE).
    unreadable: int = 0
    #: Programs that were started and gone before /proc was read (without BPF only).
    gone: int = 0
