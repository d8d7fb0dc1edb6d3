"""``environment lock``: the file that it writes, and everything that uses it."""

from __future__ import annotations

import fcntl
import io
import re
import sys
import zipfile

import pytest

from airflow_conda_flow.cli.main import main
from airflow_conda_flow.datastore import code_package, layout
from airflow_conda_flow.environments import file_mutex
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.lock_file import read_lock_file
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.step_specs import environment_specs
from airflow_conda_flow.errors import EnvironmentFailure, FlowDefinitionError
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.settings.loading import load_settings

from ...parts.attempt_machine import load_flow_module
from ...parts.flow_machine import Machine

PLATFORM = current_platform()
FLOW = """
from airflow_conda_flow import pypi
class AFlow(FlowSpec):
    @conda(libraries={"six": ">=1.16,<2"})
    @step
    def start(self):
        import six
        print("start has six", six.__version__)
        self.next(self.mid)

    @conda(libraries={"six": ">=1.16,<2"})
    @step
    def mid(self):
        self.next(self.end)

    @conda(libraries={"numpy": ""}, python="PYTHON")
    @pypi(packages={"humanize": ">=4,<4.10"})
    @step
    def end(self):
        import humanize, numpy
        print("end has", numpy.__version__, humanize.__version__)
"""
SMALL = """
class AFlow(FlowSpec):
    @conda(libraries={"six": "1.16.0"})
    @step
    def start(self):
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        pass
"""


