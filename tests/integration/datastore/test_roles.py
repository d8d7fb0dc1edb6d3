"""The policies of docs/security.md, on an S3 server that enforces them."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.artifacts import ArtifactStore
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.keeping import ANY_AGE, notice_of_prune
from airflow_conda_flow.datastore.pruning.digest_set import DigestSet
from airflow_conda_flow.datastore.pruning.report import Silence
from airflow_conda_flow.datastore.pruning.sweep import Sweep
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.errors import DatastoreUnavailable

from ...parts.attempt_machine import AttemptMachine
from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, run_moto

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
BUCKET, PREFIX = "bucket-of-roles", "some/prefix"
FLOW = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.x = b"x" * 20_000_000 if self.input == 1 else self.input
        current.run.add_tag("seen")
        self.next(self.join)
    @step
    def join(self, inputs):
        from airflow_conda_flow import S3
        with S3(run=self) as s3:
            s3.put("name", "object")
        self.total = len(inputs)
        self.next(self.end)
    @step
    def end(self):
        print(self.total)
"""


def policy(role: str) -> dict:
    """The policy of a role as the page has it, for the bucket of these tests."""
    found = re.search(
        rf"<!-- role: {role} -->\n```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    document = json.loads(found[1].replace("BUCKET", BUCKET).replace("PREFIX", PREFIX))
    for statement in document["Statement"]:
        statement.pop("Condition", None)  # moto refuses every request under a condition that it does not know
    return document


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    """A moto server of its own, which other tests do not find locked."""
    with run_moto(tmp_path_factory.mktemp("roles")) as server:
        server.make_client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(scope="module")
def datastore_of(server, tmp_path_factory) -> Callable[[str], Datastore]:
    """A function: the datastore as a role sees it. From its first call on the server enforces the policies."""
    options = {"endpoint_url": server.endpoint, "region_name": "us-east-1"}
    iam = boto3.session.Session(ACCESS_KEY, SECRET_KEY).client("iam", **options)
    keys = {}
    for role in ("step", "prepare", "reader", "prune"):
        iam.create_user(UserName=role)
        iam.put_user_policy(UserName=role, PolicyName="of-the-page", PolicyDocument=json.dumps(policy(role)))
        made = iam.create_access_key(UserName=role)["AccessKey"]
        keys[role] = made["AccessKeyId"], made["SecretAccessKey"]
    url, kind = f"{server.endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    request = urllib.request.Request(url, data=b"0", headers=kind, method="POST")
    with urllib.request.urlopen(request):
        pass

    def make(role: str) -> Datastore:
        client = boto3.session.Session(*keys[role]).client("s3", **options)
        storage, cache = S3Storage(f"s3://{BUCKET}/{PREFIX}", client), tmp_path_factory.mktemp(role)
        return Datastore(storage, ArtifactStore(storage, cache), cache)

    return make


def test_a_run_in_its_roles(datastore_of, tmp_path):
    """`prepare` prepares, each attempt has the rights of a step, and a reader reads all of it."""
    run = AttemptMachine(tmp_path / "code", FLOW, datastore_of("prepare"))
    run.manifest["datatools_root"] = f"s3://{BUCKET}/{PREFIX}/data"  # the default for a datastore in S3
    run.datastore = datastore_of("step")
    run.done("start", sources=None)
    for index in range(2):
        run.done("body", index, sources=None)
    run.done("join", sources=None)
    run.done("end", sources=None)
    reader = datastore_of("reader")
    catalogue = RunCatalogue(reader)
    assert catalogue.run("AFlow", "1").user_tags == ["seen"]
    (record,) = catalogue.tasks("AFlow", "1", "body", ["0"], 0)
    ref = record.artifacts["x"]
    assert reader.artifacts.fetch(ref["sha256"], ref["size"]).stat().st_size > 20_000_000


@pytest.mark.parametrize(
    "key",
    [
        layout.run_manifest("AFlow", "1"),
        layout.code_package("ab" * 32),
        layout.lock("linux-64", "ab"),
        layout.packed_environment("linux-64", "ab"),
        layout.environment_archive("linux-64", "ab" * 32),
        layout.runner_pointer("linux-64", "ab" * 32),
        layout.runner_archive("linux-64", "ab" * 32),
        layout.package("ab" * 32, "a-1-0.conda"),
    ],
)
def test_what_decides_what_runs(datastore_of, key):
    """`prepare` may write it; a step and a reader may not."""
    datastore_of("prepare").storage.write_bytes(key, b"right")
    for role in ("step", "reader"):
        storage = datastore_of(role).storage
        with pytest.raises(DatastoreUnavailable, match=r"access denied\. Allow s3:PutObject there"):
            storage.write_bytes(key, b"evil")
        assert storage.read_bytes(key) == b"right"


def test_a_reader_writes_nothing(datastore_of):
    """No artifact, no tag, no manifest, no log."""
    storage = datastore_of("reader").storage
    for key in ("flows/AFlow/1/start/0/0.json", "artifacts/ab/abab", "tags/AFlow/1/x.json", "data/x"):
        with pytest.raises(DatastoreUnavailable):
            storage.write_bytes(key, b"evil")


def test_only_one_role_removes(datastore_of):
    """`prune` removes what nothing refers to; nobody else removes anything, and `prune` writes nothing else."""
    key = layout.artifact("cd" * 32)
    datastore_of("prepare").storage.write_bytes(key, b"of nobody")
    for role in ("step", "prepare", "reader"):
        storage = datastore_of(role).storage
        with pytest.raises(DatastoreUnavailable, match=r"access denied\. Allow s3:DeleteObject there"):
            list(storage.remove_old(key, ANY_AGE, lambda _entry: True))
        assert storage.exists(key)
    storage = datastore_of("prune").storage
    with pytest.raises(DatastoreUnavailable):
        storage.write_bytes(key, b"evil")
    for folder in (layout.locks(), layout.RUNNERS):  # what other tests wrote there cannot be read
        list(storage.remove_old(folder, ANY_AGE, lambda _entry: True))
    with notice_of_prune(storage) as notice:
        swept = Sweep(storage, DigestSet(), ANY_AGE, notice, Silence()).run()
        assert swept.faults == []
        assert swept.count["artifacts"] > 0
    assert not storage.exists(key)
    assert not list(storage.list_keys(layout.PRUNES))
