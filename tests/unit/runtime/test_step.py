"""A step's own view: joins, splits, transitions, parameters and ``current``."""

from __future__ import annotations

import pytest

from ...parts.attempt_machine import one_step

SPLIT = """
class AFlow(FlowSpec):
    word = Parameter("word", default="w")
    K = [1]
    @step
    def start(self):
        self.common, self.own = "same", 0
        self.next(self.a, self.b)
    @step
    def a(self):
        self.x, self.own = 1, "a"
        self.next(self.join)
    @step
    def b(self):
        self.x, self.own = 1, "b"
        self.only_b = {"b"}
        self.next(self.join)
    @property
    def doubled(self):
        return self.own * 2
    def plus(self, text):
        return self.own + text
    @step
    def join(self, inputs):
%s
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.fixture
def make_join(make_run):
    """Runs a split up to its join, which does what is given."""

    def make(*lines):
        run = make_run(SPLIT % "\n".join(" " * 8 + line for line in lines), parameters={"word": "w"})
        for step in ("start", "a", "b"):
            run.done(step)
        return run

    return make


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("[each.own for each in inputs]", ["a", "b"]),
        ("[inputs[0].own, inputs[-1].own, len(inputs)]", ["a", "b", 2]),
        ("[inputs.a.own, inputs.b.only_b]", ["a", {"b"}]),
        ("[each.own for each in inputs[1:]]", ["b"]),
        ("hasattr(inputs.a, 'only_b')", False),
        ("[hasattr(self, 'common'), hasattr(self, 'x')]", [False, False]),
        ("self.word + str(self.K)", "w[1]"),
        ("[self.input, self.index, self.foreach_stack(), self._foreach_stack]", [None, None, [], []]),
        ("repr(inputs.a)", "<Input a-0>"),
        ("sorted(dir(inputs.b))", ["K", "common", "only_b", "own", "word", "x"]),
        ("inputs.b.K", [1]),
        ("[inputs.a.index, inputs.a._current_step]", [None, "a"]),
        ("[inputs.b.doubled, inputs.a.plus('!')]", ["bb", "a!"]),
    ],
)
def test_the_inputs_of_a_join(make_join, line, value):
    """They are there in order, by number and by name; the join itself starts with parameters alone."""
    run = make_join(f"self.got = {line}")
    assert run.value(run.done("join"), "got") == value


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["pass"], {"word"}),
        (["self.own = 1", "self.merge_artifacts(inputs)"], {"word", "own", "common", "x", "only_b"}),
        (["self.merge_artifacts(inputs, exclude=['own'])"], {"word", "common", "x", "only_b"}),
        (["self.merge_artifacts(inputs, include=['x'])"], {"word", "x"}),
        (["self.own = 1", "self.merge_artifacts(inputs, include=['x', 'own'])"], {"word", "x", "own"}),
        (["self.merge_artifacts([inputs.a])"], {"word", "common", "x", "own"}),
    ],
)
def test_what_a_join_passes_on(make_join, lines, names):
    """The artifacts that a step assigns and merges, the parameters and the constants; nothing by itself."""
    assert make_join(*lines).done("join").record.artifacts.keys() == names | {"K"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "self.merge_artifacts(inputs)",
            "the inputs of step 'join' differ in own. self.own is 'a' in task a-0, and 'b' in task b-0. "
            "Assign self.own before the call, or name it in exclude=['own'].".replace("['own']", "[...]"),
        ),
        (
            "self.merge_artifacts(inputs, include=['x', 'only_c'])",
            "merge_artifacts(include=...) names only_c, which no input of step 'join' has.",
        ),
        (
            "self.merge_artifacts(inputs, include=['x'], exclude=['own'])",
            "takes include or exclude, not both",
        ),
        ("inputs.c", "inputs has no step 'c'. It has: a, b."),
        ("inputs.a.nothing", "Task a-0 has no artifact 'nothing'. It has: K, common, own, word, x."),
        ("inputs.a.x = 2", "An input of a join is read-only; assign to self.x instead."),
        (
            "self.common",
            "A join begins with only the parameters. Call self.merge_artifacts(inputs) first, or read it from",
        ),
        ("self.kept = inputs.a", "self.kept of step 'join' cannot be stored"),
    ],
)
def test_what_a_join_refuses(make_join, line, message):
    """Each is one message that says what to do instead."""
    assert message in make_join(line).failure("join")["message"]


def test_merging_reads_no_value(make_join, datastore):
    """Artifacts are compared by digest; their bytes may be far away, or gone."""
    run = make_join("self.merge_artifacts(inputs, exclude=['own'])")
    for path in (datastore.storage.root / "artifacts").glob("*/*"):
        path.unlink()
    run.done("join")


@pytest.mark.parametrize(
    ("items", "values"),
    [
        ("[3, 1]", [3, 1]),
        ("(3, 1)", [3, 1]),
        ("range(3)", [0, 1, 2]),
        ("'abc'", ["a", "b", "c"]),
        ("{'x': 1, 'y': 2}", ["x", "y"]),
        ("{5}", [5]),
        ("(n * n for n in range(3))", [0, 1, 4]),
        ("iter([1, 2])", [1, 2]),
        ("map(str, [1])", ["1"]),
    ],
)
def test_a_foreach_runs_over_anything_that_can_be_iterated(make_run, items, values):
    """Each split has its value and index, in order; an iterator becomes a list."""
    run = make_run(f"""
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = {items}
        self.next(self.each, foreach="items")
    @step
    def each(self):
        self.each = [self.input, self.index, self.foreach_stack()]
        self.got = self.each
        self.frames = [tuple(frame) for frame in self._foreach_stack]
        self.next(self.join)
    @step
    def join(self, inputs):
        self.got = [[one.input, one.index, one.foreach_stack()] for one in inputs]
        self.each = [one.each for one in inputs]
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    count = len(values)
    assert run.done("start").record.transition["num_splits"] == count
    got = [run.value(run.done("each", index), "got") for index in range(count)]
    assert got == [[value, i, [(i, count, value)]] for i, value in enumerate(values)]
    frames = [run.value(run.done("each", index), "frames") for index in range(count)]
    assert frames == [[("start", "items", count, i, value)] for i, value in enumerate(values)]
    joined = run.done("join")
    assert run.value(joined, "got") == run.value(joined, "each") == got


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "runs over self.items, which is not assigned. Assign a list to it"),
        ("self.items = 3", "runs over self.items, which is a int. Make it a list."),
        ("self.items = []", "has nothing to run over: self.items is empty."),
        ("self.items = iter([])", "has nothing to run over: self.items is empty."),
        (
            "import itertools; self.items = itertools.count()",
            "runs over self.items, which is a count of more than 100000 values, or without an end.",
        ),
    ],
)
def test_a_foreach_that_cannot_run(make_run, body, message):
    """The step that opens it fails and names the attribute."""
    run = make_run(f"""
class AFlow(FlowSpec):
    @step
    def start(self):
        {body}
        self.next(self.each, foreach="items")
    @step
    def each(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    exception = run.failure("start")
    assert exception["type"] == "TransitionError"
    assert message in exception["message"]


SWITCH = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.kind = %s
        self.next({"x": self.a, "y": self.b}, condition="kind")
    @step
    def a(self):
        self.next(self.end)
    @step
    def b(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""


def test_a_switch_takes_one_arm(make_run):
    """The transition says which, and the step after it inherits from the arm that ran."""
    run = make_run(SWITCH % "'y'")
    transition = run.done("start").record.transition
    assert (transition["next"], transition["condition"], transition["chosen"]) == (["b"], "kind", "b")
    run.done("b")
    assert run.done("end").record.artifacts.keys() == {"kind"}


@pytest.mark.parametrize("kind", ["'z'", "None", "[]"])
def test_a_switch_without_that_case(make_run, kind):
    """The value and the cases are named."""
    message = make_run(SWITCH % kind).failure("start")["message"]
    assert message.startswith("The switch in step 'start' has no case for self.kind = ")
    assert message.endswith("It has: 'x', 'y'.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if self.index is None: return", "a_flow.py:5: Step 'start' ended without calling self.next()."),
        ("getattr(self, 'next')(self.end)", "Step 'start' called self.next() twice."),
        ("getattr(self, 'next')(self.start)", "for start, but its source says end."),
        ("getattr(self, 'next')(print)", "which is not a step. Write self.next(self.some_step)."),
        (
            "self.end = 1",
            "with 1, which is not a step. self.end was assigned a value; give that another name.",
        ),
        ("self.nme = self.title", "Step 'start' reads self.title, which no step before it has assigned."),
    ],
)
def test_what_a_step_refuses(make_run, body, message):
    """A transition that the graph does not have, and names that mean something else."""
    assert message in make_run(one_step(body)).failure("start")["message"]


def test_artifacts_that_have_the_name_of_what_a_class_has(make_run):
    """Metaflow's flows have no dag(), and a method's name may be that of an artifact."""
    run = make_run("""
class AFlow(FlowSpec):
    def helper(self):
        pass
    @step
    def start(self):
        self.dag, self.helper = [1], 2
        self.next(self.end)
    @step
    def end(self):
        self.dag.append(callable(self.helper))
""")
    assert run.value(run.done("start"), "helper") == 2
    assert run.value(run.done("end"), "dag") == [1, True]


def test_current_says_which_task_this_is(make_run, datastore):
    """Run, step, task and user are there, and a directory for files that goes with the task."""
    run = make_run(
        one_step("""
            import os
            self.seen = [current.flow_name, current.run_id, current.step_name, current.task_id,
                         current.pathspec, current.retry_count, current.is_running_flow]
            open(os.path.join(current.tempdir, "artifact-0"), "w").close()
            self.tempdir = current.tempdir
            import shutil
            shutil.rmtree(current.tempdir)
        """)
    )
    result = run.done("start", attempt=2)
    assert run.value(result, "seen") == ["AFlow", "1", "start", "start-0", "AFlow/1/start/start-0", 2, True]


def test_branches_that_keep_their_ids_differ(make_run):
    """No two tasks of a run have the same id, so a merge that meets two of them says so, as Metaflow's does."""
    body = ("self.x, self.own = 1, ", "self.x, self.where, self.own = 1, current.task_id, ")
    run = make_run(
        SPLIT.replace(*body) % "        self.merge_artifacts(inputs, exclude=['own'])",
        parameters={"word": "w"},
    )
    for step in ("start", "a", "b"):
        run.done(step)
    message = run.failure("join")["message"]
    assert "differ in where. self.where is 'a-0' in task a-0, and 'b-0' in task b-0." in message


def test_a_step_finds_its_own_arguments(make_run):
    """A module that reads the command line sees the flow file alone, not how the process was started."""
    run = make_run(one_step("import sys; self.argv = sys.argv"))
    assert run.value(run.done("start"), "argv") == [str(run.folder / "a_flow.py")]


def test_forked_processes_die_of_sigterm(make_run):
    """By the system's own action: a pool that ends its workers must not wait for one that waits for a lock."""
    run = make_run(
        one_step(
            """
            self.forked = ended(lambda: (signal.getsignal(15) == signal.SIG_DFL, signal.pthread_sigmask(0, [])))
            self.step = (callable(signal.getsignal(15)), signal.pthread_sigmask(0, []))
            for _ in range(100):
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    assert pool.map(abs, [-1]) == [1]
            signal.signal(15, own)
            self.with_own = ended(lambda: signal.getsignal(15) == own)
            """,
            before="""
            import multiprocessing, pickle, os, signal
            def own(number, frame):
                raise SystemExit
            def ended(look):
                ours, theirs = os.pipe()
                if not os.fork():
                    os.write(theirs, pickle.dumps(look()))
                    os._exit(0)
                os.wait()
                return pickle.loads(os.read(ours, 1000))
            """,
        )
    )
    record = run.done("start")
    assert run.value(record, "forked") == (True, set())
    assert run.value(record, "step") == (True, set())
    assert run.value(record, "with_own") is True


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(make_run, method):
    """A step may start processes that run functions of the flow file; they compile no DAG."""
    run = make_run(
        one_step(
            f"""
            import multiprocessing
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                self.squares = pool.map(square, range(4))
            """,
            before="""
            import sys
            def square(n):
                return n * n, "airflow" in sys.modules
            """,
        )
        + '\nif __name__ == "__main__":\n    AFlow()\ndag = AFlow.dag(schedule=None)\n'
    )
    assert run.value(run.done("start"), "squares") == [(n * n, False) for n in range(4)]
