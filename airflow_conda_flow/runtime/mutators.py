"""Mutators of a flow, run again in the step process.

Their changes to the flow were made when it was read. They run here for the values that they leave in their
classes and modules, which steps and user decorators may read.
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
    """Run both halves of every mutator. A failure is reported in the step's log and has no other effect.

    A mutator may read files that exist only on the launching machine, where the flow was read.

    Args:
        flow: the flow object.
        task: the running task.
        texts: decorators given with ``--with``.
    """
    flow_class = type(flow)
    stored = {name: task.load(name) for name in members_of(flow_class, Config) if task.has(name)}
    try:
        with redirect_stdout(StringIO()):  # already printed when the flow was read
            FlowDraft(flow_class, GivenConfigs(stored=stored)).mutate_again(texts)
    except Exception as error:  # noqa: BLE001 - a user's mutator may raise anything
        sys.stderr.write(
            "A mutator failed in this step's process: what it sets at its class or module is missing. %s\n"
            % error
        )
