"""``python flow.py run``, as a user sees it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ...parts.flow_machine import Machine

LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "
LINEAR = """
class AFlow(FlowSpec):
    word = Parameter("word", default="hello", help="a word")
    @step
    def start(self):
        self.x = {"a": [1]}
        self.next(self.end)
    @step
    def end(self):
        print(self.word, self.x)
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with an empty home."""
    return Machine(tmp_path / "home")


def test_a_flow_of_another_module(machine):
    """A program may import the flow; its own directory is the one that steps import from. An import runs nothing."""
    machine.flow(LINEAR + "        from steps.beside import __name__ as name; print(name)", "steps/flow.py")
    (machine.home / "steps/beside.py").touch()
    program = machine.home / "program.py"
    program.write_text("import steps.flow\nfrom steps.flow import AFlow\ndef main():\n    AFlow()\nmain()\n")
    done = machine.run(program, "run")
    assert (done.returncode, done.stdout.count("] steps.beside\n")) == (0, 1), done.stdout + done.stderr
    program.write_text("from steps.flow import AFlow\nprint(AFlow(use_cli=False))\n")
    assert machine.run(program, "run").stdout == "<flow AFlow>\n"


def test_the_lines_of_a_run(machine):
    """Start, output and end of each task have the field's form."""
    done = machine.run(machine.flow(LINEAR), "run")
    lines = done.stdout.splitlines()
    expected = [
        r"Workflow starting \(run-id (\d+)\):",
        r"\[\d+/start/start-0 \(pid \d+\)\] Task is starting\.",
        r"\[\d+/start/start-0 \(pid \d+\)\] Task finished successfully\.",
        r"\[\d+/end/end-0 \(pid \d+\)\] Task is starting\.",
        r"\[\d+/end/end-0 \(pid \d+\)\] hello \{'a': \[1\]\}",
        r"\[\d+/end/end-0 \(pid \d+\)\] Task finished successfully\.",
        r"Done!",
    ]
    assert done.returncode == 0, done.stderr
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(LINE + pattern, line), line


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_run_without_its_streams(machine, closed):
    """A program that starts runs may have closed them, as some daemons do."""
    flow = machine.flow(LINEAR)
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *machine.command(flow, "run")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=machine.environ, cwd=machine.home, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.manifests()["end/0"]["status"] == "done"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("word", ["it's", '"$HOME" `id`', "two\nlines", "é😀", "", "-x"])
def test_a_parameter_arrives_byte_for_byte(machine, word):
    """No shell, no encoding and no option parser changes a value."""
    flow = machine.flow(LINEAR.replace("print(self.word, self.x)", "print(ascii(self.word))"))
    done = machine.run(flow, "run", f"--word={word}")
    assert f"] {ascii(word)}\n" in done.stdout, done.stderr


def test_usage_errors_exit_2_and_name_the_nearest(machine):
    """A misspelt option, a bad value and an unknown command are usage errors."""
    flow = machine.flow(LINEAR.replace('default="hello"', "default=3"))
    misspelt = machine.run(flow, "run", "--wrod", "x")
    assert misspelt.returncode == 2
    assert "no such option: --wrod. Did you mean --word?" in misspelt.stderr
    value = machine.run(flow, "run", "--word", "many")
    assert value.returncode == 2
    assert "Parameter 'word' takes a whole number; got 'many'." in value.stderr
    assert machine.run(flow, "rum").returncode == 2
    workers = machine.run(flow, "run", "--max-workers", "0")
    assert workers.returncode == 2
    assert "expected a whole number from 1 up, got '0'" in workers.stderr
    assert not machine.datastore.exists()


