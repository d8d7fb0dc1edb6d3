"""Artifacts inside a step: read when touched, stored when changed, and only then."""

from __future__ import annotations

import pytest

from ...parts.attempt_machine import one_step

TWO_STEPS = """
{before}
class AFlow(FlowSpec):
    @step
    def start(self):
        self.x = {value}
        self.next(self.end)
    @step
    def end(self):
        {body}
"""

CLASSES = """
import pickle

class Box:
    def __init__(self, *parts):
        self.parts = parts

class Array:
    def __init__(self, data):
        self.data = data
    def __reduce_ex__(self, protocol):
        return Array, (pickle.PickleBuffer(self.data),)
"""


def _refs(run):
    first = run.done("start").record.artifacts["x"]
    second = run.done("end").record.artifacts["x"]
    return first, second


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "'text'",
        "[1, 'a', 'a']",
        "{'a': {'b': 'a'}}",
        "set('abcdefghijklmnopqrstuvwxyz')",
        "{frozenset('abcdefgh'): set('ijklmnop')}",
        "Box(set('abcdefgh'), 'abc', ['abc'])",
        "b'x' * 200_000",
        "Array(bytearray(200_000))",
        "(lambda a: [a, a])([])",
    ],
)
@pytest.mark.parametrize("body", ["pass", "self.x", "y = self.x; self.x = y"])
def test_what_is_only_read_keeps_its_reference(make_run, value, body):
    """Not touched, read, or assigned again as it is: the same bytes, whatever order a set has now."""
    run = make_run(TWO_STEPS.format(value=value, body=body, before=CLASSES))
    first, second = _refs(run)
    assert first == second


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("[1]", "self.x.append(2)"),
        ("{'a': [1]}", "self.x['a'][0] = 2"),
        ("1", "self.x += 1"),
        ("True", "self.x = 1"),
        ("bytearray(200_000)", "self.x[100_000] = 1"),
        ("Array(bytearray(200_000))", "self.x.data[100_000] = 1"),
    ],
)
def test_what_is_changed_is_stored(make_run, value, body):
    """A change in place, however deep, is not lost."""
    run = make_run(TWO_STEPS.format(value=value, body=body, before=CLASSES))
    first, second = _refs(run)
    assert first["sha256"] != second["sha256"]


def test_a_newer_pickle_is_written_again_for_older_readers(make_run):
    """Where a later step has an old Python, what is read is passed on in its protocol."""
    run = make_run(TWO_STEPS.format(value="[1]", body="self.x", before=""))
    run.manifest["pickle_protocols"] = {"start": 5, "end": 4}
    first, second = _refs(run)
    assert (first["protocol"], second["protocol"]) == (5, 4)


def test_artifacts_are_read_when_touched(make_run, datastore):
    """A step that does not touch an artifact runs without its bytes."""
    run = make_run(TWO_STEPS.format(value="'a' * 1000", body="print('fine')", before=""))
    ref = run.done("start").record.artifacts["x"]
    datastore.artifacts.fetch(ref["sha256"], ref["size"]).unlink()
    assert run.done("end").record.artifacts["x"] == ref


def test_classes_of_the_flow_file_pass_between_steps(make_run):
    """Also under names that are no identifier; and attributes with an underscore pass too."""
    text = TWO_STEPS.format(
        value="Box(); self._private = 1",
        body="assert type(self.x) is Box and self._private == 1",
        before="""
class Box:
    pass
""",
    )
    for name in ("a_flow.py", "my-flow.py", "json.py"):
        run = make_run(text, name=name)
        run.done("start")
        run.done("end")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "self.x = [lambda: 1]",
            "self.x of step 'start' cannot be stored: its type is builtins.list, at self.x[0]: builtins.function (",
        ),
        (
            "self.x = {'a': [1, (2, open('/dev/null'))]}",
            "its type is builtins.dict, at self.x['a'][1][1]: _io.TextIOWrapper (",
        ),
        (
            "class Box: pass\nself.x = Box()",
            "self.x of step 'start' cannot be stored: its type is a_flow.",
        ),
        (
            "self.x = Holder()",
            "its type is a_flow.Holder, at self.x.lock: _thread.lock (",
        ),
        ("self.x = self", "a flow object or an input of a join cannot be pickled; take the attributes"),
        ("self.x = (i for i in [1])", "its type is builtins.generator ("),
        ("self.x = a = []; a.append(a); a.append(open('/dev/null'))", "at self.x[0]"),
    ],
)
def test_what_cannot_be_pickled(make_run, datastore, body, message):
    """Attribute, step, type and the place inside are named, and nothing says done."""
    run = make_run(
        one_step(
            body,
            before="""
            import threading
            class Holder:
                def __init__(self):
                    self.name, self.lock = "a", threading.Lock()
            """,
        )
    )
    exception = run.failure("start")
    assert exception["type"] == "UnpicklableArtifact"
    assert message in exception["message"]
    assert exception["traceback"] == f"UnpicklableArtifact: {exception['message']}\n"


