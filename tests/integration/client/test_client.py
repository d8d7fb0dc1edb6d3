"""Reading past runs."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_conda_flow import (
    DataArtifact,
    Flow,
    Metaflow,
    Run,
    Step,
    Task,
    default_namespace,
    get_metadata,
    get_namespace,
    metadata,
    namespace,
)
from airflow_conda_flow.errors import (
    ArtifactError,
    ClientError,
    CorruptData,
    InvalidPathspec,
    MissingArtifact,
    NamespaceMismatch,
    ObjectNotFound,
    SettingError,
    TaggingError,
)

from ...parts.damage import FAULTS, damage

pytestmark = pytest.mark.usefixtures("_looking")


@pytest.fixture
def good() -> Run:
    """The run that succeeded."""
    return Flow("AFlow").latest_run


@pytest.fixture
def bad() -> Run:
    """The run that failed."""
    return list(Flow("AFlow"))[-1]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_run_hides_no_other(machine, good, bad, tmp_path, caplog, fault):
    """A listing leaves a run out whose record is damaged, and says so; asked for, the run is an error."""
    store = tmp_path / "datastore"
    shutil.copytree(machine.datastore, store)
    record = store / "flows/AFlow" / good.id / "run.json"
    damage(record, fault)
    metadata(str(store))
    assert [run.id for run in Flow("AFlow")] == [bad.id]
    assert list(Flow("AFlow").runs("first"))
    assert f"Run('AFlow/{good.id}') is left out: " in caplog.text
    with pytest.raises(CorruptData, match=r"run\.json"):
        Run(f"AFlow/{good.id}")
    shutil.copytree(machine.datastore, store, dirs_exist_ok=True)
    damage(store / "flows/AFlow" / bad.id / "run.json", fault)
    assert Flow("AFlow").created_at == good.created_at


def test_runs_come_newest_first_and_by_tag(good, bad):
    """A flow's runs, those with tags, and the latest of them."""
    flow = Flow("AFlow")
    assert [run.id for run in flow] == [good.id, bad.id]
    assert flow.latest_successful_run == good
    assert list(flow.runs("first")) == [bad]
    assert list(flow.runs("both", "user:tester")) == [good, bad]
    assert list(flow.runs("both", "nothing")) == []
    assert list(Metaflow()) == [flow]
    assert Metaflow()["AFlow"].latest_run == good
    assert good.id in flow
    assert "1" not in flow
    assert flow[bad.id] == bad


def test_what_became_of_a_run(good, bad):
    """The end task says whether a run finished."""
    assert (good.finished, good.successful) == (True, True)
    assert (bad.finished, bad.successful, bad.end_task, bad.data, bad.finished_at) == (
        False,
        False,
        None,
        None,
        None,
    )
    assert good.end_task == Task(f"AFlow/{good.id}/end/0")
    now = datetime.now()  # noqa: DTZ005 - as the client gives times
    assert now - timedelta(hours=1) < good.created_at < good.finished_at < now
    assert good.runtime_name == "dev"
    assert good.origin_pathspec is None


def test_the_data_of_a_run(good):
    """``run.data.x``, ``run["step"].task.data.x``, ``task["x"].data`` and artifacts by pathspec."""
    assert good.data.z == ["xx", "yy", "zz"]
    assert good.data.alpha == 4
    assert good["start"].task.data.items == ["x", "y", "z"]
    assert good["join"].task["z"].data == good.data.z
    assert DataArtifact(f"AFlow/{good.id}/end/0/kept").data == {"z": good.data.z}
    assert sorted(each.id for each in good["start"].task) == ["alpha", "items"]
    assert good["start"].task.artifacts.alpha.data == 4
    assert good["start"].task["_private"].data == 1
    assert "z" in good.data
    assert "nope" not in good.data
    assert {"z", "kept"} <= set(dir(good.data))
    assert repr(good.data) == "<TaskData: alpha, kept, z>"
    artifact = good.end_task["z"]
    assert (artifact.size, len(artifact.sha), artifact.artifact_name) == (artifact.ref["size"], 64, "z")


