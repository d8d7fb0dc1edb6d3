"""Reads the step graph from a flow's source, without running any of it.

The steps are found as methods of the class, so inherited steps count too. The source of each method is
parsed for its ``self.next(...)``. Anything that cannot be understood is recorded as a problem of the step,
and ``lint`` reports it.
"""

import ast
import linecache
import os
import re
from types import FunctionType

from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.decorators.parallel import Parallel
from airflow_conda_flow.flow.decorators.step import is_step, step_decorators
from airflow_conda_flow.flow.flowspec import FlowSpec, taken_name
from airflow_conda_flow.flow.graph.class_text import lost_steps, twice_written
from airflow_conda_flow.flow.graph.split_structure import add_split_structure
from airflow_conda_flow.records.graph import FlowGraph, StepNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMS = (
    "self.next(self.a), self.next(self.a, self.b), self.next(self.a, foreach='items'), "
    "self.next(self.a, num_parallel=4) or self.next({'x': self.a, 'y': self.b}, condition='name')"
)
_OPTIONS = ("foreach", "condition", "num_parallel")
# Cheap test before the syntax tree is searched: may the text assign an attribute that every flow has?
_ASSIGNMENT = re.compile(r"\.(input|index|next|foreach_stack|\w+_artifacts?|load_parameter)\b[^=(\n]*=[^=]")
# Fields of statements that contain further statements; ``cases`` are those of ``match``.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_IS_GENERATOR = 0x20  # inspect.CO_GENERATOR in code.co_flags; inspect is slow to import


def read_graph(flow_class: "Any") -> "FlowGraph":
    """Step graph of a flow class, with the steps in the order of the file.

    A step of a subclass overrides the step of the same name in its base.
    """
    sources = _Sources()
    file, line = _place_of_class(flow_class, sources)
    nodes: "dict[str, StepNode]" = {}
    problems: "list[tuple[str, str, int]]" = []
    methods: "dict[str, int]" = {}
    for owner in reversed(flow_class.__mro__):
        if owner is FlowSpec or owner is object:
            continue
        problems.extend(_class_problems(owner, sources))
        for name, member in vars(owner).items():
            if is_step(member):
                nodes[name] = _read_step(name, member, sources)
            else:
                nodes.pop(name, None)
                if isinstance(member, FunctionType):  # hasattr could run a user's __getattr__
                    methods[name] = member.__code__.co_firstlineno
    graph = FlowGraph(flow_class.__name__, list(nodes.values()), file, line, flow_class.__doc__ or "")
    add_split_structure(graph)
    graph.class_problems = problems
    graph.methods = methods
    return graph


def method_definition(method: "Any") -> "Any":
    """Syntax tree of a method; None if it is not a function or its source cannot be read."""
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    code = getattr(method, "__code__", None)
    if code is None:
        return None
    return _Sources().definition(code.co_filename, code.co_name, code.co_firstlineno)


class _Sources:
    """Cache of parsed files: their functions and classes, by name and first line."""

    def __init__(self) -> None:
        self._definitions: "dict[str, dict[tuple[str, int], ast.AST]]" = {}

    def definition(self, file: str, name: str, line: int) -> "ast.AST | None":
        """Definition of that name whose first line, including decorators, is ``line``."""
        return self._of(file).get((name, line))

    def class_definition(self, file: str, name: str) -> "ast.ClassDef | None":
        """Last class of that name in a file; None if there is none."""
        found = None
        for (known, _), node in self._of(file).items():
            if known == name and isinstance(node, ast.ClassDef):
                found = node if found is None or node.lineno > found.lineno else found
        return found

    def _of(self, file: str) -> "dict[tuple[str, int], Any]":
        if file not in self._definitions:
            linecache.checkcache(file)  # the file may have changed in a long-lived process
            text = "".join(linecache.getlines(file))
            found: "dict[tuple[str, int], ast.AST]" = {}
            for node in _definitions(ast.parse(text).body):
                first = min([node.lineno] + [d.lineno for d in node.decorator_list])
                found[node.name, first] = node
            self._definitions[file] = found
        return self._definitions[file]


def _definitions(statements: "list[Any]") -> "list[Any]":
    """Functions and classes in statements, at any depth; expressions contain none and are skipped."""
    found = []
    open_statements = list(statements)
    while open_statements:
        node = open_statements.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append(node)
        for name in _BLOCKS:
            open_statements.extend(getattr(node, name, ()))
    return found