def test_functions_that_cannot_be_pickled_stay_in_their_step(make_run):
    """Others are artifacts like all values; what a later step will not have is said."""
    run = make_run(one_step("self.f, self.g, self.name = (lambda: 1), print, self.name + str(self)"))
    result = run.done("start")
    assert sorted(result.record.artifacts) == ["g", "name"]
    assert run.value(result, "g") is print
    assert run.value(result, "name") == "AFlow<flow AFlow step start>"
    assert run.printed("stderr") == [
        "self.f of step 'start' is a function that cannot be pickled: later steps do not have it."
    ]


def test_a_failure_of_the_users_own_pickling_shows_its_frames(make_run):
    """Where ``__getstate__`` is the user's, the traceback goes into it."""
    run = make_run(
        one_step(
            "self.x = Box()",
            before="""
            class Box:
                def __getstate__(self):
                    return 1 / 0
            """,
        )
    )
    exception = run.failure("start")
    assert "return 1 / 0" in exception["traceback"]
    assert "The above exception was the direct cause" in exception["traceback"]


def test_an_artifact_of_a_library_that_the_step_lacks(make_run):
    """The message names attribute, type, step and what to declare."""
    run = make_run(
        TWO_STEPS.format(
            value="there.Thing()",
            body="self.x",
            before="""
import os, sys
if os.environ.get("WITH_THERE"):
    import there
""",
        )
    )
    (run.folder / "there.py").write_text("class Thing: pass\n")
    import os

    os.environ["WITH_THERE"] = "1"
    try:
        run.done("start")
    finally:
        del os.environ["WITH_THERE"]
    (run.folder / "there.py").unlink()
    exception = run.failure("end")
    assert exception["message"] == (
        "self.x, a there.Thing, cannot be read in step 'end': No module named 'there'. "
        "Give this step the library that defines it, with @conda(libraries={...})."
    )


def test_threads_may_read_artifacts(make_run):
    """Answers go to the thread that asked."""
    names = [f"a{n}" for n in range(40)]
    run = make_run(f"""
class AFlow(FlowSpec):
    @step
    def start(self):
        for name in {names}:
            setattr(self, name, name * 1000)
        self.next(self.end)
    @step
    def end(self):
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(16) as pool:
            self.right = list(pool.map(lambda name: getattr(self, name) == name * 1000, {names}))
""")
    run.done("start")
    assert run.value(run.done("end"), "right") == [True] * 40


def test_a_forked_child_does_not_talk_to_the_runner(make_run):
    """It has what the step has read; what the step has not is a clear error."""
    run = make_run(
        TWO_STEPS.format(
            value="1; self.y = 2",
            before="import os",
            body="""
        self.x
        if os.fork() == 0:
            try:
                print(self.x, flush=True)
                self.y
            except Exception as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        self.z = self.y
""",
        )
    )
    run.done("start")
    result = run.done("end")
    value, message = run.printed()
    assert value == "1"
    assert message == (
        "A process that step 'end' started reads an artifact that the step has not read. "
        "Read it in the step first, or pass its value to the process."
    )
    assert run.value(result, "z") == 2


DEEP = "x = []\nfor _ in range(100_000):\n    x = [x]\nself.x = x"
FULL = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (10**6, 10**6)); self.x = b'x' * 5_000_000"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            DEEP,
            "UnpicklableArtifact",
            "self.x of step 'start' cannot be stored: it is a builtins.list that is nested",
        ),
        (
            FULL,
            "ArtifactError",
            "File too large. Make room there, or set datastore_root (with S3: cache_dir) to",
        ),
    ],
    ids=["deep", "full"],
)
def test_a_value_that_cannot_be_written(make_run, body, kind, message):
    """The attribute is named, and what to do; what was written of it is removed."""
    run = make_run(one_step(body))
    exception = run.failure("start")
    assert exception["type"] == kind
    assert message in exception["message"]
    assert "self.x of step 'start'" in exception["message"]
    assert "\n" not in exception["message"]
