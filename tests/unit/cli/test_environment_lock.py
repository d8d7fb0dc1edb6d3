"""Parts of ``environment lock`` that need no channel."""

from __future__ import annotations

import pytest

from airflow_conda_flow.cli.environment_lock import _locked_names


@pytest.mark.parametrize(
    ("given", "locked"),
    [
        ("NumPy", "numpy"),
        ("conda-forge::numpy", "numpy"),
        ("typing_extensions", "typing-extensions"),  # as wheels are locked
        ("typing_extensions", "typing_extensions"),  # as conda's package is called
        ("Ruamel.Yaml[jinja2]", "ruamel-yaml"),
    ],
)
def test_a_package_to_upgrade_is_named_as_in_the_flow(given, locked):
    """The lock file may have its name in another form."""
    assert locked in _locked_names(given)
