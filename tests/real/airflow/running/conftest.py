"""A running Airflow of each version, whose workers hand every remote step to the triggerer at once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ....parts.airflow_machine import AirflowMachine
from ....parts.airflow_versions import OLDER, AirflowVersion
from ....parts.toys import toy_flow
from ..git_bundle import add_bundle
from ..standalone import Standalone, standalone

# The oldest; others with CONDA_FLOW_TEST_AIRFLOWS="3.1.8 3.2.2".
WANTED = os.environ.get("CONDA_FLOW_TEST_AIRFLOWS", OLDER[0].airflow).split()
TESTED = [each for each in OLDER if each.airflow in WANTED]


@pytest.fixture(scope="package")
def root(moto_s3, version) -> str:
    """The datastore."""
    del version  # each has its own
    return moto_s3.make_root()


@pytest.fixture(scope="package", params=[None, *TESTED], ids=lambda each: each.airflow if each else "newest")
def version(request) -> AirflowVersion | None:
    """The version of Airflow; None for that of the tests."""
    return request.param


@pytest.fixture(scope="package")
def running(channel, database, moto_s3, root, tmp_path_factory, version) -> Iterator[Standalone]:
    """Airflow with all its processes."""
    home = tmp_path_factory.mktemp("running") / "home"
    environ = {"CONDA_FLOW_DEFERRABLE": "true", "CONDA_FLOW_DEFER_AFTER": "0"}
    if version is None:
        machine = AirflowMachine(home, channel.url, database, **environ)
        add_bundle(machine)
    else:
        machine = version.machine(home, channel.url, **environ)
    toy_flow(machine, machine.dags, root, moto_s3.environment)
    machine.environ["PYTHONPATH"] = str(machine.dags)  # the triggerer does not look into the DAG folder
    with standalone(machine) as airflow:
        yield airflow