def test_steps_and_tasks_of_a_run(good, bad):
    """Steps come last first, tasks in the order of their splits."""
    assert [step.id for step in good] == ["end", "join", "body", "start"]
    assert [step.id for step in good.steps("both")] == ["end", "join", "body", "start"]
    assert list(good.steps("first")) == []
    tasks = list(good["body"].tasks())
    assert [task.id for task in tasks] == ["body-0", "body-1", "body-2"]
    assert [task.index for task in tasks] == [0, 1, 2]
    assert good["start"].task.index is None
    assert good["body"].task == tasks[0]
    assert "body" in good
    assert "end" not in bad
    assert [step.id for step in good["body"].parent_steps] == ["start"]
    assert [step.id for step in good["body"].child_steps] == ["join"]
    assert list(bad["body"].child_steps) == []
    assert good["body"].created_at <= good["body"].finished_at


def test_tasks_before_and_after_a_task(good, bad):
    """The graph and the manifests say which."""
    body = Task(f"AFlow/{good.id}/body/1")
    assert [task.pathspec for task in body.parent_tasks] == [f"AFlow/{good.id}/start/start-0"]
    assert list(body.child_task_pathspecs) == [f"AFlow/{good.id}/join/join-0"]
    assert [task.id for task in good["join"].task.parent_tasks] == ["body-0", "body-1", "body-2"]
    assert [task.id for task in good["start"].task.child_tasks] == ["body-0", "body-1", "body-2"]
    assert list(good["start"].task.parent_tasks) == []
    assert list(good.end_task.child_tasks) == []
    assert list(bad["body"]["0"].child_tasks) == []


def test_a_task_that_failed(bad):
    """It is there, with its exception and what it printed."""
    task = bad["body"]["1"]
    assert (task.finished, task.successful, task.current_attempt) == (False, False, 0)
    assert (task.exception.type, task.exception.exception) == ("ValueError", "boom")
    assert 'raise ValueError("boom")' in str(task.exception)
    assert task.stderr.startswith("err of y\n")
    assert "ValueError: boom" in task.stderr
    assert bad["body"]["0"].exception is None


def test_what_a_task_printed(good):
    """As one text, and line by line with the time of each."""
    task = good["body"]["2"]
    assert task.stdout == "out of z\n"
    assert task.stderr == "err of z\n"
    assert task.stdout_size == len("out of z\n")
    ((moment, line),) = task.loglines("stdout")
    assert line == "out of z"
    assert task.created_at <= moment <= task.finished_at
    assert [line for _, line in task.loglines("stderr", as_unicode=False)] == [b"err of z"]
    assert good["start"].task.stdout == ""
    with pytest.raises(InvalidPathspec):
        list(task.loglines("stdlog"))


def test_attempts_of_a_task(good):
    """An attempt is named by its number; one that was not made does not exist."""
    first = Task(f"AFlow/{good.id}/body/0", attempt=0)
    assert first.data.y == "xx"
    assert repr(first) == f"Task('AFlow/{good.id}/body/body-0', attempt=0)"
    with pytest.raises(ObjectNotFound, match="attempt=1"):
        Task(f"AFlow/{good.id}/body/0", attempt=1)
    with pytest.raises(ClientError, match="only a Task or a DataArtifact takes attempt="):
        Run(good.pathspec, attempt=0)


def test_the_code_of_a_run(good, tmp_path):
    """The flow file and the rest of the package."""
    assert "class AFlow(FlowSpec)" in good.code.flowspec
    assert good.code.script_name == "a_flow.py"
    assert good.code.files == ["a_flow.py"]
    assert good.end_task.code.sha256 == good.code.sha256
    assert good.code.tarball.getnames() == ["a_flow.py"]
    with good.code.extract() as folder:
        assert Path(folder, "a_flow.py").read_text() == good.code.flowspec


def test_metadata_of_a_task(good):
    """Facts under the names that the field uses."""
    facts = good["body"]["1"].metadata_dict
    assert facts["attempt"] == "0"
    assert facts["attempt_ok"] == "True"
    assert facts["user"] == "tester"
    assert facts["ds-type"] == "local"
    assert facts["script-name"] == "a_flow.py"
    assert facts["split-name"] == "y"
    assert good.end_task.metadata[0].task == good.end_task
    assert good.end_task.environment is None
    assert good.end_task.environment_info is None


