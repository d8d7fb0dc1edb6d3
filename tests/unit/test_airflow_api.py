"""The place of Airflow's API, and what of its answers an error quotes."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.launch import airflow_api
from airflow_conda_flow.settings.airflow_api import airflow_api_place


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(airflow_api)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"CONDA_FLOW_AIRFLOW_API_URL": "airflow:8080"},
            "is 'airflow:8080'; write the address of Airflow's API",
        ),
        ({"CONDA_FLOW_AIRFLOW_API_URL": "http://a:b"}, "is 'http://a:b'; write the address"),
        ({"CONDA_FLOW_AIRFLOW_API_URL": "file:///etc/passwd"}, "write the address"),
        ({"AIRFLOW__API__BASE_URL": "http://"}, "variable AIRFLOW__API__BASE_URL is 'http://'"),
        ({"CONDA_FLOW_AIRFLOW_API_URL": "http://me:hidden@a"}, "holds a user or a password."),
        ({"CONDA_FLOW_AIRFLOW_API_TOKEN": "hid den"}, "holds characters that no token has"),
    ],
)
def test_wrong_settings(environ, message):
    """Found before anything is asked; no secret is in the message."""
    with pytest.raises(SettingError) as raised:
        airflow_api_place(environ)
    assert message in str(raised.value)
    assert "hid" not in str(raised.value)


def test_where_the_api_is():
    """Ours counts, then Airflow's, then that of `airflow standalone`; a token is in no text of the place."""
    both = {"CONDA_FLOW_AIRFLOW_API_URL": "https://a.example/x/", "AIRFLOW__API__BASE_URL": "http://b"}
    assert airflow_api_place(both).url == "https://a.example/x"
    assert airflow_api_place({"AIRFLOW__API__BASE_URL": "http://b"}).url == "http://b"
    place = airflow_api_place({"CONDA_FLOW_AIRFLOW_API_TOKEN": "hidden"})
    assert (place.url, place.token) == ("http://localhost:8080", "hidden")
    assert "hidden" not in f"{place} {place!r}"
