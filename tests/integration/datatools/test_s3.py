"""The S3 client outside of steps, against two real servers."""

from __future__ import annotations

import hashlib
import io
import os
import pickle

import pytest
from airflow_conda_flow.plugins.datatools.s3 import RangeInfo, S3GetObject, S3PutObject

from airflow_conda_flow import S3, FlowSpec
from airflow_conda_flow.datatools import s3_access
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.exception import (
    MetaflowException,
    MetaflowS3AccessDenied,
    MetaflowS3Exception,
    MetaflowS3InvalidObject,
    MetaflowS3InvalidRange,
    MetaflowS3NotFound,
    MetaflowS3URLException,
)
from airflow_conda_flow.settings.loading import load_settings

TREE = {"a/0.txt": "0", "a/b/1.txt": "11", "a/c/2.txt": "222", "ab/3.txt": "3333", "f.txt": ""}


@pytest.fixture(params=["moto", "rclone"])
def server(request, monkeypatch):
    """One of the servers, as the one that this process uses."""
    server = request.getfixturevalue(f"{request.param}_s3")
    server.use(monkeypatch)
    monkeypatch.setattr(s3_access, "_direct", [])
    return server


@pytest.fixture
def root(server) -> str:
    """A prefix with nothing below it."""
    return server.make_root()


@pytest.fixture
def tree(root) -> str:
    """A prefix with ``TREE`` below it."""
    with S3(s3root=root) as s3:
        assert s3.put_many(TREE.items()) == [(key, f"{root}/{key}") for key in TREE]
    return root


def test_an_object_is_stored_and_read(root, tmp_path):
    """Text, bytes and files come back as they were, from files that are there until the client is closed."""
    with S3(s3root=root, tmproot=str(tmp_path)) as s3:
        assert s3.put("some/text", "caf\u00e9") == f"{root}/some/text"
        s3.put("/bytes", b"\0\1", content_type="image/png", metadata={"who": ["\u00e9", 1]})
        file = io.BytesIO(b"in a file")
        file.read()
        s3.put("file #1?", file)
        found = s3.get("some/text")
        assert (found.key, found.prefix, found.url) == ("some/text", root, f"{root}/some/text")
        assert (found.text, found.blob, found.size) == ("caf\u00e9", "caf\u00e9".encode(), 5)
        assert found.exists
        assert found.downloaded
        assert found.path.startswith(str(tmp_path))
        assert found.path.endswith("-text")
        assert repr(found) == f"<S3Object {root}/some/text (5 bytes, local)>"
        assert s3.get("file #1?").blob == b"in a file"
        assert pickle.loads(pickle.dumps(found)).text == "caf\u00e9"
        for png in (s3.get("bytes"), s3.info("bytes")):
            assert png.has_info
            assert png.content_type == "image/png"
            assert png.metadata == {"who": ["\u00e9", 1]}
            assert png.encryption is None
            assert abs(png.last_modified - tmp_path.stat().st_mtime) < 60
        assert (png.size, png.downloaded, png.path, png.blob, png.range_info) == (2, False, None, None, None)
        bare = s3.get("bytes", return_info=False)
        assert (bare.has_info, bare.content_type, bare.range_info, bare.size) == (False, None, None, 2)
        s3.put("bytes", b"other", overwrite=False)
        assert s3.get("bytes").blob == b"\0\1"
        s3.put("bytes", b"other")
        assert s3.get("bytes").blob == b"other"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="its S3 client is closed"):
        _ = found.text
    with pytest.raises(MetaflowException, match="This S3 client is closed"):
        s3.get("bytes")


