"""Completion of command lines in shells, over click's. Its own for bash, which takes words apart at ``:`` and ``=``."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
    split_arg_string,
)

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local response type value
    response=$(env COMP_LINE="${COMP_LINE:0:$COMP_POINT}" %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read type value <<< "$completion"
        if [[ $type == 'dir' ]]; then
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=($value)
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Reads the line, and not bash's words: ``-e central:443`` would be three of them, and no option's value."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The whole words, and the one that is being typed."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        if not words or line[-1:].isspace():
            return words, ""
        return words[:-1], words[-1]


add_completion_class(_Bash)


def script(command: click.Command, name: str, shell: str) -> str:
    """What a shell is to be told once."""
    maker = get_completion_class(shell)
    assert maker is not None
    return maker(command, {}, name, f"_{name.upper()}_COMPLETE").source()


def answered(command: click.Command, name: str, variable: str, instruction: str) -> int:
    """Answer a shell that asks, by ``variable``, how a line could go on."""
    return shell_complete(command, {}, name, variable, instruction)
