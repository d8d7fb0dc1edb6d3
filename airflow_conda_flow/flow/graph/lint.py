"""Checks of a step graph before anything runs; each problem is one message with file and line."""

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.flowspec import FlowSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.records.graph import FlowGraph, StepNode

RESERVED_STEP_NAMES = frozenset(
    [name for name in vars(FlowSpec) if not name.startswith("_")] + ["inputs", "name"]
)
"""Names that a step cannot have, because every flow object has them already."""


_LONGEST_NAME = 200  # bytes: names of folders have 255, and Airflow's ids of tasks 250
_ESCAPED = 3  # bytes of a name in the datastore, for one that is not ASCII


def check_graph(graph: "FlowGraph") -> None:
    """Raise ``FlowDefinitionError`` for the first problem of the graph, if there is one."""
    problems = find_problems(graph)
    if problems:
        raise problems[0]


def find_problems(graph: "FlowGraph") -> "list[FlowDefinitionError]":
    """All problems of the graph, causes before their consequences.

    After a failed basic check, the remaining checks are skipped: they would fail or repeat the problem.
    """
    checks = (
        _names,
        _start_and_end,
        _texts,
        _missing_transitions,
        _targets,
        _start_and_end_edges,
        _cycles,
        _loops,
        _parallel,
        _unreachable,
        _structure,
    )
    problems: "list[FlowDefinitionError]" = []
    for check in checks:
        problems.extend(
            FlowDefinitionError(message, file or graph.file, line) for message, file, line in check(graph)
        )
        if problems and check in (_names, _start_and_end, _texts, _targets, _cycles):
            break
    return problems


def _stored_length(name: str) -> int:
    return sum(1 if byte < 128 else _ESCAPED for byte in name.encode("utf-8"))  # noqa: PLR2004 - ASCII


def _too_long(kind: str, name: str) -> str:
    return "The name of the %s %r... is stored with %d bytes; it may have %d. Write a shorter one." % (
        kind,
        name[:20],
        _stored_length(name),
        _LONGEST_NAME,
    )