def test_the_options_of_a_run(machine):
    """How many tasks run at once, the run's tags and namespace, a decorator before the command, only tasks' lines."""
    flow = machine.flow(
        """
        import time
        from airflow_conda_flow import get_namespace
        class AFlow(FlowSpec):
            @step
            def start(self):
                self.items = list(range(5))
                self.next(self.body, foreach="items")
            @step
            def body(self):
                self.began = time.time()
                time.sleep(0.15)
                self.ended = time.time()
                self.next(self.join)
            @step
            def join(self, inputs):
                spans = [(each.began, each.ended) for each in inputs]
                at_once = [sum(a <= began < b for a, b in spans) for began, _ in spans]
                print("most", max(at_once), current.namespace, get_namespace(), sorted(current.tags))
                self.next(self.end)
            @step
            def end(self):
                import os
                print("given", os.environ["GIVEN"])
        """
    )
    words = ("--max-workers=2", "--namespace", "nightly", "--tag", "b", "--tag=a", "--run-id-file", "id")
    given = 'environment:vars={"GIVEN": "yes"}'
    done = machine.run(flow, "--quiet", "--with", given, "run", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] most 2 nightly nightly ['a', 'b']\n" in done.stdout
    assert "] given yes\n" in done.stdout
    assert done.stderr == ""
    (run,) = machine.datastore.joinpath("flows/AFlow").iterdir()
    assert (machine.home / "id").read_text() == run.name
    # A run that never began has no id that a caller could resume.
    bad = machine.run(flow, "run", "--run-id-file", "no-id", CONDA_FLOW_DATASTORE_ROOT="/proc/none")
    assert bad.returncode == 1
    assert not (machine.home / "no-id").exists()
    for name, fault in (("i" * 300, "cannot be written: File name too long"), ("", "it is empty")):
        bad = machine.run(flow, "run", "--run-id-file", name)
        assert (bad.returncode, bad.stderr.count("\n")) == (1, 1), bad.stderr
        assert fault in bad.stderr
    default = {"METAFLOW_DEFAULT_DECOSPECS": 'environment:vars={"GIVEN":"default"}  timeout:seconds=60'}
    assert (
        "] given default\n"
        in machine.run(flow, "resume", "end", "--origin-run-id", run.name, **default).stdout
    )


def test_a_setting_that_is_wrong_says_what_to_write(machine):
    """Datastore and resolver are checked before anything runs."""
    flow = machine.flow(LINEAR)
    for words, message in [
        (("--datastore", "ftp"), "--datastore is 'ftp'; it takes one of: local, s3."),
        (("--datastore", "s3"), "The datastore is s3, but it has no root."),
        (("--datastore", "s3", "--datastore-root", "/x"), "takes s3://bucket or s3://bucket/prefix"),
        (("--datastore-root", "s3://b/x"), "a local datastore takes a directory"),
    ]:
        done = machine.run(flow, *words, "run")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_a_failing_step_shows_the_users_frames_alone(machine):
    """The traceback has the flow's lines, none of ours, and the run exits 1."""
    flow = machine.flow("""
    def deeper(values):
        return values["missing"]
    class AFlow(FlowSpec):
        @step
        def start(self):
            try:
                deeper({})
            except KeyError as error:
                raise ValueError("no such thing") from error
            self.next(self.end)
        @step
        def end(self):
            pass
    """)
    done = machine.run(flow, "run")
    assert done.returncode == 1
    assert f'File "{flow}", line 9, in start' in done.stdout
    assert "KeyError: 'missing'" in done.stdout
    assert "ValueError: no such thing" in done.stdout
    assert "airflow_conda_flow" not in done.stdout
    assert "] Task failed.\n" in done.stdout
    assert "Workflow failed." in done.stderr
    assert machine.manifests()["start/0"]["status"] == "failed"
    assert "end/0" not in machine.manifests()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("self.gone", "Step 'start' reads self.gone, which no step before it has assigned."),
        ("import threading; self.x = {'k': threading.Lock()}", "self.x of step 'start' cannot be stored: its type is builtins.dict, at self.x['k']: _thread.lock"),
        ("import sys; sys.exit(0)", "The step called sys.exit(0)."),
        ("import os; os._exit(3)", "The step's process ended with exit code 3 before the step did."),
        ("import os; os.kill(os.getpid(), 9)", "The step's process was killed by SIGKILL."),
        ("self.word = 'x'", "'word' is a parameter, and parameters do not change during a run."),
        ("self.K = 2", "'K' is an attribute of the class AFlow"),
        ("self.end = 2", "self.end was assigned a value; give that another name."),
        ("import nonsense_library", "ModuleNotFoundError: No module named 'nonsense_library'"),
    ],
)  # fmt: skip
def test_what_can_go_wrong_in_a_step(machine, body, message):
    """Each failure is one clear message, exit code 1, and no manifest that says done."""
    flow = machine.flow(f"""
class AFlow(FlowSpec):
    K = 1
    word = Parameter("word", default="hello")
    @step
    def start(self):
        {body}
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "run")
    assert done.returncode == 1
    assert message in done.stdout, done.stdout
    assert [m["status"] for m in machine.manifests().values()] == ["failed"]


@pytest.mark.parametrize(
    ("assigned", "message"),
    [
        ("pass", "runs over self.items, which is not assigned"),
        ("self.items = 3", "runs over self.items, which is a int. Make it a list."),
        ("self.items = []", "has nothing to run over: self.items is empty"),
    ],
)
def test_a_foreach_over_nothing(machine, assigned, message):
    """A foreach without splits fails in the step that opens it."""
    flow = machine.flow(f"""
class AFlow(FlowSpec):
    @step
    def start(self):
        {assigned}
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "run")
    assert done.returncode == 1
    assert message in done.stdout


