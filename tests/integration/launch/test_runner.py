"""Starting runs of flow files from a program."""

from __future__ import annotations

import asyncio
import linecache
import signal
import subprocess
import sys

import pytest

from airflow_conda_flow import NBRunner, Runner
from airflow_conda_flow.errors import LaunchError

from ...parts.signals import start

FLOW = """
import os, pathlib, time
class AFlow(FlowSpec):
    alpha = Parameter("alpha", default=1)
    is_bad = Parameter("is-bad", default=False)
    table = Parameter("table", type=JSONType, default="{}")
    words = Parameter("words", separator=",", default="a,b")
    wait_for = Parameter("wait-for", default="")
    @step
    def start(self):
        print("alpha is", self.alpha, self.table, self.words, os.environ.get("GIVEN"))
        while self.wait_for and not pathlib.Path(self.wait_for).exists():
            time.sleep(0.02)
        self.where = os.getcwd()
        self.next(self.end)
    @step
    def end(self):
        if self.is_bad:
            raise ValueError("boom")
"""


@pytest.fixture
def flow(machine) -> str:
    """The flow's file, from the current directory."""
    machine.flow(FLOW)
    return "a_flow.py"


def test_a_run_with_keywords(flow, machine, capfd):
    """Parameters of every type, options of run and those before it, variables and a directory."""
    machine.home.joinpath("work").mkdir()
    store = machine.home / "elsewhere"
    runner = Runner(flow, env={"GIVEN": "yes"}, cwd="work", quiet=True, pylint=False, datastore_root=store)
    with runner.run(
        alpha=7,
        is_bad=False,
        table={"x": [1]},
        words=["c", "d"],
        wait_for=None,
        tags=["one", "two"],
        max_workers=1,
    ) as running:
        assert (running.status, running.returncode) == ("successful", 0), running.stderr
        assert running.run.successful
        assert running.run.user_tags == {"one", "two"}
        assert running.run.data.where == str(machine.home / "work")
        assert "alpha is 7 {'x': [1]} ['c', 'd'] yes" in running.stdout
        assert repr(running) == f"<ExecutingRun Run('{running.run.pathspec}'): successful>"
    assert (store / "flows/AFlow" / running.run.id).is_dir()
    assert capfd.readouterr().out == running.stdout


def test_a_run_that_fails_is_found_and_resumed(flow, capfd):
    """The run is there with its failure; resume takes the run by its keyword, and what it did."""
    with Runner(flow, show_output=False).run(is_bad=True) as running:
        assert (running.status, running.returncode) == ("failed", 1)
        assert running.run["end"].task.exception.exception == "boom"
    assert "Workflow failed." in running.stderr
    with Runner(flow, show_output=False).resume(origin_run_id=running.run.id, tags="again") as resumed:
        assert resumed.run["start"].task.origin_pathspec == running.run["start"].task.pathspec
        assert resumed.run.user_tags == {"again"}
    assert capfd.readouterr() == ("", "")


def test_runs_side_by_side(flow, machine):
    """Runs that have begun are looked at while they run, line by line, and awaited."""

    async def main() -> None:
        with Runner(flow) as runner:
            one = await runner.async_run(alpha=1, wait_for="go")
            two = await runner.async_run(alpha=2, wait_for="go")
            assert [one.status, two.status, one.returncode] == ["running", "running", None]
            log = aiter(one.stream_log("stdout"))
            seen, position = [], 0
            while not any("alpha is" in line for line in seen):
                position, line = await anext(log)
                seen.append(line)
            assert not one.run.finished
            (machine.home / "go").touch()
            rest = [line async for _, line in one.stream_log("stdout", position=position)]
            assert rest[-1].endswith("Done!")
            await two.wait(stream="stdout")
            assert "\n".join(seen + rest) + "\n" == one.stdout
            assert [each.run.successful for each in (one, two)] == [True, True]
            assert {one.run.id, two.run.id} == {each.run.id for each in (one, two)}

    asyncio.run(main())