def test_many_objects_at_once(root, tmp_path):
    """They come in the order of the keys, whatever is missing among them."""
    keys = [f"many/{number}" for number in range(100)]
    path = tmp_path / "a.csv"
    path.write_text("1,2")
    with S3(s3root=root) as s3:
        stored = s3.put_many((key, key * 10) for key in keys)
        assert stored == [(key, f"{root}/{key}") for key in keys]
        described = S3PutObject("many/0", value="new", content_type="text/csv", metadata={"n": 1})
        assert s3.put_many([described, ("many/x", b"x")], overwrite=False) == [("many/x", f"{root}/many/x")]
        assert s3.put_files([("f/1", str(path)), S3PutObject("f/2", path=path, metadata={"n": 2})])
        asked = ["f/2", "f/1", "missing", *reversed(keys)]
        found = s3.get_many(asked, return_missing=True)
        assert [each.key for each in found] == asked
        assert [each.text for each in found] == ["1,2", "1,2", None, *(key * 10 for key in reversed(keys))]
        assert [each.exists for each in found[:3]] == [True, True, False]
        assert found[0].metadata == {"n": 2}
        assert found[1].metadata is None
        assert [each.size for each in s3.info_many(asked, return_missing=True)] == [e.size for e in found]
        assert s3.get_many([]) == s3.put_many([]) == s3.list_paths([]) == []
        for read in (s3.get_many, s3.info_many):
            with pytest.raises(MetaflowS3NotFound, match=f"There is no object {root}/missing"):
                read(asked)
    with S3() as s3:
        (found,) = s3.get_many(url for key, url in stored if key == "many/7")
        assert (found.key, found.prefix, found.text) == (f"{root}/many/7", None, "many/7" * 10)


def test_what_is_below_a_prefix(tree):
    """Folder by folder, or all of it; and downloaded."""
    with S3(s3root=tree) as s3:
        paths = s3.list_paths(["a", "/ab/"])
        assert [(each.key, each.exists, each.size) for each in paths] == [
            ("0.txt", True, 1),
            ("b", False, None),
            ("c", False, None),
            ("3.txt", True, 4),
        ]
        assert (paths[1].url, paths[1].prefix) == (f"{tree}/a/b/", f"{tree}/a/")
        assert [each.key for each in s3.list_paths()] == ["f.txt", "a", "ab"]
        assert [each.key for each in s3.list_recursive()] == list(TREE)
        assert {each.prefix for each in [*s3.list_recursive(), *s3.get_all()]} == {tree}
        assert [each.key for each in s3.list_recursive(["a"])] == ["0.txt", "b/1.txt", "c/2.txt", "ab/3.txt"]
        found = s3.get_recursive(["f.txt", "a/"])
        assert [each.text for each in found] == ["", "0", "11", "222"]
        assert not any(each.has_info for each in found)
        assert {each.key: each.text for each in s3.get_all(return_info=True)} == TREE
        assert all(each.range_info.total_size == len(each.text) for each in s3.get_all(return_info=True))
    with S3(s3root=f"{tree}/a") as s3:  # and nothing of the folder "ab"
        assert [each.key for each in s3.get_all()] == ["0.txt", "b/1.txt", "c/2.txt"]
        assert [each.key for each in s3.list_paths(["nothing"])] == []
    bucket, _, prefix = tree.removeprefix("s3://").partition("/")
    with S3(bucket=bucket, prefix=f"/{prefix}/a/") as s3:
        assert s3.get("0.txt").url == f"{tree}/a/0.txt"
    with S3(s3root=f"{tree}/a/0.txt") as s3:
        assert s3.get().text == "0"


def test_parts_of_an_object(root):
    """Ranges are given as asked, and say where they are; what is out of the object is an error."""
    with S3(s3root=root) as s3:
        s3.put("digits", "0123456789")
        asked = [S3GetObject("digits", 2, 3), S3GetObject("digits", 8), S3GetObject("digits", 8, 100)]
        found = s3.get_many([*asked, S3GetObject("digits", length=-4), "digits"])
        assert [each.text for each in found] == ["234", "89", "89", "6789", "0123456789"]
        assert [tuple(each.range_info) for each in found] == [
            (10, 2, 3),
            (10, 8, 2),
            (10, 8, 2),
            (10, 6, 4),
            (10, 0, 10),
        ]
        assert found[0].range_info == RangeInfo(10, request_offset=2, request_length=3)
        for wrong in (
            S3GetObject("digits", 10, 1),
            S3GetObject("digits", -1, 1),
            S3GetObject("digits", 0, 0),
        ):
            with pytest.raises(MetaflowS3InvalidRange):
                s3.get(wrong)


