"""``--config`` and ``--config-value``, read before other options: the flow's definition may use configs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_conda_flow.errors import ParameterError
from airflow_conda_flow.flow.members import members_of
from airflow_conda_flow.flow.parameters.bounded import loads, shown
from airflow_conda_flow.flow.parameters.config import Config, ConfigOptions, config_options
from airflow_conda_flow.flow.parameters.config_input import GivenConfigs
from airflow_conda_flow.flow.parameters.parameters import Parameter
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.settings.variables import CONFIG, CONFIG_VALUE

# The first variable that is set counts; the others are not merged with it.
_FILE_VARIABLES = (CONFIG, "METAFLOW_FLOW_CONFIG")
_VALUE_VARIABLES = (CONFIG_VALUE, "METAFLOW_FLOW_CONFIG_VALUE")


_OPTIONS = {"config", "config-value"}


def configs_of(flow_class: type[Any]) -> list[ConfigOptions]:
    """Configs of a flow class."""
    return [config_options(each) for each in members_of(flow_class, Config).values()]


def add_config_options(parser: argparse.ArgumentParser, configs: Sequence[ConfigOptions]) -> None:
    """Add both options if the flow has configs."""
    if not configs:
        return
    names = "; ".join(f"{each.name}: {each.help}" if each.help else each.name for each in configs)
    parser.add_argument(
        "--config",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "FILE"),
        dest="config_files",
        help=f"read a config from a file; may be given again ({names})".replace("%", "%%"),
    )
    parser.add_argument(
        "--config-value",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        dest="config_values",
        help="give a config as a text; may be given again",
    )


def given_configs(
    flow_class: type[Any], argv: Sequence[str], environ: Mapping[str, str] | None = None
) -> GivenConfigs:
    """Values and files for a flow's configs, from the command line, else from the environment variables.

    Args:
        flow_class: the flow.
        argv: command line without the program.
        environ: environment variables; those of this process if None.

    Raises:
        ParameterError: an environment variable is not a JSON object.
    """
    configs = configs_of(flow_class)
    if not configs:
        return GivenConfigs()
    if _OPTIONS & {each.name for each in members_of(flow_class, Parameter).values()} and "run" in argv:
        # The flow has a parameter of that name: after ``run`` the option is the parameter's, not a config's.
        argv = argv[: list(argv).index("run")]
    environ = os.environ if environ is None else environ
    # This parser knows the two options only and skips everything else: the flow's own parser can be built
    # only once the flow is read, and reading the flow needs the configs.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_config_options(parser, configs)
    arguments, _ = parser.parse_known_args(argv)
    files = {str(name): str(path) for name, path in arguments.config_files}
    values: dict[str, Any] = {str(name): value for name, value in arguments.config_values}
    # A config from the command line hides both kinds of variables.
    stated = {*files, *values}
    for name, path in _from_variable(_FILE_VARIABLES, environ).items():
        if name not in stated:
            files[name] = str(path)
    from_variable = _from_variable(_VALUE_VARIABLES, environ)
    values.update((name, value) for name, value in from_variable.items() if name not in stated)
    return GivenConfigs(files, values, username(), stated=stated)


def _from_variable(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    for name in names:
        if not environ.get(name):
            continue
        try:
            found = loads(environ[name])
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ParameterError(
                f"{name} is {shown(environ[name])}; write a JSON object of config names, such as "
                '{"settings": "settings.json"}.'
            )
        return found
    return {}