NESTED = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.kept = "same everywhere"
        self.outer = {"a": 2, "b": 3}
        self.next(self.mid, foreach="outer")
    @step
    def mid(self):
        self.o = self.input
        self.inner = range(self.outer[self.o])
        self.next(self.leaf, foreach="inner")
    @step
    def leaf(self):
        self.v = "%s%d" % (self.o, self.input)
        assert self.foreach_stack()[1] == (self.index, self.outer[self.o], self.input)
        assert [frame[2] for frame in self.foreach_stack()] == [self.o, self.input]
        self.next(self.x, self.y)
    @step
    def x(self):
        self.w = self.v + "x"
        self.next(self.branches)
    @step
    def y(self):
        self.w = self.v + "y"
        self.next(self.branches)
    @step
    def branches(self, inputs):
        self.w = inputs.x.w + inputs.y.w
        assert len(inputs) == 2 and inputs[0].w == inputs.x.w
        self.merge_artifacts(inputs)
        self.next(self.inner_join)
    @step
    def inner_join(self, inputs):
        self.ws = [each.w for each in inputs]
        self.merge_artifacts(inputs, include=["kept"])
        self.next(self.outer_join)
    @step
    def outer_join(self, inputs):
        self.all = [each.ws for each in inputs]
        self.merge_artifacts(inputs, exclude=["ws"])
        self.next(self.end)
    @step
    def end(self):
        print("ALL", self.all, self.kept)
"""


def test_nested_foreach_with_branches(machine):
    """Splits within splits come back in order, and joins see their own inputs alone."""
    done = machine.run(machine.flow(NESTED), "run", "--max-workers", "4")
    assert done.returncode == 0, done.stdout
    assert "ALL [['a0xa0y', 'a1xa1y'], ['b0xb0y', 'b1xb1y', 'b2xb2y']] same everywhere" in done.stdout
    yields = re.findall(r"\[\d+/(\S+) \(pid \d+\)\] Foreach yields (\d) child steps\.", done.stdout)
    assert sorted(yields) == [("mid/mid-0", "2"), ("mid/mid-1", "3"), ("start/start-0", "2")]
    assert machine.manifests()["leaf/1-2"]["split_name"] == "b / 2"


def test_merge_artifacts_that_differ(machine):
    """A conflict names the artifact, the step, and what to do."""
    flow = machine.flow("""
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)
    @step
    def a(self):
        self.x = 1
        self.next(self.join)
    @step
    def b(self):
        self.x = 2
        self.next(self.join)
    @step
    def join(self, inputs):
        self.merge_artifacts(inputs)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "run")
    assert done.returncode == 1
    assert "merge_artifacts() cannot decide: the inputs of step 'join' differ in x." in done.stdout


def test_what_is_only_read_is_not_written_again(machine):
    """Artifacts that a step reads keep their reference; one that it changes in place is stored."""
    flow = machine.flow("""
class Thing:
    def __init__(self):
        self.names = {"one", "two", "three", "four", "five"}
class AFlow(FlowSpec):
    @step
    def start(self):
        self.read = {"set": {"a", "b", "c", "d", "e"}, "thing": Thing()}
        self.changed = [1, 2]
        self.untouched = "x" * 1000
        self.next(self.end)
    @step
    def end(self):
        assert len(self.read["thing"].names) == 5
        self.changed.append(3)
""")
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout
    start, end = (machine.manifests()[name]["artifacts"] for name in ("start/0", "end/0"))
    assert end["read"] == start["read"]
    assert end["untouched"] == start["untouched"]
    assert end["changed"]["sha256"] != start["changed"]["sha256"]