class LockMachine(Machine):
    """A machine whose flow file is also run in this process."""

    def __init__(self, home, url, capsys, monkeypatch) -> None:
        super().__init__(home, url)
        self.url = url
        self.file = home / "a_flow.py"
        self.lock = home / "a_flow.lock"
        self.typed = f"python {self.file}"  # how messages in this process name the flow
        self._capsys = capsys
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("CONDA_CHANNELS", url)
        monkeypatch.chdir(home)

    def say(self, *words: str, code: int = 0) -> str:
        """The output of a command of the flow file, run in this process."""
        self._capsys.readouterr()
        got = main(load_flow_module(self.file).AFlow, words)
        said = self._capsys.readouterr()
        assert got == code, said.out + said.err
        return said.out + said.err

    def change(self, old: str, new: str) -> None:
        """Change the flow file."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def specs(self, platform: str = PLATFORM, channels: str | None = None):
        """The specs of the steps."""
        definition = read_flow(load_flow_module(self.file).AFlow)
        settings = load_settings({"channels": channels or self.url}, environ={})
        return environment_specs(definition, settings, dict.fromkeys(definition.graph.steps, platform))


@pytest.fixture
def machine(tmp_path, channel, capsys, monkeypatch) -> LockMachine:
    """A machine that reaches the test channel."""
    return LockMachine(tmp_path / "home", channel.url, capsys, monkeypatch)


def test_a_flow_with_ranges_is_locked_and_runs(machine, channel):
    """Refused, locked, checked; then it runs where no channel answers, for packages are had by their URLs."""
    machine.flow(FLOW.replace("PYTHON", channel.python.rpartition(".")[0]))
    refused = machine.say("--environment=conda", "run", code=1)
    assert refused.startswith(f"{machine.file}:5: @conda: the version of 'six' is '>=1.16,<2', a range, ")
    assert 'Write {"six": "1.17.0"}, the version that a solve chooses today, or keep the range' in refused
    assert refused.endswith(f"pin it in a lock file: {machine.typed} environment lock\n")
    assert "There is no lock file." in machine.say("environment", "lock", "--check", code=1)
    said = machine.say("environment", "lock")
    steps = (
        rf"Python {re.escape(channel.python)}, {PLATFORM}, \d+ packages, \S+ MB, environment [0-9a-f]{{12}}\n"
    )
    assert re.search(rf"Steps start, mid: {steps}Step end: {steps}Wrote a_flow\.lock\. Commit it with", said)
    assert not (machine.cache / "packages").exists()  # nothing was fetched to lock
    assert (
        machine.say("environment", "lock", "--check") == "a_flow.lock has what the steps of AFlow ask for.\n"
    )
    assert machine.say("environment", "lock").endswith("a_flow.lock is as it was.\n")
    assert machine.say("check").startswith("AFlow: 3 steps")
    assert "humanize *" in machine.say("environment", "show", "end")
    done = machine.run(machine.file, "--environment=conda", "run", CONDA_CHANNELS="http://127.0.0.1:9/none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start has six 1.17.0" in done.stdout
    assert "end has 1.26.4 4.9.0" in done.stdout
    assert "Resolving" not in done.stderr
    names = zipfile.ZipFile(io.BytesIO(code_package.build(machine.file).data)).namelist()
    assert names == ["a_flow.lock", "a_flow.py"]


def test_a_range_where_no_channel_answers(machine, monkeypatch):
    """The message is the same but for the version."""
    machine.flow(SMALL.replace('"1.16.0"', '">=1.16"'))
    monkeypatch.setenv("CONDA_CHANNELS", "http://127.0.0.1:9/none")
    said = machine.say("--environment=conda", "run", code=1)
    assert f"Write exactly one version, or keep the range and pin it in a lock file: {machine.typed}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (('"1.16.0"', '">=5"'), "has no six >=5 for {platform}. There is: 1.16.0, 1.17.0."),
        (
            ('six": "1.16.0"', 'sixx": ">=1"'),
            "has no package 'sixx' for {platform} (asked for: >=1). Did you mean six",
        ),
        (
            ('"1.16.0"', '">=1.16", "numpy": "0.1"'),
            "has no numpy 0.1 for {platform}. There is: ",
        ),
    ],
)
def test_a_range_that_no_channel_can_meet(machine, channel, change, answer):
    """No command is offered, which would fail: the line says what the channel has."""
    machine.flow(SMALL.replace(*change))
    said = machine.say("--environment=conda", "run", code=1)
    assert "a range, which has to be pinned and cannot be. The environment of step start" in said
    assert f"the channel {channel.url} {answer.format(platform=PLATFORM)}" in said
    assert "environment lock" not in said
    assert said.count("\n") == 1


def test_the_environment_is_that_of_the_lock_file(machine):
    """Whatever the settings say; what the cache holds under its name is compared and replaced."""
    machine.flow(SMALL)
    free = machine.specs()["start"]
    machine.say("environment", "lock")
    spec = machine.specs()["start"]
    assert free.id != spec.id == machine.specs(channels="conda-forge")["start"].id
    said = []
    environments = Environments(machine.cache)
    environments._progress.warn = said.append
    lock = environments.resolve(spec, "start")
    assert lock == spec.locked == environments.known_lock(spec.id, PLATFORM)
    path = machine.cache / layout.lock(PLATFORM, spec.id)
    written = path.read_bytes()
    for other in (written.replace(b"1.16.0", b"1.15.0"), b"{}", written[:100], b""):
        path.write_bytes(other)
        assert Environments(machine.cache).resolve(spec, "start") == lock
        assert path.read_bytes() == written
    # An entry that is whole, and not that of the lock file.
    path.write_bytes(type(lock)(spec.id, PLATFORM, lock.packages[:1]).to_bytes())
    assert environments.resolve(spec, "start") == lock
    assert path.read_bytes() == written
    assert "is not that of the lock file beside the flow; replacing it." in said[-1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"1.16.0"', '"1.17.0"', "asks for six 1.17.0, and six 1.16.0 was locked"),
        ('"1.16.0"', '""', r"asks for six (any version), and six 1.16.0 was locked"),
        ('"1.16.0"', '"1.16.0", "numpy": "1.26.4"', "asks for numpy 1.26.4, which was not locked"),
        ('{"six": "1.16.0"}', "{}", "asks for no six, which was locked"),
        ('{"six": "1.16.0"}', '{"six": "1.16.0"}, python="3.11.7"', "asks for Python 3.11.7, and no version"),
        ("@conda(disabled=True)", "@conda()", "Step 'end' asks for an environment that was not locked"),
    ],
)
def test_a_step_that_disagrees(machine, old, new, message):
    """``run``, ``check`` and ``--check`` say what was asked, what was locked, and the command; nothing runs."""
    machine.flow(SMALL)
    machine.say("environment", "lock")
    machine.change(old, new)
    line = 11 if "'end'" in message else 6
    said = machine.say("--environment=conda", "run", code=1)
    assert message in said
    last = said.splitlines()[-1]
    assert re.match(rf"{machine.file}:{line}: Step '", last), last
    assert last.endswith(f"see a_flow.lock. Write the lock file anew: {machine.typed} environment lock")
    assert machine.say("check", code=1) == f"{last}\n"
    checked = machine.say("environment", "lock", "--check", code=1)
    assert message in checked
    assert checked.endswith(f"Write the lock file anew: {machine.typed} environment lock\n")
    assert "No step asks for" in checked or "'end'" in message
    machine.say("environment", "lock")
    machine.say("environment", "lock", "--check")


def test_what_is_locked_stays_until_it_is_upgraded(machine):
    """A range that the locked version satisfies changes nothing; ``--upgrade`` says what does."""
    machine.flow(SMALL)
    machine.say("environment", "lock")
    machine.change('"1.16.0"', '">=1.16"')
    assert "->" not in machine.say("environment", "lock")
    first = machine.lock.read_text()
    said = machine.say("environment", "lock", "--upgrade", "six")
    assert re.search(r"\n    ~ six 1\.16\.0 \S+ -> 1\.17\.0 \S+\nChanged a_flow\.lock\.", said)
    second = machine.lock.read_text()
    machine.lock.write_text(first)
    assert "~ six 1.16.0" in machine.say("environment", "lock", "--upgrade")
    assert machine.lock.read_text() == second
    machine.lock.write_text(first)
    assert "~ six 1.16.0" in machine.say("environment", "lock", "--upgrade", "conda-forge::Six")
    with pytest.raises(SystemExit) as ended:
        machine.say("environment", "lock", "--upgrade", "sixx")
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        machine.say("environment", "lock", "--upgrade", "--check")
    assert ended.value.code == 2


def test_two_locks_of_one_range_share_nothing(machine):
    """The same words of the flow, locked to six 1.16 and to 1.17: two ids, two prefixes."""
    machine.flow(SMALL.replace('"1.16.0"', '">=1.16"'))
    machine.say("environment", "lock")
    new = machine.specs()["start"]
    machine.lock.unlink()
    machine.change('">=1.16"', '"1.16.0"')
    machine.say("environment", "lock")
    machine.change('"1.16.0"', '">=1.16"')
    machine.say("environment", "lock")
    old = machine.specs()["start"]
    assert new.libraries == old.libraries
    assert new.id != old.id
    assert Environments(machine.cache).prefix_of(new.locked) != Environments(machine.cache).prefix_of(
        old.locked
    )


def test_a_damaged_file_is_one_line_and_is_written_anew(machine):
    """``run``, ``check`` and ``--check`` refuse it; ``environment lock`` says so and starts from nothing."""
    machine.flow(SMALL)
    machine.say("environment", "lock")
    whole = machine.lock.read_text()
    machine.lock.write_text(f"<<<<<<< HEAD\n{whole}=======\n{whole}>>>>>>> other\n")
    line = f"{machine.lock}:1: The lock file has conflicts of a merge that nobody resolved. Write it anew: "
    for words in (
        ("--environment=conda", "run"),
        ("check",),
        ("environment", "lock", "--check"),
        ("environment", "show"),
    ):
        said = machine.say(*words, code=1)
        assert said.splitlines()[-1] == f"{line}{machine.typed} environment lock"
    said = machine.say("environment", "lock")
    assert line in said
    assert "Nothing of it is kept; every environment is solved anew." in said
    assert machine.lock.read_text() == whole


def test_a_list_of_packages_where_the_lock_file_belongs(machine):
    """No command takes it for a damaged lock file, which the advice would overwrite."""
    machine.flow(SMALL.replace('libraries={"six": "1.16.0"}', 'file="a_flow.lock"'))
    machine.lock.write_text("version: 6\n")
    for words in (
        ("--environment=conda", "run"),
        ("check",),
        ("environment", "lock"),
        ("environment", "lock", "--check"),
        ("environment", "show"),
    ):
        said = machine.say(*words, code=1).splitlines()[-1]
        assert said == (
            f"{machine.file}:4: @conda: a_flow.lock is the place of the flow's own lock file, which "
            "`environment lock` writes. Give the file with the packages another name."
        )
    assert machine.lock.read_text() == "version: 6\n"


def test_a_lock_file_that_is_a_link(machine):
    """The file that it leads to is written; a link to itself is damaged, and replaced."""
    machine.flow(SMALL)
    machine.lock.symlink_to("elsewhere.lock")
    machine.say("environment", "lock")
    machine.say("environment", "lock", "--check")
    assert machine.lock.is_symlink()
    machine.lock.unlink()
    machine.lock.symlink_to(machine.lock.name)
    assert "Nothing of it is kept" in machine.say("environment", "lock")
    machine.say("environment", "lock", "--check")


@pytest.mark.parametrize("damage", ["", "{", "version: 6\n", "end", "changed", "directory"])
@pytest.mark.parametrize("declares", [True, False])
def test_check_says_what_run_says(machine, damage, declares):
    """About a lock file that cannot be read, also of a flow that declares no environment; then they agree."""
    machine.flow(SMALL if declares else re.sub("@conda.*", "", SMALL))
    machine.say("environment", "lock")
    text = machine.lock.read_text()
    machine.lock.unlink()
    if damage == "directory":
        machine.lock.mkdir()
    else:
        cut = {"end": text[: len(text) // 2], "changed": text.replace("sha256: ", "sha256: 0", 1)}
        machine.lock.write_text(cut.get(damage, damage))
    said = machine.say("--environment=conda", "run", code=1).splitlines()[-1]
    assert said.startswith(f"{machine.lock}:")
    assert machine.say("check", code=1) == f"{said}\n"
    if damage == "directory":
        machine.lock.rmdir()
    machine.lock.write_text(text)
    assert "the graph looks good" in machine.say("check")


def test_a_platform_that_was_not_locked(machine):
    """A step that runs there is refused with the platforms that there are; others can be asked for."""
    machine.flow(SMALL.replace('libraries={"six": "1.16.0"}', 'file="environment.txt"'))
    other = next(each for each in ("linux-64", "linux-aarch64") if each != PLATFORM)
    (machine.home / "environment.txt").write_text(
        f"@EXPLICIT\nhttps://host/{other}/python-3.11.7-0.conda#{'0' * 32}\n"
    )
    assert f"is for {other}, and the step runs on" in machine.say("environment", "lock", code=1)
    machine.flow(SMALL)
    machine.say("environment", "lock")
    with pytest.raises(
        FlowDefinitionError, match=rf"runs on {other}, and a_flow\.lock has .* {PLATFORM} only"
    ):
        machine.specs(other)
    said = machine.say("environment", "lock", "--check", "--platform", other, code=1)
    assert f"runs on {other}" in said
    # The test channel has no Python for it.
    said = machine.say("environment", "lock", "--platform", PLATFORM, "--platform", other, code=1)
    assert f"of step start on {other} cannot be solved" in said


def test_the_glibc_that_counts(machine, monkeypatch):
    """It is that of the lock file, else that of the setting; none counts for steps without an environment."""
    machine.flow(SMALL)
    monkeypatch.setenv("CONDA_FLOW_GLIBC", "9.9")
    assert "Done!" in machine.say("run")
    for words in (("--environment=conda", "run"), ("check",)):
        assert "Environments are solved for glibc 9.9, " in machine.say(*words, code=1)
    monkeypatch.setenv("CONDA_FLOW_GLIBC", "2.17")
    machine.say("environment", "lock")
    monkeypatch.setenv("CONDA_FLOW_GLIBC", "9.9")
    assert "Done!" in machine.say("--environment=conda", "run")
    machine.say("check")
    machine.say("environment", "lock", "--upgrade")
    monkeypatch.delenv("CONDA_FLOW_GLIBC")
    for words in (("--environment=conda", "run"), ("check",)):
        said = machine.say(*words, code=1)
        assert "The environment of step start was locked for glibc 9.9, " in said
        assert said.endswith(f" and lock it again: {machine.typed} environment lock --upgrade\n")
    machine.say("environment", "lock", "--upgrade")
    machine.say("check")


def test_local_runs_need_no_lock(machine):
    """Without environments a stale lock file does not matter; without a lock file ids are as ever."""
    machine.flow(SMALL)
    free = machine.specs()["start"]
    assert free.locked is None
    machine.say("environment", "lock")
    machine.change('"1.16.0"', '"1.17.0"')
    assert "Done!" in machine.say("run")
    machine.lock.unlink()
    machine.change('"1.17.0"', '"1.16.0"')
    assert machine.specs()["start"].id == free.id
    with pytest.raises(EnvironmentFailure):
        Environments(machine.cache).prefix_for(free.id, PLATFORM)
    assert read_lock_file(machine.file, "") is None


TWO = """
class BFlow(FlowSpec):
    @conda(libraries={"numpy": "1.26.4"})
    @step
    def start(self):
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        pass
"""


def test_two_flows_of_one_file(machine):
    """Messages of one name the other: what it loses with a damaged file, and the packages that it alone has."""
    machine.flow(SMALL + TWO)
    machine.change("    AFlow()\n", "    import sys\n    globals()[sys.argv.pop(1)]()\n")

    def said(code: int, flow: str, *words: str) -> str:
        done = machine.run(machine.file, flow, *words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    said(0, "AFlow", "environment", "lock")
    said(0, "BFlow", "environment", "lock")
    assert "--upgrade six: no environment of BFlow has it in a_flow.lock, only of AFlow. " in said(
        2, "BFlow", "environment", "lock", "--upgrade", "six"
    )
    assert "--upgrade nunpy: a_flow.lock has no such package. Did you mean 'numpy'?" in said(
        2, "BFlow", "environment", "lock", "--upgrade", "nunpy"
    )
    said(0, "BFlow", "environment", "lock", "--upgrade", "numpy")
    machine.lock.write_text("<<<<<<< HEAD\n" + machine.lock.read_text())
    assert (
        "The file has no environments of BFlow then: each flow needs its own `environment lock`.\n"
        in said(0, "AFlow", "environment", "lock")
    )
    refused = said(1, "BFlow", "--environment=conda", "run")
    assert "Step 'start' asks for an environment that was not locked; see a_flow.lock. " in refused
    assert refused.endswith(" environment lock\n")
    said(0, "BFlow", "environment", "lock")
    for flow in ("AFlow", "BFlow"):
        assert said(0, flow, "environment", "lock", "--check") == ""


def test_two_flows_of_one_file_at_once(machine, monkeypatch, capsys):
    """The second command waits for the first one, and keeps what it has written."""
    machine.flow(SMALL + TWO)
    machine.change("    AFlow()\n", "    BFlow()\n")
    assert machine.run(machine.file, "environment", "lock").returncode == 0
    text = machine.lock.read_text()
    machine.lock.unlink()
    first = machine.file.open("rb")
    fcntl.flock(first, fcntl.LOCK_EX)

    def write_and_end(_cancel) -> None:
        machine.lock.write_text(text)
        first.close()

    monkeypatch.setattr(file_mutex, "_SAY_AFTER", -1.0)
    monkeypatch.setattr(file_mutex, "check", write_and_end)
    module = load_flow_module(machine.file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert main(module.AFlow, ("environment", "lock")) == 0
    said = capsys.readouterr().err
    assert f"Another command is writing the lock file of {machine.file}; waiting for it.\n" in said
    assert main(module.AFlow, ("environment", "lock", "--check")) == 0
    done = machine.run(machine.file, "environment", "lock", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("decorator", ["@conda(libraries={'six': '>=99'})", "@conda(python='9.9.9')"])
def test_what_the_channel_lacks_has_a_line(machine, decorator):
    """That of the step, once, whichever command asks the channel."""
    machine.flow(SMALL.replace('@conda(libraries={"six": "1.16.0"})', decorator))
    line = machine.file.read_text().splitlines().index(f"    {decorator}") + 1
    for words in (("environment", "lock"), ("--environment=conda", "run")):
        said = machine.say(*words, code=1).splitlines()[-1]
        assert re.match(rf"{re.escape(str(machine.file))}:({line}|{line + 2}): ", said), said
        assert said.count(str(machine.file)) == 1
        assert "The environment of step start cannot be solved: " in said
