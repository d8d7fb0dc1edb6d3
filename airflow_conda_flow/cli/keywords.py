"""Options of a command from keyword arguments, such as those of ``Runner.run(alpha=1, tags=["a"])``.

``Runner`` passes the keywords in a file, because only the flow file's own process knows the options.
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
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.parameters.parameters import Parameter

_OTHER_NAMES = {
    "tags": "tag",
    "decospecs": "with",
    "user_namespace": "namespace",
    "step_to_rerun": "step",
}
"""Metaflow's keywords that differ from the option's name."""


def keyword_words(parser: FlowArgumentParser, path: str, definition: FlowDefinition) -> list[str]:
    """Command-line words that are equivalent to the keywords in a file.

    An unknown keyword ends the process as a usage error.

    Args:
        parser: parser of the command.
        path: file with a JSON object.
        definition: the flow, whose parameters are keywords too.
    """
    keywords = read_keywords(path)
    actions = _actions(parser)
    parameters = {parameter.name: parameter for parameter in definition.parameters}
    options, positional = [], []
    for name, value in keywords.items():
        action = actions.get(name) or actions.get(_OTHER_NAMES.get(name, ""))
        if action is None:
            near = difflib.get_close_matches(name, actions, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            parser.error(f"no such keyword: {name}.{hint} There is: {', '.join(sorted(actions))}.")
        if value is None:  # as if not given, so that callers can pass optional values through
            continue
        if action.dest.startswith(PREFIX):
            value = _parameter_text(parameters[action.dest.removeprefix(PREFIX)], value)  # noqa: PLW2901
        if action.option_strings:
            options += _option_words(action, value)
        else:
            positional.append(str(value))
    return options + positional


def read_keywords(path: str) -> Mapping[str, Any]:
    """The keywords in a file.

    Raises:
        SettingError: the file cannot be read, or holds no JSON object.
    """
    try:
        keywords = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"--keywords-file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # no UTF-8, or no JSON
        raise SettingError(f"--keywords-file {path} holds no JSON: {error}.") from error
    if not isinstance(keywords, dict):
        raise SettingError(f"--keywords-file {path} holds no JSON object of values by keyword.")
    return keywords


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Options and arguments of a command, by keyword; a parameter hides an option of the same name."""
    found: dict[str, argparse.Action] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        # The last spelling is the long one; that of a BooleanOptionalAction is ``--no-...``.
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
    # With ``=`` a value that starts with a dash is not taken for an option.
    return [f"{option}={_text(each)}" for each in values]


def _parameter_text(parameter: Parameter, value: Any) -> Any:
    """Value of a parameter as command-line text; a list if the parameter may be given several times."""
    if isinstance(value, list) and parameter.multiple:
        return [_text(each) for each in value]
    if isinstance(value, list) and parameter.separator is not None:
        return parameter.separator.join(_text(each) for each in value)
    return _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
