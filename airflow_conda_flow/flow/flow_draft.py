"""``FlowDraft``: decorators and parameters of a flow while they can still change.

Configs, mutators and ``--with`` change the draft, never the class. So a flow can be read repeatedly, each
time with different configs.
"""

import copy

from airflow_conda_flow.errors import CondaFlowError, FlowDefinitionError, SettingError
from airflow_conda_flow.flow.decorators.all_of_steps import decorator_class, step_decorator_names
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.decorators.step import is_step, step_decorators
from airflow_conda_flow.flow.decorators.text import parse_decorator
from airflow_conda_flow.flow.extending.user_decorators import (
    StepMutator,
    UserStepDecorator,
    imported,
    user_decorators,
)
from airflow_conda_flow.flow.members import members_of, owners
from airflow_conda_flow.flow.parameters.config import Config, config_options, variable_of
from airflow_conda_flow.flow.parameters.config_input import GivenConfigs, read_configs
from airflow_conda_flow.flow.parameters.parameters import Parameter
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Decorator
    from airflow_conda_flow.flow.extending.user_decorators import FlowMutator
    from airflow_conda_flow.flow.parameters.config import ConfigOptions


class FlowDraft:
    """Mutable copy of the decorators, configs and parameters of a flow class.

    Args:
        flow_class: the class; it is only read.
        given: values and files given for its configs.

    Attributes:
        given: values and files given for its configs.
        config_options: its configs, those of the bases first.
        configs: values of the configs, by name.
        flow_decorators: decorators of the class, those of its bases first.
        flow_mutators: mutators of the class, those of its bases first.
        step_decorators: decorators of each step by the step's name, the innermost first.
        user_decorators: decorators written by users, by the step's name, the innermost first.
        parameters: parameters by attribute, those of the bases first.
        removed: attributes of parameters that a mutator removed.
        attached: texts that were passed to ``attach``.
        has_mutated: True if a mutator has run.

    Raises:
        ParameterError: a given config is wrong, or a required one is missing.
        FlowDefinitionError: a decorator of the flow is wrong; names the line.
    """

    def __init__(self, flow_class: "Any", given: "GivenConfigs | None" = None) -> None:
        self.flow_class = flow_class
        self.config_options: "list[ConfigOptions]" = [
            config_options(each) for each in members_of(flow_class, Config).values()
        ]
        self.given = given or GivenConfigs()
        self.configs = read_configs(flow_class, self.config_options, self.given)
        names = {variable_of(each): self.configs[each.name] for each in self.config_options}
        for each in self.config_options:
            names.setdefault(each.attribute, self.configs[each.name])
        self.names = names
        self.flow_decorators: "list[Decorator]" = [
            each.resolved(names) for each in _standing_on(flow_class, "flow_decorators")
        ]
        self.flow_mutators: "list[FlowMutator]" = _copies(_standing_on(flow_class, "flow_mutators"))
        steps = _steps(flow_class)
        self.step_decorators: "dict[str, list[Decorator]]" = {
            name: [each.resolved(names) for each in step_decorators(method)] for name, method in steps
        }
        self.user_decorators: "dict[str, list[Any]]" = {
            name: _copies(user_decorators(method)) for name, method in steps
        }
        self.parameters: "dict[str, Parameter]" = members_of(flow_class, Parameter)
        self.removed: "set[str]" = set()
        self.attached: "list[str]" = []
        self.has_mutated = False

    def pre_mutate(self) -> None:
        """Run ``pre_mutate`` of every mutator, then replace configs in the parameters by their values."""
        self._run_mutators("pre_mutate", may_add=True)
        self.parameters = {
            attribute: each.resolved(self.names) for attribute, each in self.parameters.items()
        }

    def attach(self, texts: "Sequence[str]") -> None:
        """Add decorators to every step; a step that already has one of the same name keeps its own.

        Args:
            texts: texts such as ``kubernetes`` or ``retry:times=3,minutes_between_retries=0``.

        Raises:
            SettingError: a text does not name a decorator, or does not have that form.
            FlowDefinitionError: an attribute is unknown or wrong.
        """
        self.attached.extend(texts)
        for text in texts:
            name, attributes = parse_decorator(text, "--with %s" % text)
            ours = decorator_class(name)
            users = None if ours else _users(name, text)
            if ours is not None:
                made = ours(**attributes)
                for decorators in self.step_decorators.values():
                    if all(each.name != made.name for each in decorators):
                        decorators.append(made)
            elif users is not None:
                for attached in self.user_decorators.values():
                    if all(each.decorator_name != users.decorator_name for each in attached):
                        attached.append(users(**attributes))
            else:
                raise SettingError(
                    "--with %s: there is no decorator @%s.%s It takes: %s."
                    % (text, name, nearest(name, step_decorator_names()), ", ".join(step_decorator_names()))
                )

    def mutate(self) -> None:
        """Run ``mutate`` of every mutator, then initialize the user step decorators."""
        self._run_mutators("mutate", may_add=False)
        for attached in self.user_decorators.values():
            for each in attached:
                each.ready(self.names)

    def mutate_again(self, texts: "Sequence[str]") -> None:
        """Run ``pre_mutate`` and ``mutate`` of every mutator again, in a step process.

        Mutators may also change classes and modules, and the step needs those changes too.

        Args:
            texts: texts that were passed to ``attach`` when the flow was first read.
        """
        self.pre_mutate()
        self.attach(texts)
        self._run_mutators("mutate", may_add=False)

    def _run_mutators(self, phase: str, may_add: bool) -> None:
        if not self.flow_mutators and not any(self.user_decorators.values()):
            return
        from airflow_conda_flow.flow.extending.mutable_flow import MutableFlow  # noqa: PLC0415 - only for mutators
        from airflow_conda_flow.flow.extending.mutable_step import MutableStep  # noqa: PLC0415 - only for mutators

        def flow_for(mutator: "Any") -> "MutableFlow":
            return MutableFlow(self, "%s.%s" % (mutator.name, phase), may_add)

        for mutator in _growing(self.flow_mutators):
            self.has_mutated = True
            mutator.ready(self.names)
            _call(mutator, phase, flow_for(mutator))
        for step, attached in self.user_decorators.items():
            for mutator in _growing(attached):
                if isinstance(mutator, StepMutator):
                    self.has_mutated = True
                    mutator.ready(self.names)
                    _call(mutator, phase, MutableStep(flow_for(mutator), step))


