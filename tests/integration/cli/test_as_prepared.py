"""A step that may write the datastore changes what its own run executes next; the launching process notices."""

from __future__ import annotations

import re

import pytest

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
    """What another writes to `run.json` while the run goes on decides nothing."""
    flow = machine.flow(
        FLOW.replace("    @conda", "    #").replace("import six", "").replace(", six.__version__", "")
    )
    done = machine.run(flow, "run", "--poison", "record")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "JOIN RAN" in done.stdout
