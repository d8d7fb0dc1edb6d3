"""Properties of graphs: any flow made of nested splits, foreaches, switches and loops is read as it is written.

A flow is drawn as blocks, written as a text, read as a graph, and then run on paper: each task leads on by
``next_tasks``, switches choose at random, and ``parents`` and ``is_taken`` must tell the same story backwards.
"""

from __future__ import annotations

import itertools
import linecache
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_conda_flow.flow.graph.lint import find_problems
from airflow_conda_flow.flow.graph.reader import read_graph
from airflow_conda_flow.records.graph import FlowGraph
from airflow_conda_flow.records.lineage import is_taken, next_tasks, parents
from airflow_conda_flow.records.task_record import TaskRecord

Task = tuple[str, tuple[int, ...]]


def _blocks(inner: st.SearchStrategy) -> st.SearchStrategy:
    one = st.lists(inner, min_size=1, max_size=3)
    arms = st.lists(one, min_size=1, max_size=2)
    return st.one_of(
        st.tuples(st.just("split"), st.lists(one, min_size=2, max_size=3)),
        st.tuples(st.just("foreach"), one),
        st.tuples(st.just("switch"), arms, st.booleans()).filter(lambda each: each[2] or len(each[1]) > 1),
    )


BLOCKS = st.recursive(st.just(("step",)) | st.just(("loop",)), _blocks, max_leaves=10)
FLOWS = st.lists(BLOCKS, max_size=4)


class Text:
    """The text of a flow, written from its end to its start.

    Attributes:
        lines: the steps; each is a text.
        kinds: how each step goes on.
        out: the steps that each goes on to, in order.
        joins: the join that closes each split and foreach.
        conditional: the steps in arms of switches.
    """

    def __init__(self, blocks: list) -> None:
        self.lines: list[str] = []
        self.kinds = {"end": "end"}
        self.out: dict[str, list[str]] = {"end": []}
        self.joins: dict[str, str] = {}
        self.conditional: set[str] = set()
        self._arms = 0  # how many are around what is written
        first = self._sequence(blocks, "end")
        self._step("start", "linear", [first])

    def source(self) -> str:
        """The file."""
        head = ["from airflow_conda_flow import FlowSpec, step", "class Drawn(FlowSpec):"]
        return "\n".join([*head, *self.lines, "    @step\n    def end(self):\n        pass", ""])

    def _step(self, name: str, kind: str, out: list[str], arguments: str = "self") -> str:
        targets = [f"self.{each}" for each in out]
        cases = ", ".join(f"{number}: {each}" for number, each in enumerate(targets))
        written = {
            "linear": targets[0],
            "split": ", ".join(targets),
            "foreach": f"{targets[0]}, foreach='items'",
            "switch": f"{{{cases}}}, condition='way'",
        }[kind]
        self.lines.append(f"    @step\n    def {name}({arguments}):\n        self.next({written})")
        self.kinds[name], self.out[name] = kind, out
        if self._arms:
            self.conditional.add(name)
        return name

    def _new(self, word: str) -> str:
        return f"{word}{len(self.kinds)}"

    def _sequence(self, blocks: list, then: str) -> str:
        for block in reversed(blocks):
            then = self._block(block, then)
        return then

    def _block(self, block: tuple, then: str) -> str:
        kind = block[0]
        if kind == "step":
            return self._step(self._new("step"), "linear", [then])
        if kind == "loop":
            name = self._new("loop")
            return self._step(name, "switch", [name, then])
        if kind == "switch":
            self._arms += 1
            arms = [self._sequence(arm, then) for arm in block[1]]
            self._arms -= 1
            return self._step(self._new("switch"), "switch", arms + [then] * block[2])
        join = self._step(self._new("join"), "linear", [then], "self, inputs")
        bodies = block[1] if kind == "split" else [block[1]]
        opener = self._step(self._new(kind), kind, [self._sequence(body, join) for body in bodies])
        self.joins[opener] = join
        return opener


def read(text: Text) -> FlowGraph:
    """The graph of the flow."""
    name = "drawn_flow.py"
    source = text.source()
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "drawn_flow"}
    exec(compile(source, name, "exec"), namespace)
    return read_graph(namespace["Drawn"])


