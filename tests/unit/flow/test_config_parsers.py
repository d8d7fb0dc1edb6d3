"""Files that name libraries, as arguments of decorators: what Metaflow 2.19's parsers give for the same text."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow import (
    conda_environment_yml_parser,
    pyproject_toml_parser,
    requirements_txt_parser,
    yaml_parser,
)
from airflow_conda_flow.errors import ParameterError
from airflow_conda_flow.flow.parameters import config_parsers

REQUIREMENTS = """
# what the steps need
pandas==2.2.2  # tables
python==3.11.9
requests[socks] == 2.32.0
-e file:.
mine @ git+https://host/mine.git@v1
"""
PROJECT = """
[project]
requires-python = "==3.11.9"
dependencies = ["pandas==2.2.2", "requests[socks]==2.32.0"]
"""
ENVIRONMENT = """
name: mine
dependencies:
- python=3.11.9
- numpy = 1.26.4
- scipy==1.13.1
- six >=1,<2
"""


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(config_parsers)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("parser", "text", "expected"),
    [
        (
            requirements_txt_parser,
            REQUIREMENTS,
            {
                "packages": {
                    "pandas": "2.2.2",
                    "requests[socks]": "2.32.0",
                    "mine@git+https://host/mine.git@v1": "",
                },
                "python": "3.11.9",
            },
        ),
        (
            pyproject_toml_parser,
            PROJECT,
            {"packages": {"pandas": "2.2.2", "requests[socks]": "2.32.0"}, "python": "3.11.9"},
        ),
        (pyproject_toml_parser, "[tool.other]\na = 1", {"packages": {}, "python": None}),
        (
            conda_environment_yml_parser,
            ENVIRONMENT,
            {
                "packages": {"numpy": "1.26.4", "scipy": "1.13.1", "six": ">=1,<2"},
                "python": "3.11.9",
            },
        ),
        (yaml_parser, "a: [1, 2]\nb: x", {"a": [1, 2], "b": "x"}),
    ],
)
def test_what_a_file_names(parser, text, expected):
    """Libraries by name, and the Python."""
    assert parser(text) == expected


@pytest.mark.parametrize(
    ("parser", "text", "message"),
    [
        (requirements_txt_parser, "-r other.txt", "'-r other.txt' is not a requirement"),
        (requirements_txt_parser, "a==1; python_version>'3'", "has an environment marker"),
        (pyproject_toml_parser, "not toml =", "It is not TOML: "),
        (
            conda_environment_yml_parser,
            "a: 1",
            "It is not an environment.yml, which has a list of dependencies.",
        ),
        (conda_environment_yml_parser, "dependencies: [{pip: [a]}]", "Packages of PyPI go to @pypi."),
        (yaml_parser, "a: [", "It is not valid YAML: "),
    ],
)
def test_what_is_no_such_file(parser, text, message):
    """One message, which stands behind the config's name and line."""
    with pytest.raises(ParameterError) as raised:
        parser(text)
    assert message in str(raised.value)
