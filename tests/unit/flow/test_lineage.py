"""Which tasks a task comes after, where switches decide: read from the switches alone."""

from __future__ import annotations

import pytest

from airflow_conda_flow.flow.graph.reader import read_graph
from airflow_conda_flow.records.lineage import is_taken, parents
from airflow_conda_flow.records.task_record import TaskRecord

from ...parts.graphs.flows.foreach_in_switch_in_foreach import ForeachInSwitchInForeach
from ...parts.graphs.flows.loop_in_foreach import LoopInForeach
from ...parts.graphs.flows.switch import Switch
from ...parts.graphs.flows.switch_in_branch import SwitchInBranch
from ...parts.graphs.flows.switch_nested import SwitchNested


def manifests(**chosen):
    """The tasks that a run left: which step each switch chose, by ``step`` or ``step_index``."""

    def record_of(step, indices):
        key = "_".join([step, *map(str, indices)])
        if key not in chosen:
            return None
        value = chosen[key]
        if isinstance(value, int):
            return TaskRecord({"transition": {"next": ["unused"], "num_splits": value}})
        return TaskRecord({"transition": {"next": [value], "num_splits": None}})

    return record_of


@pytest.mark.parametrize(
    ("flow", "conditional"),
    [
        (Switch, {"long", "long_again", "short"}),
        (SwitchNested, {"large", "small", "zero", "one", "meet"}),
        (SwitchInBranch, {"x", "y", "p", "q"}),
        (LoopInForeach, set()),
        (
            ForeachInSwitchInForeach,
            {"many", "inner", "odd", "even", "inner_join", "one", "split", "left", "right", "split_join"}
            | {"never", "never_inner", "never_join"},
        ),
    ],
)
def test_the_steps_that_a_switch_decides_on(flow, conditional):
    """Where all arms have met again, a step runs in any case; so does a step that leads back to itself."""
    graph = read_graph(flow)
    assert {name for name, node in graph.steps.items() if node.conditional} == conditional


def test_a_run_that_chose_again():
    """The tasks of an arm are no longer part of the run once its switch has chosen another one."""
    graph = read_graph(Switch)
    # ``long_again`` ran, then ``start`` was run again and chose ``short``.
    manifest_of = manifests(start="short", long="long_again", long_again="merge", short="merge")
    assert parents(graph, "merge", (), manifest_of) == [("short", ())]
    taken = [name for name in graph.steps if is_taken(graph, name, (), manifest_of)]
    assert taken == ["start", "short", "merge", "end"]


def test_arms_of_different_lengths():
    """The step where the arms meet comes after the one that was taken, or after the switch itself."""
    graph = read_graph(Switch)
    for chosen, before in [("long", "long_again"), ("short", "short"), ("merge", "start")]:
        assert parents(graph, "merge", (), manifests(start=chosen)) == [(before, ())]


def test_every_split_has_its_own_way():
    """Inside a foreach each index is looked at by itself, also behind a foreach in an arm."""
    graph = read_graph(ForeachInSwitchInForeach)
    manifest_of = manifests(
        start=2, body_0="many", body_1="one", many_0=2, inner_0_0="odd", inner_0_1="even"
    )  # fmt: skip
    assert [is_taken(graph, "inner_join", (n,), manifest_of) for n in range(2)] == [True, False]
    assert [is_taken(graph, "odd", (0, n), manifest_of) for n in range(2)] == [True, False]
    assert is_taken(graph, "meet", (1,), manifest_of)
    assert parents(graph, "inner_join", (0,), manifest_of) == [("odd", (0, 0)), ("even", (0, 1))]
    assert [parents(graph, "meet", (n,), manifest_of) for n in range(2)] == [
        [("inner_join", (0,))],
        [("one", (1,))],
    ]


def test_a_switch_that_has_not_finished():
    """Nothing is guessed: the step's name is in the message."""
    with pytest.raises(LookupError, match="The switch in step 'start' has not finished"):
        is_taken(read_graph(Switch), "long_again", (), manifests())


def test_a_long_arm():
    """The way back through an arm of thousands of steps is walked without recursion."""
    lines = ["from airflow_conda_flow import FlowSpec, step", "class Long(FlowSpec):"]
    names = [f"s{number}" for number in range(3000)]
    text = "    @step\n    def {}(self):\n        self.next({})"
    lines.append(text.format("start", "{'a': self.s0, 'b': self.end}, condition='x'"))
    lines += [text.format(a, f"self.{b}") for a, b in zip(names, [*names[1:], "end"], strict=True)]
    lines.append("    @step\n    def end(self): pass")
    namespace = {"__name__": "long_flow"}
    import linecache

    source = "\n".join(lines)
    linecache.cache["long_flow.py"] = (len(source), None, source.splitlines(keepends=True), "long_flow.py")
    exec(compile(source, "long_flow.py", "exec"), namespace)
    graph = read_graph(namespace["Long"])
    assert is_taken(graph, "s2999", (), manifests(start="s0"))
    assert not is_taken(graph, "s2999", (), manifests(start="end"))
