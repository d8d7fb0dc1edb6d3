"""The ``airflow-conda-flow`` command: what it says of commands of Metaflow's that are not here."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow.cli import refused, tool


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(refused)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["code", "pull", "AFlow/1"],
            "Metaflow's code is not here: in Python, Run('FLOW/RUN_ID').code.extract()",
        ),
        (
            ["configure", "aws"],
            "Metaflow's configure is not here: settings are CONDA_FLOW_... environment variables",
        ),
        (["develop", "stubs"], "Metaflow's develop is not here: type hints are in the package itself"),
        (["status"], "Metaflow's status is not here: in Python, list(Metaflow()) gives the flows"),
        (["tutorials", "list"], "Metaflow's tutorials is not here: there are flows to begin with"),
        (["chanel"], "no such command: chanel. Did you mean channel?"),
    ],
)
def test_commands_that_are_not_here(capsys, words, message):
    """One message that says what to do instead; exit code 2."""
    with pytest.raises(SystemExit) as ended:
        tool.main(words)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
