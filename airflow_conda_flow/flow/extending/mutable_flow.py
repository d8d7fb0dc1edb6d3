"""``MutableFlow``: configs, parameters, steps and decorators of a flow, for mutators to read and change."""

from airflow_conda_flow.flow.decorators.all_of_flows import FLOW_DECORATORS
from airflow_conda_flow.flow.extending.mutable import Mutable
from airflow_conda_flow.flow.extending.mutable_step import MutableStep
from airflow_conda_flow.flow.extending.user_decorators import FlowMutator
from airflow_conda_flow.flow.parameters.parameters import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft


class MutableFlow(Mutable):
    """Flow that is being read. Its steps, parameters and configs are also available as attributes.

    Args:
        draft: the flow.
        mutator: name of the mutator that changes it, for messages.
        may_add: True if mutators, parameters and flow decorators may still be added and removed.
    """

    kinds = (FlowMutator,)
    what = "flow"

    def __init__(self, draft: "FlowDraft", mutator: str, may_add: bool) -> None:
        super().__init__(draft, mutator, may_add)
        self._place = draft.flow_class.__name__
        self._decorators = draft.flow_decorators
        self._user_decorators = draft.flow_mutators

    @property
    def configs(self) -> "Iterator[tuple[str, Any]]":
        """Iterate over (name, value) of every config."""
        return iter(list(self._draft.configs.items()))

    @property
    def parameters(self) -> "Iterator[tuple[str, Parameter]]":
        """Iterate over (attribute, parameter) of every parameter."""
        return iter(list(self._draft.parameters.items()))

    @property
    def steps(self) -> "Iterator[tuple[str, MutableStep]]":
        """Iterate over (name, step) of every step."""
        return iter([(name, MutableStep(self, name)) for name in self._draft.step_decorators])

    def add_parameter(self, name: str, value: "Any", overwrite: bool = False) -> None:
        """Add a parameter; allowed in ``pre_mutate`` only.

        Args:
            name: attribute of the parameter.
            value: the parameter.
            overwrite: True to replace an existing attribute of that name.
        """
        if not self._may_add:
            self._fail("adds the parameter %r in mutate(); add it in pre_mutate()." % name)
        if not isinstance(value, Parameter):
            self._fail("adds %r as a parameter; write Parameter(...) or IncludeFile(...)." % (value,))
        is_there = name in self._draft.parameters or hasattr(self._draft.flow_class, name)
        if is_there and name not in self._draft.removed and not overwrite:
            self._fail(
                "adds the parameter %r, but %s has that attribute. Write overwrite=True to replace it."
                % (name, self._place)
            )
        if getattr(value, "parser", None) is not None:
            self._fail("adds the file %r with a parser; write such a parameter into the class." % name)
        value.attribute = name
        self._draft.parameters[name] = value

    def remove_parameter(self, parameter_name: str) -> bool:
        """Remove a parameter by its name, in ``pre_mutate`` only; True if there was one."""
        if not self._may_add:
            self._fail("removes the parameter %r in mutate(); do it in pre_mutate()." % parameter_name)
        for attribute, parameter in self._draft.parameters.items():
            if parameter.name == parameter_name:
                del self._draft.parameters[attribute]
                self._draft.removed.add(attribute)
                return True
        return False

    def __getattr__(self, name: str) -> "Any":
        draft = self.__dict__.get("_draft")
        if draft is not None:
            if name in draft.step_decorators:
                return MutableStep(self, name)
            for known in (draft.parameters, draft.names, draft.configs):
                if name in known:
                    return known[name]
        raise AttributeError("%s has no step, parameter or config %r" % (self.__dict__.get("_place"), name))

    def _class_of(self, name: str) -> "Any":
        return FLOW_DECORATORS.get(name)

    def _late(self, made: "Any") -> bool:
        del made
        return True
