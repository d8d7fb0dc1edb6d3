"""``environment``: what is resolved, without a run, and what becomes of a lock."""

from __future__ import annotations

import re
import shutil

import pytest

from airflow_conda_flow.environments.environment_file import read_environment_file
from airflow_conda_flow.environments.platform import current_platform

from ...parts.flow_machine import Machine

FLOW = """
class AFlow(FlowSpec):
    @conda(libraries={"six": "SIX"})
    @step
    def start(self):
        import six
        print("six", six.__version__)
        self.next(self.mid)
    @conda(libraries={"six": "SIX"})
    @step
    def mid(self):
        self.next(self.end)
    @conda(disabled=True)
    @step
    def end(self):
        pass
"""


@pytest.fixture
def machine(tmp_path, channel) -> Machine:
    """A machine with the test channel and the flow."""
    machine = Machine(tmp_path / "home", channel.url)
    machine.file = machine.flow(FLOW.replace("SIX", "1.16.0"))
    return machine


def _said(machine: Machine, *words: str, code: int = 0):
    done = machine.run(machine.file, *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_environments_are_resolved_without_a_run(machine, channel):
    """They are locked and fetched; after that nothing asks the channel, and nothing was installed."""
    before = _said(machine, "environment", "show", code=1)
    assert "The environment of step start for" in before.stderr
    assert "is not resolved" in before.stderr
    done = _said(machine, "environment", "resolve")
    pattern = r"Step start: Python 3\.\d+\.\d+, \S+, \d+ packages, \d+\.\d MB, environment [0-9a-f]{12}"
    assert re.fullmatch(pattern, done.stdout.splitlines()[0])
    assert done.stdout.splitlines()[2] == "Step end: no environment of its own"
    assert not (machine.cache / "prefixes").exists()
    channel.stop()
    shown = _said(machine, "environment", "show").stdout
    assert shown.startswith("Steps start, mid: Python 3.")
    row = next(line for line in shown.splitlines() if line.strip().startswith("six"))
    assert re.fullmatch(rf"    six \* +1\.16\.0 +\S+ +\d+\.\d MB +{re.escape(channel.url)}\S*", row)
    assert "Step end: no environment of its own" in shown
    assert "Steps" not in _said(machine, "environment", "show", "end").stdout
    run = _said(machine, "--environment=conda", "run")
    assert "] six 1.16.0" in run.stdout


def test_the_list_of_environments(machine):
    """One line each: id, platform, packages, sizes, whether it is installed."""
    assert _said(machine, "environment", "list").stdout == ""
    _said(machine, "environment", "resolve")
    listed = _said(machine, "environment", "list").stdout
    assert re.fullmatch(
        rf"[0-9a-f]{{12}}  {current_platform()} .* packages .* MB  not installed .*six 1\.16\.0.*\n", listed
    )
    _said(machine, "--environment=conda", "run")
    assert re.search(r"  installed \d+\.\d MB  ", _said(machine, "environment", "list").stdout)


@pytest.mark.parametrize(("kind", "name"), [("explicit", "spec.txt"), ("pixi", "pixi.lock")])
def test_a_lock_is_exported_and_taken_again(machine, kind, name):
    """Both files name every package with its sha256, and make the same environment."""
    _said(machine, "environment", "resolve")
    _said(machine, "environment", "export", "start", "--format", kind, "--output", name)
    read = read_environment_file(machine.home / name, current_platform())
    shown = _said(machine, "environment", "show", "start").stdout
    assert len(read.pinned) == int(re.search(r"(\d+) packages", shown)[1])
    assert {len(each.sha256) for each in read.pinned} == {64}
    machine.file.write_text(machine.file.read_text().replace('libraries={"six": "1.16.0"}', f'file="{name}"'))
    done = machine.run(machine.file, "--environment=conda", "run")
    assert "] six 1.16.0" in done.stdout, done.stdout + done.stderr


def test_what_can_go_wrong(machine):
    """Each is one message, and usage errors exit 2."""
    for words, code, message in [
        (("export",), 1, "is not resolved"),
        (("resolve", "strat"), 2, "AFlow has no step 'strat'. Did you mean 'start'?"),
        (("show", "--run-id", "9"), 1, "There is no run '9' of AFlow"),
        (("diff", "9", "8"), 1, "There is no run '9' of AFlow"),
        (("export", "end"), 2, "no environment to export: the step runs in this interpreter"),
        (("shwo",), 2, "no such command: shwo. Did you mean show?"),
    ]:
        assert message in _said(machine, "environment", *words, code=code).stderr
    _said(machine, "environment", "resolve")
    assert "@EXPLICIT\n" in _said(machine, "environment", "export").stdout
    pixi = _said(machine, "environment", "export", "--format", "pixi", code=2)
    assert "--format pixi takes --output FILE" in pixi.stderr
    file = _said(machine, "environment", "export", "--output", "no/such/x", code=1)
    assert "--output no/such/x cannot be written" in file.stderr
    machine.file.write_text(machine.file.read_text().replace('"1.16.0"})\n    @step\n    def mid', '"1.17.0"})\n    @step\n    def mid'))  # fmt: skip
    _said(machine, "environment", "resolve")
    assert (
        "the steps have 2 environments (start; mid); name one step"
        in _said(machine, "environment", "export", code=2).stderr
    )


def test_an_environment_is_rebuilt(machine, channel):
    """Damage to the prefix is repaired; the lock is as it was, and no channel is needed."""
    _said(machine, "--environment=conda", "run")
    (prefix,) = (path for path in (machine.cache / "prefixes").iterdir() if path.is_dir())
    (six,) = prefix.glob("lib/python*/site-packages/six.py")
    six.unlink()
    lock = {path: path.read_bytes() for path in (machine.cache / "environments").rglob("*.lock")}
    channel.stop()
    done = _said(machine, "environment", "rebuild", "start")
    assert f"    rebuilt in {prefix}\n" in done.stdout
    assert "] six 1.16.0" in _said(machine, "--environment=conda", "run").stdout
    assert {path: path.read_bytes() for path in lock} == lock
    shutil.rmtree(prefix)


def test_an_environment_is_verified(machine):
    """Sound environments are said to be so; every file that differs is named, and the exit code is 1."""
    _said(machine, "environment", "resolve")
    assert "not installed" in _said(machine, "environment", "verify").stdout
    _said(machine, "--environment=conda", "run")
    assert "as its packages have it, in " in _said(machine, "environment", "verify").stdout
    (six,) = (machine.cache / "prefixes").glob("*/lib/python*/site-packages/six.py")
    six.chmod(0o644)
    six.write_bytes(six.read_bytes() + b"#")
    said = _said(machine, "environment", "verify", "start", code=1)
    assert said.stdout.splitlines()[1].endswith("site-packages/six.py was changed")
    line = said.stderr.splitlines()[-1]
    assert line.startswith("Make it again: ")
    assert line.endswith(f" {machine.file} environment rebuild")
    assert "Making again, to compare it, the environment " in said.stderr
    _said(machine, "environment", "rebuild")
    _said(machine, "environment", "verify")


def test_what_differs_between_two_runs(machine):
    """Step by step: packages that came, went and changed."""
    _said(machine, "--environment=conda", "run", "--run-id-file", "one")
    machine.file.write_text(machine.file.read_text().replace('"1.16.0"})\n    @step\n    def mid', '"1.17.0"})\n    @step\n    def mid').replace("@conda(disabled=True)", "@conda()"))  # fmt: skip
    _said(machine, "--environment=conda", "run", "--run-id-file", "two")
    one, two = ((machine.home / name).read_text() for name in ("one", "two"))
    lines = _said(machine, "environment", "diff", one, two).stdout.splitlines()
    assert lines[0] == "Step mid"
    assert re.fullmatch(r"    ~ six 1\.16\.0 \S+ -> 1\.17\.0 \S+", lines[1])
    assert lines[2] == "Step end"
    assert re.fullmatch(r"    no environment of its own -> environment [0-9a-f]{12}", lines[3])
    same = _said(machine, "environment", "diff", one, one).stdout
    assert same == f"The environments of {one} and {one} are the same.\n"
    shown = _said(machine, "environment", "show", "mid", "--run-id", one).stdout
    assert "1.16.0" in shown
