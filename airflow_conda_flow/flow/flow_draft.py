"""``FlowDraft``: the decorators and parameters of a flow, while they may still change.

Mutators and ``--with`` change the draft and never the class, so a flow can be read any number of times.
"""

from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.parameters import Parameter
from airflow_conda_flow.flow.steps import is_step, step_decorators

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators import Decorator


class FlowDraft(object):
    """What stands on a flow class, its steps and its attributes.

    Attributes:
        flow_class: the class; it is only read.
        flow_decorators: the decorators of the class, those of its bases first.
        step_decorators: the decorators of each step, the innermost first, by the step's name.
        parameters: the parameters by attribute, those of the bases first.
    """

    def __init__(self, flow_class):
        # type: (Any) -> None
        self.flow_class = flow_class
        self.flow_decorators = _flow_decorators(flow_class)  # type: list[Decorator]
        self.step_decorators = {name: step_decorators(method) for name, method in _steps(flow_class)}  # type: dict[str, list[Decorator]]
        self.parameters = members_of(flow_class, Parameter)  # type: dict[str, Parameter]


def members_of(flow_class, kind):
    # type: (Any, Any) -> dict[str, Any]
    """The members of that type by attribute; one of a subclass takes the place of its base's."""
    found = {}  # type: dict[str, Any]
    for owner in owners(flow_class):
        for attribute, member in vars(owner).items():
            if isinstance(member, kind):
                found[attribute] = member
            else:
                found.pop(attribute, None)
    return found


def owners(flow_class):
    # type: (Any) -> list[type]
    """The classes that a user wrote, the most general first."""
    return [each for each in reversed(flow_class.__mro__) if each is not FlowSpec and each is not object]


def _steps(flow_class):
    # type: (Any) -> list[tuple[str, Any]]
    members = ((name, getattr(flow_class, name)) for name in dir(flow_class))
    return [(name, member) for name, member in members if is_step(member)]


def _flow_decorators(flow_class):
    # type: (Any) -> list[Decorator]
    return [each for owner in owners(flow_class) for each in vars(owner).get("flow_decorators", [])]
