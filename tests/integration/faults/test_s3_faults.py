"""Each fault of S3, at each kind of request: the right result, or one clear line in bounded time."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from s3transfer.manager import TransferCoordinatorController

from airflow_conda_flow.datastore import s3_patience, s3_transfer
from airflow_conda_flow.datastore.s3_objects import S3Objects
from airflow_conda_flow.errors import CorruptData, DatastoreUnavailable, S3AccessDenied

from ...parts.faulty_s3 import FAULTS, first
from .conftest import DEADLINE

LARGE = os.urandom(6 * 1024 * 1024)  # two parts
DIGEST = hashlib.sha256(LARGE).hexdigest()


def put_large(storage, path):
    storage.upload(path, "large")
    return storage.holds("large", DIGEST)


def put_with_the_client(storage, path):
    url = f"{storage.url}/objects/large"
    S3Objects(lambda: storage.client).put([{"path": str(path), "url": url}], True)
    return storage.holds("objects/large", DIGEST)


def get_large(storage, path):
    storage.download("given-large", path.with_name("copy"), DIGEST)
    return path.with_name("copy").read_bytes() == LARGE


ACTS = {
    "read": ("GET", lambda storage, _: storage.read_bytes("given") == b"given"),
    "write": ("PUT", lambda storage, _: storage.write_bytes("new", b"new") or storage.exists("new")),
    "write once": ("PUT", lambda storage, _: storage.write_if_absent("once", b"once")),
    "size": ("HEAD", lambda storage, _: storage.size("given") == 5),
    "list": ("GET", lambda storage, _: storage.list_names("") == ["given", "given-large"]),
    "download": ("GET", get_large),
    "upload a part": ("PUT", put_large),
    "begin or complete an upload": ("POST", put_large),
    "upload with the flow's client": ("POST", put_with_the_client),
}


def prepared(server, storage, tmp_path):
    """A file, and objects that were stored while nothing was wrong."""
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    prefix = storage.url.removeprefix(f"s3://{storage.bucket}/")
    for key, data in {"given": b"given", "given-large": LARGE}.items():
        server.make_client().put_object(Bucket=storage.bucket, Key=f"{prefix}/{key}", Body=data)
    return path


def _where_tried(act):
    """On both servers where they differ: in what they do with writes and ranges."""
    servers = [
        "moto",
        *(["rclone"] if act in {"write once", "download", "begin or complete an upload"} else []),
    ]
    return pytest.param(act, marks=pytest.mark.on(*servers))


@pytest.mark.parametrize("fault", [each for each in FAULTS if each not in {"corrupt", "trickle"}])
@pytest.mark.parametrize("act", [_where_tried(act) for act in ACTS])
def test_a_fault_that_passes_does_no_harm(server, make_faulty, tmp_path, act, fault):
    """Each request of the kind meets the fault the first time that it is sent."""
    method, do = ACTS[act]
    storage, proxy = make_faulty(first(fault, method))
    path = prepared(server, storage, tmp_path)
    assert do(storage, path)
    assert proxy.happened[fault]


@pytest.mark.parametrize("second", ["truncate", "cut", "unanswered", "refuse"])
@pytest.mark.parametrize("put", [put_large, put_with_the_client])
def test_a_completion_whose_answers_are_lost(make_faulty, server, tmp_path, put, second):
    """The first one is carried out. That the second one is refused, as its upload is over, is not heard either."""
    faults = {0: "unanswered", 1: second}
    storage, proxy = make_faulty(
        lambda method, path, count: (
            faults.get(count, "pass") if method == "POST" and "uploadId" in path else "pass"
        )
    )
    assert put(storage, prepared(server, storage, tmp_path))
    assert proxy.happened[second]


@pytest.mark.parametrize("put", [put_large, put_with_the_client])
def test_an_upload_whose_end_is_noted_late(make_faulty, server, tmp_path, put, monkeypatch):
    """boto3 waits for it a second time, and raises its failure again, while that is on its way to us."""
    monkeypatch.setattr(TransferCoordinatorController, "remove_transfer_coordinator", lambda *_: None)
    storage, proxy = make_faulty(first("unanswered", "POST"))
    path = prepared(server, storage, tmp_path)
    assert put(storage, path)
    forbidden = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    stub = ClientError(forbidden, "CompleteMultipartUpload")
    monkeypatch.setattr(storage.client, "complete_multipart_upload", Mock(side_effect=stub))
    with pytest.raises((DatastoreUnavailable, S3AccessDenied)) as caught:
        put(storage, path)
    assert "\n" not in str(caught.value)
    assert proxy.happened["unanswered"]


@pytest.mark.parametrize("put", [put_large, put_with_the_client])
def test_an_upload_that_arrives_after_the_deadline(make_faulty, server, tmp_path, put, monkeypatch):
    """Nobody hears of it, and it is not sent again: the object is there all the same."""
    monkeypatch.setattr(s3_transfer, "DEADLINE", 0.0)
    storage, proxy = make_faulty(
        lambda method, path, _: "unanswered" if method == "POST" and "uploadId" in path else "pass"
    )
    assert put(storage, prepared(server, storage, tmp_path))
    assert proxy.happened["unanswered"]


@pytest.mark.parametrize("fault", ["stall", "hang", "trickle", "cut", "reset", "fail"])
def test_a_fault_that_stays_is_one_line_in_time(server, make_faulty, tmp_path, fault, caplog):
    """All tries together are over soon after the deadline, and what is slow is said meanwhile."""
    storage, proxy = make_faulty(first(fault, "GET", 1000))
    prepared(server, storage, tmp_path)
    start = time.monotonic()
    with pytest.raises(DatastoreUnavailable) as caught:
        storage.read_bytes("given")
    assert time.monotonic() - start < DEADLINE + 10  # with the last pause of botocore
    assert "\n" not in str(caught.value)
    assert storage.url in str(caught.value)
    assert proxy.happened[fault] > 1
    if fault in {"stall", "hang", "trickle"}:
        assert "Waiting for S3 at http://127.0.0.1:" in caplog.text
    if fault == "fail":
        assert "the service has too many requests" in str(caught.value)


@pytest.mark.parametrize("fault", ["stall", "hang", "trickle", "fail"])
def test_a_process_that_is_to_end_waits_less(server, make_faulty, tmp_path, fault, monkeypatch):
    """For the request under way, and for those after it; where S3 answers, they succeed as ever."""
    monkeypatch.setattr(s3_patience, "QUIET", 60)
    monkeypatch.setattr(s3_patience, "DEADLINE", 60)
    monkeypatch.setattr(s3_patience, "HURRY", 0.5)
    monkeypatch.setattr(s3_patience, "_hurried", [])
    monkeypatch.setattr(s3_patience, "_gone", [])
    storage, proxy = make_faulty(first(fault, "GET", 1000))
    path = prepared(server, storage, tmp_path)

    def hurried() -> None:
        while not proxy.happened[fault]:
            time.sleep(0.01)
        s3_patience.hurry()

    thread = threading.Thread(target=hurried)
    thread.start()
    start = time.monotonic()
    with pytest.raises(DatastoreUnavailable):
        storage.read_bytes("given")
    thread.join()
    monkeypatch.setattr(s3_patience, "HURRY", 60)
    if fault != "fail":  # a service that answers is not gone
        with pytest.raises(DatastoreUnavailable):
            storage.read_bytes("given")
    assert time.monotonic() - start < 20
    storage.upload(path, "another")
    assert storage.size("another") == path.stat().st_size


@pytest.mark.parametrize("code", ["broken", "refuse"])
def test_a_service_that_fails_is_not_a_wrong_setting(server, make_faulty, tmp_path, code):
    """Also for a HEAD, whose answer has no reason."""
    storage, _ = make_faulty(lambda *_: code)
    prepared(server, storage, tmp_path)
    for ask in (storage.read_bytes, storage.size):
        with pytest.raises(DatastoreUnavailable, match="the service failed") as caught:
            ask("given")
        assert "the service's fault, not a setting's: try again later." in str(caught.value)


def test_changed_bytes_are_never_taken(server, make_faulty, tmp_path):
    """A connection that changes bytes is seen where there is a digest."""
    storage, _ = make_faulty(first("corrupt", "GET", 1000))
    path = prepared(server, storage, tmp_path)
    assert not storage.holds("given-large", DIGEST)
    with pytest.raises(CorruptData, match=f"expected sha256 {DIGEST}"):
        storage.download("given-large", path.with_name("copy"), DIGEST)
    assert not path.with_name("copy").exists()