def test_the_system_tags(good):
    """Who, with what and when."""
    assert {"user:tester", "runtime:dev", f"python_version:{sys.version.split()[0]}"} <= good.system_tags
    created = good.created_at.astimezone(timezone.utc)
    assert f"date:{created:%Y-%m-%d}" in good.system_tags
    assert any(tag.startswith("airflow_conda_flow_version:") for tag in good.system_tags)
    assert good.user_tags == {"both"}
    assert good.tags == good.user_tags | good.system_tags
    assert good["start"].task.tags == good.tags
    assert Flow("AFlow").tags == frozenset()


def test_tags_are_added_removed_and_replaced(good):
    """Each is one change, seen by who reads the run again."""
    good.add_tag("a")
    good.add_tags(["b", "c"])
    good.remove_tag(["c", "not there"])
    good.replace_tag("b", "d")
    good.replace_tags(["a"], ["e", "f"])
    assert good.user_tags == {"both", "d", "e", "f"}
    assert Run(good.pathspec).user_tags == good.user_tags
    good.add_tag("user:tester")
    good.remove_tags(["d", "e", "f"])
    assert Run(good.pathspec).user_tags == {"both"}
    assert next(Flow("AFlow").runs("both")) == good


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([""], "must not be empty"),
        (["x" * 501], "at most 500 characters"),
        (["a\nb"], "no line breaks"),
        (3, "got 3"),
        ([3], "a int"),
    ],
)
def test_tags_that_are_none(good, tags, message):
    """Each is refused, and nothing is changed."""
    with pytest.raises(TaggingError, match=message):
        good.add_tag(tags)
    assert Run(good.pathspec).user_tags == {"both"}


def test_system_tags_stay(good):
    """Nobody can take them away."""
    with pytest.raises(TaggingError, match="user:tester: system tags cannot be removed"):
        good.remove_tag("user:tester")


def test_tags_that_are_added_at_once_are_all_kept(good):
    """Thirty writers, none of which knows of the others."""
    wanted = {f"t{number}" for number in range(30)}

    def add(tag: str) -> None:
        Run(good.pathspec).add_tag(tag)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add, wanted))
    assert wanted <= Run(good.pathspec).user_tags
    good.remove_tags(wanted)
    assert Run(good.pathspec).user_tags == {"both"}


def test_the_namespace(good, bad):
    """The current user's by default; a tag; None for all."""
    assert get_namespace() == "user:tester"
    assert namespace("user:other") == "user:other"
    with pytest.raises(NamespaceMismatch, match="'user:other'"):
        Run(good.pathspec)
    with pytest.raises(NamespaceMismatch):
        Flow("AFlow")
    with pytest.raises(NamespaceMismatch):
        Task(f"{good.pathspec}/end/0")
    assert list(Metaflow()) == []
    assert good.data.z == ["xx", "yy", "zz"]  # what was selected when it was made holds
    assert namespace(None) is None
    assert Flow("AFlow").latest_run == good
    namespace("first")
    flow = Flow("AFlow")
    assert list(flow) == [bad]
    assert good.id in flow
    with pytest.raises(NamespaceMismatch, match="'first'"):
        print(flow[good.id])
    assert flow.created_at == bad.created_at
    good.add_tag("second")
    namespace("second")
    assert list(Flow("AFlow")) == [good]
    assert Flow("AFlow").created_at == bad.created_at  # that of the flow, whoever ran it
    good.remove_tag("second")
    assert default_namespace() == "user:tester"


def test_pathspecs_that_are_wrong(good):
    """Each says what to write."""
    for kind, pathspec, expected in [
        (Flow, "AFlow/1", "Flow('FlowName')"),
        (Flow, "", "Flow('FlowName')"),
        (Run, "AFlow", "Run('FlowName/RunID')"),
        (Step, "AFlow/1", "Step('FlowName/RunID/StepName')"),
        (Task, "AFlow/1//0", "Task('FlowName/RunID/StepName/TaskID')"),
        (DataArtifact, 3, "DataArtifact('FlowName/RunID/StepName/TaskID/ArtifactName')"),
    ]:
        with pytest.raises(InvalidPathspec) as raised:
            kind(pathspec)
        assert expected in str(raised.value)


