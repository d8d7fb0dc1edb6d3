"""Nesting of the graph: the splits that are open around each step, and the join that closes each split.

A walk from ``start`` carries a stack of open splits, each with the branch that was taken. If a step is
reached with different stacks, splits and joins do not balance there, and a problem of the step is recorded.

If they balance, the share of all paths through the flow that contain a step tells whether a switch decides
if the step runs.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.records.graph import FlowGraph, StepNode

    Stack = tuple[tuple[str, str], ...]


def add_split_structure(graph: "FlowGraph") -> None:
    """Set ``split_parents``, ``matching_join`` and ``conditional`` of every step.

    If splits and joins do not balance at a step, a problem is added to the step.
    """
    walk = _Walk(graph)
    if graph.start in graph.steps:
        walk.run()
    nodes = list(graph.steps.values())
    if any(node.kind == "switch" for node in nodes) and not any(node.structure_problems for node in nodes):
        _mark_conditional(graph)


def _mark_conditional(graph: "FlowGraph") -> None:
    """Mark the steps that not every run reaches.

    A step has the share 1 if every path contains it. A switch divides its share equally among its arms, of
    which only one runs; where all arms meet, the shares add up to the share of the switch again. A join has
    the share of its split. ``Fraction`` keeps the sums exact.
    """
    from fractions import Fraction  # noqa: PLC0415 - few flows have a switch, and it is slow to load

    split_of = {node.matching_join: node.name for node in graph.steps.values() if node.matching_join}
    shares = dict.fromkeys(graph.steps, Fraction(0))
    shares[graph.start] = Fraction(1)
    for node in graph.topological():
        arms = [name for name in node.out_steps if name in graph.steps and name != node.name]
        share = shares[node.name] / len(arms) if node.kind == "switch" and arms else shares[node.name]
        node.conditional = shares[node.name] != 1
        for name in arms:
            if name in split_of:
                shares[name] = shares[split_of[name]]
            else:
                shares[name] += share


class _Walk:
    def __init__(self, graph: "FlowGraph") -> None:
        self.steps = graph.steps
        self.first = graph.start
        self.last = graph.end
        self.stacks: "dict[str, Stack]" = {}
        self.arrived: "dict[tuple[str, Stack, str], set[str]]" = {}

    def run(self) -> None:
        seen: "set[tuple[str, Stack]]" = set()
        open_steps: "list[tuple[str, Stack]]" = [(self.first, ())]
        while open_steps:
            item = open_steps.pop(0)
            if item in seen or item[0] not in self.steps:
                continue
            seen.add(item)
            inside = self._enter(self.steps[item[0]], item[1])
            if inside is not None:
                open_steps.extend(self._leave(self.steps[item[0]], inside))
        self._check_joins()

    def _enter(self, node: "StepNode", stack: "Stack") -> "Stack | None":
        """Stack inside a step; None if the walk ends here because of a problem."""
        if node.is_join:
            if not stack:
                _problem(
                    node,
                    "Step %r takes inputs, but no split or foreach is open before it. "
                    "Write def %s(self)." % (node.name, node.name),
                )
                return None
            split, branch = stack[-1]
            if self.steps[split].kind == "foreach" and branch == node.name:
                _problem(
                    node,
                    "Step %r is both the body and the join of the foreach in %r. "
                    "Put a step without inputs between them." % (node.name, split),
                )
                return None
            self.arrived.setdefault((node.name, stack[:-1], split), set()).add(branch)
            stack = stack[:-1]
        before = self.stacks.setdefault(node.name, stack)
        if before != stack:
            self._clash(node, before, stack)
            return None
        node.split_parents = [split for split, _ in stack]
        return stack

    def _leave(self, node: "StepNode", stack: "Stack") -> "list[tuple[str, Stack]]":
        if node.kind in ("split", "foreach"):
            return [(target, stack + ((node.name, target),)) for target in node.out_steps]
        if not node.out_steps and stack and node.name == self.last:
            _problem(
                node,
                "The %s in step %r is never joined. Add a step with (self, inputs) before %s."
                % (_what(self.steps[stack[-1][0]]), stack[-1][0], node.name),
            )
        return [(target, stack) for target in node.out_steps if target != node.name]

    def _clash(self, node: "StepNode", one: "Stack", other: "Stack") -> None:
        for (split, branch), (other_split, other_branch) in zip(one, other):
            if split == other_split and branch != other_branch and not node.is_join:
                _problem(
                    node,
                    "Branches %r and %r of the split in %r come together in step %r, which takes no "
                    "inputs. Write def %s(self, inputs)."
                    % (branch, other_branch, split, node.name, node.name),
                )
                return
        deeper = max(one, other, key=len)
        _problem(
            node,
            "Splits and joins do not balance at step %r: it is reached both inside the split of step %r and "
            "outside it. Join that split first." % (node.name, deeper[-1][0] if deeper else self.first),
        )

    def _check_joins(self) -> None:
        for (join, _, split), branches in sorted(self.arrived.items()):
            node, opener = self.steps[join], self.steps[split]
            missing = [branch for branch in opener.out_steps if branch not in branches]
            if missing:
                _problem(
                    node,
                    "Step %r joins only %s of the split in %r; %s does not come together there. "
                    "Every branch of a split ends in the same join."
                    % (join, _names(sorted(branches)), split, _names(missing)),
                )
            elif opener.matching_join in (None, join):
                opener.matching_join = join
            else:
                _problem(
                    node,
                    "The %s in step %r is joined in %r and in %r; keep one."
                    % (_what(opener), split, opener.matching_join, join),
                )


def _what(node: "StepNode") -> str:
    return "foreach" if node.kind == "foreach" else "split"


def _names(names: "list[str]") -> str:
    return " and ".join(repr(name) for name in names)


def _problem(node: "StepNode", message: str) -> None:
    node.structure_problems.append((message, node.line))
