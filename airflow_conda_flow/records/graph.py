"""The step graph of a flow, as plain data that can be stored and read back."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import GraphDocument, NodeDocument


KINDS = ("linear", "split", "foreach", "switch", "end")


class StepNode:
    """One step and its transition.

    Attributes:
        name: the step's name.
        kind: kind of its transition: ``linear``, ``split``, ``foreach``, ``switch``, or ``end`` for none.
        out_steps: the steps that ``self.next`` names, in that order.
        in_steps: the steps that lead here, in the order of the file.
        foreach: the attribute that a foreach runs over; None without a foreach, for ``num_parallel``, and if
            the name is known only at run time.
        condition: the attribute that a switch reads, else None.
        switch_cases: next step by the value of the condition; empty except for a switch.
        is_join: whether the step takes ``inputs``.
        is_start: whether the step has ``@step(start=True)``.
        is_end: whether the step has ``@step(end=True)``.
        is_parallel: whether the step has ``@parallel`` or a decorator of its kind.
        num_parallel: whether the step opens a ``num_parallel``, whose tasks all run at the same time.
        conditional: whether a switch decides if the step runs.
        split_parents: the splits and foreach steps that are open around the step, outermost first.
        matching_join: the join that closes the step's split or foreach, else None.
        file: the file that defines the step; empty in a graph that was read back.
        line: the line of its ``def``.
        next_line: the line of its ``self.next``, or None.
        doc: its docstring.
        text_problems: (message, line) of mistakes in the text of the step.
        structure_problems: (message, line) of splits and joins that do not balance.
    """

    def __init__(
        self,
        name: str,
        kind: str = "end",
        is_join: bool = False,
        file: str = "",
        line: int = 0,
        doc: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.is_join = is_join
        self.file = file
        self.line = line
        self.doc = doc
        self.is_start = False
        self.is_end = False
        self.is_parallel = False
        self.num_parallel = False
        self.conditional = False
        self.next_line: "int | None" = None
        self.out_steps: "list[str]" = []
        self.in_steps: "list[str]" = []
        self.foreach: "str | None" = None
        self.condition: "str | None" = None
        self.switch_cases: "dict[Any, str]" = {}
        self.split_parents: "list[str]" = []
        self.matching_join: "str | None" = None
        self.text_problems: "list[tuple[str, int]]" = []
        self.structure_problems: "list[tuple[str, int]]" = []

    def to_dict(self) -> "NodeDocument":
        """The node as JSON, without what only the compiler needs (file, marks and problems).

        The cases of a switch are pairs, because keys of JSON objects must be texts.
        """
        return {
            "name": self.name,
            "kind": self.kind,
            "out_steps": self.out_steps,
            "in_steps": self.in_steps,
            "foreach": self.foreach,
            "condition": self.condition,
            "switch_cases": [list(pair) for pair in self.switch_cases.items()],
            "is_join": self.is_join,
            "num_parallel": self.num_parallel,
            "conditional": self.conditional,
            "split_parents": self.split_parents,
            "matching_join": self.matching_join,
            "line": self.line,
            "doc": self.doc,
        }

    @classmethod
    def from_dict(cls, data: "NodeDocument") -> "StepNode":
        """The node that ``to_dict`` wrote."""
        node = cls(data["name"], data["kind"], data["is_join"], "", data["line"], data["doc"])
        node.out_steps = list(data["out_steps"])
        node.in_steps = list(data["in_steps"])
        node.foreach = data["foreach"]
        node.condition = data["condition"]
        node.switch_cases = dict(data["switch_cases"])
        # The next two keys are missing in graphs that early versions stored.
        node.num_parallel = data.get("num_parallel", False)
        node.conditional = data.get("conditional", False)
        node.split_parents = list(data["split_parents"])
        node.matching_join = data["matching_join"]
        return node


class FlowGraph:
    """The steps of a flow.

    The first step is the one with ``@step(start=True)``, or else the one called ``start``; the last step
    likewise. The only step of a flow is both.

    Attributes:
        name: the flow's name.
        start: the name of the first step.
        end: the name of the last step.
        file: the flow file.
        line: the line of the class.
        doc: the docstring of the class.
        steps: node by name, in the order of the file.
        class_problems: (message, file, line) of mistakes in the class.
    """

    def __init__(
        self, name: str, steps: "list[StepNode]", file: str = "", line: int = 0, doc: str = ""
    ) -> None:
        self.name = name
        self.file = file
        self.line = line
        self.doc = doc
        self.steps = {node.name: node for node in steps}
        self.start = _marked([node.name for node in steps if node.is_start], "start")
        self.end = _marked([node.name for node in steps if node.is_end], "end")
        if len(steps) == 1:
            self.start = self.end = steps[0].name
        self.methods: "dict[str, int]" = {}
        self.class_problems: "list[tuple[str, str, int]]" = []
        self._split_of_join: "dict[str, StepNode]" = {}
        for node in self.steps.values():
            node.in_steps = []
        for node in self.steps.values():
            for target in node.out_steps:
                if target in self.steps and node.name not in self.steps[target].in_steps:
                    self.steps[target].in_steps.append(node.name)

    def topological(self) -> "list[StepNode]":
        """The steps in an order in which they can run: each after all steps that lead to it.

        A step that leads back to itself counts once. The steps of any other cycle, and all steps after it,
        are left out; the linter finds cycles by that.
        """
        waiting = {
            node.name: sum(1 for before in node.in_steps if before != node.name)
            for node in self.steps.values()
        }
        ordered: "list[StepNode]" = []
        ready = [name for name, count in waiting.items() if count == 0]
        while ready:
            node = self.steps[ready.pop(0)]
            ordered.append(node)
            for target in node.out_steps:
                if target != node.name and target in waiting:
                    waiting[target] -= 1
                    if waiting[target] == 0:
                        ready.append(target)
        return ordered

    def descendants(self, step: str) -> "set[str]":
        """Names of all steps that can run after a step."""
        found: "set[str]" = set()
        open_steps = list(self.steps[step].out_steps)
        while open_steps:
            name = open_steps.pop()
            if name not in found:
                found.add(name)
                open_steps.extend(self.steps[name].out_steps)
        return found

    def split_of(self, join: str) -> "StepNode":
        """The split or foreach that a join closes.

        Raises:
            LookupError: the step closes none.
        """
        # Kept from the first call on: ``flow/graph/split_structure.py`` sets ``matching_join`` before.
        if not self._split_of_join:
            self._split_of_join = {
                node.matching_join: node for node in self.steps.values() if node.matching_join
            }
        if join not in self._split_of_join:
            raise LookupError("Step %r closes no split." % join)
        return self._split_of_join[join]

    def is_in_gang(self, step: str) -> bool:
        """True if a step's tasks are the nodes of a ``num_parallel``: they run together or not at all."""
        around = self.steps[step].split_parents
        return bool(around) and self.steps[around[-1]].num_parallel

    def foreach_depth(self, step: str) -> int:
        """Number of foreach steps around a step: the length of its tasks' index paths."""
        return sum(1 for name in self.steps[step].split_parents if self.steps[name].kind == "foreach")

    def to_dict(self) -> "GraphDocument":
        """The graph as JSON, without its file."""
        return {
            "name": self.name,
            "line": self.line,
            "doc": self.doc,
            "start": self.start,
            "end": self.end,
            "steps": [node.to_dict() for node in self.steps.values()],
        }

    @classmethod
    def from_dict(cls, data: "GraphDocument") -> "FlowGraph":
        """The graph that ``to_dict`` wrote."""
        nodes = [StepNode.from_dict(node) for node in data["steps"]]
        graph = cls(data["name"], nodes, "", data["line"], data["doc"])
        # The marks are not stored, so the constructor can only guess by the names.
        graph.start = data.get("start", graph.start)
        graph.end = data.get("end", graph.end)
        return graph


def _marked(names: "list[str]", otherwise: str) -> str:
    return names[0] if names else otherwise
