"""Reads the configs of a flow from the given values or the defaults; each is parsed once."""

import json
import os

from airflow_conda_flow.errors import ParameterError
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.own_path import flow_folder, folder_of
from airflow_conda_flow.flow.parameters.bounded import OutOfBounds, loads, within_bounds
from airflow_conda_flow.flow.parameters.config_value import ConfigValue, wrapped
from airflow_conda_flow.flow.parameters.default_context import DefaultContext
from airflow_conda_flow.flow.parameters.include_file import call_parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from airflow_conda_flow.flow.parameters.config import ConfigOptions


class GivenConfigs:
    """Values that a run is given for its flow's configs.

    Attributes:
        files: paths by config name.
        values: texts or dicts by config name.
        user_name: name of the user who starts the run, for defaults that are functions.
        stored: parsed values of an earlier run, by attribute; they take precedence over defaults.
        stated: names of the configs given on the command line rather than by an environment variable.
    """

    def __init__(
        self,
        files: "Mapping[str, str] | None" = None,
        values: "Mapping[str, Any] | None" = None,
        user_name: str = "",
        stored: "Mapping[str, Any] | None" = None,
        stated: "Iterable[str]" = (),
    ) -> None:
        self.files = dict(files or {})
        self.values = dict(values or {})
        self.user_name = user_name
        self.stored = dict(stored or {})
        self.stated = sorted(stated)

    def after(self, stored: "Mapping[str, Any]") -> "GivenConfigs":
        """Copy in which configs without a given value keep their value from an earlier run.

        Args:
            stored: values of the earlier run by attribute.
        """
        return GivenConfigs(self.files, self.values, self.user_name, stored, self.stated)


def read_configs(
    flow_class: "Any", configs: "list[ConfigOptions]", given: "GivenConfigs"
) -> "dict[str, Any]":
    """Value of every config by name: a ``ConfigValue``, the parsed value of a plain config, or None.

    Args:
        flow_class: the flow.
        configs: the flow's configs.
        given: the values that the run is given.

    Raises:
        ParameterError: a given value is wrong, or a required config is missing.
        FlowDefinitionError: a default is wrong; the error names the config's line.
    """
    known = [config.name for config in configs]
    for name in list(given.files) + list(given.values):
        if name not in known:
            raise ParameterError(
                "%s has no config %r.%s It has: %s."
                % (flow_class.__name__, name, nearest(name, known), ", ".join(known) or "none")
            )
    for name in given.files:
        if name in given.values:
            raise ParameterError("Config %r is given as a file and as a value; keep one." % name)
    return {config.name: _read(flow_class, config, given) for config in configs}


def _read(flow_class: "Any", config: "ConfigOptions", given: "GivenConfigs") -> "Any":
    # That of the flow file comes first: a base class in another directory leaves the file to its flows.
    beside = [flow_folder(flow_class), folder_of(config.file)]
    if config.name in given.values:
        return _parsed(config, given.values[config.name], "")
    if config.name in given.files:
        path = given.files[config.name]
        # A path typed by a user is relative to the working directory first; a default, to the flow file.
        text = _text(config, path, [os.getcwd(), *beside])
        if text is None:
            raise ParameterError("Config %r: the file %s cannot be read." % (config.name, path))
        return _parsed(config, text, " (%s)" % path)
    if config.attribute in given.stored:
        return config.load(given.stored[config.attribute])
    context = DefaultContext(flow_class.__name__, config.name, given.user_name)
    if config.default is not None:
        path = str(_computed(config, config.default, context))
        text = _text(config, path, [*beside, os.getcwd()])
        if text is None:
            config.fail(
                "has the default file %s, which cannot be read. Make it, or give one with "
                "--config %s FILE." % (path, config.name)
            )
        return _parsed(config, text, " (%s)" % path)
    if config.default_value is not None:
        return _parsed(config, _computed(config, config.default_value, context), "")
    if config.required:
        raise ParameterError(
            "Config %r is required. Give it with --config %s FILE or --config-value %s VALUE."
            % (config.name, config.name, config.name)
        )
    return None


def _computed(config: "ConfigOptions", default: "Any", context: "DefaultContext") -> "Any":
    if not callable(default):
        return default
    try:
        return default(context)
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything
        return config.fail("has a default that cannot be computed: %s: %s" % (type(error).__name__, error))


def _text(config: "ConfigOptions", path: str, folders: "list[str]") -> "str | None":
    """Text of the first readable file with this path in the folders; None if there is none."""
    for folder in folders:
        try:
            with open(os.path.join(folder, os.path.expanduser(path)), encoding="utf-8") as file:
                return file.read()
        except UnicodeDecodeError as error:
            raise ParameterError(
                "Config %r: the file %s is not UTF-8: %s." % (config.name, path, error)
            ) from error
        except OSError:
            continue
    return None


def _parsed(config: "ConfigOptions", content: "Any", source: str) -> "Any":
    """Value of a text or a dict. ``source`` tells messages where the content comes from."""
    value = content
    if config.parser is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        value = call_parser(config.parser, text, "Config %r%s" % (config.name, source))
    elif isinstance(content, str) and not config.plain:
        try:
            value = loads(content)
        except OutOfBounds as error:
            raise ParameterError("Config %r%s is %s." % (config.name, source, error)) from error
        except ValueError as error:
            raise ParameterError(
                "Config %r%s is not JSON: %s. Write JSON, or give the config a parser=."
                % (config.name, source, error)
            ) from error
    elif not isinstance(content, str) and config.plain:
        value = json.dumps(content)
    try:
        within_bounds(value)
    except OutOfBounds as error:
        raise ParameterError("Config %r%s is %s." % (config.name, source, error)) from error
    if config.plain:
        return value
    if not isinstance(value, dict):
        raise ParameterError(
            "Config %r%s is a %s; write a dict of names and values, or give the config plain=True."
            % (config.name, source, type(value).__name__)
        )
    return wrapped(value) if not isinstance(value, ConfigValue) else value
