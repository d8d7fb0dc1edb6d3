"""Programs that read past runs and start runs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from typing_extensions import assert_type

import airflow_conda_flow
from airflow_conda_flow import (
    DataArtifact,
    Flow,
    Metaflow,
    NBRunner,
    Run,
    Runner,
    Step,
    Task,
    get_namespace,
    metadata,
    namespace,
)
from airflow_conda_flow.cards import get_cards
from airflow_conda_flow.client.run_code import RunCode
from airflow_conda_flow.client.task_cards import TaskCard, TaskCards
from airflow_conda_flow.client.task_data import TaskData
from airflow_conda_flow.client.task_exception import TaskException
from airflow_conda_flow.exception import MetaflowNotFound
from airflow_conda_flow.launch.executing import ExecutingRun, ExecutingTask


def loop() -> None:
    """From flows down to artifacts and up again."""
    namespace(None)
    assert_type(metadata("local"), str)
    assert_type(get_namespace(), str | None)
    for flow in Metaflow():
        assert_type(flow, Flow)
        assert_type(flow.parent, None)
        for run in flow:
            assert_type(run, Run)
            assert_type(run.parent, Flow)
            for each_step in run:
                assert_type(each_step, Step)
                assert_type(each_step.parent, Run)
                for task in each_step:
                    assert_type(task, Task)
                    assert_type(task.parent, Step)
                    for artifact in task:
                        assert_type(artifact, DataArtifact)
                        assert_type(artifact.parent, Task)
                        assert_type(artifact.data, Any)
                        assert_type(artifact.sha, str)
                        assert_type(artifact.created_at, datetime)


def look_up() -> None:
    """By name, and what each kind knows."""
    flow = Flow("TrainFlow")
    assert_type(flow["1"], Run)
    assert_type(flow["1"]["start"], Step)
    assert_type(flow["1"]["start"]["0"], Task)
    assert_type(flow["1"]["start"]["0"]["model"], DataArtifact)
    assert_type(flow.latest_run, Run | None)
    assert_type(flow.latest_successful_run, Run | None)
    assert_type(flow.runs("good"), Iterator[Run])
    run = Run("TrainFlow/1")
    assert_type(run.successful, bool)
    assert_type(run.finished_at, datetime | None)
    assert_type(run.tags, frozenset[str])
    assert_type(run.code, RunCode)
    assert_type(run.code.tarball.getnames(), list[str])
    assert_type(run.data, TaskData | None)
    assert_type(run.end_task, Task | None)
    if run.data is not None:
        print(run.data.model)
    run.add_tag("good")
    run.replace_tags(["a"], ["b"])
    task = Step("TrainFlow/1/start").task
    if task is not None:
        assert_type(task.stdout, str)
        assert_type(task.exception, TaskException | None)
        if task.exception is not None:
            assert_type(task.exception.type, str)
            assert_type(task.exception.stacktrace, str)
        if task.environment is not None:
            assert_type([package.version for package in task.environment.packages], list[str])
        assert_type(task.parent_tasks, Iterator[Task])
        assert_type(task.metadata_dict, dict[str, str])
        assert_type([fact.name for fact in task.metadata], list[str])
        assert_type(task.loglines("stdout"), Iterator[tuple[datetime | None, str]])
        assert_type(task.loglines("stderr", as_unicode=False), Iterator[tuple[datetime | None, bytes]])
        assert_type(get_cards(task), TaskCards)
        for each in get_cards(task, type="default"):
            assert_type(each, TaskCard)
            assert_type(each.get(), str)


async def launch() -> None:
    """Runs that a program starts."""
    with Runner("flow.py", environment="conda", env={"A": "b"}).run(alpha=1) as running:
        assert_type(running, ExecutingRun)
        assert_type(running.run, Run)
        assert_type(running.status, str)
        assert_type(running.returncode, int | None)
    started = await Runner("flow.py").async_run(tags=["a"])
    assert_type(await started.wait(timeout=5), ExecutingRun)
    async for position, line in started.stream_log("stdout"):
        assert_type(position, int)
        assert_type(line, str)
    assert_type(Runner("flow.py").spin("start"), ExecutingTask)
    assert_type(NBRunner(airflow_conda_flow.FlowSpec).nbrun(), Run)


def modules() -> None:
    """The modules of the package are attributes of it."""
    assert_type(airflow_conda_flow.client.Flow("F"), Flow)
    assert_type(airflow_conda_flow.cards.Markdown("x").to_dict(), dict[str, Any])
    try:
        Run("TrainFlow/2")
    except MetaflowNotFound as error:
        print(error, airflow_conda_flow.exception.MetaflowNotFound)
