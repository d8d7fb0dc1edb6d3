"""Messages where Airflow, or a library of an extra, is missing or too old."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import subprocess
import sys

import pytest

from airflow_conda_flow.airflow import versions
from airflow_conda_flow.errors import MissingRequirement
from airflow_conda_flow.flow.places import place_named

WORKS = "airflow-conda-flow works with Airflow 3.0 to 3.3; this is Airflow "


@pytest.fixture
def installed(monkeypatch):
    """Sets which distributions of Airflow seem to be installed."""

    def install(**found: str) -> None:
        def version(name: str) -> str:
            key = name.replace("-", "_")
            if key not in found:
                raise importlib.metadata.PackageNotFoundError(name)
            return found[key]

        monkeypatch.setattr(importlib.metadata, "version", version)
        versions.airflow_version.cache_clear()
        versions.check_airflow_version.cache_clear()

    yield install
    monkeypatch.undo()
    versions.airflow_version.cache_clear()
    versions.check_airflow_version.cache_clear()


@pytest.mark.parametrize("version", ["3.0.0", "3.0.6", "3.1.8", "3.2.2", "3.3.2", "3.3.0rc1", "3.3.0.dev0"])
def test_tested_versions_work_without_a_word(installed, version, caplog):
    installed(apache_airflow_core=version, apache_airflow=version)
    versions.check_airflow_version()
    assert not caplog.records


@pytest.mark.parametrize("version", ["2.11.0", "2.9.3", "1.10.15"])
def test_an_older_version_is_refused_in_one_line(installed, version):
    installed(apache_airflow=version)
    with pytest.raises(MissingRequirement) as caught:
        versions.check_airflow_version()
    assert str(caught.value) == f"{WORKS}{version}."


@pytest.mark.parametrize("version", ["3.4.0", "3.10.1", "4.0.0"])
def test_a_newer_version_is_warned_of_once(installed, version, caplog):
    installed(apache_airflow_core=version)
    with caplog.at_level(logging.WARNING):
        versions.check_airflow_version()
        versions.check_airflow_version()
    assert caplog.messages == [f"{WORKS}{version}. It has not been tested with this version."]


def test_without_airflow_the_message_has_the_command(installed):
    installed()
    with pytest.raises(MissingRequirement, match=r"pip install 'airflow-conda-flow\[airflow\]'"):
        versions.check_airflow_version()


@pytest.mark.parametrize(
    ("place", "part", "module", "message"),
    [
        (
            "kubernetes",
            "operator",
            "airflow.providers.cncf",
            "Steps with @kubernetes need airflow.providers.cncf",
        ),
        ("batch", "operator", "airflow.providers.amazon", "Steps with @batch need airflow.providers.amazon"),
        ("local", "operator", "airflow", "Steps need airflow"),
    ],
)
def test_an_operator_whose_provider_is_missing(monkeypatch, place, part, module, message):
    def fail(name):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("airflow_conda_flow.flow.places.importlib.import_module", fail)
    with pytest.raises(MissingRequirement) as caught:
        place_named(place).load(part)
    assert (
        str(caught.value) == f"{message}, which is not installed: pip install 'airflow-conda-flow[airflow]'"
    )


def test_a_fault_of_a_module_of_ours_is_not_taken_for_a_missing_library(monkeypatch):
    def fail(name):
        raise ImportError("cannot import name 'x'", name="airflow_conda_flow.compute")

    monkeypatch.setattr("airflow_conda_flow.flow.places.importlib.import_module", fail)
    with pytest.raises(ImportError, match="cannot import name 'x'"):
        place_named("batch").load("compute")


def test_pods_without_the_kubernetes_client(tmp_path):
    """A program in which the client cannot be imported; the refusal comes before anything is made."""
    program = (
        "import sys\nsys.modules['kubernetes'] = None\n"
        "from airflow_conda_flow.compute.kubernetes.cluster import connect\n"
        "try:\n    connect()\nexcept ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "Pods need kubernetes, which is not installed: pip install 'airflow-conda-flow[kubernetes]'\n"
    )
