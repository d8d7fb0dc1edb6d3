"""Runs single attempts of a flow in this process, one after the other, as a scheduler would."""

from __future__ import annotations

import importlib.util
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.attempt import run_attempt
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.fork_servers import ForkServers
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.runtime import pickling
from airflow_conda_flow.settings.loading import load_settings

IMPORTS = "from airflow_conda_flow import FlowSpec, JSONType, Parameter, conda, conda_base, current, step\n"
PYENV = Path("~/.pyenv/versions").expanduser()


def old_python(minor: str) -> str | None:
    """The path of an interpreter of that minor version, such as ``3.6``, or None."""
    found = sorted(PYENV.glob(f"{minor}.*/bin/python"))
    return str(found[0]) if found else None


class AttemptMachine:
    """One prepared run of a flow ``AFlow``.

    Attributes:
        datastore: where the run is.
        folder: the folder of the flow file.
        manifest: the document of the run's record; a test may change it, and None has it read.
        lines: (stream, line) of everything that attempts printed.
        servers: the fork servers of its attempts; None has each start its interpreter.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        datastore: Datastore,
        parameters: dict[str, Any] | None = None,
        name: str = "a_flow.py",
    ) -> None:
        self.datastore = datastore
        self.folder = folder
        self.lines: list[tuple[str, str]] = []
        self.servers: ForkServers | None = None
        self.environments = Environments(datastore.cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / name
        file.write_text(IMPORTS + textwrap.dedent(text), encoding="utf-8")
        self.manifest = prepare_run(
            read_flow(load_flow_module(file).AFlow),
            datastore=datastore,
            environments=self.environments,
            settings=load_settings({"channels": "unused"}, environ={}),
            platforms={},
            run_id="1",
            parameters=parameters or {},
            origin="local",
            environment="local",
        ).document

    def attempt(self, step: str, *indices: int, attempt: int = 0, **options: Any) -> TaskResult:
        """Run one attempt to its end, however it ends.

        Args:
            step: the step.
            indices: the index path.
            attempt: the number of the attempt.
            options: ``python``, ``sources``, ``tells``, ``output``, ``cancel``, ``on_start``.
        """
        request = TaskRequest(
            "AFlow",
            "1",
            step,
            indices,
            attempt,
            options.pop("sources", CodeSources(self.folder)),
            None if self.manifest is None else RunRecord(self.manifest),
            options.pop("python", None),
            tells=options.pop("tells", False),
        )
        output = options.pop("output", lambda stream, line: self.lines.append((stream, line)))
        options.setdefault("cancel", threading.Event())
        options.setdefault("servers", self.servers)
        return run_attempt(request, self.datastore, self.environments, output, **options)

    def done(self, step: str, *indices: int, **options: Any) -> TaskResult:
        """Run an attempt that must succeed."""
        result = self.attempt(step, *indices, **options)
        assert result.ok, result.exception["traceback"]
        return result

    def failure(self, step: str, *indices: int, **options: Any) -> dict[str, Any]:
        """Run an attempt that must fail; returns its exception."""
        result = self.attempt(step, *indices, **options)
        assert not result.ok
        return result.exception

    def value(self, result: TaskResult, name: str) -> Any:
        """The value of an artifact of a finished attempt."""
        ref = result.record.artifacts[name]
        return pickling.load_from_file(str(self.datastore.artifacts.fetch(ref["sha256"], ref["size"])))

    def printed(self, stream: str = "stdout") -> list[str]:
        """The lines of one stream."""
        return [line for name, line in self.lines if name == stream]


def one_step(body: str, before: str = "") -> str:
    """A flow whose ``start`` does this and goes on to an empty ``end``."""
    return f"""{textwrap.dedent(before)}
class AFlow(FlowSpec):
    @step
    def start(self):
{textwrap.indent(textwrap.dedent(body).strip(), " " * 8)}
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def load_flow_module(file: Path) -> Any:
    """The module of a flow file."""
    spec = importlib.util.spec_from_file_location("flow_under_test", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def datastore(tmp_path) -> Datastore:
    """An empty local datastore."""
    return open_datastore("local", tmp_path / "root", tmp_path / "cache")


@pytest.fixture
def make_run(tmp_path, datastore) -> Callable[..., AttemptMachine]:
    """Prepares a run of a flow of that text."""

    def make(text: str, **options) -> AttemptMachine:
        return AttemptMachine(tmp_path / "code", text, options.pop("datastore", datastore), **options)

    return make


@pytest.fixture(params=["interpreter", "fork"])
def make_run_either_way(request, make_run) -> Iterator[Callable[..., AttemptMachine]]:
    """As ``make_run``; step processes are interpreters of their own, or forked by a server."""
    with closing(ForkServers(alone=0)) as servers:

        def make(text: str, **options) -> AttemptMachine:
            run = make_run(text, **options)
            run.servers = servers if request.param == "fork" else None
            return run

        yield make