def _users(name: str, text: str) -> "Any":
    """User decorator of that name; None if there is none."""
    try:
        return imported(name, (UserStepDecorator, StepMutator))
    except ImportError as error:
        raise SettingError("--with %s: its module cannot be imported: %s." % (text, error)) from None


def _steps(flow_class: "Any") -> "list[tuple[str, Any]]":
    """Steps in the order of the file, those of the bases first."""
    names = [name for owner in owners(flow_class) for name in vars(owner)]
    members = ((name, getattr(flow_class, name)) for name in dict.fromkeys(names))
    return [(name, member) for name, member in members if is_step(member)]


def _standing_on(flow_class: "Any", attribute: str) -> "list[Any]":
    return [each for owner in owners(flow_class) for each in vars(owner).get(attribute, [])]


def _copies(decorators: "list[Any]") -> "list[Any]":
    copies = [copy.copy(each) for each in decorators]
    for each in copies:
        each.stands_on_step = True
    return copies


def _growing(decorators: "list[Any]") -> "Any":
    """Iterate over decorators, including those that mutators add to the list meanwhile."""
    seen: "list[Any]" = []
    while True:
        following = next((each for each in decorators if each not in seen), None)
        if following is None:
            return
        seen.append(following)
        yield following


def _call(mutator: "Any", phase: str, target: "Any") -> None:
    """Call a method of a mutator; any exception becomes an error that names the line in the mutator."""
    method = getattr(mutator, phase)
    try:
        method(target)
    except CondaFlowError:
        raise
    except Exception as error:
        show_plainly()
        file, line = mutator.file, mutator.line
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == method.__code__.co_filename:
                file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            trace = trace.tb_next
        message = "%s.%s fails: %s: %s" % (mutator.name, phase, type(error).__name__, error)
        raise FlowDefinitionError(message, file, line) from error