def test_sources_beside_the_flow_are_importable(machine):
    """Modules and sub-packages beside the flow file are there in every step."""
    flow = machine.flow("""
class AFlow(FlowSpec):
    @step
    def start(self):
        import lib.deep.thing
        import beside
        print(beside.WORD, lib.deep.thing.WORD)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    (machine.home / "beside.py").write_text("WORD = 'one'\n")
    deep = machine.home / "lib" / "deep"
    deep.mkdir(parents=True)
    (machine.home / "lib" / "__init__.py").touch()
    (deep / "__init__.py").touch()
    (deep / "thing.py").write_text("WORD = 'two'\n")
    done = machine.run(flow, "run")
    assert "] one two\n" in done.stdout, done.stdout


def test_multiprocessing_in_a_step(machine):
    """A step may fork, and may spawn with functions of the flow file."""
    flow = machine.flow("""
import multiprocessing
def square(n):
    return n * n
class AFlow(FlowSpec):
    @step
    def start(self):
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(2) as pool:
                print(method, pool.map(square, range(4)))
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "run")
    assert "] fork [0, 1, 4, 9]" in done.stdout, done.stdout
    assert "] spawn [0, 1, 4, 9]" in done.stdout, done.stdout


SLEEPING = """
import subprocess, sys, time
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        code = "import time; print('sleeping', flush=True); time.sleep(300)"
        subprocess.Popen([sys.executable, "-c", code, "MARK"])
        time.sleep(300)
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind(machine, number):
    """However the run ends, its steps and their children end with it."""
    mark = f"mark-{os.getpid()}-{time.time_ns()}"
    with machine.started(machine.flow(SLEEPING.replace("MARK", mark)), "run") as process:
        seen = ""
        while seen.count("sleeping") < 2:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        assert _processes(mark) == 2
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(10) == (-number if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 5
    while _processes(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes(mark) == 0
    if number != signal.SIGKILL:
        assert "Workflow interrupted." in rest
        assert "Traceback" not in rest


def _processes(mark: str) -> int:
    count = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            count += mark.encode() in path.read_bytes().split(b"\0")
        except OSError:
            continue
    return count


def test_commands_without_a_run(machine):
    """`show`, `check`, `--help` and `run --help` say what a user looks for."""
    flow = machine.flow(LINEAR.replace("def end(self):", 'def end(self):\n        """Say it."""'))
    assert "Step end\n    Say it." in machine.run(flow, "show").stdout
    assert machine.run(flow, "check").stdout == "AFlow: 2 steps, the graph looks good.\n"
    assert "--environment {local,conda}" in machine.run(flow, "--help").stdout
    assert re.search(r"--word STR +a word \(default 'hello'\)", machine.run(flow, "run", "--help").stdout)


def test_importing_the_package_loads_nothing_heavy():
    """The facade pulls in neither Airflow, boto3, kubernetes nor rattler."""
    ask = "import sys, airflow_conda_flow; print([m for m in ('airflow','boto3','kubernetes','rattler') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_run_whose_reader_leaves_ends(machine):
    """Behind ``| head`` the run ends with its reader, and nothing of it is left."""
    flow = machine.flow(
        """
        import time

        class AFlow(FlowSpec):
            @step
            def start(self):
                for number in range(600):
                    print(number)
                    time.sleep(0.1)
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    )
    with machine.started(flow, "run") as process:
        while "Task is starting" not in (line := process.stdout.readline()):
            assert line
        process.stdout.close()
        assert process.wait(20) == 1


def test_a_run_leaves_nothing_beside_the_flow_file(machine):
    """No bytecode of the flow or of its modules, in the step's process or in those that it spawns."""
    folder = machine.home / "flows"
    flow = machine.flow(
        """
        import multiprocessing
        def double(x):
            return 2 * x
        class AFlow(FlowSpec):
            @step
            def start(self):
                import package.module
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    print("DOUBLE", pool.map(double, [package.module.X]))
                self.next(self.end)
            @step
            def end(self):
                pass
        """,
        folder=folder,
    )
    (folder / "package").mkdir()
    (folder / "package/__init__.py").touch()
    (folder / "package/module.py").write_text("X = 21\n")
    done = machine.run(flow, "run")
    assert "DOUBLE [42]" in done.stdout
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "a_flow.py",
        "package",
        "package/__init__.py",
        "package/module.py",
    ]
