"""An artifact that is missing: the message says which step assigned it, and what to write."""

from __future__ import annotations

import pytest

SPLIT = """
class AFlow(FlowSpec):
    FACTOR = 2
    @step
    def start(self):
        self.common = 1
        if self.common > 1:
            self.seldom = 1
        self.items, (self.pair, self.other) = [1], (1, 2)
        self.next(self.a, self.b)
    @step
    def a(self):
        self.x = 1
        for self.counter in range(3):
            pass
        self.next(self.join)
    @step
    def b(self):
        self.y: int = 1
        with open(__file__) as self.file:
            pass
        self.file = None
        self.next(self.join)
    @step
    def join(self, inputs):
        print(JOIN)
        self.next(self.end)
    @step
    def end(self):
        print(END)
"""
NOT_PASSED_ON = "assigned, but the join 'join' did not pass on. Write self.merge_artifacts(inputs) in step 'join', or assign"


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ("self.x", f"Step 'end' reads self.x, which step 'a' (line 14) {NOT_PASSED_ON} self.x there."),
        ("self.y", f"Step 'end' reads self.y, which step 'b' (line 20) {NOT_PASSED_ON} self.y there."),
        ("self.common", f"self.common, which step 'start' (line 7) {NOT_PASSED_ON} self.common there."),
        ("self.pair", f"self.pair, which step 'start' (line 10) {NOT_PASSED_ON}"),
        ("self.counter", f"self.counter, which step 'a' (line 15) {NOT_PASSED_ON}"),
        ("self.file", f"self.file, which step 'b' (line 21) {NOT_PASSED_ON}"),
        ("getattr(self, 'x')", f"self.x, which step 'a' (line 14) {NOT_PASSED_ON}"),
        ("self.nope", "Step 'end' reads self.nope, which no step before it has assigned."),
        ("self.merge_artifact([])", "has assigned. Did you mean 'merge_artifacts'?"),
    ],
)
def test_after_a_join(make_run, read, said):
    """The join is named, and the line of the assignment."""
    run = make_run(SPLIT.replace("JOIN", "1").replace("END", read))
    for step in ("start", "a", "b", "join"):
        run.done(step)
    failure = run.failure("end")
    assert failure["type"] == "MissingArtifact"
    assert said in failure["message"]


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ("self.x", "which step 'a' (line 14) assigned. A join begins with only the parameters. Call"),
        ("self.x", "Call self.merge_artifacts(inputs) first, or read it from inputs, such as inputs.a.x."),
        ("self.y", "such as inputs.b.y."),
        ("self.common", "which step 'start' (line 7) assigned. A join begins with only the parameters."),
        ("self.nope", "which no step before it has assigned."),
    ],
)
def test_in_a_join(make_run, read, said):
    """The message says what to write there."""
    run = make_run(SPLIT.replace("JOIN", read).replace("END", "1"))
    for step in ("start", "a", "b"):
        run.done(step)
    assert said in run.failure("join")["message"]


def test_what_was_not_assigned_in_this_run(make_run):
    """The step that could have done it is named."""
    run = make_run(SPLIT.replace("self.x = 1", "print(self.seldom)").replace("JOIN", "1").replace("END", "1"))
    run.done("start")
    said = "Step 'a' reads self.seldom, which step 'start' (line 9) assigns, but did not in this run."
    assert said in run.failure("a")["message"]


def test_a_missing_artifact_may_be_asked_for(make_run):
    """``hasattr`` and a default work as ever."""
    run = make_run(
        SPLIT.replace("JOIN", "1").replace("END", "[hasattr(self, 'x'), getattr(self, 'y', 7)] * 2")
    )
    for step in ("start", "a", "b", "join", "end"):
        run.done(step)
    assert run.printed()[-1].strip() == "[False, 7, False, 7]"


SWITCH = """
class AFlow(FlowSpec):
    word = Parameter("word", default="w")
    FACTOR = [3]
    @step
    def start(self):
        self.items, self.kind = [1], 1
        NEXT
    @step
    def a(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
FOREACH = SWITCH.replace(
    "self.next(self.end)\n",
    "self.next(self.join)\n    @step\n    def join(self, inputs):\n        self.next(self.end)\n",
)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'self.next(self.a, foreach="itms")',
            "runs over self.itms, which is not assigned. Did you mean 'items'?",
        ),
        ('self.next(self.a, foreach="FACTR")', "self.FACTR, which is not assigned. Did you mean 'FACTOR'?"),
        ('self.next(self.a, foreach="zzzz")', "self.zzzz, which is not assigned. Assign a list to it"),
        (
            'self.next({1: self.a, 2: self.end}, condition="kid")',
            "The switch in step 'start' reads self.kid, which is not assigned. Did you mean 'kind'? Assign",
        ),
        (
            'self.next({1: self.a, 2: self.end}, condition="wrd")',
            "self.wrd, which is not assigned. Did you mean 'word'?",
        ),
        (
            'self.next({1: self.a, 2: self.end}, condition="qqqq")',
            "self.qqqq, which is not assigned. Assign one",
        ),
    ],
)
def test_an_attribute_of_next_that_is_not_there(make_run, line, said):
    """The nearest of those that are."""
    text = FOREACH if "foreach" in line else SWITCH
    failure = make_run(text.replace("NEXT", line), parameters={"word": "w"}).failure("start")
    assert (failure["type"], said in failure["message"]) == ("TransitionError", True), failure["message"]
