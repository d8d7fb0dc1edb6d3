"""The description of the package in a package index and in Airflow."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_readme_of_the_package_has_no_link_that_leads_nowhere():
    """A package index shows the README without the repository: links to its files would be dead there."""
    text = _hatch_build().without_relative_links((ROOT / "README.md").read_text())
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "lock file (`docs/environments.md`)" in text
    assert "in\n  containers (`docs/containers.md`)" in text


def test_the_files_that_the_readme_names_are_there():
    """Each relative link of the README leads to a file of the checkout."""
    targets = re.findall(r"\]\((?!https://)([^)#]+)", (ROOT / "README.md").read_text())
    assert len(targets) > 20
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_installed_package_says_what_it_is():
    """Classifiers say provider and Pythons; the description is the README's, with nothing dead in it."""
    metadata = importlib.metadata.metadata("airflow-conda-flow")
    classifiers = metadata.get_all("Classifier") or []
    assert "Framework :: Apache Airflow :: Provider" in classifiers
    for minor in (10, 11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    text = metadata["Description"]  # the payload is empty where a library has brought importlib_metadata
    assert text.startswith("# airflow-conda-flow")
    assert "](docs/" not in text


def _hatch_build():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
