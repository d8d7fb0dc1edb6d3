"""S3 failures: one message with the URL and what to set, never a boto traceback or a secret."""

from __future__ import annotations

import http.server
import re
import threading
import traceback

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from airflow_conda_flow.datastore import s3_errors
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.errors import (
    CondaFlowError,
    DatastoreUnavailable,
    NotInDatastore,
    SettingError,
)

from ...parts.s3_servers import SECRET_KEY, free_port

OPERATIONS = {
    "read_bytes": lambda storage, _: storage.read_bytes("key"),
    "write_bytes": lambda storage, _: storage.write_bytes("key", b""),
    "write_if_absent": lambda storage, _: storage.write_if_absent("key", b""),
    "upload": lambda storage, path: storage.upload(path, "key"),
    "download": lambda storage, path: storage.download("key", path.with_name("target")),
    "list_keys": lambda storage, _: list(storage.list_keys("")),
    "list_names": lambda storage, _: storage.list_names("a/"),
}


@pytest.fixture
def server(rclone_s3, monkeypatch):
    """A server that checks signatures, in use."""
    rclone_s3.use(monkeypatch)
    return rclone_s3


@pytest.fixture(params=OPERATIONS)
def operation(request, make_file):
    """One operation of a storage."""
    path = make_file(b"data")
    return lambda storage: OPERATIONS[request.param](storage, path)


@pytest.fixture
def make_answering(monkeypatch):
    """Starts a server that gives every request the same error; a storage there."""
    servers = []

    def make(status: int, code: str) -> S3Storage:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("x-amz-bucket-region", "us-east-1")  # as AWS does with a 301
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_PUT = do_HEAD = do_GET  # noqa: N815  the names that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(httpd)
        endpoint = f"http://127.0.0.1:{httpd.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testkey",
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )
        return S3Storage("s3://bucket/prefix", client)

    yield make
    for httpd in servers:
        httpd.shutdown()
        httpd.server_close()


def check(caught, *expected):
    """The message holds what is expected, and the whole traceback holds no secret."""
    message = str(caught.value)
    for text in expected:
        assert text in message
    assert "\n" not in message
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET_KEY not in shown


def test_no_such_bucket(server, operation):
    """A bucket that does not exist is named, whatever was asked."""
    with pytest.raises(DatastoreUnavailable) as caught:
        operation(S3Storage("s3://no-such-bucket/prefix"))
    check(
        caught,
        f"The datastore s3://no-such-bucket/prefix at {server.endpoint} (AWS_ENDPOINT_URL) "
        "cannot be used: the bucket does not exist. ",
        "set datastore_root",
    )


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_keys(server, operation, monkeypatch, wrong):
    """Keys that the server does not take: say so, and where to set them."""
    root = server.make_root()
    monkeypatch.setenv(wrong, "somethingelse")
    with pytest.raises(DatastoreUnavailable) as caught:
        operation(S3Storage(root))
    check(caught, root, "AWS_PROFILE")
    assert re.search("access key is not known|secret key is wrong|access denied", str(caught.value))


def test_no_credentials(server, operation, monkeypatch):
    """No credentials at all: what to set."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DatastoreUnavailable) as caught:
        operation(S3Storage(server.make_root()))
    check(caught, "no AWS credentials were found. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and")


def test_half_the_credentials(server, monkeypatch):
    """A key without its secret: what to set."""
    root = server.make_root()
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DatastoreUnavailable) as caught:
        S3Storage(root).read_bytes("key")
    check(caught, "the AWS credentials are not complete")


def test_no_such_profile(server, monkeypatch):
    """A profile that does not exist: which variable names it."""
    root = server.make_root()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(DatastoreUnavailable) as caught:
        S3Storage(root).read_bytes("key")
    check(caught, "the profile of AWS_PROFILE does not exist")


@pytest.mark.usefixtures("server")
def test_unreachable_endpoint(monkeypatch):
    """Nobody listens at the endpoint: the message holds it and its variable."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(DatastoreUnavailable) as caught:
        S3Storage("s3://bucket/prefix").read_bytes("key")
    check(caught, f"at {endpoint} (AWS_ENDPOINT_URL)", "the endpoint cannot be reached")


