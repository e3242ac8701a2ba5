"""Puts the probe into the kernel and takes it out again; knows where its counters are, and nothing of what it tells.

Nothing is pinned: when this process ends, however it ends, the kernel removes programs, maps and links.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from redoubt.collector import libbpf
from redoubt.collector.libbpf import Unavailable
from redoubt.collector.ring import Ring

OBJECT = "probe.bpf.o"
#: Types of the kernel, which the probe's field accesses are fitted to.
BTF = Path("/sys/kernel/btf/vmlinux")
#: `enum kind` of records.h.
KINDS = {1: "exec", 2: "fork", 3: "exit", 4: "tcp", 5: "udp", 6: "cgroup"}
_LOST = 16
_COUNTERS = 32
#: `struct settings` of probe.bpf.c.
_SETTINGS = struct.Struct("<IIII")
_SECTION = b".rodata.settings"
#: `struct bpf_prog_info` (include/uapi/linux/bpf.h): where recursion_misses lies.
_INFO = 232
_MISSES = 208


@dataclass(frozen=True, slots=True)
class Settings:
    """What the probe is told before it starts."""

    #: Whether what is in no container is left out, in the kernel.
    only_containers: bool = True
    #: Bytes of arguments that are told of a process, at most 4,095.
    most_arguments: int = 4095
    #: Seconds until a UDP flow that goes on is told again.
    udp_again: int = 30
    #: Bytes of the ring: a power of two, in whole pages.
    ring: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Counts:
    """What the kernel's side counted since the probe started."""

    #: Records made, by kind.
    made: dict[str, int]
    #: Of these, how many found no room in the ring: for each CPU, by kind.
    lost: list[dict[str, int]]
    #: How often a program was not run because it was running, by program.
    missed: dict[str, int]

    @property
    def all_lost(self) -> int:
        """Records that were lost, of whatever kind and CPU."""
        return sum(sum(each.values()) for each in self.lost)


@dataclass(slots=True)
class Probe:
    """The probe, loaded and attached. To be closed."""

    settings: Settings = field(default_factory=Settings)
    #: Names of programs to run; None for all.
    only: Collection[str] | None = None
    #: Another object than the one that is part of this program.
    code: bytes | None = None
    ring: Ring = field(init=False)
    _object: int | None = field(default=None, init=False)
    _programs: dict[str, int] = field(default_factory=dict, init=False)
    _links: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Load and attach. Raises ``Unavailable``, with what is missing; then nothing is left behind."""
        try:
            self._open()
            self._load()
            self.ring = Ring(self._map("ring"), self.settings.ring)
            self._attach()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        code = built() if self.code is None else self.code
        handle = libbpf.library().bpf_object__open_mem(code, len(code), None)
        if not handle:
            raise Unavailable(f"libbpf does not take the probe: {libbpf.reason(ctypes.get_errno())}")
        self._object = handle

    def _load(self) -> None:
        library, settings = libbpf.library(), self.settings
        self._configure(
            _SETTINGS.pack(
                settings.only_containers, settings.most_arguments, host_network(), settings.udp_again
            )
        )
        library.bpf_map__set_max_entries(
            library.bpf_object__find_map_by_name(self._object, b"ring"), settings.ring
        )
        program = None
        while program := library.bpf_object__next_program(self._object, program):
            name = library.bpf_program__name(program).decode()
            if self.only is None or name in self.only:
                self._programs[name] = program
            else:
                library.bpf_program__set_autoload(program, False)
        if failed := library.bpf_object__load(self._object):
            raise _refused(-failed, "load")

    def _configure(self, settings: bytes) -> None:
        library = libbpf.library()
        found = None
        while found := library.bpf_object__next_map(self._object, found):
            if library.bpf_map__name(found).endswith(_SECTION):
                size = ctypes.c_size_t()
                at = library.bpf_map__initial_value(found, ctypes.byref(size))
                if at and size.value == len(settings):
                    ctypes.memmove(at, settings, len(settings))
                    return
        raise Unavailable("the probe is of another version than this program; build it again (make probe)")

    def _attach(self) -> None:
        library = libbpf.library()
        for name, program in self._programs.items():
            link = library.bpf_program__attach(program)
            if not link:
                raise _refused(ctypes.get_errno(), f"attach {name}")
            self._links.append(link)

    def _map(self, name: str) -> int:
        library = libbpf.library()
        return int(library.bpf_map__fd(library.bpf_object__find_map_by_name(self._object, name.encode())))

    def counts(self) -> Counts:
        """The counters, now."""
        descriptor, cpus = self._map("counts"), int(libbpf.library().libbpf_num_possible_cpus())
        values = []
        for index in range(_COUNTERS):
            key, value = ctypes.c_uint32(index), (ctypes.c_uint64 * cpus)()
            libbpf.library().bpf_map_lookup_elem(descriptor, ctypes.byref(key), ctypes.byref(value))
            values.append(list(value))
        return Counts(
            made={name: sum(values[kind]) for kind, name in KINDS.items()},
            lost=[{name: values[_LOST + kind][cpu] for kind, name in KINDS.items()} for cpu in range(cpus)],
            missed={name: self._missed(program) for name, program in self._programs.items()},
        )

    def _missed(self, program: int) -> int:
        library = libbpf.library()
        info, size = ctypes.create_string_buffer(_INFO), ctypes.c_uint32(_INFO)
        if library.bpf_obj_get_info_by_fd(library.bpf_program__fd(program), info, ctypes.byref(size)):
            return 0
        return int(struct.unpack_from("<Q", info, _MISSES)[0]) if size.value >= _MISSES + 8 else 0

    def detach(self) -> None:
        """See no more events. What was seen can still be read from ``ring``, and ``counts`` stand still."""
        while self._links:
            libbpf.library().bpf_link__destroy(self._links.pop())

    def close(self) -> None:
        """Take it out of the kernel."""
        self.detach()
        if hasattr(self, "ring"):
            self.ring.close()
            del self.ring
        if self._object is not None:
            libbpf.library().bpf_object__close(self._object)
            self._object = None
        self._programs.clear()


def built() -> bytes:
    """The probe's object. Raises ``Unavailable`` where this program was put together without it."""
    if sys.byteorder != "little":
        raise Unavailable("the probe is for little-endian machines")
    try:
        return (resources.files("redoubt.collector.probe") / OBJECT).read_bytes()
    except OSError:
        raise Unavailable(
            "the probe is not built; install clang and libbpf's headers (Debian: clang, libbpf-dev), then `make probe`"
        ) from None


def host_network() -> int:
    """The number of the machine's network namespace, 0 where it cannot be seen."""
    try:
        return Path("/proc/1/ns/net").stat().st_ino
    except OSError:
        return 0


def _refused(number: int, what: str) -> Unavailable:
    """What to say where the kernel refused."""
    denied = number in (errno.EPERM, errno.EACCES)
    if denied:
        hint = "CAP_BPF and CAP_PERFMON are needed"
    elif not BTF.exists():
        hint = f"this kernel tells no types ({BTF}); it needs CONFIG_DEBUG_INFO_BTF"
    else:
        hint = f"kernel {os.uname().release}"
    return Unavailable(f"cannot {what} the probe: {libbpf.reason(number)}; {hint}", denied=denied)
