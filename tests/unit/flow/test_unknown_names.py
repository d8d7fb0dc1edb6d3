"""A misspelt import says what is nearest, at its line."""

from __future__ import annotations

import subprocess
import sys

import pytest

import airflow_conda_flow


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from airflow_conda_flow import conda_bas", "has no 'conda_bas'. Did you mean 'conda_base'?"),
        ("from airflow_conda_flow import FlowSpecs", "has no 'FlowSpecs'. Did you mean 'FlowSpec'?"),
        ("from airflow_conda_flow import FlowSpec, steps", "has no 'steps'. Did you mean 'step'?"),
        ("from airflow_conda_flow import Paramter", "has no 'Paramter'. Did you mean 'Parameter'?"),
        ("from airflow_conda_flow import (\n    FlowSpec,\n    kuberntes,\n)", "Did you mean 'kubernetes'?"),
        ("from airflow_conda_flow import IncludeFiles", "Did you mean 'IncludeFile'?"),
        ("from airflow_conda_flow.cards import Markdwn", "cards has no 'Markdwn'. Did you mean 'Markdown'?"),
        ("from airflow_conda_flow.exception import MetaflowExcepton", "Did you mean 'MetaflowException'?"),
        (
            "from airflow_conda_flow import EnvEscape",
            "airflow_conda_flow has no 'EnvEscape'. docs/metaflow.md",
        ),
        ("from airflow_conda_flow import huggingface", ": Metaflow's huggingface is not here: "),
    ],
)
def test_a_misspelt_import(tmp_path, line, said):
    """One line, exit code 1."""
    if "huggingface" in line:
        pytest.importorskip("airflow_conda_flow.metaflow.names")
        from airflow_conda_flow.metaflow.names import INSTEAD

        line, said = line.replace("huggingface", next(iter(INSTEAD))), " is not here: "
    file = tmp_path / "a_flow.py"
    file.write_text(f"import sys\n{line}\n")
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith(f"{file}:")
    assert said in done.stderr


def test_an_attribute_that_is_not_there():
    """No import error, so that ``hasattr`` works; another package may look for any module."""
    assert not hasattr(airflow_conda_flow, "conda_bas")
    assert not hasattr(airflow_conda_flow, "zzzz")
    with pytest.raises(AttributeError, match="Did you mean 'conda_base'"):
        print(airflow_conda_flow.conda_bas)
    with pytest.raises(AttributeError, match="has no attribute 'zzzz'"):
        print(airflow_conda_flow.zzzz)
    with pytest.raises(ImportError, match="airflow_conda_flow has no 'zzzz'"):
        exec("from airflow_conda_flow import zzzz")
    with pytest.raises(ModuleNotFoundError):
        exec("import airflow_conda_flow.conftest")
