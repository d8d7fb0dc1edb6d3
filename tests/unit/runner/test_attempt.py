"""``run_attempt``: what is committed, and when."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.logs import read_log
from airflow_conda_flow.datastore.manifests import list_attempts, read_task_manifest
from airflow_conda_flow.records.names import TaskName

from ...parts.attempt_machine import one_step
from ...parts.damage import FILE_FAULTS, damage

LINEAR = one_step("""
    print("out")
    self.x = {"a": [1, 2]}
""")


START = TaskName("AFlow", "1", "start", "0")


def _files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_a_finished_task_leaves(make_run, datastore):
    """Manifest, artifact and log are in the datastore, and no scratch file is left."""
    run = make_run(LINEAR)
    result = run.done("start")
    stored = read_task_manifest(datastore.storage, START)
    assert stored == result.record
    assert stored.is_done
    assert stored.next_steps == ["end"]
    assert stored.started < stored.finished
    assert stored.python.startswith("3.")
    assert run.value(result, "x") == {"a": [1, 2]}
    assert read_log(datastore.storage, START.attempt(0), "stdout") == b"out\n"
    assert not list((datastore.storage.root / ".scratch").iterdir())


def test_a_failed_task_leaves_its_reason(make_run, datastore):
    """The manifest says failed and why; the log ends with the traceback; nothing reads as done."""
    run = make_run(one_step("self.x = 1; raise ValueError('no luck')"))
    exception = run.failure("start")
    assert (exception["type"], exception["message"]) == ("ValueError", "no luck")
    assert read_task_manifest(datastore.storage, START) is None
    (stored,) = list_attempts(datastore.storage, START)
    assert stored.status == "failed"
    assert stored.exception == exception
    assert stored.artifacts == {}
    log = read_log(datastore.storage, START.attempt(0), "stderr").decode()
    assert log == exception["traceback"]


def test_a_retry_is_another_attempt(make_run, tmp_path, datastore):
    """The attempt that succeeds counts; ``current.retry_count`` tells it which one it is."""
    run = make_run(one_step("self.n = current.retry_count; assert self.n == 1, 'too early'"))
    run.failure("start", attempt=0)
    run.done("start", attempt=1)
    stored = read_task_manifest(datastore.storage, START)
    assert stored.attempt == 1
    assert [each.status for each in list_attempts(datastore.storage, START)] == [
        "failed",
        "done",
    ]


def test_the_same_attempt_twice_converges(make_run, datastore):
    """Doing an attempt again gives the same artifacts and one manifest, and leaves nothing over."""
    run = make_run(LINEAR)
    first = run.done("start").record
    files = _files(datastore.storage.root)
    second = run.done("start").record
    assert second.artifacts == first.artifacts
    assert _files(datastore.storage.root) == files


def test_the_code_package_stands_for_the_folder(make_run, monkeypatch):
    """Without a code directory the step runs from the run's code package, and bytecode is kept in that."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    run = make_run(one_step("self.where, self.bytecode = __file__, __spec__.cached"))
    result = run.done("start", sources=None)
    assert not run.value(result, "where").startswith(str(run.folder))
    assert Path(run.value(result, "bytecode")).exists()


def test_an_input_that_has_not_finished(make_run):
    """A task before its inputs fails with the name of the missing one, and starts no process."""
    run = make_run(LINEAR)
    pids = []
    exception = run.failure("end", on_start=pids.append)
    assert "task AFlow/1/start/start-0 has not finished" in exception["message"]
    assert not pids


def test_a_damaged_artifact_is_not_read(make_run, datastore):
    """The step that needs it fails and says which file; it does not see wrong values."""
    run = make_run("""
class AFlow(FlowSpec):
    @step
    def start(self):
        self.x = "right" * 1000
        self.next(self.end)
    @step
    def end(self):
        print(self.x)
""")
    ref = run.done("start").record.artifacts["x"]
    path = datastore.artifacts.fetch(ref["sha256"], ref["size"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"right", b"wrong"))
    exception = run.failure("end")
    assert "is corrupt: expected sha256 " + ref["sha256"] in exception["message"]
    assert run.printed() == []


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_task_that_is_run_again_mends_its_artifact(make_run, datastore, fault):
    """The step after it reads the right bytes, whatever had become of the stored ones."""
    run = make_run("""
class AFlow(FlowSpec):
    @step
    def start(self):
        self.x = b"good " * 100_000
        self.next(self.end)
    @step
    def end(self):
        assert self.x == b"good " * 100_000
""")
    ref = run.done("start").record.artifacts["x"]
    damage(datastore.storage.local_path(layout.artifact(ref["sha256"])), fault)
    assert "Run again the task that wrote it" in run.failure("end")["message"]
    run.done("start", attempt=1)
    run.done("end", attempt=1)


def test_code_that_was_damaged_in_the_cache_is_put_right(make_run, datastore):
    """The step runs from the right code, and its log says which file was replaced."""
    run = make_run(one_step("self.where = __file__; print('right')"))
    path = Path(run.value(run.done("start", sources=None), "where"))
    damage(path, "truncated")
    run.lines.clear()
    run.done("start", sources=None)
    assert run.printed() == ["right"]
    assert run.printed("stderr") == [f"The code package in {path.parent} is damaged; replacing a_flow.py."]


def test_artifacts_are_published_while_the_step_still_pickles(make_run, datastore):
    """The first artifact is in the datastore before the second one is pickled."""
    root = datastore.storage.root / "artifacts"
    run = make_run(
        one_step(
            "self.a = 'first'; self.b = Waits()",
            before=f"""
            import pathlib, time
            class Waits:
                def __getstate__(self):
                    end = time.time() + 20
                    while not list(pathlib.Path({str(root)!r}).glob("*/*")):
                        assert time.time() < end, "nothing was published"
                        time.sleep(0.01)
                    return {{"a": 1}}
            """,
        )
    )
    run.done("start")


def test_attempts_run_side_by_side_in_one_process(make_run):
    """Threads of one process run tasks at once, and each gets its own lines and values."""
    run = make_run("""
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(8))
        self.next(self.each, foreach="items")
    @step
    def each(self):
        print("I am", self.input)
        self.square = self.input ** 2
        self.next(self.join)
    @step
    def join(self, inputs):
        self.squares = [each.square for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    run.done("start")
    lines = [[] for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: run.done("each", i, output=lambda _, text: lines[i].append(text)), range(8)))
    assert lines == [[f"I am {i}"] for i in range(8)]
    assert run.value(run.done("join"), "squares") == [i * i for i in range(8)]
    assert run.done("end").record.artifacts.keys() == {"squares"}


def test_a_manifest_is_plain_json(make_run, datastore):
    """No name of an exception or a split can make a manifest that readers refuse."""
    run = make_run("""
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["\\ud800", 10 ** 5000, float("nan"), "a\\nb", ""]
        self.huge = 10 ** 5000
        self.next(self.each, foreach="items")
    @step
    def each(self):
        print(repr(self.input)[:10] if isinstance(self.input, str) else "number")
        raise ValueError("\\ud800 \\x00")
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    started = run.done("start").record
    assert started.transition["split_names"] == ["#0", "#1", "nan", "#3", "#4"]
    exception = run.failure("each", 0)
    assert exception["message"] == "\ud800 \x00"
    path = datastore.storage.root / "flows/AFlow/1/each/0/0.json"
    assert json.loads(path.read_text("utf-8", "surrogatepass"))["exception"] == exception