def test_a_run_that_takes_too_long_is_ended(flow, machine):
    """wait(timeout) ends the run and its tasks."""

    async def main() -> None:
        with await Runner(flow, show_output=False).async_run(wait_for="never") as running:
            async for _, line in running.stream_log("stdout"):
                if "alpha is" in line:
                    break
            await running.wait(timeout=0.1)
            assert running.status == "timeout"
            assert "Workflow interrupted." in running.stderr

    asyncio.run(main())


def test_cleaning_up_ends_what_runs(flow):
    """A block that is left takes its run along, and what it printed stays."""

    async def main() -> None:
        with await Runner(flow).async_run(wait_for="never") as running:
            async for _, line in running.stream_log("stdout"):
                if "alpha is" in line:
                    break
        assert running.status == "failed"
        assert "alpha is" in running.stdout

    asyncio.run(main())


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"alhpa": 1}, "no such keyword: alhpa. Did you mean alpha?"),
        ({"alpha": "x"}, "Parameter 'alpha' takes a whole number"),
        ({"max_workers": 0}, "argument --max-workers: expected a whole number from 1 up"),
    ],
)
def test_what_came_to_no_run(flow, keywords, said):
    """A wrong keyword or value is one error, with what the flow file says."""
    with pytest.raises(LaunchError) as raised:
        Runner(flow, show_output=False).run(**keywords)
    assert said in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_wrong_files_and_options(machine, flow):
    """A file that is not there, and an option that there is not."""
    with pytest.raises(LaunchError, match=r"Runner\('no\.py'\): there is no such file"):
        Runner("no.py")
    with pytest.raises(LaunchError, match="no such option: --environmnet=conda"):
        Runner(flow, show_output=False, environmnet="conda").run()


def test_an_interrupt_ends_the_run(flow, machine):
    """Ctrl-C in a script that waits ends the run before the script."""
    script = machine.home / "script.py"
    script.write_text(
        f"import sys; from airflow_conda_flow import Runner\nRunner({flow!r}).run(wait_for='never')\n"
    )
    with start(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=machine.environ,
    ) as process:
        while "alpha is" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert "Workflow interrupted." in err
    assert "Task ended with the run." in out


def test_a_flow_of_a_notebook(machine):
    """The cell is run as a file, without the line that starts it; nothing of it stays."""
    text = (
        "from airflow_conda_flow import FlowSpec, NBRunner, Parameter, step\n"
        + FLOW.replace("type=JSONType, ", "")
        + "\nrun = NBRunner(AFlow, show_output=False).nbrun(alpha=5)\nfound.append(run)\n"
    )
    name = "<a cell of a notebook>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    found = []
    exec(compile(text, name, "exec"), {"__name__": "__main__", "found": found})
    (run,) = found
    assert run.successful
    assert run["start"].task.data.alpha == 5
    assert not list(machine.home.glob("*.py"))


def test_a_notebook_that_cannot_be_read(machine):
    """A flow whose cell is unknown is an error that says what to do."""
    values = {}
    exec("from airflow_conda_flow import FlowSpec\nclass AFlow(FlowSpec):\n    pass", values)
    with pytest.raises(LaunchError, match="Define the whole flow in one cell"):
        NBRunner(values["AFlow"])


def test_a_run_that_came_to_nothing_ends_no_other(flow, machine):
    """A wrong keyword in a sweep leaves the runs that have started alone."""

    async def sweep():
        with Runner(flow) as runner:
            first = await runner.async_run(wait_for=str(machine.home / "go"))
            with pytest.raises(LaunchError):
                await runner.async_run(alpha="no number")
            assert first.status == "running"
            (machine.home / "go").touch()
            await first.wait()
            return first.status

    assert asyncio.run(sweep()) == "successful"


def test_a_program_that_does_not_clean_up_leaves_nothing(flow, machine):
    """Files of commands that have ended go with the program."""
    folder = machine.home / "temporary"
    folder.mkdir()
    program = "from airflow_conda_flow import Runner; run = Runner('a_flow.py', show_output=False).run(); print(run.status)"
    environ = {**machine.environ, "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        cwd=machine.home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "successful\n"
    assert [path.name for path in folder.iterdir() if path.name.startswith("conda-flow-runner-")] == []
