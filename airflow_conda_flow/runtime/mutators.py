"""Runs the mutators of a flow in a step's process, where what they do to the flow is done already.

They run for what they leave at their classes and modules, which steps and user decorators may read.
"""

import sys
from contextlib import redirect_stdout
from io import StringIO

from airflow_conda_flow.flow.flow_draft import FlowDraft
from airflow_conda_flow.flow.members import members_of
from airflow_conda_flow.flow.parameters.config import Config
from airflow_conda_flow.flow.parameters.config_input import GivenConfigs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.runtime.task import StepTask


def run_again(flow: "Any", task: "StepTask", texts: "list[str]") -> None:
    """Run both halves of every mutator; a failure is said in the step's log and changes nothing else.

    A mutator may read files that only the launching machine has; the flow was read there.

    Args:
        flow: the flow object.
        task: the running task.
        texts: decorators of ``--with``.
    """
    flow_class = type(flow)
    stored = {name: task.load(name) for name in members_of(flow_class, Config) if task.has(name)}
    try:
        with redirect_stdout(StringIO()):  # printed already, where the flow was read
            FlowDraft(flow_class, GivenConfigs(stored=stored)).mutate_again(texts)
    except Exception as error:  # noqa: BLE001 - a user's mutator may raise anything
        sys.stderr.write(
            "A mutator fails in this step's process, and what it would leave at its class is not here: %s\n"
            % error
        )