def test_a_large_object(rclone_s3, monkeypatch, tmp_path):
    """It comes and goes in parallel parts, and is what it was."""
    rclone_s3.use(monkeypatch)
    monkeypatch.setattr(s3_access, "_direct", [])
    block = os.urandom(1024 * 1024)
    (tmp_path / "large").write_bytes(block * 40)
    with S3(s3root=rclone_s3.make_root()) as s3:
        s3.put_files([("large", str(tmp_path / "large"))])
        found = s3.get("large")
        assert found.size == 40 * len(block)
        assert hashlib.sha256(found.blob).digest() == hashlib.sha256(block * 40).digest()
        assert s3.get(S3GetObject("large", 17 * len(block), 20 * len(block))).blob == block * 20


def test_wrong_use(root):
    """Each mistake is an error of its kind that says what to write."""
    with S3() as s3:
        for call in (
            lambda: s3.get("suffix"),
            lambda: s3.get("s3://nopath"),
            lambda: s3.get_many(["suffix"]),
            s3.list_paths,
            s3.get_all,
            lambda: s3.put_many([("suffix", "x")]),
            lambda: s3.get_many("s3://bucket/key"),
            lambda: s3.get(5),
        ):
            with pytest.raises(MetaflowS3URLException, match=r"root|list|text"):
                call()
        for value in (1, None, io.StringIO("text")):
            with pytest.raises(MetaflowS3InvalidObject, match="it takes a text, bytes, or a file"):
                s3.put_many([("suffix", value)])
        with pytest.raises(MetaflowS3NotFound, match="There is no file /nowhere to be stored as 'a'"):
            s3.put_files([("a", "/nowhere")])
        with pytest.raises(MetaflowS3NotFound):
            s3.get(f"{root}/nothing")
    with S3(s3root=root) as s3:
        for key in ("s3://bucket/key", "../key", "a/../../key"):
            with pytest.raises(MetaflowS3URLException, match="root"):
                s3.put(key, "x")
        with pytest.raises(MetaflowS3InvalidObject, match="cannot be written as JSON"):
            s3.put("key", "x", metadata={"x": object()})
    with pytest.raises(MetaflowS3URLException, match="in a running step"):
        S3(run=FlowSpec(use_cli=False))
    with pytest.raises(
        MetaflowS3URLException, match=r"run='AFlow/1'.: write run=self in a step, or give it a Run"
    ):
        S3(run="AFlow/1")
    for wrong in ({"s3root": "bucket/x"}, {"s3root": "s3://"}, {"prefix": "x"}):
        with pytest.raises(MetaflowS3URLException, match=r"s3root|bucket"):
            S3(**wrong)


def test_where_the_objects_of_runs_are():
    """In a place of their own, or below an S3 datastore; and a place that is not in S3 is an error."""
    s3 = {"datastore": "s3", "datastore_root": "s3://bucket/flows/"}
    assert load_settings(s3, environ={}).datatools_root == "s3://bucket/flows/data"
    assert load_settings({}, environ={}).datatools_root is None
    environ = {"METAFLOW_DATATOOLS_S3ROOT": "s3://other/"}
    assert load_settings(s3, environ=environ).datatools_root == "s3://other"
    with pytest.raises(SettingError, match="METAFLOW_DATATOOLS_S3ROOT is '/x'; it takes s3://bucket"):
        load_settings({}, environ={"METAFLOW_DATATOOLS_S3ROOT": "/x"})


def test_what_the_server_refuses(moto_s3, monkeypatch):
    """A bucket that is not there, keys that are not known, and a server that is not there."""
    moto_s3.use(monkeypatch)
    monkeypatch.setattr(s3_access, "_direct", [])
    with S3() as s3:
        with pytest.raises(MetaflowS3NotFound, match=r"s3://no-such-bucket/x .*the bucket does not exist"):
            s3.get_many(["s3://no-such-bucket/x"])
        client = s3_access._direct[0]._client()
        denied = client.exceptions.ClientError({"Error": {"Code": "403"}}, "HeadObject")
        monkeypatch.setattr(client, "head_object", lambda **_name: (_ for _ in ()).throw(denied))
        with pytest.raises(MetaflowS3AccessDenied, match=r"s3://bucket/x .* access denied"):
            s3.info("s3://bucket/x")
    monkeypatch.setattr(s3_access, "_direct", [])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with S3() as s3, pytest.raises(MetaflowS3Exception, match="the endpoint cannot be reached") as caught:
        s3.get("s3://bucket/x")
    assert "testsecret" not in str(caught.value)
