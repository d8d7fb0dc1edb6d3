"""A step's exception: the user's frames, and no others."""

from __future__ import annotations

import pytest

from airflow_conda_flow.runtime import failure

from ...parts.attempt_machine import old_python, one_step

CHAINED = one_step(
    """
    try:
        first()
    except KeyError as error:
        raise ValueError("second") from error
    """,
    before="""
    def first():
        {}["a"]
    """,
)
EXPECTED = """\
Traceback (most recent call last):
  File "{file}", line 10, in start
    first()
  File "{file}", line 4, in first
    {{}}["a"]
KeyError: 'a'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "{file}", line 12, in start
    raise ValueError("second") from error
ValueError: second
"""


@pytest.mark.parametrize("version", ["3.6", "3.8", "3.11", "3.13"])
def test_a_chained_exception(make_run, version):
    """Both tracebacks are there, each with the user's lines alone, on every Python."""
    python = old_python(version)
    if python is None:
        pytest.skip("no such interpreter here")
    run = make_run(CHAINED)
    run.manifest["pickle_protocols"] = {"start": 4, "end": 4}
    text = run.failure("start", python=python)["traceback"]
    lines = [line for line in text.splitlines() if set(line.strip()) - set("~^")]  # 3.11 points at columns
    assert "\n".join(lines).replace("\n\n", "\n") == EXPECTED.format(
        file=run.folder / "a_flow.py"
    ).strip().replace("\n\n", "\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import broken", "SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_flow_file_that_cannot_be_loaded(make_run, tmp_path, text, expected):
    """An exception at the module's top level in the step's environment is the step's failure, with file and line."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "broken.py").write_text("1 +\n")
    # The name that the step process gives to the flow's module, and the process that reads the flow does not.
    run = make_run(f'{one_step("pass")}\nif __name__ == "a_flow":\n    {text}\n')
    traceback = run.failure("start")["traceback"]
    assert expected in traceback
    assert f'a_flow.py", line {len((run.folder / "a_flow.py").read_text().splitlines())}' in traceback
    assert "airflow_conda_flow" not in traceback
    assert "importlib" not in traceback


class _Broken(Exception):
    def __str__(self):
        raise RuntimeError


def test_a_broken_exception_is_described_all_the_same():
    """An exception whose ``__str__`` raises does not hide that the step failed."""
    described = failure.describe(_Broken())
    assert described["type"] == "_Broken"
    assert described["message"] == "<the exception's __str__ failed>"
    assert "_Broken" in described["traceback"]


def test_exceptions_that_refer_to_each_other():
    """A cycle of causes ends."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert "one" in failure.describe(one)["traceback"]


def test_a_deep_recursion(make_run):
    """It is described, in few lines."""
    run = make_run(one_step("f()", before="def f(): f()"))
    exception = run.failure("start")
    assert exception["type"] == "RecursionError"
    assert len(exception["traceback"].splitlines()) < 40


def test_an_exception_group(make_run):
    """The frames of its parts are the user's too."""
    python = old_python("3.11")
    if python is None:
        pytest.skip("no such interpreter here")
    run = make_run(
        one_step("""
        try:
            self.nothing
        except AttributeError as error:
            raise ExceptionGroup("many", [error])
    """)
    )
    traceback = run.failure("start", python=python)["traceback"]
    assert "ExceptionGroup: many (1 sub-exception)" in traceback
    assert "/runtime/" not in traceback
    assert "/flowspec.py" not in traceback
