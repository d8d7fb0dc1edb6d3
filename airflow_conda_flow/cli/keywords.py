"""The options of a command from keywords, as ``Runner.run(alpha=1, tags=["a"])`` hands them over.

The keywords come in a file: only the flow file's own process knows which options there are.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_conda_flow.cli.parameter_options import PREFIX
from airflow_conda_flow.cli.parser import FlowArgumentParser
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.parameters import Parameter

_OTHER_NAMES = {
    "tags": "tag",
    "decospecs": "with",
    "user_namespace": "namespace",
    "step_to_rerun": "step",
}
"""Keywords that are not the option's name: ``with`` is no keyword of Python's."""


def keyword_words(parser: FlowArgumentParser, path: str, definition: FlowDefinition) -> list[str]:
    """The words of the command line that say the same as the keywords in a file.

    Args:
        parser: the command's parser; an unknown keyword is its usage error.
        path: a JSON object.
        definition: the flow, whose parameters are keywords too.
    """
    keywords: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    actions = _actions(parser)
    parameters = {parameter.name: parameter for parameter in definition.parameters}
    options, positional = [], []
    for name, value in keywords.items():
        action = actions.get(name) or actions.get(_OTHER_NAMES.get(name, ""))
        if action is None:
            near = difflib.get_close_matches(name, actions, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            parser.error(f"no such keyword: {name}.{hint} There is: {', '.join(sorted(actions))}.")
        if value is None:
            continue
        if action.dest.startswith(PREFIX):
            value = _parameter_text(parameters[action.dest.removeprefix(PREFIX)], value)  # noqa: PLW2901
        if action.option_strings:
            options += _option_words(action, value)
        else:
            positional.append(str(value))
    return options + positional


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """What a command takes, by keyword; a parameter wins over an option of its name."""
    found: dict[str, argparse.Action] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        name = action.option_strings[-1] if action.option_strings else action.dest
        if isinstance(action, argparse.BooleanOptionalAction):
            name = action.option_strings[0]
        if action.help != argparse.SUPPRESS and action.dest not in {"help", "no_effect"}:
            key = name.removeprefix("--").replace("-", "_")
            if key not in found or action.dest.startswith(PREFIX):
                found[key] = action
    return found


def _option_words(action: argparse.Action, value: Any) -> list[str]:
    option = action.option_strings[0]
    if action.nargs == 0:
        if isinstance(action, argparse.BooleanOptionalAction):
            return [option if value else action.option_strings[-1]]
        return [option] if value else []
    values = value if isinstance(value, list) else [value]
    return [f"{option}={_text(each)}" for each in values]


def _parameter_text(parameter: Parameter, value: Any) -> Any:
    """A parameter's value as the command line takes it: one text, or a list where it may be given again."""
    if isinstance(value, list) and parameter.multiple:
        return [_text(each) for each in value]
    if isinstance(value, list) and parameter.separator is not None:
        return parameter.separator.join(_text(each) for each in value)
    return _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
