"""The public face is typed: mypy accepts flows that are right, and refuses those that are wrong."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_conda_flow
from airflow_conda_flow import FlowSpec
from airflow_conda_flow.flow.graph.lint import check_graph
from airflow_conda_flow.flow.graph.reader import read_graph

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FLOWS = sorted((HERE / "flows").glob("*.py"))
MISTAKES = sorted((HERE / "mistakes").glob("*.py"))
DECORATORS = [
    each.decorator_class
    for each in map(airflow_conda_flow.__dict__.get, airflow_conda_flow.__all__)
    if hasattr(each, "decorator_class")
]

_ERROR = re.compile(r"(?P<file>.+?):(?P<line>\d+): error: (?P<message>.*)")
_EXPECTED = re.compile(r" *# error: (?P<message>.*)")


def expected_in(file: Path) -> Iterator[tuple[str, int, str]]:
    """(file, line, message) of each ``# error:``; the line is that of the statement below the comments."""
    waiting: list[str] = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        found = _EXPECTED.fullmatch(line)
        if found:
            waiting.append(found["message"])
            continue
        yield from ((file.name, number, message) for message in waiting)
        waiting.clear()


def test_mypy_knows_every_type_and_refuses_every_mistake() -> None:
    """One start for all files, as it spends its time on Airflow's types, which ``dag()`` returns."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--no-pretty",
        "--no-error-summary",
    ]
    cache = ROOT / ".cache" / "mypy-typing"
    result = subprocess.run(
        [*command, f"--cache-dir={cache}", *map(str, FLOWS + MISTAKES)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert not result.stderr
    reported = [found for line in result.stdout.splitlines() if (found := _ERROR.fullmatch(line))]
    expected = [each for file in MISTAKES for each in expected_in(file)]
    unexpected = []
    for found in reported:
        name, line = Path(found["file"]).name, int(found["line"])
        known = [
            each for each in expected if each[:2] == (name, line) and found["message"].startswith(each[2])
        ]
        if known:
            expected.remove(known[0])
        else:
            unexpected.append(found.group())
    assert not unexpected, "\n".join(unexpected)
    assert not expected, "mypy accepts:\n" + "\n".join(map(str, expected))


@pytest.mark.parametrize("file", FLOWS, ids=lambda file: file.stem)
def test_python_accepts_what_mypy_accepts(file: Path) -> None:
    """A flow that mypy accepts is also right when it is read."""
    spec = importlib.util.spec_from_file_location(f"typed_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        flows = [
            each for each in vars(module).values() if isinstance(each, type) and each.__module__ == spec.name
        ]
        for flow in flows:
            if issubclass(flow, FlowSpec):
                check_graph(read_graph(flow))
    finally:
        del sys.modules[spec.name]


@pytest.mark.parametrize("decorator", DECORATORS, ids=lambda decorator: decorator.name)
def test_type_checkers_see_the_attributes_of_a_decorator(decorator: type) -> None:
    """The definition for type checkers has the attributes and the defaults that the decorator has."""
    tree = ast.parse(Path(inspect.getfile(decorator)).read_text())
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    (arguments,) = (each.args for each in functions if each.name == decorator.name)
    names = [each.arg for each in arguments.kwonlyargs]
    assert sorted(names) == sorted(decorator.defaults)
    for name, default in zip(names, arguments.kw_defaults, strict=True):
        if default is not None and ast.unparse(default) != "...":
            assert ast.literal_eval(default) == decorator.defaults[name], name
