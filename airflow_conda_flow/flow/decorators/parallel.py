"""``@parallel``: marks a step whose tasks run at the same time and know each other, for ``num_parallel``."""

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators.base import Method


class Parallel(StepDecorator):
    """Mark of the step that ``self.next(self.train, num_parallel=4)`` leads to.

    In that step, ``current.parallel`` has the number of nodes and the index of this task's node.
    """

    name = "parallel"


if TYPE_CHECKING:

    def parallel(
        __method: "Method | None" = None,
    ) -> "Method":
        """Mark a step whose tasks run at the same time, for ``num_parallel``."""

else:
    parallel = decorator_function(Parallel)
