"""One channel has one name in specs, however it is written, and so one id."""

from __future__ import annotations

import pytest

from airflow_conda_flow.environments.channels import channel_url
from airflow_conda_flow.environments.requested import EnvironmentRequest, environment_request
from airflow_conda_flow.settings.loading import load_settings

SECRET = "open-sesame"
FORMS = [
    "http://h.example",
    "http://h.example/",
    "http://h.example//",
    f"http://h.example/t/{SECRET}",
    f"http://h.example/t/{SECRET}/",
    f"http://alice:{SECRET}@h.example",
    f"http://alice:{SECRET}@h.example/",
]


def spec_of(channels: str):
    """The spec of numpy with these channels, as the settings name them."""
    settings = load_settings({"channels": channels}, environ={})
    return EnvironmentRequest("3.11.7", {"numpy": "1.26.4"}).spec(settings, "linux-64", "3.11.7")


@pytest.mark.parametrize("form", FORMS)
def test_a_channel_has_one_id(form):
    """Slashes at the end and credentials make no other channel."""
    assert spec_of(form).channels == ("http://h.example",)
    assert spec_of(form).id == spec_of("http://h.example").id
    assert channel_url(form) == "http://h.example"


def test_ids_are_those_of_earlier_versions():
    """A release that changed them would solve every environment again."""
    assert spec_of("conda-forge").id == "4ddd248babebcec374ca2831a2fa451ee124774e958a487eb92d09a5413ad32c"
    assert (
        spec_of("http://h.example,/srv/channel").id
        == "52d5cc335025d5a072a342573a3d7b79d470db9fd83fe01abfc9fd95aa965344"
    )


def test_defaults(monkeypatch):
    """They are Anaconda's channels, as in conda, but not for those who have channels of their own by name."""
    main, other = "https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"
    assert spec_of("conda-forge,defaults").channels == ("conda-forge", main, other)
    assert channel_url("defaults") == main
    monkeypatch.setenv("CONDA_CHANNEL_ALIAS", "https://conda.example.com")
    assert spec_of("defaults").channels == ("defaults",)
    assert channel_url("defaults") == "https://conda.example.com/defaults"


@pytest.mark.parametrize("form", FORMS)
def test_a_librarys_channel_has_one_name(form):
    """Its credentials reach neither the id, nor a lock file, nor a message."""
    wanted = {
        "file": None,
        "libraries": {f"{form}::numpy": "1.26.4"},
        "pypi": {},
        "python": "3.11.7",
        "python_stated": True,
    }
    request = environment_request("start", wanted, "linux-64", ("flow.py", 1))
    assert request.libraries == {"http://h.example::numpy": "1.26.4"}
    assert SECRET not in repr(request)
