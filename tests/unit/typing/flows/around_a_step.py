"""``current``, S3 and the tools for steps."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from typing_extensions import assert_type

from airflow_conda_flow import (
    S3,
    FlowSpec,
    Run,
    Task,
    current,
    parallel_imap_unordered,
    parallel_map,
    profile,
    project,
    step,
)
from airflow_conda_flow.datatools.s3 import S3GetObject, S3Object, S3PutObject
from airflow_conda_flow.flow.trigger_events import Trigger, TriggerEvent


def square(number: int) -> float:
    """A function to call in parallel."""
    return float(number * number)


@project(name="shop")
class AroundFlow(FlowSpec):
    """Reads what is around a step."""

    @step
    def start(self) -> None:
        """All names of ``current``."""
        assert_type(current.is_running_flow, bool)
        assert_type(current.flow_name, str)
        assert_type(current.run_id, str)
        assert_type(current.step_name, str)
        assert_type(current.task_id, str)
        assert_type(current.pathspec, str)
        assert_type(current.retry_count, int)
        assert_type(current.origin_run_id, str | None)
        assert_type(current.namespace, str | None)
        assert_type(current.username, str)
        assert_type(current.tags, set[str])
        assert_type(current.tempdir, str)
        assert_type(current.parameter_names, list[str])
        assert_type(current.graph, dict[str, Any])
        assert_type(current.run, Run)
        assert_type(current.task, Task)
        assert_type(current.project_name, str)
        assert_type(current.branch_name, str)
        assert_type(current.project_flow_name, str)
        assert_type(current.is_production, bool)
        assert_type(current.is_user_branch, bool)
        assert_type(current.dag_id, str | None)
        assert_type(current.dag_run_id, str | None)
        assert_type(current.dag_run_conf, dict[str, Any] | None)
        assert_type(current.logical_date, datetime | None)
        assert_type("project_name" in current, bool)
        if current.trigger is not None:
            assert_type(current.trigger, Trigger)
            assert_type(current.trigger.run, Run | None)
            assert_type(current.trigger.runs, list[Run] | None)
            assert_type(current.trigger.event, TriggerEvent | None)
            assert_type(current.trigger["FirstFlow"], Run | TriggerEvent)
            for event in current.trigger:
                assert_type(event.name, str)
                assert_type(event.timestamp, datetime | None)
        self.next(self.end)

    @step
    def end(self) -> None:
        """S3 and parallel calls."""
        with S3(run=self) as s3:
            assert_type(s3, S3)
            assert_type(s3.put("model", b"bytes"), str)
            assert_type(s3.put_many([("a", "text"), S3PutObject(key="b", value=b"x")]), list[tuple[str, str]])
            found = s3.get_many(["a", S3GetObject("b", 0, 10)], return_missing=True)
            assert_type(found, list[S3Object])
            for each in found:
                assert_type(each.blob, bytes | None)
                assert_type(each.text, str | None)
                assert_type(each.size, int | None)
                assert_type(each.metadata, dict[str, Any] | None)
        times: dict[str, int] = {}
        with profile("work", stats_dict=times):
            assert_type(parallel_map(square, [1, 2]), list[float])
            assert_type(parallel_imap_unordered(len, ["a"], max_parallel=2), Iterator[int])
