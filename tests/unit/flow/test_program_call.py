"""``MyFlow()`` starts the command line in a program of the flow, and nowhere else."""

from __future__ import annotations

import sys
import types

import pytest

from airflow_conda_flow.flow.program_call import is_program_call


def _answer(monkeypatch, chain: list[str], flow_module: str, file: str | None = "/venv/bin/train") -> bool:
    """Whether ``MyFlow()`` runs that a chain of modules calls, of which the first is ``__main__``.

    A module with ``!`` calls while it is imported, any other in a function.
    """
    program = types.ModuleType("__main__")
    if file is not None:
        program.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", program)
    flow_class = type("MyFlow", (), {"__module__": flow_module})
    answers = []

    def made() -> None:
        answers.append(is_program_call(flow_class, sys._getframe(1)))

    call = made
    for name in reversed(chain):
        module = program if name == "__main__" else types.ModuleType(name.rstrip("!"))
        module.call = call
        if name == "__main__" or name.endswith("!"):
            code = compile("call()", name, "exec")
            call = lambda code=code, module=module: exec(code, vars(module))  # noqa: E731
        else:
            exec("inner = call\ndef call(): inner()", vars(module))
            call = module.call
    call()
    return answers[0]


@pytest.mark.parametrize(
    ("chain", "flow_module"),
    [
        (["__main__"], "__main__"),
        (["__main__"], "fl"),
        (["__main__", "pytest", "unittest"], "__main__"),
        (["__main__", "ep"], "fl"),  # main() of another module
        (["__main__", "fl"], "fl"),  # main() of the flow file
        (["__main__", "ep", "ep", "ep"], "other"),
        (["__main__", "pkg.entry", "pkg.flows.train"], "pkg.flows.train"),
        (["__main__", "pkg.entry", "pkg.run"], "library.flows"),
    ],
)
def test_a_program_runs_the_flow(monkeypatch, chain, flow_module):
    """Whichever of its own functions makes the object."""
    assert _answer(monkeypatch, chain, flow_module)


@pytest.mark.parametrize(
    "chain",
    [
        ["__main__", "_pytest.config", "pluggy", "tests.test_train"],
        ["__main__", "airflow.__main__", "importlib", "unusual_prefix_1_dag!"],
        ["__main__", "airflow.__main__", "airflow.sdk", "fl"],
        ["__main__", "fl!"],  # imported
        ["__main__", "fl", "fl!"],
        ["__main__", "ep", "_pytest.config", "ep.tests"],  # a program that runs tests
        ["__main__", "ep", "celery", "ep"],
    ],
)
def test_a_host_does_not(monkeypatch, chain):
    """Tests, Airflow and others call code of the flow from theirs; an import makes no run."""
    assert not _answer(monkeypatch, chain, "fl")


def test_a_session_does_not(monkeypatch):
    """It has a main module without a file, and would end with the command."""
    assert not _answer(monkeypatch, ["__main__", "ep"], "fl", file=None)


def test_a_thread_does_not(monkeypatch):
    """A call that no program is above, as in a thread."""
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    assert not is_program_call(type("MyFlow", (), {"__module__": "fl"}), None)
    assert not _answer(monkeypatch, ["ep"], "fl")