def test_what_is_not_there(good):
    """Each kind says that it does not exist, and where."""
    for make in [
        lambda: Run("AFlow/99"),
        lambda: Step(f"{good.pathspec}/nope"),
        lambda: Step("AFlow/99/start"),
        lambda: Task(f"{good.pathspec}/start/9"),
        lambda: DataArtifact(f"{good.pathspec}/start/0/nope"),
    ]:
        with pytest.raises(ObjectNotFound, match="does not exist in local@/"):
            make()
    with pytest.raises(ObjectNotFound, match="Did you mean 'AFlow'"):
        Flow("AFlo")
    with pytest.raises(KeyError, match="Did you mean 'start'"):
        print(good["strat"])
    with pytest.raises(KeyError):
        print(good[""])
    with pytest.raises(KeyError, match="It has: alpha, items"):
        print(good["start"].task["nope"])
    with pytest.raises(MissingArtifact, match="It has: alpha, kept, z"):
        print(good.data.nope)
    assert not hasattr(good.data, "nope")


def test_objects_pickle(good, machine):
    """Unpickled objects read the same datastore, whatever is selected there."""
    objects = [Flow("AFlow"), good, good["body"], good["body"]["1"], good["body"]["1"]["y"], good.data]
    data = pickle.dumps(objects)
    metadata(str(machine.home / "other"))
    namespace("user:other")
    flow, run, step, task, artifact, values = pickle.loads(data)
    assert [flow, run, step, task, artifact] == objects[:-1]
    assert flow.latest_run == run
    assert (run.data.z, [each.id for each in step], task.data.y, artifact.data) == (
        ["xx", "yy", "zz"], ["body-0", "body-1", "body-2"], "yy", "yy",
    )  # fmt: skip
    assert values.z == run.data.z
    assert hash(task) == hash(objects[3])


def test_the_datastore_is_chosen(machine, tmp_path, monkeypatch):
    """By the settings, or by a name; the name says which it is."""
    assert get_metadata() == f"local@{machine.datastore}"
    assert metadata(str(tmp_path)) == f"local@{tmp_path}"
    assert list(Metaflow()) == []
    assert metadata(f"local@{machine.datastore}") == f"local@{machine.datastore}"
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", str(tmp_path))
    assert metadata("local") == f"local@{tmp_path}"
    with pytest.raises(SettingError, match="names no datastore"):
        metadata("nonsense")
    assert get_metadata() == f"local@{tmp_path}"


def test_a_value_that_cannot_be_read_here(machine):
    """The message names the artifact, its type, and what is missing."""
    flow = machine.flow(
        """
import beside
class BFlow(FlowSpec):
    @step
    def start(self):
        self.thing = beside.Thing()
        self.next(self.end)
    @step
    def end(self):
        pass
""",
        folder=machine.home / "b",
        name="b_flow.py",
    )
    flow.write_text(flow.read_text().replace("AFlow()", "BFlow()"))
    (flow.parent / "beside.py").write_text("class Thing: pass\n")
    assert machine.run(flow, "run").returncode == 0
    run = Flow("BFlow").latest_run
    with pytest.raises(
        ArtifactError, match=r"/start/start-0/thing'\), a beside.Thing, cannot be read here: No module"
    ):
        print(run["start"].task.data.thing)
    assert run.code.files == ["b_flow.py", "beside.py"]


def test_the_facade_is_lazy():
    """Importing the package loads nothing of the client; using a name does."""
    program = (
        "import sys, airflow_conda_flow as a\n"
        "loaded = [n for n in sys.modules if n.startswith('airflow_conda_flow.client')]\n"
        "assert loaded == [], loaded\n"
        "from airflow_conda_flow import Flow, Run\n"
        "assert Flow.__name__ == 'Flow' and 'Task' in dir(a)\n"
        "assert not {'boto3', 'airflow', 'rattler', 'kubernetes'} & set(sys.modules)\n"
        "for name in a.__all__: getattr(a, name)\n"
        "try: a.nope\n"
        "except AttributeError: print('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
