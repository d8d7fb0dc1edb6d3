"""``@parallel`` and ``@pytorch_parallel``: steps whose tasks run at once and know each other."""

from airflow_conda_flow.flow.decorators.attribute_values import normalise_attributes, port
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Whole
    from airflow_conda_flow.flow.decorators.base import Method


class Parallel(StepDecorator):
    """Mark of the step that ``self.next(self.train, num_parallel=4)`` leads to.

    In that step, ``current.parallel`` has the number of nodes and the index of this task's node.
    """

    name = "parallel"


class PytorchParallel(Parallel):
    """``@parallel`` whose nodes have the environment variables of ``torch.distributed``.

    ``MASTER_ADDR``, ``MASTER_PORT``, ``NODE_RANK``, ``NUM_NODES`` and ``WORLD_SIZE``, which is the number of
    nodes too; ``@environment`` may set them differently.

    Args:
        master_port: port of the main node; one that depends on the run if None.
    """

    name = "pytorch_parallel"
    defaults: "dict[str, Any]" = {"master_port": None}

    def check(self) -> None:
        """Raise unless ``master_port`` is a port."""
        normalise_attributes(self, {"master_port": (port, "a port from 1 to 65535")})


if TYPE_CHECKING:

    def parallel(
        __method: "Method | None" = None,
    ) -> "Method":
        """Mark a step whose tasks run at the same time, for ``num_parallel``."""

    def pytorch_parallel(
        __method: "Method | None" = None,
        *,
        master_port: "Whole" = None,
    ) -> "Method":
        """Mark a step whose tasks train together with PyTorch; see ``PytorchParallel``."""

else:
    parallel = decorator_function(Parallel)
    pytorch_parallel = decorator_function(PytorchParallel)
