"""Credentials for private channels from Airflow connections."""

from __future__ import annotations

import pytest

from airflow_conda_flow.airflow.configuration import _channel_connections
from airflow_conda_flow.environments.credentials import Credential, basic, bearer
from airflow_conda_flow.settings.loading import load_settings

CONNECTIONS = {
    "AIRFLOW_CONN_A": (
        "http://alice:word@conda.example.com:8080",
        "conda.example.com:8080",
        basic("alice", "word"),
    ),
    "AIRFLOW_CONN_B": (
        '{"conn_type": "http", "host": "https://b.example.com", "password": "word"}',
        "b.example.com",
        bearer("word"),
    ),
    "AIRFLOW_CONN_C": (
        '{"conn_type": "http", "host": "c.example.com", "extra": {"token": "ab-12"}}',
        "c.example.com",
        Credential({}, "ab-12"),
    ),
}


@pytest.mark.parametrize("variable", CONNECTIONS)
def test_a_connection_gives_a_credential(monkeypatch, variable):
    """Login and password, a password alone, or a token; by the connection's host and port."""
    text, host, credential = CONNECTIONS[variable]
    monkeypatch.setenv(variable, text)
    settings = load_settings({"channel_conn_id": variable[-1].lower()}, environ={})
    assert _channel_connections(settings) == {host: credential}


def test_no_connection_is_asked_for_without_the_setting():
    """Nothing is set, nothing is found."""
    assert _channel_connections(load_settings(environ={})) == {}