def _names(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    found = []
    if _stored_length(graph.name) > _LONGEST_NAME:
        found.append((_too_long("flow", graph.name), graph.file, graph.line))
    for node in graph.steps.values():
        if _stored_length(node.name) > _LONGEST_NAME:
            found.append(_at(node, _too_long("step", node.name)))
        elif node.name.startswith("_"):
            found.append(_at(node, "Step %r is private; a step's name starts with a letter." % node.name))
        elif node.name in RESERVED_STEP_NAMES:
            found.append(
                _at(
                    node,
                    "%r cannot be the name of a step: every flow has self.%s already. "
                    "Write another name." % (node.name, node.name),
                )
            )
    return found


def _start_and_end(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    if not graph.steps:
        return [("%s has no steps. Mark its methods with @step." % graph.name, graph.file, graph.line)]
    found = []
    for name, word, marked in (
        (graph.start, "start", [node for node in graph.steps.values() if node.is_start]),
        (graph.end, "end", [node for node in graph.steps.values() if node.is_end]),
    ):
        if len(marked) > 1:
            found.append(
                _at(
                    marked[1],
                    "Step %r has @step(%s=True), and so has step %r. Keep one."
                    % (marked[1].name, word, marked[0].name),
                )
            )
        elif marked and name != word and word in graph.steps:
            found.append(
                _at(
                    marked[0],
                    "Step %r has @step(%s=True), and there is a step %r too. Rename that one, "
                    "or remove %s=True." % (name, word, word, word),
                )
            )
        elif name not in graph.steps:
            found.append(
                (
                    "%s has no step %r.%s Every flow begins with start and ends with end; mark a "
                    "step of another name with @step(%s=True)."
                    % (graph.name, name, nearest(name, graph.steps), word),
                    graph.file,
                    graph.line,
                )
            )
    return found


def _texts(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    texts = [
        (message, node.file, line) for node in graph.steps.values() for message, line in node.text_problems
    ]
    return graph.class_problems + texts


def _missing_transitions(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    return [
        _at(
            node,
            "Step %r does not call self.next(). Write self.next(self.some_step) "
            "as its last statement." % node.name,
        )
        for node in graph.steps.values()
        if node.next_line is None and node.name != graph.end
    ]


def _targets(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    return [
        (
            _no_step(graph, node.name, target),
            node.file,
            node.next_line or node.line,
        )
        for node in graph.steps.values()
        for target in node.out_steps
        if target not in graph.steps
    ]


def _no_step(graph: "FlowGraph", step: str, target: str) -> str:
    if target in graph.methods:
        return "Step %r leads to %r, a method without @step. Write @step above it, in line %d." % (
            step,
            target,
            graph.methods[target],
        )
    return "Step %r leads to %r, which is not a step of %s.%s" % (
        step,
        target,
        graph.name,
        nearest(target, graph.steps),
    )


def _start_and_end_edges(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    start, end = graph.steps[graph.start], graph.steps[graph.end]
    found = []
    if end.next_line is not None:
        found.append(
            (
                "Step %r calls self.next(); the flow ends with it. Remove that line." % end.name,
                end.file,
                end.next_line,
            )
        )
    if start.is_join:
        found.append(
            _at(
                start,
                "Step %r takes inputs, but nothing comes before it. Write def %s(self)."
                % (start.name, start.name),
            )
        )
    if end.is_join and end is not start:
        found.append(
            _at(
                end,
                "Step %r takes inputs; the last step joins nothing. Put a join before it, and write "
                "def %s(self)." % (end.name, end.name),
            )
        )
    return found


def _loops(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    """Check steps that lead back to themselves: each needs a way out, and cannot be a join."""
    found = []
    for node in graph.steps.values():
        if node.kind != "switch" or node.name not in node.out_steps:
            continue
        if node.is_join:
            found.append(
                _at(
                    node,
                    "Step %r takes inputs and leads back to itself, where it would have none. Put the "
                    "loop in a step of its own after the join." % node.name,
                )
            )
        if len(node.out_steps) == 1:
            found.append(
                (
                    "Every case of the switch in step %r leads back to it; the loop never ends. Add a case "
                    "that leads to another step." % node.name,
                    node.file,
                    node.next_line or node.line,
                )
            )
    return found


def _parallel(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    """Check that ``num_parallel`` leads to ``@parallel``, and ``@parallel`` to a join."""
    found = []
    for node in graph.steps.values():
        line = node.next_line or node.line
        if node.num_parallel and not graph.steps[node.out_steps[0]].is_parallel:
            found.append(
                (
                    "Step %r leads to step %r with num_parallel, but that has no @parallel. Add it there."
                    % (node.name, node.out_steps[0]),
                    node.file,
                    line,
                )
            )
        if not node.is_parallel:
            continue
        found.extend(
            _at(
                node,
                "Step %r has @parallel, but step %r leads to it without num_parallel. Write "
                "self.next(self.%s, num_parallel=4) there." % (node.name, name, node.name),
            )
            for name in node.in_steps
            if not graph.steps[name].num_parallel
        )
        if node.kind != "linear" or not graph.steps[node.out_steps[0]].is_join:
            found.append(
                (
                    "Step %r has @parallel, so the next step must be a join. Write self.next(self.join), and "
                    "def join(self, inputs)." % node.name,
                    node.file,
                    line,
                )
            )
    return found


def _cycles(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    ordered = {node.name for node in graph.topological()}
    looping = {}
    for name, node in graph.steps.items():
        if name in node.out_steps and node.kind != "switch":
            looping[name] = [name, name]
        elif name not in ordered and name in graph.descendants(name):
            looping[name] = _way_back(graph, name)
    if not looping:
        return []
    way = min(looping.values(), key=len)
    node = graph.steps[way[0]]
    return [
        (
            "The steps form a cycle: %s. A step runs once; for a loop use foreach, or a switch "
            "that leads back to its own step." % " -> ".join(way),
            node.file,
            node.next_line or node.line,
        )
    ]


def _way_back(graph: "FlowGraph", name: str) -> "list[str]":
    """Shortest path from a step back to itself."""
    ways = [[name]]
    seen: "set[str]" = set()
    while ways:
        way = ways.pop(0)
        for target in graph.steps[way[-1]].out_steps:
            if target == name:
                return way + [name]
            if target not in seen:
                seen.add(target)
                ways.append(way + [target])
    raise LookupError(name)


def _unreachable(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    reachable = graph.descendants(graph.start) | {graph.start}
    return [
        _at(node, "Nothing leads to step %r. Name it in some step's self.next(), or remove it." % node.name)
        for node in graph.steps.values()
        if node.name not in reachable
    ]


def _structure(graph: "FlowGraph") -> "list[tuple[str, str, int]]":
    return [
        (message, node.file, line)
        for node in graph.topological()
        for message, line in node.structure_problems
    ]


def _at(node: "StepNode", message: str) -> "tuple[str, str, int]":
    return (message, node.file, node.line)
