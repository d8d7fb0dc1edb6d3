"""How nodes in containers find the main one."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.errors import NotAsPrepared, TaskFailed
from airflow_conda_flow.runner import main_node
from airflow_conda_flow.runner.main_node import forget_address, main_address, own_address
from airflow_conda_flow.runner.task_request import TaskRequest


def request(node, attempt=0):
    """Node of a gang inside a foreach."""
    return TaskRequest("AFlow", "1", "train", (7, node), attempt)


def test_the_others_wait_until_the_main_node_says_where_it_is(tmp_path):
    """It says so for its gang and its attempt alone."""
    storage, cancel = LocalStorage(tmp_path), threading.Event()
    main_address(storage, request(0), cancel)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(main_address, storage, request(node, 1), cancel) for node in (1, 2)]
        with pytest.raises(TimeoutError):
            waiting[0].result(0.7)
        assert main_address(storage, request(0, 1), cancel) == "127.0.0.1"
        assert [each.result(5) for each in waiting] == ["127.0.0.1"] * 2
    assert list(storage.list_keys("flows/")) == [
        "flows/AFlow/1/train/7-0/0.address",
        "flows/AFlow/1/train/7-0/1.address",
    ]


def test_where_the_main_node_was_before_does_not_count(tmp_path):
    """A run that was made again under its old id begins with the same attempt."""
    storage, cancel = LocalStorage(tmp_path), threading.Event()
    main_address(storage, request(0), cancel)
    forget_address(storage, request(2))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(main_address, storage, request(1), cancel)
        with pytest.raises(TimeoutError):
            waiting.result(0.7)
        main_address(storage, request(0), cancel)
        assert waiting.result(5) == "127.0.0.1"


@pytest.mark.parametrize(
    "stored",
    [
        b"10.9.9.9",
        b"10.9.9.9 " + b"ab" * 32,
        b"evil.example",
        b"\xff\xfe",
        b"127.0.0.1 ",
        b"another attempt's",
    ],
)
def test_an_address_of_another_is_refused(tmp_path, stored):
    """In one line: a node would take objects from whoever is there."""
    storage, cancel = LocalStorage(tmp_path), threading.Event()
    own, key = replace(request(0), gang_key="a key"), "flows/AFlow/1/train/7-0/0.address"
    assert main_address(storage, own, cancel) == "127.0.0.1"
    assert main_address(storage, replace(own, indices=(7, 1)), cancel) == "127.0.0.1"
    if stored == b"another attempt's":
        main_address(storage, replace(own, gang_key="another key"), cancel)
    else:
        storage.write_bytes(key, stored)
    with pytest.raises(NotAsPrepared) as caught:
        main_address(storage, replace(own, indices=(7, 1)), cancel)
    assert str(caught.value) == (
        f"{key} in the datastore {storage.url} is not what node 0 of step train wrote. The node was not started. "
        "Find out who wrote it (docs/security.md), and start the run again."
    )


def test_a_node_does_not_wait_for_ever(tmp_path, monkeypatch):
    """It ends with the gang, and by itself after an hour."""
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(TaskFailed, match=r"Node 1 of step train was ended before node 0 ran\."):
        main_address(LocalStorage(tmp_path), request(1), cancel)
    monkeypatch.setattr(main_node, "_PATIENCE", 0.0)
    monkeypatch.setattr(main_node, "_PAUSE", 0.01)
    with pytest.raises(TaskFailed, match="waited 0 minutes for node 0, which did not start"):
        main_address(LocalStorage(tmp_path), request(1), threading.Event())


def test_the_address_is_that_of_the_way_to_the_datastore():
    """Of this machine's addresses, the one from which packets for S3 leave; none is sent."""
    import boto3

    def address(host):
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://{host}:9",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        return own_address(S3Storage("s3://bucket/prefix", client))

    assert address("127.0.0.1") == "127.0.0.1"
    own = {each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None)}
    for each in own - {"127.0.0.1"}:
        if "." in each:
            assert address(each) == each
