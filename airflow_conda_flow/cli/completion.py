"""``completion``: a script that lets a shell complete this flow's commands and options.

The script contains all words, so that pressing Tab does not start Python. It completes both
``./flow.py ...`` and ``python flow.py ...``.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_conda_flow.cli import completion_scripts
from airflow_conda_flow.cli.parser import build_parser
from airflow_conda_flow.flow.definition import FlowDefinition

COMMON: tuple[str, ...] = ()
_SCRIPTS = {
    "bash": completion_scripts.BASH,
    "zsh": completion_scripts.ZSH,
    "fish": completion_scripts.FISH,
}


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the shell, and instructions for using the script."""
    parser.add_argument("shell", choices=tuple(_SCRIPTS))
    command = definition.command("completion").replace("%", "%%")
    parser.epilog = (
        f"bash: source <({command} bash)\nzsh:  source <({command} zsh)\nfish: {command} fish | source"
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print the script."""
    parser = build_parser(definition)
    # A shell knows a program by the last part of its path.
    prog = os.path.basename(sys.argv[0])  # noqa: PTH119 - a name, not a path
    print(completion_script(parser, arguments.shell, prog, definition.command("completion")))
    return 0


@dataclass
class _Completions:
    """Words that may follow one command.

    Attributes:
        words: subcommands, options, and values of positional arguments.
        takes: options that take a value.
        values: allowed values by option, for options that accept only certain ones.
    """

    words: list[str] = field(default_factory=list)
    takes: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)


def completion_script(parser: argparse.ArgumentParser, shell: str, prog: str, command: str) -> str:
    """Completion script for one shell.

    Args:
        parser: parser of the whole command line.
        shell: ``bash``, ``zsh`` or ``fish``.
        prog: name of the flow file.
        command: the command line that prints scripts, without the shell.
    """
    commands = dict(_walk(parser, ""))
    is_fish = shell == "fish"
    words = {path: each.words for path, each in commands.items()}
    takes = {path: each.takes for path, each in commands.items()}
    values = {
        f"{path} {option}": choices
        for path, each in commands.items()
        for option, choices in each.values.items()
    }
    script = _SCRIPTS[shell]
    for name, table in (("WORDS", words), ("TAKES", takes), ("VALUES", values)):
        script = script.replace(f"@{name}@", _fish_cases(table) if is_fish else _cases(table))
    script = script.replace("@COMMAND@", command)
    return script.replace("@NAME@", re.sub(r"\W", "_", prog)).replace("@PROG@", shlex.quote(prog)).strip()


def _walk(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, _Completions]]:
    """Completions of a parser and all its subcommands, each with the command words that lead to it."""
    found = _Completions()
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to them
        if action.help == argparse.SUPPRESS:
            continue
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            found.words.extend(action.choices)
            for name, command in action.choices.items():
                yield from _walk(command, f"{path} {name}".strip())
            continue
        # ``words`` is our own attribute, for values that are offered but not enforced, such as step names.
        choices = [str(each) for each in action.choices or getattr(action, "words", None) or ()]
        found.words.extend(action.option_strings or choices)
        if action.option_strings and action.nargs != 0:
            found.takes.extend(action.option_strings)
            found.values.update(dict.fromkeys(action.option_strings, choices) if choices else {})
    yield path, found


def _cases(table: dict[str, list[str]]) -> str:
    """Body of a ``case`` statement of bash or zsh that prints the words for each key."""
    return "\n".join(
        f"    {shlex.quote(key)}) echo {shlex.quote(' '.join(words))} ;;"
        for key, words in table.items()
        if words
    )


def _fish_cases(table: dict[str, list[str]]) -> str:
    """Body of a ``switch`` statement of fish that prints the words for each key."""
    return "\n".join(
        f"        case {shlex.quote(key)}\n            printf '%s\\n' {shlex.join(words)}"
        for key, words in table.items()
        if words
    )
