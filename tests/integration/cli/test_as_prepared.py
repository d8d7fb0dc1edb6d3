"""A step that may write the datastore changes what its own run executes next; the launching process notices."""

from __future__ import annotations

import json
import re

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.records.document import stored_bytes

from ...parts.flow_machine import Machine

# The step writes as an intruder would: documents that are valid, under the keys that later steps read.
FLOW = '''
import hashlib, json, os, pathlib
from airflow_conda_flow import catch, retry

def reseal(path, change):
    """Change a document, and give it the right checksum."""
    document = json.loads(path.read_text())
    document.pop("checksum")
    change(document)
    rest = json.dumps(document, sort_keys=True, separators=(",", ":"))[:-1]
    path.unlink()
    path.write_text(rest + ',"checksum":"%s"}' % hashlib.sha256(rest.encode()).hexdigest())

class AFlow(FlowSpec):
    poison = Parameter("poison", default="")

    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        home = pathlib.Path(os.environ["HOME"], ".airflow-conda-flow")
        run = home / "datastore/flows/AFlow" / current.run_id
        if self.input == 2 and self.poison == "lock":
            for path in (home / "cache/environments").glob("*/*.lock"):
                reseal(path, lambda lock: lock["packages"][0].update(url="https://evil.example/"))
        if self.input == 2 and self.poison == "manifest":
            reseal(run / "start/0/0.json", lambda task: task.update(split_name="evil"))
        if self.input == 2 and self.poison == "record":
            reseal(run / "run.json", lambda record: record.update(environments={}))
        self.next(self.join)
    @retry(times=2)
    @catch(var="why")
    @conda(libraries={"six": "1.16.0"})
    @step
    def join(self, inputs):
        import six
        print("JOIN RAN", six.__version__)
        self.next(self.end)
    @step
    def end(self):
        pass
'''
LOCK = r"The lock \S+\.lock is not what this run was prepared with: its sha256 is \w+, expected \w+\. Nothing was run"
MANIFEST = r"A manifest in the datastore is not the one that its task in this run wrote: \S+/body/0/0\.json, "


@pytest.fixture
def machine(tmp_path, channel) -> Machine:
    """A machine that reaches the channel."""
    return Machine(tmp_path / "home", channel.url)


@pytest.mark.parametrize(("poison", "line"), [("lock", LOCK), ("manifest", MANIFEST)])
def test_what_another_wrote_is_refused(machine, poison, line):
    """In one line, with exit code 1; neither @retry nor @catch goes on."""
    flow = machine.flow(FLOW.replace("    @conda", "    @conda" if poison == "lock" else "    #"))
    words = ("--environment=conda",) if poison == "lock" else ()
    done = machine.run(flow, *words, "run", "--poison", poison, "--max-workers", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(re.findall(line, done.stdout)) == 1, done.stdout
    assert "JOIN RAN" not in done.stdout
    assert "retry" not in done.stdout.partition("/join/0")[2]
    assert "Traceback" not in done.stdout


def test_the_launching_process_holds_the_record(machine):
    """A `run.json` that another program writes while the run goes on decides nothing."""
    flow = machine.flow(
        FLOW.replace("    @conda", "    #").replace("import six", "").replace(", six.__version__", "")
    )
    done = machine.run(flow, "run", "--poison", "record")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "JOIN RAN" in done.stdout


RESUMED = """
class AFlow(FlowSpec):
    fails = Parameter("fails", default=False)
    @step
    def start(self):
        self.x, self.y = "good", "evil"
        self.next(self.end)
    @step
    def end(self):
        if self.fails:
            raise ValueError("on purpose")
        print("END RAN", self.x)
"""


@pytest.fixture
def s3_machine(tmp_path, moto_s3, monkeypatch) -> tuple[Machine, S3Storage]:
    """A machine with a datastore in S3, and the datastore's storage."""
    moto_s3.use(monkeypatch)
    root = moto_s3.make_root()
    environ = {**moto_s3.environment, "CONDA_FLOW_DATASTORE": "s3", "CONDA_FLOW_DATASTORE_ROOT": root}
    return Machine(tmp_path / "home", **environ), S3Storage(root)


def test_a_run_from_elsewhere_is_named_by_its_id(s3_machine, tmp_path):
    """Anybody who may write the datastore can put one there under this user's name."""
    machine, _ = s3_machine
    flow, ids = machine.flow(RESUMED), machine.home / "id"
    words = ("run", "--fails", "True", "--run-id-file", str(ids))
    assert machine.run(flow, *words).returncode == 1
    own = ids.read_text()
    other, fresh = Machine(tmp_path / "other"), Machine(tmp_path / "fresh")
    for each in (other, fresh):
        each.environ = {**machine.environ, **each.environ}
    assert other.run(flow, *words).returncode == 1
    foreign = ids.read_text()
    for command, option in (("resume", "--origin-run-id"), ("spin end", "RUN_ID/STEP/TASK_ID")):
        done = machine.run(flow, *command.split())
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            f"Your latest run of AFlow, {foreign}, was not started on this machine, and the latest that was is {own}. "
            f"Say which of them you mean with {option}."
        )
    for words in (
        ("resume", "--origin-run-id", foreign),
        ("resume",),
    ):  # the latter: what was just started here
        done = machine.run(flow, *words)
        assert "ValueError: on purpose" in done.stdout + done.stderr
    assert "ValueError: on purpose" in fresh.run(flow, "resume").stdout


