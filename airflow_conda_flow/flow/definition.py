"""``FlowDefinition``: everything that is known of a flow before it runs, checked."""

import os

from airflow_conda_flow.errors import FlowDefinitionError, ParameterError
from airflow_conda_flow.flow.attached_decorators import attach_everywhere, attached_decorators
from airflow_conda_flow.flow.environment_spec import declares_conda, step_environments
from airflow_conda_flow.flow.flow_draft import FlowDraft
from airflow_conda_flow.flow.graph_reader import read_graph
from airflow_conda_flow.flow.lint import check_graph
from airflow_conda_flow.flow.steps import is_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from typing import Any

    from airflow_conda_flow.flow.graph import FlowGraph
    from airflow_conda_flow.flow.parameters import Parameter

RESERVED_PARAMETER_NAMES = frozenset(
    [
        "cache_dir",
        "channels",
        "datastore",
        "datastore_root",
        "environment",
        "help",
        "max_num_splits",
        "max_workers",
        "namespace",
        "quiet",
        "resolver",
        "run_id_file",
        "tag",
        "version",
        "with",
    ]
)
"""Parameters that would be another option of ``run``; compared without case, ``-`` as ``_``."""


class DefaultContext(object):
    """What a parameter's default function is given.

    Attributes:
        flow_name: the flow's name.
        parameter_name: the parameter's name.
        user_name: who starts the run.
    """

    def __init__(self, flow_name, parameter_name, user_name):
        # type: (str, str, str) -> None
        self.flow_name = flow_name
        self.parameter_name = parameter_name
        self.user_name = user_name


class FlowDefinition(object):
    """A flow as its file defines it.

    Attributes:
        name: the name of the class.
        file: the absolute path of the flow file.
        graph: its checked step graph.
        parameters: its parameters, in the order of the class.
        flow_class: the class itself.
        declares_conda: whether it has a conda decorator.
        decorators: attributes by decorator name by step, conda's left out.
    """

    def __init__(self, draft, graph):
        # type: (FlowDraft, FlowGraph) -> None
        self.name = graph.name
        self.file = os.path.abspath(graph.file)
        self.graph = graph
        self.parameters = list(draft.parameters.values())
        self.flow_class = draft.flow_class
        self.declares_conda = declares_conda(draft)
        self.decorators = attached_decorators(draft)
        self._draft = draft

    def attach(self, texts):
        # type: (Sequence[str]) -> None
        """Give every step the decorators that ``--with`` names, as ``attach_everywhere`` reads them."""
        self.decorators = attach_everywhere(self.decorators, texts)

    def step_environments(self, default_python):
        # type: (str) -> dict[str, Any]
        """The environment of every step, as ``environment_spec.step_environments`` gives it."""
        return step_environments(self._draft, default_python)

    def added_parameter_values(self, known, user_name=""):
        # type: (Container[str], str) -> dict[str, Any]
        """The defaults of the parameters that a run before did not have, by attribute.

        Args:
            known: the attributes that it had.
            user_name: who starts the run, for defaults that are functions.

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
                values[parameter.attribute] = parameter.value(
                    DefaultContext(self.name, parameter.name, user_name)
                )
        return values

    def parameter_values(self, given, user_name=""):
        # type: (Mapping[str, Any], str) -> dict[str, Any]
        """The value of every parameter, by attribute.

        Args:
            given: texts or values by the parameter's name; what is not given has its default.
            user_name: who starts the run, for defaults that are functions.

        Raises:
            ParameterError: a name is unknown, a value is wrong, or a required one is missing.
        """
        known = {parameter.name for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise ParameterError(
                    "%s has no parameter %r. It has: %s."
                    % (self.name, name, ", ".join(sorted(known)) or "none")
                )
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
                context = DefaultContext(self.name, parameter.name, user_name)
                values[parameter.attribute] = parameter.value(context)
        return values


def read_flow(flow_class):
    # type: (Any) -> FlowDefinition
    """The definition of a flow class; nothing of the flow runs.

    Raises:
        FlowDefinitionError: anything about the flow is wrong; names file and line.
    """
    graph = read_graph(flow_class)
    _check_decorators(flow_class)
    check_graph(graph)
    draft = FlowDraft(flow_class)
    _check_parameters(draft, graph)
    return FlowDefinition(draft, graph)


def _check_decorators(flow_class):
    # type: (Any) -> None
    for name in dir(flow_class):
        member = getattr(flow_class, name, None)
        attached = getattr(member, "decorators", ()) if callable(member) else ()
        if attached and not is_step(member):
            attached[0].fail("%r has @%s but is not a step. Add @step." % (name, attached[0].name))


def _check_parameters(draft, graph):
    # type: (FlowDraft, FlowGraph) -> None
    names = {}  # type: dict[str, Parameter]
    for attribute, parameter in draft.parameters.items():
        plain = parameter.name.lower().replace("-", "_")
        if plain in names:
            _fail(
                parameter,
                "%r stands twice, also in line %d; names are compared without case. "
                "Rename one." % (parameter.name, names[plain].line),
            )
        if plain in RESERVED_PARAMETER_NAMES:
            _fail(parameter, "%r is an option of every run. Rename it." % parameter.name)
        if attribute in graph.steps or parameter.name in graph.steps:
            _fail(parameter, "%r has the name of a step. Rename it." % parameter.name)
        names[plain] = parameter


def _fail(parameter, message):
    # type: (Parameter, str) -> None
    raise FlowDefinitionError("Parameter " + message, parameter.file, parameter.line)