def test_the_endpoint_of_metaflows_configuration(monkeypatch, tmp_path):
    """Its key in the file counts where no variable of boto3's says otherwise."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.json").write_text('{"METAFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:1"}')
    monkeypatch.setenv("METAFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert S3Storage("s3://bucket").client.meta.endpoint_url == "http://127.0.0.1:1"
    monkeypatch.setenv("METAFLOW_S3_ENDPOINT_URL", "localhost")
    with pytest.raises(SettingError) as caught:
        S3Storage("s3://bucket/prefix").read_bytes("key")
    check(caught, "METAFLOW_S3_ENDPOINT_URL is 'localhost': expected a URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    assert S3Storage("s3://bucket").client.meta.endpoint_url == "http://127.0.0.1:2"


@pytest.mark.usefixtures("server")
def test_endpoint_that_is_no_url(monkeypatch):
    """An endpoint that is not a URL: the variable is named."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost")
    with pytest.raises(SettingError) as caught:
        S3Storage("s3://bucket/prefix").read_bytes("key")
    check(caught, "AWS_ENDPOINT_URL is 'localhost': expected a URL")


@pytest.mark.parametrize("code", [*s3_errors.ANSWERS, "SomethingNew"])
def test_every_answer(make_answering, code):
    """Every error code of the table, and one that nobody knows, comes out as one clear line."""
    if code.isdigit():
        storage = make_answering(int(code), "")
        with pytest.raises(DatastoreUnavailable) as caught:
            storage.exists("key")
    else:
        storage = make_answering(500 if code in {"InternalError", "SlowDown"} else 400, code)
        with pytest.raises(DatastoreUnavailable) as caught:
            storage.read_bytes("key")
    what, fix = s3_errors.ANSWERS.get(code, (f"the answer was {code}", "Check AWS_ENDPOINT_URL"))
    rights = {"403": "allow s3:GetObject and s3:ListBucket.", "AccessDenied": "Allow s3:GetObject there, or"}
    check(caught, "s3://bucket/prefix", what, rights.get(code, fix))


def test_missing_key_is_no_failure(make_answering):
    """A missing key is NotInDatastore, not a storage that is unavailable."""
    with pytest.raises(NotInDatastore):
        make_answering(404, "NoSuchKey").read_bytes("key")


def all_subclasses(kind):
    """The class and everything below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from all_subclasses(below)


@pytest.mark.parametrize("kind", sorted(set(all_subclasses(botocore.exceptions.BotoCoreError)), key=str))
def test_every_botocore_exception(kind):
    """Whatever botocore raises has a meaning, also what it comes to raise in a later version."""
    error = kind.__new__(kind)
    assert isinstance(s3_errors.translated(error, "s3://b", "key"), CondaFlowError)


def test_other_exceptions_pass():
    """A bug of ours is not dressed up as a storage failure."""
    with pytest.raises(ZeroDivisionError), s3_errors.reporting("s3://b", "key"):
        _ = 1 / 0


def test_broken_answer_is_asked_again(server, monkeypatch):
    """An answer that breaks off half-way is asked for again, a bounded number of times."""
    storage = S3Storage(server.make_root())
    storage.write_bytes("key", b"data")
    real, breaks = storage.client.get_object, []

    def get_object(**request: object):
        answer = real(**request)
        if len(breaks) < limit:
            breaks.append(1)
            answer["Body"].close()

            class Broken:
                def read(self, *_: object) -> bytes:
                    raise botocore.exceptions.ResponseStreamingError(error="cut")

                def close(self) -> None:
                    pass

            answer["Body"] = Broken()
        return answer

    monkeypatch.setattr(storage.client, "get_object", get_object)
    limit = 2
    assert storage.read_bytes("key") == b"data"
    breaks.clear()
    limit = 99
    with pytest.raises(DatastoreUnavailable, match="the connection broke"):
        storage.read_bytes("key")
    assert len(breaks) == 3
