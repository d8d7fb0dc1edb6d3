"""``FlowDefinition``: everything that is known about a flow before it runs, after all checks."""

import linecache
import os
import sys

from airflow_conda_flow.errors import FlowDefinitionError, ParameterError
from airflow_conda_flow.flow.cards.types import is_known, unknown_type
from airflow_conda_flow.flow.constants import is_plain
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.decorators.airflow_sensors import SensorDecorator
from airflow_conda_flow.flow.decorators.attached import attached_decorators, check_attached
from airflow_conda_flow.flow.decorators.card import CardDecorator
from airflow_conda_flow.flow.decorators.environment_spec import (
    check_versions,
    declares_conda,
    step_environments,
)
from airflow_conda_flow.flow.decorators.project import project_values
from airflow_conda_flow.flow.decorators.step import is_step
from airflow_conda_flow.flow.decorators.trigger import TriggerDecorator, TriggerOnFinishDecorator
from airflow_conda_flow.flow.extending.recorded_decorators import recorded_decorators
from airflow_conda_flow.flow.extending.user_decorators import UserDecorator
from airflow_conda_flow.flow.flow_draft import FlowDraft
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.graph.lint import check_graph
from airflow_conda_flow.flow.graph.reader import read_graph
from airflow_conda_flow.flow.members import members_of
from airflow_conda_flow.flow.own_command import own_command
from airflow_conda_flow.flow.own_path import own_path
from airflow_conda_flow.flow.parameters.config_value import ConfigValue
from airflow_conda_flow.flow.parameters.default_context import DefaultContext
from airflow_conda_flow.flow.parameters.delayed_value import resolve
from airflow_conda_flow.flow.username import username

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Any

    from airflow_conda_flow.flow.decorators.attached import Attached
    from airflow_conda_flow.flow.parameters.config_input import GivenConfigs
    from airflow_conda_flow.flow.parameters.parameters import Parameter
    from airflow_conda_flow.records.graph import FlowGraph
    from airflow_conda_flow.records.shapes import UserDecoratorRecord

RESERVED_PARAMETER_NAMES = frozenset(
    [
        "decospecs",
        "help",
        "max_log_size",
        "max_num_splits",
        "max_workers",
        "namespace",
        "obj",
        "params",
        "run_id",
        "run_id_file",
        "runner_attribute_file",
        "tag",
        "tags",
        "task_id",
        "user_namespace",
        "with",
    ]
)
"""Parameter names that clash with an option of ``run``; compared ignoring case, with ``-`` as ``_``."""


