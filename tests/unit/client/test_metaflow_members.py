"""Members that Metaflow 2.19 documents of its public classes are there under the same name."""

from __future__ import annotations

import pytest

import airflow_conda_flow
from airflow_conda_flow import cards
from airflow_conda_flow.client.run_code import RunCode
from airflow_conda_flow.flow.current_run import NAMES
from airflow_conda_flow.flow.trigger_events import Trigger
from airflow_conda_flow.launch.executing import ExecutingRun, ExecutingTask

OF_ALL_OBJECTS = (
    "created_at is_in_namespace origin_pathspec parent path_components pathspec system_tags tags user_tags"
)
EXECUTING = "returncode status stderr stdout stream_log wait"
MEMBERS = [
    *[
        (getattr(airflow_conda_flow, kind), OF_ALL_OBJECTS)
        for kind in ("Flow", "Run", "Step", "Task", "DataArtifact")
    ],
    (airflow_conda_flow.Metaflow, "flows"),
    (airflow_conda_flow.Flow, "latest_run latest_successful_run runs"),
    (
        airflow_conda_flow.Run,
        """add_tag add_tags code data end_task finished finished_at remove_tag remove_tags replace_tag
        replace_tags steps successful trigger""",
    ),
    (
        airflow_conda_flow.Step,
        "child_steps control_task control_tasks environment_info finished_at parent_steps task tasks",
    ),
    (
        airflow_conda_flow.Task,
        """artifacts child_task_pathspecs child_tasks code current_attempt data environment_info exception
        finished finished_at index loglines metadata metadata_dict parent_task_pathspecs parent_tasks
        runtime_name stderr stderr_size stdout stdout_size successful""",
    ),
    (airflow_conda_flow.DataArtifact, "data finished_at sha size"),
    (airflow_conda_flow.Runner, "async_resume async_run async_spin cleanup resume run spin"),
    (airflow_conda_flow.NBRunner, "async_resume async_run cleanup nbresume nbrun resume run"),
    (RunCode, "extract flowspec info path tarball"),
    (ExecutingRun, EXECUTING),
    (ExecutingTask, EXECUTING),
    (
        airflow_conda_flow.MutableFlow,
        """ERROR IGNORE OVERRIDE add_decorator add_parameter configs decorator_specs get_decorator_specs
        has_decorator parameters remove_decorator remove_parameter steps""",
    ),
    (
        airflow_conda_flow.MutableStep,
        """ERROR IGNORE OVERRIDE add_decorator decorator_specs get_decorator_specs has_decorator
        remove_decorator""",
    ),
    (Trigger, "event events run runs"),
    (airflow_conda_flow.FlowSpec, "foreach_stack index input merge_artifacts next"),
    (
        cards,
        """Artifact BlankCard DagComponent DefaultCard Error ErrorCard EventsTimeline Image JSONViewer Markdown MetaflowCard MetaflowCardComponent
        PageComponent ProgressBar PythonCode SectionComponent Table ValueBox VegaChart YAMLViewer get_cards""",
    ),
]
CURRENT = """card flow_name graph is_production is_running_flow is_user_branch namespace origin_run_id parallel
parameter_names pathspec project_flow_name project_name branch_name retry_count run run_id step_name tags task task_id
tempdir trigger username"""


@pytest.mark.parametrize(("place", "names"), MEMBERS)
def test_members(place, names):
    """A flow, a notebook or a script may use it."""
    assert [name for name in names.split() if not hasattr(place, name)] == []


def test_names_of_current():
    """Those that every step has, and those that a decorator brings."""
    assert set(CURRENT.split()) - set(NAMES) == set()
    with pytest.raises(AttributeError, match="Did you mean 'run_id'"):
        print(airflow_conda_flow.current.run_i)
