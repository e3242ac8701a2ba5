"""libbpf, as far as it is needed: found, declared, called through ctypes. Knows no probe of ours.

libbpf.so.1 has kept its ABI since 2022 and is in every distribution (Debian: ``libbpf1``). LGPL-2.1 or BSD-2-Clause.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache

from redoubt.errors import EXIT_CREDENTIALS, RedoubtError

_NAME = "libbpf.so.1"

_FUNCTIONS: dict[str, tuple[type | None, list[type]]] = {
    "bpf_object__open_mem": (c_void_p, [c_char_p, c_size_t, c_void_p]),
    "bpf_object__load": (c_int, [c_void_p]),
    "bpf_object__close": (None, [c_void_p]),
    "bpf_object__next_program": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__next_map": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__find_map_by_name": (c_void_p, [c_void_p, c_char_p]),
    "bpf_program__name": (c_char_p, [c_void_p]),
    "bpf_program__fd": (c_int, [c_void_p]),
    "bpf_program__set_autoload": (c_int, [c_void_p, c_bool]),
    "bpf_program__attach": (c_void_p, [c_void_p]),
    "bpf_link__destroy": (c_int, [c_void_p]),
    "bpf_map__name": (c_char_p, [c_void_p]),
    "bpf_map__fd": (c_int, [c_void_p]),
    "bpf_map__set_max_entries": (c_int, [c_void_p, c_uint32]),
    "bpf_map__initial_value": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "bpf_map_lookup_elem": (c_int, [c_int, c_void_p, c_void_p]),
    "bpf_obj_get_info_by_fd": (c_int, [c_int, c_void_p, POINTER(c_uint32)]),
    "libbpf_num_possible_cpus": (c_int, []),
    "libbpf_set_print": (c_void_p, [c_void_p]),
}


class Unavailable(RedoubtError):
    """The kernel cannot be asked this way here. The message says what is missing."""

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        if denied:
            self.exit_code = EXIT_CREDENTIALS


@cache
def library() -> ctypes.CDLL:
    """libbpf with its functions declared, and silent. Raises ``Unavailable`` where it is not installed."""
    try:
        found = ctypes.CDLL(_NAME, use_errno=True)
    except OSError:
        raise Unavailable(f"{_NAME} is not installed; install libbpf 1 (Debian: libbpf1)") from None
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(found, name)
        except AttributeError:
            raise Unavailable(f"{_NAME} lacks {name}; install a whole libbpf 1 (Debian: libbpf1)") from None
        function.restype, function.argtypes = result, arguments
    found.libbpf_set_print(None)
    return found


def reason(number: int) -> str:
    """Why libbpf failed, from an errno of either sign."""
    return os.strerror(abs(number)) if number else "no reason given"
