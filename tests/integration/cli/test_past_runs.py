"""Commands about past runs and about the flow: ``dump``, ``logs``, ``tag``, ``package``, ``output-dot``."""

from __future__ import annotations

import json
import pickle
import re
import sys
import zipfile

import pytest

from ...parts.flow_machine import Machine

FLOW = """
import sys
class AFlow(FlowSpec):
    @step
    def start(self):
        self.word = "hello"
        self.items = [1, 2]
        self._hidden = 3
        self.next(self.body, foreach="items")
    @step
    def body(self):
        print("out", self.input)
        print("err", file=sys.stderr)
        self.y = self.input * 1000
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    """A machine on which the flow ran once; ``run_id`` is its id."""
    machine = Machine(tmp_path_factory.mktemp("past") / "home")
    machine.file = machine.flow(FLOW)
    done = machine.run(machine.file, "run", "--run-id-file", "id", "--tag", "first")
    assert done.returncode == 0, done.stdout
    machine.run_id = (machine.home / "id").read_text()
    return machine


def _said(machine: Machine, *words: str, code: int = 0):
    done = machine.run(machine.file, *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_dump(machine):
    """The artifacts of all tasks of a step, or of one; large values and private names on demand."""
    run = machine.run_id
    done = _said(machine, "dump", f"{run}/start")
    assert done.stdout.splitlines() == [
        "items [size: 20 type: <class 'list'>] = [1, 2]",
        "word [size: 20 type: <class 'str'>] = hello",
    ]
    assert done.stderr == f"Dumping output of run_id={run} step=start task_id=start-0\n"
    small = _said(machine, "dump", f"AFlow/{run}/start/0", "--private", "--max-value-size", "5")
    assert small.stdout.splitlines() == [
        "_hidden [size: 5 type: <class 'int'>] = 3",
        "items [size: 20 type: <class 'list'>] = < artifact too large >",
        "word [size: 20 type: <class 'str'>] = < artifact too large >",
    ]
    names = _said(machine, "dump", f"{run}/start", "--max-value-size", "0", "--include", "word, other")
    assert names.stdout == "word [size: 20 type: <class 'str'>]\n"
    assert _said(machine, "dump", f"{run}/body", "--include", "y").stdout.count("y [size:") == 2


def test_dump_into_a_file(machine):
    """A pickle of the values by task."""
    run = machine.run_id
    done = _said(machine, "dump", f"{run}/body", "--include", "y", "--file", "out.pkl")
    assert done.stdout == ""
    values = pickle.loads((machine.home / "out.pkl").read_bytes())
    assert values == {f"{run}/body/body-0": {"y": 1000}, f"{run}/body/body-1": {"y": 2000}}


def test_logs(machine):
    """Both streams, or one, with or without times; the headings go to stderr."""
    run = machine.run_id
    both = _said(machine, "logs", f"{run}/body")
    assert both.stdout.splitlines() == ["out 1", "err", "out 2", "err"]
    assert both.stderr.splitlines()[:3] == [
        f"Dumping logs of run_id={run} step=body task_id=body-0",
        "stdout",
        "stderr",
    ]
    assert _said(machine, "logs", "show", f"{run}/body/1", "--stdout").stdout == "out 2\n"
    timed = _said(machine, "logs", f"{run}/body/0", "--stderr", "--timestamps", "--attempt", "0").stdout
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} err\n", timed)


def test_scrub(machine):
    """Stored logs are overwritten: a stream, the attempt that counts, or all, of clones too; nothing else."""
    text = FLOW.replace(
        'print("out", self.input)',
        'print("out", self.input, current.retry_count); 1 // (current.retry_count + self.input - 1)',
    ).replace(
        "    @step\n    def body", "    @retry(times=1, minutes_between_retries=0)\n    @step\n    def body"
    )
    flow = machine.flow("from airflow_conda_flow import retry\n" + text, "c_flow.py", machine.home / ".c")
    root = ("--datastore-root", str(machine.home / "scrubbed"))
    assert machine.run(flow, *root, "run", "--run-id-file", "c_id").returncode == 0
    run = (machine.home / "c_id").read_text()

    def stored(*words: str) -> str:
        return machine.run(flow, *root, "logs", *words).stdout

    def scrub(*words: str) -> list[str]:
        done = machine.run(flow, *root, "logs", "scrub", *words)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        return done.stderr.splitlines()

    assert scrub(f"{run}/body/1", "--stdout") == [f"Scrubbed 1 logs of run_id={run} step=body task_id=body-1"]
    assert stored(f"{run}/body/1") == "(scrubbed by tester)\nerr\n"
    assert stored(f"{run}/body/0") == "out 1 1\nerr\n"
    assert scrub(f"{run}/body/0") == [f"Scrubbed 2 logs of run_id={run} step=body task_id=body-0"]
    assert stored(f"{run}/body/0", "--attempt", "0", "--stdout") == "out 1 0\n"
    resumed = machine.run(flow, *root, "resume", "end", "--origin-run-id", run, "--run-id-file", "c_id")
    assert resumed.returncode == 0, resumed.stdout
    clone = (machine.home / "c_id").read_text()
    assert scrub(f"{clone}/body", "--all", "--include-not-done") == [
        f"Scrubbed 4 logs of run_id={run} step=body task_id=body-0",
        f"Scrubbed 2 logs of run_id={run} step=body task_id=body-1",
    ]
    assert stored(f"{run}/body/0", "--attempt", "0") == "(scrubbed by tester)\n" * 2
    kept = [path for path in machine.home.joinpath("scrubbed").rglob("*.std*") if b"out" in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("dump", "@"), 1, "names no tasks. Write RUN_ID/STEP or RUN_ID/STEP/TASK_ID."),
        (("dump", "9/start"), 1, "There is no run '9' of AFlow in"),
        (("dump", "@/strat"), 1, "No task of step 'strat' of the run @ has ended. Did you mean 'start'?"),
        (("dump", "@/start/4"), 1, "There is no task @/start/4. Step 'start' has the tasks start-0."),
        (("dump",), 2, "required"),
        (("dump", "@/start", "--file", "no/such/x"), 1, "--file no/such/x cannot be written"),
        (("logs", "@/body/0", "--attempt", "3"), 1, "There is no attempt 3 of task @/body/0."),
        (("logs", "a", "b"), 2, "write one RUN_ID/STEP or RUN_ID/STEP/TASK_ID"),
        (("tag", "add", "x"), 2, "required: --run-id"),
        (("tag", "add", "--run-id", "9", "x"), 1, "There is no run '9'"),
        (("tag", "add", "--run-id", "@", ""), 1, "A tag must not be empty."),
        (
            ("tag", "add", "--run-id", "@", "x", "--namespace", "user:b"),
            1,
            "is not in the namespace 'user:b'",
        ),
        (("tag", "remove", "--run-id", "@", "user:tester"), 1, "system tags cannot be removed"),
        (("tag", "replace", "--run-id", "@", "--add", "x"), 2, "give at least one --remove TAG"),
        (("tag", "replace", "--run-id", "@", "--remove", "x"), 2, "give at least one --add TAG"),
        (("tag", "list", "@", "--all"), 2, "a run excludes --all and --my-runs"),
        (("tag", "lsit"), 2, "no such command: lsit. Did you mean list?"),
        (("tag",), 2, "required: COMMAND"),
        (("package", "save", "no/such/x"), 1, "no/such/x cannot be written"),
        (("rum",), 2, "no such command: rum. Did you mean run?"),
        (("dump", "@/start", "--incude", "x"), 2, "no such option: --incude. Did you mean --include?"),
        (("completion", "csh"), 2, "invalid choice: 'csh'"),
        (("logs", "@/body", "--all"), 2, "--all, --latest and --include-not-done are of 'logs scrub'"),
        (("logs", "scrub"), 2, "write one RUN_ID/STEP or RUN_ID/STEP/TASK_ID"),
        (
            ("logs", "scrub", "@/body", "--all", "--attempt", "0"),
            1,
            "--all and --attempt exclude one another",
        ),
        (
            ("airflow", "create", "x.py"),
            2,
            "Metaflow's airflow is not here: the file itself is the DAG: end it",
        ),
        (
            ("argo-workflows", "create"),
            2,
            "Metaflow's argo-workflows is not here: the file itself is the DAG",
        ),
        (
            ("batch", "kill"),
            1,
            "No job queue is named. Write ",
        ),
        (
            ("kubernetes", "list", "--my-runs", "--user", "x"),
            2,
            "--user: not allowed with argument --my-runs",
        ),
        (("kubernetes", "list", "--run-id", "9"), 1, "There is no run '9' of AFlow in"),
        (("kubernetes", "kill"), 1, "No Kubernetes cluster is configured: "),
        (
            ("step", "start"),
            2,
            "Metaflow's step is not here: it is a part of how Metaflow runs tasks; to run",
        ),
        (
            ("card", "create", "@/start"),
            2,
            "write '--with card:type=TYPE spin RUN_ID/STEP/TASK_ID', and then",
        ),
        (
            ("card", "get", "@/start", "--hash", "1"),
            1,
            "@/start has no card with the hash '1'. Cards come from",
        ),
        (
            ("--environment=uv", "run"),
            2,
            "--environment: Metaflow's uv is not here: write conda, and ",
        ),
        (("--mode", "spin", "run"), 2, "Metaflow's --mode is not here: write the command 'spin'."),
    ],
)
def test_what_can_go_wrong(machine, words, code, message):
    """Usage errors exit 2, others 1, each with one message; nothing is changed."""
    done = _said(machine, *(word.replace("@", machine.run_id) for word in words), code=code)
    assert message.replace("@", machine.run_id) in done.stderr
    assert done.stdout == ""


def test_tags(machine):
    """Added, replaced, removed and listed."""
    run = machine.run_id
    added = _said(machine, "tag", "add", "--run-id", run, "a", "b")
    assert added.stdout.startswith("Operation successful. New tags:\n\nSystem tags and tags;")
    _said(machine, "tag", "replace", "--run-id", run, "--remove", "a", "--add", "c", "--add", "d")
    _said(machine, "tag", "remove", "--run-id", run, "d", "not there")

    def listed(*words: str) -> list[str]:
        return _said(machine, "tag", "list", *words).stdout.split("-\n", 1)[1].split()

    assert listed(run, "--hide-system-tags") == ["b", "c", "first"]
    assert {"user:tester", "runtime:dev", "first"} < set(listed("--run-id", run))
    assert listed("--hide-system-tags") == ["b", "c", "first"]
    assert listed("--hide-system-tags", "--group-by-run") == ["For", "run", f"AFlow/{run}", "b", "c", "first"]
    assert listed("--hide-system-tags", "--group-by-tag")[:4] == ["For", "tag", "b", f"AFlow/{run}"]
    other = machine.run(machine.file, "tag", "list", METAFLOW_USER="other")
    assert "(none)" in other.stdout
    assert "first" in machine.run(machine.file, "tag", "list", "--all", METAFLOW_USER="other").stdout
    _said(machine, "tag", "remove", "--run-id", run, "b", "c")


def test_the_code_package(machine):
    """Its description, its files, and the package itself."""
    assert "Number of files: 1" in _said(machine, "package", "info").stdout
    assert _said(machine, "package", "list").stdout == f"{machine.file}\n"
    assert _said(machine, "package", "list", "--archive").stdout == "a_flow.py\n"
    _said(machine, "package", "save", "code.zip")
    with zipfile.ZipFile(machine.home / "code.zip") as archive:
        assert archive.read("a_flow.py") == machine.file.read_bytes()


def test_other_files_in_the_code_package(machine):
    """Those whose ending the option or Metaflow's variable names, in the package of a run too."""
    flow = machine.flow(FLOW, folder=machine.home / ".queries")
    flow.with_name("query.sql").write_text("select 1")
    words = ("package", "list", "--archive")
    assert machine.run(flow, *words).stdout == "a_flow.py\n"
    assert machine.run(flow, *words, "--package-suffixes", ".sql").stdout == "a_flow.py\nquery.sql\n"
    suffixes = {"METAFLOW_DEFAULT_PACKAGE_SUFFIXES": ".py, .sql,"}
    info = machine.run(flow, "package", "--timeout", "9", "info", **suffixes).stdout
    assert info.endswith(": .py, .sql files, sub-directories too\n")
    root = machine.home / "queried"
    done = machine.run(flow, "--datastore-root", str(root), "--package-suffixes=.sql", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    (code,) = root.glob("code/*.zip")
    with zipfile.ZipFile(code) as archive:
        assert archive.read("query.sql") == b"select 1"


def test_the_graph_in_graphviz(machine):
    """Every step, how it goes on, and the arrows."""
    done = _said(machine, "output-dot")
    assert done.stdout.startswith("digraph AFlow {\n")
    assert '"start"[ label = <<b>start</b> | <font point-size="10">foreach</font>>' in done.stdout
    assert '"start" -> "body";' in done.stdout
    assert "dot -Tpng" in done.stderr
    assert _said(machine, "--quiet", "output-dot").stderr == ""


def test_the_graph_as_json(machine):
    """For programs, under the name that Metaflow's command has as well; and a word on Pylint."""
    graph = json.loads(_said(machine, "show", "--json").stdout)
    assert (graph["steps"][0]["name"], graph["steps"][0]["kind"]) == ("start", "foreach")
    assert json.loads(_said(machine, "output-raw", "--json").stdout) == graph
    checked = _said(machine, "check", "--warnings")
    assert checked.stdout == "AFlow: 4 steps, the graph looks good.\n"
    assert checked.stderr == f"Pylint is not run here. For its warnings: pylint {machine.file}\n"


def test_without_a_command(machine):
    """The flow is checked, and the commands to go on with are named; `help` and `version` say more."""
    done = _said(machine)
    assert "    The graph looks good!\n" in done.stdout
    assert f"\n{sys.executable} {machine.file} run   runs the flow locally.\n" in done.stdout
    assert _said(machine, "help").stdout == _said(machine, "--help").stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", _said(machine, "version").stdout)


def test_a_parameter_may_have_the_name_of_such_an_option(machine):
    """Behind ``run`` it is the parameter's."""
    text = FLOW.replace(
        "    @step\n    def start", '    monitor = Parameter("monitor")\n    @step\n    def start'
    )
    flow = machine.flow(text.replace('"out"', '"out", self.monitor'), name="b_flow.py")
    done = machine.run(flow, "run", "--monitor", "mine")
    assert "] out mine 1\n" in done.stdout, done.stdout + done.stderr


def test_options_of_metaflow_without_effect_here(machine):
    """Scripts that give them go on working; options stand before the command or behind it."""
    words = ["--quiet", "--metadata", "local", "--no-pylint", "--event-logger=nullSidecarLogger"]
    done = _said(machine, *words, "run", "--monitor", "debugMonitor", "--max-log-size", "5")
    assert "Done!" in done.stdout
    assert done.stderr == ""
    root = str(machine.home / "elsewhere")
    _said(
        machine, "--datastore-root", "nowhere", "run", "--datastore-root", root, "--with", "resources:cpu=1"
    )
    assert not (machine.home / "nowhere").exists()
    assert (machine.home / "elsewhere" / "flows").is_dir()


LONG = "q" * 5000


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--alpha", LONG],
        ["run", f"--{LONG}", "1"],
        ["run", "--tag", LONG],
        ["run", "--with", LONG],
        ["run", "--with", f"retry:{LONG}=1"],
        ["run", "--max-workers", LONG],
        ["run", "--run-id-file", f"{LONG}/id"],
        ["--datastore", LONG, "run"],
        ["--environment", LONG, "run"],
        ["--keywords-file", LONG, "run"],
        ["resume", LONG],
        ["resume", "--origin-run-id", LONG],
        ["spin", LONG],
        ["spin", "start", "--artifacts-module", LONG],
        ["spin", f"RUN/{'q' * 300}/1"],
        ["spin", f"RUN/start/{LONG}"],
        ["logs", LONG],
        ["logs", f"RUN/{LONG}"],
        ["logs", "RUN/start", "--attempt", LONG],
        ["dump", f"RUN/start/{LONG}"],
        ["card", "view", "RUN/start", "--type", LONG],
        ["tag", "add", "--run-id", "RUN", LONG],
        ["tag", "list", "--run-id", LONG],
        [LONG],
        ["help", LONG],
    ],
    ids=lambda words: " ".join(words).replace("q" * 300, "Q")[:40],
)
def test_long_words_in_messages(machine, words):
    """A word that is wrong and has thousands of letters is said in a line that can be read."""
    words = [word.replace("RUN", machine.run_id) for word in words]
    done = machine.run(machine.file, *words)
    assert done.returncode in {1, 2}
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).count("q") < 300
    assert len(done.stderr) < 2000


@pytest.mark.parametrize(
    "content", [None, b"{", b"[]", b"\xff"], ids=["missing", "no JSON", "no object", "no UTF-8"]
)
def test_a_file_of_keywords_that_cannot_be_read(machine, content):
    """One line names the option and the file."""
    file = machine.home / "keywords.json"
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content)
    (line,) = _said(machine, "--keywords-file", str(file), "run", code=1).stderr.splitlines()
    assert line.startswith(f"--keywords-file {file} ")
