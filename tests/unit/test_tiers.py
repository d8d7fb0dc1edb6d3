"""The tiers of tests: the unit tests start nothing, and the list of tests that share a worker is current."""

from __future__ import annotations

import ast
import http.server
import importlib.util
import socket
from pathlib import Path

import pytest

from ..conftest import TOGETHER
from ..parts.graphs.flows.switch import Switch
from .conftest import guarded

TESTS = Path(__file__).parents[1]
OF_SERVERS = {"airflow_machine", "real_parts", "s3_servers", "served_channel", "shape_runs", "gang"}
"""Modules of tests/parts that start servers, Airflow or many processes."""


def test_a_server_is_refused():
    """A TCP server cannot start in a unit test, and says where such a test belongs."""
    with pytest.raises(
        pytest.fail.Exception, match="a unit test starts a server: its place is tests/integration"
    ):
        http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)


def test_a_listening_socket_of_ipv6_is_refused():
    """An address family makes no difference."""
    with (
        socket.socket(socket.AF_INET6) as sock,
        pytest.raises(pytest.fail.Exception, match="starts a server"),
    ):
        sock.listen()


def test_a_socket_in_the_file_system_may_listen(tmp_path):
    """Steps talk to their runner through one."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen(1)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))


@pytest.mark.parametrize("name", ["airflow", "airflow.not_loaded_yet"])
def test_airflow_is_refused(name):
    """Airflow cannot be imported in a unit test, and the message says where such a test belongs."""
    with (
        pytest.raises(
            pytest.fail.Exception, match=r"a unit test imports airflow.*: its place is tests/integration"
        ),
        guarded(),
    ):
        importlib.import_module(name)


def test_a_flow_file_with_a_dag_is_read_as_without_airflow():
    """The guard itself is on in every unit test: ``dag()`` finds no Airflow."""
    assert importlib.util.find_spec("airflow") is None
    assert not Switch.dag()


def test_unit_tests_import_nothing_that_starts_a_server():
    """A server in a process of its own is not seen by the guard: the modules that start one are named."""
    files = sorted((TESTS / "unit").rglob("*.py"))
    assert len(files) > 20
    wrong = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            parts = set(module.split(".")) if getattr(node, "level", 0) else set()
            if parts & OF_SERVERS or {"integration", "real"} & parts:
                wrong[str(path.relative_to(TESTS))] = module
    assert wrong == {}


def test_the_modules_of_servers_are_there():
    """A module that was renamed would be let in."""
    here = {path.stem for path in (TESTS / "parts").rglob("*.py")}
    assert OF_SERVERS - here == set()


@pytest.mark.parametrize("place", TOGETHER)
def test_what_shares_a_worker_is_there(place):
    """After a move the tests would be spread, and each worker would make what they share."""
    assert (TESTS.parent / place).exists()