class FlowDefinition:
    """Checked definition of a flow, as its file states it.

    Attributes:
        name: name of the class.
        file: absolute path of the flow file. If the program is a link to it, that of the file itself.
        graph: its checked step graph.
        parameters: its parameters, in the order of the class.
        configs: values of its configs, by attribute.
        flow_class: the class itself.
        package: name of the package that the flow file is run as a module of (``python -m package.flow``);
            empty if it is run by its path.
        started_by: beginning of a command line that starts the flow, as text for a shell.
        repeated: options of this command line that ``command`` repeats, as text for a shell.
        call: arguments with which the program created the flow object; None without arguments, as in a DAG.
        branch: branch given on the command line or by a setting, for ``@project``.
        production: True if the command line or a setting selects a production branch.
        user: owner of a branch without a name, for ``@project``; the user of this process if None.
    """

    def __init__(self, draft: "FlowDraft", graph: "FlowGraph") -> None:
        self.name = graph.name
        self.file = own_path(graph.file)
        self.graph = graph
        self.parameters = list(draft.parameters.values())
        self.flow_class = draft.flow_class
        self.configs = {each.attribute: draft.configs[each.name] for each in draft.config_options}
        self.call: "tuple[list[Any], dict[str, Any]] | None" = None
        self.package = ""
        self.started_by = own_command(self.flow_class, self.file)
        self.repeated = ""
        self._draft = draft
        self._is_complete = False
        self.branch: "str | None" = None
        self.production = False
        self.user: "str | None" = None
        self._recorded: "dict[str, list[UserDecoratorRecord]]" = {}

    def take_call(self, call: "tuple[Any, ...] | None") -> None:
        """Keep the arguments with which a program created the flow object.

        Each step creates its own flow object with the same arguments.

        Args:
            call: positional arguments, keywords, and file and line of the call.

        Raises:
            FlowDefinitionError: an argument is not a plain value, so it cannot be passed to steps.
        """
        if call is None or self.flow_class.__init__ is FlowSpec.__init__:
            return
        positional, keywords, file, line = call
        named = [("argument %d" % (number + 1), each) for number, each in enumerate(positional)]
        for name, value in named + list(keywords.items()):
            if not is_plain(value):
                raise FlowDefinitionError(
                    "%s(...) is called with a %s as %s, which steps cannot be given: they make their own %s. "
                    "Give numbers, texts, or lists and dicts of them."
                    % (self.name, type(value).__name__, name, self.name),
                    file,
                    line,
                )
        if positional or keywords:
            self.call = (list(positional), dict(keywords))

    def attach(self, texts: "Sequence[str]") -> None:
        """Add the decorators of ``--with`` to every step, and check them; see ``FlowDraft.attach``.

        Call it before anything that reads decorators.
        """
        if self._is_complete and texts:
            raise RuntimeError("attach() comes before the decorators of the flow are looked at.")
        self._draft.attach(texts)
        self._completed()

    def command(self, words: str) -> str:
        """Command line that a message tells the user to write, such as ``python flow.py environment lock``.

        Args:
            words: the flow's command.
        """
        return " ".join(each for each in (self.started_by, self.repeated, words) if each)

    @property
    def lock_command(self) -> str:
        """Command line that writes the lock file of the flow."""
        return self.command("environment lock")

    @property
    def flows_of_file(self) -> "set[str]":
        """Names of the flows that its file defines, without bases of this one; they share a lock file."""
        module = self.flow_class.__module__
        members = vars(sys.modules[module]).values() if module in sys.modules else ()
        others = {
            each.__name__
            for each in members
            if isinstance(each, type)
            and issubclass(each, FlowSpec)
            and each.__module__ == module
            and any(is_step(step) for step in vars(each).values())
            and each.__name__ not in self.bases_of_file
        }
        return others | {self.name}

    @property
    def bases_of_file(self) -> "set[str]":
        """Names of its bases in its file: they have steps for several flows, or are flows themselves."""
        bases = self.flow_class.__mro__[1:]
        return {each.__name__ for each in bases if each.__module__ == self.flow_class.__module__}

    @property
    def root(self) -> str:
        """Directory that its modules are imported from: the one around its file or outermost package."""
        folder = os.path.dirname(self.file)
        for _ in self.package.split(".") if self.package else ():
            folder = os.path.dirname(folder)
        return folder

    @property
    def read_files(self) -> "dict[str, str]":
        """Texts of the files that the step graph was read from, by path; they may have changed since."""
        files = {self.graph.file} | {node.file for node in self.graph.steps.values()}
        found = {own_path(file): "".join(linecache.getlines(file)) for file in files if file}
        return {file: text for file, text in found.items() if text}

    @property
    def given_configs(self) -> "GivenConfigs":
        """Values and files given for its configs."""
        return self._draft.given

    @property
    def mutated_with(self) -> "list[str] | None":
        """Texts of ``--with``, whose decorators mutators see in ``mutate``; None if no mutator has run."""
        draft = self._completed()
        return list(draft.attached) if draft.has_mutated else None

    @property
    def decorators(self) -> "Attached":
        """Decorator attributes, by step and then by decorator name; without environment decorators."""
        return attached_decorators(self._completed())

    @property
    def flow_decorators(self) -> "dict[str, dict[str, Any]]":
        """Attributes of the decorators of the class, by name; a subclass overrides its bases."""
        return {each.name: dict(each.attributes) for each in self._completed().flow_decorators}

    def exit_hooks(self, succeeded: bool) -> "list[Any]":
        """Functions of ``@exit_hook`` for a run that succeeded or failed, in the order of the file."""
        outcome = "on_success" if succeeded else "on_error"
        hooks = [each for each in self._completed().flow_decorators if each.name == "exit_hook"]
        return [function for each in reversed(hooks) for function in each.attributes[outcome]]

    @property
    def sensors(self) -> "list[SensorDecorator]":
        """Sensors that a DAG run of the flow waits for, in the order of the file."""
        decorators = self._completed().flow_decorators
        return [each for each in reversed(decorators) if isinstance(each, SensorDecorator)]

    @property
    def has_project(self) -> bool:
        """True if the class has ``@project``; may be read before ``attach``."""
        return any(each.name == "project" for each in self._draft.flow_decorators)

    @property
    def has_finish_trigger(self) -> bool:
        """True if the class has ``@trigger_on_finish``; may be read before ``attach``."""
        return any(each.name == TriggerOnFinishDecorator.name for each in self._draft.flow_decorators)

    @property
    def project(self) -> "dict[str, Any]":
        """Project, branch and related names of the flow, as ``current`` has them; empty without ``@project``.

        Raises:
            SettingError: the branch is not a valid name, or the decorator states another one.
        """
        attributes = self.flow_decorators.get("project")
        if attributes is None:
            return {}
        return project_values(self.name, attributes, self.branch, self.production, self.user or username())

    @property
    def triggers(self) -> "dict[str, list[dict[str, Any]]]":
        """Events and flows of ``@trigger`` and ``@trigger_on_finish``, by decorator name.

        Functions among them are called.

        Raises:
            FlowDefinitionError: a function fails, or returns a value that the decorator does not accept.
        """
        draft = self._completed()
        current._update(flow_name=self.name, **self.project)  # noqa: SLF001 - the functions may read current
        context = DefaultContext(self.name, "", self.user or username(), configs=ConfigValue(draft.configs))

        def call(function: "Any") -> "Any":
            return resolve(function(context), draft.names)

        found = {}
        for decorator in draft.flow_decorators:
            if isinstance(decorator, (TriggerDecorator, TriggerOnFinishDecorator)):
                settled = decorator.settled(call)
                settled.check_in_flow(None, self.graph, draft)
                found[settled.name] = settled.attributes[settled.many]
        return found

    @property
    def declares_conda(self) -> bool:
        """True if the flow or one of its steps has an environment decorator."""
        return declares_conda(self._completed())

    @property
    def user_decorators(self) -> "dict[str, list[UserDecoratorRecord]]":
        """User step decorators by step, as data from which the step process finds them again."""
        self._completed()
        return self._recorded

    @property
    def warnings(self) -> "list[str]":
        """Lines about mistakes that do not keep the flow from running, with file and line."""
        cards = [
            each
            for decorators in self._completed().step_decorators.values()
            for each in decorators
            if isinstance(each, CardDecorator) and not is_known(each.attributes["type"])
        ]
        return ["%s:%d: %s" % (each.file, each.line, unknown_type(each.attributes["type"])) for each in cards]

    def step_environments(self, default_python: str) -> "dict[str, Any]":
        """Environment of every step; see ``environment_spec.step_environments``."""
        return step_environments(self._completed(), self.file, default_python)

    def check_versions(self, propose: "Callable[[str, str], str | None] | None" = None) -> None:
        """Raise if a version is a range without a lock file; see ``environment_spec.check_versions``."""
        check_versions(self._completed(), self.file, self.lock_command, propose)

    def added_parameter_values(self, known: "Container[str]", user_name: str = "") -> "dict[str, Any]":
        """Defaults of the parameters that a resumed run did not have, by attribute.

        Args:
            known: attributes of the parameters that the resumed run had.
            user_name: user who starts the run; passed to defaults that are functions.

        Raises:
            ParameterError: a required parameter was added.
        """
        values = {}
        for parameter in self.parameters:
            if parameter.attribute not in known:
                if parameter.required:
                    raise ParameterError(
                        "Parameter %r is required, and the run to be resumed had none of that name. "
                        "Give it a default, or start a new run." % parameter.name
                    )
                values[parameter.attribute] = parameter.value(self._context(parameter, user_name))
        return values

    def parameter_values(
        self, given: "Mapping[str, Any]", user_name: str = "", datastore: str = "local"
    ) -> "dict[str, Any]":
        """Value of every parameter, by attribute.

        Args:
            given: texts or values by parameter name; all other parameters get their defaults.
            user_name: user who starts the run; passed to defaults that are functions.
            datastore: kind of the datastore; passed to defaults that are functions.

        Raises:
            ParameterError: a name is unknown, a value is wrong, or a required value is missing.
        """
        known = {parameter.name for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise ParameterError(
                    "%s has no parameter %r. It has: %s."
                    % (self.name, name, ", ".join(sorted(known)) or "none")
                )
        current._update(**self.project)  # noqa: SLF001 - functions that compute defaults may read current
        values = {}
        for parameter in self.parameters:
            if parameter.name in given:
                values[parameter.attribute] = parameter.convert(given[parameter.name])
            elif parameter.required:
                raise ParameterError(
                    "Parameter %r is required. Give it a value: --%s %s."
                    % (parameter.name, parameter.name, parameter.type_name.upper())
                )
            else:
                context = self._context(parameter, user_name, datastore)
                values[parameter.attribute] = parameter.value(context)
        return values

    def _context(self, parameter: "Parameter", user_name: str, datastore: str = "local") -> "DefaultContext":
        configs = ConfigValue(self._draft.configs)
        folder = os.path.dirname(self.file)
        return DefaultContext(self.name, parameter.name, user_name, datastore, configs, folder)

    def _completed(self) -> "FlowDraft":
        """Draft after all mutators; the first call runs them and checks the result."""
        if not self._is_complete:
            self._is_complete = True
            self._draft.mutate()
            check_attached(self._draft, self.graph)
            self._recorded = recorded_decorators(self._draft)
        return self._draft


def read_flow(flow_class: "Any", given: "GivenConfigs | None" = None) -> "FlowDefinition":
    """Read and check the definition of a flow class; of the flow's own code, only mutators run.

    Args:
        flow_class: the flow.
        given: values and files given for its configs.

    Raises:
        ParameterError: a given config is wrong, or a required one is missing.
        FlowDefinitionError: the flow is wrong; names file and line.
    """
    for name, decorator in members_of(flow_class, UserDecorator).items():
        decorator.fail(
            "decorates a step: write it above @step. %r has it below @step, or has no @step." % name
        )
    graph = read_graph(flow_class)
    _check_decorators(flow_class)
    check_graph(graph)
    draft = FlowDraft(flow_class, given)
    draft.pre_mutate()
    _check_parameters(draft, graph)
    return FlowDefinition(draft, graph)


def _check_decorators(flow_class: "Any") -> None:
    for name in dir(flow_class):
        member = getattr(flow_class, name, None)
        attached = getattr(member, "decorators", ()) if callable(member) else ()
        if attached and not is_step(member):
            attached[0].fail("%r has @%s but is not a step. Add @step." % (name, attached[0].name))


def _check_parameters(draft: "FlowDraft", graph: "FlowGraph") -> None:
    names: "dict[str, Parameter]" = {}
    for attribute, parameter in draft.parameters.items():
        plain = parameter.name.lower().replace("-", "_")
        if plain in names:
            _fail(
                parameter,
                "%r is defined twice (also in line %d); names are compared without case. "
                "Rename one." % (parameter.name, names[plain].line),
            )
        if plain in RESERVED_PARAMETER_NAMES:
            _fail(parameter, "%r is an option of every run. Rename it." % parameter.name)
        if hasattr(FlowSpec, attribute):
            _fail(
                parameter,
                "%r cannot be self.%s, which every flow has already. Assign it to another name."
                % (parameter.name, attribute),
            )
        if attribute in graph.steps or parameter.name in graph.steps:
            _fail(parameter, "%r has the name of a step. Rename it." % parameter.name)
        names[plain] = parameter


def _fail(parameter: "Parameter", message: str) -> None:
    raise FlowDefinitionError("Parameter " + message, parameter.file, parameter.line)