def _place_of_class(flow_class: "Any", sources: "_Sources") -> "tuple[str, int]":
    import sys  # noqa: PLC0415

    module = sys.modules.get(flow_class.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        codes = [member.__code__ for member in vars(flow_class).values() if isinstance(member, FunctionType)]
        file = codes[0].co_filename if codes else ""
    definition = sources.class_definition(file, flow_class.__name__) if file else None
    return file, definition.lineno if definition else 0


def _class_problems(owner: "Any", sources: "_Sources") -> "list[tuple[str, str, int]]":
    file, _ = _place_of_class(owner, sources)
    definition = sources.class_definition(file, owner.__name__) if file else None
    if definition is None:
        return []
    found = [*twice_written(owner, definition), *lost_steps(owner, definition)]
    return [(message, file, line) for message, line in found]


def _why_unread(file: str) -> str:
    folder = os.path.dirname(file)
    while folder and folder != os.path.dirname(folder):
        if os.path.isfile(folder):
            return "its file is inside of %s. Flow files are read where they are: unpack it." % folder
        folder = os.path.dirname(folder)
    if not os.path.isfile(file):
        return "there is no file %s. Write the flow into a file." % file
    return "%s does not hold it. Write the step itself into the flow's class." % file


def _read_step(name: str, method: "Any", sources: "_Sources") -> "StepNode":
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    code = method.__code__
    node = StepNode(name, "end", code.co_argcount > 1, code.co_filename, code.co_firstlineno)
    node.doc = method.__doc__ or ""
    node.is_start = bool(getattr(method, "is_start_step", False))
    node.is_end = bool(getattr(method, "is_end_step", False))
    node.is_parallel = any(isinstance(each, Parallel) for each in step_decorators(method))
    definition = sources.definition(code.co_filename, code.co_name, code.co_firstlineno)
    if definition is None:
        why = _why_unread(code.co_filename)
        node.text_problems.append(("The source of step %r cannot be read: %s" % (name, why), node.line))
        return node
    if isinstance(definition, ast.AsyncFunctionDef):
        node.text_problems.append(("Step %r is async; write a plain def." % name, node.line))
        return node
    node.line = _def_line(definition, code.co_filename)
    yields = (
        _outside_functions(definition, (ast.Yield, ast.YieldFrom)) if code.co_flags & _IS_GENERATOR else []
    )
    for each in yields:
        node.text_problems.append(
            ("Step %r yields; a step returns nothing. Collect the values in self." % name, each.lineno)
        )
    _read_arguments(node, definition)
    _read_assignments(node, definition)
    _read_transition(node, definition)
    return node


def _def_line(definition: "Any", file: str) -> int:
    """Line of ``def``; before Python 3.8 the syntax tree has the line of the first decorator instead."""
    line: int = definition.lineno
    while not linecache.getline(file, line).lstrip().startswith("def") and line < definition.body[0].lineno:
        line += 1
    return line


def _read_arguments(node: "StepNode", definition: "Any") -> None:
    arguments = [argument.arg for argument in definition.args.args]
    if len(arguments) not in (1, 2) or definition.args.kwonlyargs or definition.args.vararg:
        node.text_problems.append(
            (
                "Step %r takes (%s); a step takes (self), and a join (self, inputs)."
                % (node.name, ", ".join(arguments)),
                node.line,
            )
        )


def _read_assignments(node: "StepNode", definition: "Any") -> None:
    """Record assignments to attributes that every flow has as problems of the step."""
    me = definition.args.args[0].arg if definition.args.args else "self"
    end_line = getattr(definition, "end_lineno", None)  # since Python 3.8
    text = "".join(linecache.getlines(node.file)[definition.body[0].lineno - 1 : end_line])
    if not _ASSIGNMENT.search(text):
        return
    for each in _outside_functions(definition, ast.Attribute):
        is_own = isinstance(each.value, ast.Name) and each.value.id == me and isinstance(each.ctx, ast.Store)
        message = taken_name(each.attr) if is_own else ""
        if message:
            node.text_problems.append(("Step %r: %s" % (node.name, message), each.lineno))


def _read_transition(node: "StepNode", definition: "Any") -> None:
    me = definition.args.args[0].arg if definition.args.args else "self"
    calls = _next_calls(node, definition, me)
    if not calls:
        return
    node.next_line = calls[0].lineno
    last = definition.body[-1]
    if len(calls) > 1:
        node.text_problems.append(
            (
                "Step %r calls self.next() twice. Call it once, as the last statement; "
                "for a choice write self.next({'x': self.a, 'y': self.b}, condition='name')." % node.name,
                calls[1].lineno,
            )
        )
    elif not (isinstance(last, ast.Expr) and last.value is calls[0]):
        node.text_problems.append(
            (
                "self.next() is not the last statement of step %r. Move it to the end of the step, "
                "outside any if, loop or try." % node.name,
                calls[0].lineno,
            )
        )
    _read_call(node, calls[0], me)


def _read_options(node: "StepNode", call: "Any") -> "dict[str, Any] | None":
    """Expressions of the options by name; None if they are wrong, which is recorded as a problem."""
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        name = unknown[0] or ""
        _problem(node, call, "self.next() has no option %r.%s" % (name or "**", nearest(name, _OPTIONS)))
        return None
    if len(options) > 1:
        names = ["%s=" % name for name in options]
        _problem(node, call, "self.next() takes one of %s; keep one." % " and ".join(names))
        return None
    for name in ("foreach", "condition"):
        if name in options and not _may_be_text(name, options[name]):
            _problem(
                node,
                call,
                "%s of self.next() is not a text. Write the name of an attribute, such as %s='items'."
                % (name, name),
            )
            return None
        text = _text(options[name]) if name in options else None
        if text is not None and not text.isidentifier():
            _problem(
                node, call, "%s of self.next() is %r, which is not the name of an attribute." % (name, text)
            )
            return None
    return options


def _read_call(node: "StepNode", call: "Any", me: str) -> None:
    options = _read_options(node, call)
    if options is None:
        return
    node.foreach = _text(options["foreach"]) if "foreach" in options else None
    node.condition = _text(options["condition"]) if "condition" in options else None
    if len(call.args) == 1 and isinstance(call.args[0], ast.Dict):
        _read_switch(node, call, me)
        return
    node.out_steps = _targets(node, call, call.args, me)
    if node.condition is not None:
        _problem(node, call, "condition= goes with a dict of steps. Write %s." % _FORMS)
    elif not call.args:
        _problem(node, call, "self.next() names no step. Write %s." % _FORMS)
    elif options:
        node.kind = "foreach"
        node.num_parallel = "num_parallel" in options
        if len(call.args) > 1:
            _problem(node, call, "A foreach has one target; self.next() names %d." % len(call.args))
    elif len(set(node.out_steps)) < len(node.out_steps):
        _problem(node, call, "self.next() names a step twice.")
    else:
        node.kind = "linear" if len(node.out_steps) == 1 else "split"


def _read_switch(node: "StepNode", call: "Any", me: str) -> None:
    node.kind = "switch"
    cases = call.args[0]
    if any(isinstance(each, (ast.List, ast.Tuple, ast.Set)) for each in cases.values):
        _problem(
            node,
            call,
            "A case of the switch in step %r names several steps. Name one step, which splits: "
            "self.next(self.a, self.b)." % node.name,
        )
        return
    targets = _targets(node, call, cases.values, me)
    if node.condition is None:
        _problem(node, call, "A dict of steps goes with condition=. Write %s." % _FORMS)
    for key, target in zip(cases.keys, targets):
        name = _attribute_path(key, me)
        if name is not None:
            node.switch_cases[name] = target
            continue
        try:
            node.switch_cases[ast.literal_eval(key)] = target
        except (ValueError, TypeError):
            _problem(
                node,
                call,
                "A case of the switch in step %r is not a constant. Write a text, a number, or a value "
                "of a Config, such as self.config.fast." % node.name,
            )
    node.out_steps = sorted(set(targets), key=targets.index)
    if not cases.keys:
        _problem(node, call, "The switch in step %r has no cases. Write %s." % (node.name, _FORMS))


def _targets(node: "StepNode", call: "Any", arguments: "list[Any]", me: str) -> "list[str]":
    names = []
    for argument in arguments:
        if (
            isinstance(argument, ast.Attribute)
            and isinstance(argument.value, ast.Name)
            and argument.value.id == me
        ):
            names.append(argument.attr)
        else:
            _problem(node, call, "self.next() names something that is not a step. Write %s." % _FORMS)
    return names


def _problem(node: "StepNode", call: "Any", message: str) -> None:
    node.text_problems.append((message, call.lineno))


def _outside_functions(definition: "Any", kind: "Any") -> "list[Any]":
    """Nodes of a kind in a function, in order of lines; nested functions and classes are skipped."""
    found = []
    open_nodes = list(definition.body)
    while open_nodes:
        node = open_nodes.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(node, kind):
            found.append(node)
        open_nodes.extend(ast.iter_child_nodes(node))
    return sorted(found, key=lambda node: node.lineno)


def _next_calls(node: "StepNode", definition: "Any", me: str) -> "list[Any]":
    """Calls of ``self.next`` in a step.

    The tree is searched only if the text has the word ``next`` more than once, because that is slower.
    """
    last = definition.body[-1]
    value = last.value if isinstance(last, ast.Expr) else None
    end_line = getattr(definition, "end_lineno", None)  # since Python 3.8
    if end_line is not None and isinstance(value, ast.Call) and _is_next(value, me):
        lines = linecache.getlines(node.file)[definition.body[0].lineno - 1 : end_line]
        if "".join(lines).count("next") == 1:
            return [value]
    return [call for call in _outside_functions(definition, ast.Call) if _is_next(call, me)]


def _is_next(call: "Any", me: str) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "next"
        and isinstance(function.value, ast.Name)
        and function.value.id == me
    )


def _attribute_path(node: "Any", me: str) -> "str | None":
    """Text of an expression such as ``self.config.name``; None for other expressions.

    The value of such an expression is only known at run time.
    """
    names: "list[str]" = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id == me and names:
        return ".".join(["self"] + names)
    return None


def _may_be_text(option: str, node: "Any") -> bool:
    """True if the expression is a text, or belongs to a foreach and may give one at run time."""
    try:
        return isinstance(ast.literal_eval(node), str)
    except (ValueError, TypeError):
        return option == "foreach"


def _text(node: "Any") -> "str | None":
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, str) else None
