"""``@pypi`` and ``@conda(file=...)`` as a flow's author meets them."""

from __future__ import annotations

import pytest

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import pypi, pypi_base

@pypi_base(packages={{"humanize": "4.9.0"}})
class AFlow(FlowSpec):
    @conda(file="environment.yml")
    {pypi}
    @step
    def start(self):
        import humanize, six, tabulate
        print("start has", six.__version__, tabulate.__version__, humanize.intword(10**6))
        self.next(self.end)

    @conda(libraries={{"six": "1.17.0"}})
    @step
    def end(self):
        import humanize, six
        print("end has", six.__version__)
        import tabulate
"""
YML = "dependencies: [six={six}, {{pip: [tabulate==0.9.0]}}]\n"


@pytest.fixture
def machine(tmp_path, channel) -> Machine:
    """A machine that reaches the test channel."""
    return Machine(tmp_path / "home", channel.url)


@pytest.fixture
def write(machine):
    """A function: the flow with an ``environment.yml`` beside it."""

    def write(pypi: str = "", six: str = "1.16.0"):
        (machine.home / "environment.yml").write_text(YML.format(six=six))
        return machine.flow(FLOW.format(pypi=pypi))

    return write


def test_a_step_has_what_its_file_and_its_decorators_say(machine, write):
    """Conda's and PyPI's packages side by side; the next step has none of the file's."""
    done = machine.run(write(), "--environment=conda", "run")
    assert "start has 1.16.0 0.9.0 1.0 million" in done.stdout, done.stderr
    assert "end has 1.17.0" in done.stdout
    assert "ModuleNotFoundError: No module named 'tabulate'" in done.stdout


@pytest.mark.parametrize(
    ("pypi", "message"),
    [
        (
            '@pypi(packages={"six": ">=1"})',
            """the version of 'six' is '>=1', a range, which may mean another environment next month.""",
        ),
        ("@pypi(packages={1: '1'})", """1 is not the name of a library. Write a name such as "pandas\""""),
        ("@pypi(libraries={'six': '1'})", "@pypi has no attribute 'libraries'."),
        ("@pypi(python='3.11')", "Write exactly one version with all three numbers, or keep the range"),
        ("@pypi(packages={'python': '3.11.7'})", "the version of Python has its own attribute"),
    ],
)
def test_what_pypi_may_not_say(machine, write, pypi, message):
    """One message with the decorator's line, and exit code 1."""
    done = machine.run(write(pypi), "check")
    assert done.returncode == 1
    assert message in done.stderr
    assert f"{machine.home / 'a_flow.py'}:8: " in done.stderr
    assert "Traceback" not in done.stderr


def test_files_and_pythons_are_checked_before_anything_runs(machine, write):
    """A file that is not there, a line in it that is wrong, two Pythons for one step."""
    flow = write(six="2.*")
    done = machine.run(flow, "--environment=conda", "run")
    assert (done.returncode, done.stdout) == (1, "")
    assert "environment.yml:1: 'six=2.*' is not pinned to exactly one version" in done.stderr
    (machine.home / "environment.yml").unlink()
    done = machine.run(flow, "check")
    assert done.returncode == 1
    assert f"a_flow.py:7: @conda: there is no file {machine.home / 'environment.yml'}" in done.stderr
    flow = write('@pypi(python="3.12.1")')
    flow.write_text(flow.read_text().replace('file="environment.yml"', 'python="3.11.7"'))
    done = machine.run(flow, "check")
    assert "A step has one Python; keep one." in done.stderr
