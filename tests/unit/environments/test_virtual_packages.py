"""The glibc of this machine and the one that environments were solved for."""

from __future__ import annotations

import pytest

from airflow_conda_flow.environments import virtual_packages
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.virtual_packages import check_this_machine
from airflow_conda_flow.errors import SettingError

COMMAND = "python a_flow.py environment lock"


@pytest.fixture(autouse=True)
def _old_machine(monkeypatch):
    monkeypatch.setattr(virtual_packages, "glibc_version", lambda: "2.26")
    monkeypatch.setattr(virtual_packages, "current_platform", lambda: "linux-64")


def spec(glibc, *, is_locked=False):
    """A spec that was solved for a glibc."""
    locked = Lock.of_packages("linux-64", ()) if is_locked else None
    return EnvironmentSpec(
        "3.11.7", {}, ("conda-forge",), "linux-64", virtual_packages={"__glibc": glibc}, locked=locked
    )


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_machine_that_is_new_enough(is_locked):
    """It runs environments for its own glibc and older ones, and steps without an environment."""
    check_this_machine({"start": spec("2.26", is_locked=is_locked), "end": spec("2.5")}, COMMAND)
    check_this_machine({}, COMMAND)


def test_a_machine_that_is_too_old():
    """The line says what to set; with a lock file, also how to lock again."""
    with pytest.raises(SettingError) as caught:
        check_this_machine({"start": spec("2.17"), "end": spec("2.28")}, COMMAND)
    assert str(caught.value) == (
        "Environments are solved for glibc 2.28, and this machine has 2.26. "
        "Set CONDA_FLOW_GLIBC to 2.26, everywhere the same."
    )
    with pytest.raises(SettingError) as caught:
        check_this_machine({"start": spec("2.17"), "end": spec("2.28", is_locked=True)}, COMMAND)
    assert str(caught.value) == (
        "The environment of step end was locked for glibc 2.28, and this machine has 2.26. "
        f"Set CONDA_FLOW_GLIBC to 2.26 and lock it again: {COMMAND} --upgrade"
    )