class PaperRun:
    """A run of the graph without any code of a step.

    Attributes:
        records: what each task that ran left.
        came_from: the tasks that led to each.
    """

    def __init__(self, graph: FlowGraph, chance: random.Random) -> None:
        self.graph = graph
        self.records: dict[Task, TaskRecord] = {}
        self.came_from: dict[Task, list[Task]] = {(graph.start, ()): []}
        ready: list[Task] = [(graph.start, ())]
        while ready:
            task = ready.pop(chance.randrange(len(ready)))
            assert task not in self.records, f"{task} runs twice"
            transition = self._transition(task[0], chance)
            self.records[task] = TaskRecord({"transition": transition})
            for following in next_tasks(graph, task[1], transition):
                self.came_from.setdefault(following, []).append(task)
                if len(self.came_from[following]) == self._inputs(following):
                    ready.append(following)

    def _transition(self, step: str, chance: random.Random) -> dict[str, Any] | None:
        node = self.graph.steps[step]
        if node.kind == "end":
            return None
        if node.kind == "foreach":
            return {"next": node.out_steps, "foreach": node.foreach, "num_splits": chance.randint(1, 3)}
        if node.kind == "switch":
            return {
                "next": [chance.choice([each for each in node.out_steps if each != step])],
                "foreach": None,
                "num_splits": None,
            }
        return {"next": node.out_steps, "foreach": None, "num_splits": None}

    def _inputs(self, task: Task) -> int:
        if not self.graph.steps[task[0]].is_join:
            return 1
        split = self.graph.split_of(task[0])
        if split.kind == "foreach":
            return self.records[split.name, task[1]].num_splits
        return len(split.out_steps)

    def record_of(self, step: str, indices: tuple[int, ...]) -> TaskRecord | None:
        """The record of a task, None if it did not run."""
        return self.records.get((step, indices))

    def index_paths(self, step: str) -> list[tuple[int, ...]]:
        """Every index path that a task of the step may have, in splits that were opened."""
        paths: list[tuple[int, ...]] = [()]
        for name in self.graph.steps[step].split_parents:
            if self.graph.steps[name].kind == "foreach":
                opened = [path for path in paths if (name, path) in self.records]
                paths = [
                    (*path, index) for path in opened for index in range(self.records[name, path].num_splits)
                ]
        return paths


@given(FLOWS)
def test_a_graph_is_read_as_it_was_written(blocks):
    """Kinds, targets, joins, what switches decide on and the steps before each, with nothing to complain about."""
    text = Text(blocks)
    graph = read(text)
    assert [str(problem) for problem in find_problems(graph)] == []
    assert {name: node.kind for name, node in graph.steps.items()} == text.kinds
    assert {name: node.out_steps for name, node in graph.steps.items()} == {
        name: list(dict.fromkeys(out)) for name, out in text.out.items()
    }
    assert {
        name: node.matching_join for name, node in graph.steps.items() if node.matching_join
    } == text.joins
    assert {name for name, node in graph.steps.items() if node.conditional} == text.conditional
    before = {name: {each for each, out in text.out.items() if name in out} for name in text.out}
    assert {name: set(node.in_steps) for name, node in graph.steps.items()} == before


@given(FLOWS)
def test_a_graph_comes_back_from_json(blocks):
    """A run stores its graph, and reads it back whole."""
    graph = read(Text(blocks))
    assert FlowGraph.from_dict(graph.to_dict()).to_dict() == graph.to_dict()


@given(FLOWS, st.integers(0, 2**32))
def test_parents_are_the_tasks_that_led_to_a_task(blocks, seed):
    """Forwards and backwards tell the same: which tasks, in the order of splits and branches."""
    run = PaperRun(read(Text(blocks)), random.Random(seed))
    graph = run.graph
    assert (graph.end, ()) in run.records
    for step, indices in run.records:
        found = parents(graph, step, indices, run.record_of)
        assert sorted(found) == sorted(run.came_from[step, indices])
        if not graph.steps[step].is_join:
            continue
        split = graph.split_of(step)
        if split.kind == "foreach":
            assert [path[-1] for _, path in found] == list(range(len(found)))
        else:
            for (name, _), branch in zip(found, split.out_steps, strict=True):
                assert name in graph.descendants(branch) | {branch}


@given(FLOWS, st.integers(0, 2**32))
def test_a_task_is_taken_where_it_ran(blocks, seed):
    """Also for each step that did not run, in every split there is."""
    run = PaperRun(read(Text(blocks)), random.Random(seed))
    every = list(itertools.chain.from_iterable(((s, p) for p in run.index_paths(s)) for s in run.graph.steps))
    assert set(run.records) <= set(every)
    for step, indices in every:
        ran = (step, indices) in run.records
        assert is_taken(run.graph, step, indices, run.record_of) == ran
        assert ran or run.graph.steps[step].conditional