def test_resume_compares_the_run_with_what_its_machine_remembers(s3_machine):
    """A task's manifest or the run's record that another has written since; another machine takes what there is."""
    machine, storage = s3_machine
    flow, ids = machine.flow(RESUMED), machine.home / "id"
    assert machine.run(flow, "run", "--fails", "True", "--run-id-file", str(ids)).returncode == 1
    run_id = ids.read_text()
    keys = [f"flows/AFlow/{run_id}/start/0/0.json", f"flows/AFlow/{run_id}/run.json"]
    right = {key: storage.read_bytes(key) for key in keys}

    def resume(**environ: str) -> str:
        done = machine.run(flow, "resume", "--origin-run-id", run_id, **environ)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    assert "ValueError: on purpose" in resume()
    task = json.loads(right[keys[0]])
    del task["checksum"]
    task["artifacts"]["x"] = task["artifacts"]["y"]
    storage.write_bytes(keys[0], stored_bytes(task))
    text = resume()
    assert re.search(
        rf"{keys[0]} in the datastore \S+ is not what its task wrote: its sha256 is \w+, and this machine "
        r"remembers \w+\. Nothing was run\.",
        text,
    ), text
    assert "ValueError" not in text
    other = {"CONDA_FLOW_CACHE_DIR": str(machine.home / "another")}
    assert "ValueError: on purpose" in resume(**other)
    # A kill may cut a line, which then says nothing.
    (memory,) = machine.cache.glob(f"runs/*/AFlow/{run_id}")
    text = memory.read_text()
    memory.write_text(text[: text.index("\nend-0 started") - 10])
    assert "ValueError: on purpose" in resume()
    storage.write_bytes(keys[0], right[keys[0]])
    record = json.loads(right[keys[1]])
    del record["checksum"]
    record["parameters"] = {}
    storage.write_bytes(keys[1], stored_bytes(record))
    assert f"{keys[1]} in the datastore {storage.url} is not what this run was prepared with" in resume()


FORGED = """
class AFlow(FlowSpec):
    fails = Parameter("fails", default=False)
    word = Parameter("word", default="good")
    @step
    def start(self):
        self.x = self.word
        self.next(self.middle)
    @step
    def middle(self):
        import os
        if os.environ.get("FAILS"):
            raise ValueError("on purpose")
        self.next(self.end)
    @step
    def end(self):
        print("END RAN", self.x)
"""


@pytest.mark.parametrize("way", ["failed", "superseded", "never started"])
def test_resume_takes_no_task_for_done_that_its_machine_has_not_seen_end(s3_machine, way):
    """One that has failed, or has never started, as another has written it since: it runs again."""
    machine, storage = s3_machine
    flow, ids = machine.flow(FORGED), machine.home / "id"
    assert machine.run(flow, "run", "--word", "evil", "--run-id-file", str(ids)).returncode == 0
    other = ids.read_text()
    assert machine.run(flow, "run", "--run-id-file", str(ids), FAILS="1").returncode == 1
    run_id = ids.read_text()

    def forge(step: str, attempt: int = 0, **changes: object) -> None:
        task = json.loads(storage.read_bytes(f"flows/AFlow/{other}/{step}/0/0.json"))
        del task["checksum"]
        task.update(run_id=run_id, attempt=attempt, **changes)
        storage.write_bytes(f"flows/AFlow/{run_id}/{step}/0/{attempt}.json", stored_bytes(task))

    if way == "superseded":
        forge("middle", superseded_by=1)
        forge("middle", 1)
    else:
        forge("middle")
        if way == "never started":
            forge("end")
            memory = next(machine.cache.glob(f"runs/*/AFlow/{run_id}"))
            memory.write_text(memory.read_text().replace("middle-0 failed\n", ""))  # killed before it ended
    done = machine.run(flow, "resume", "--origin-run-id", run_id)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    lines = [line for line in text.splitlines() if "has not seen that. It runs again." in line]
    assert len(lines) == 1, text
    word = {"never started": "evil"}.get(way, "good")  # nothing tells what a killed process has not noted
    assert f"END RAN {word}" in text
