"""``MutableStep``: decorators of one step, for mutators to read and change."""

from airflow_conda_flow.flow.decorators.all_of_steps import decorator_class
from airflow_conda_flow.flow.extending.mutable import Mutable
from airflow_conda_flow.flow.extending.user_decorators import StepMutator, UserStepDecorator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.extending.mutable_flow import MutableFlow


class MutableStep(Mutable):
    """Step of a flow that is being read.

    Attributes:
        flow: flow that the step belongs to.
        name: name of the step.
    """

    kinds = (UserStepDecorator, StepMutator)
    what = "step"

    def __init__(self, flow: "MutableFlow", name: str) -> None:
        draft = flow._draft  # noqa: SLF001 - MutableFlow and MutableStep work together
        super().__init__(draft, flow._mutator, flow._may_add)  # noqa: SLF001 - MutableFlow and MutableStep work together
        self.flow = flow
        self.name = name
        self._place = "step %r" % name
        self._decorators = draft.step_decorators[name]
        self._user_decorators = draft.user_decorators[name]

    def _class_of(self, name: str) -> "Any":
        return decorator_class(name)

    def _late(self, made: "Any") -> bool:
        return isinstance(made, StepMutator)
