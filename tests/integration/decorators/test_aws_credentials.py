"""The credentials of the runner: a step has them only if it or the deployment asks."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.flow_machine import Machine
from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY

LOOK = """
import os
from airflow_conda_flow import S3, aws_credentials, environment, secrets
NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_PROFILE_FOR_TESTS")
def seen():
    return [os.environ.get(name) for name in NAMES]
class AFlow(FlowSpec):
    @step
    def start(self):
        print("PLAIN", seen())
        with S3(run=self) as s3:
            s3.put("name", "an object")
        self.next(self.isolated)
    @CONDA
    @step
    def isolated(self):
        import os
        print("ISOLATED", sorted(name for name in os.environ if name.startswith("AWS_") and "KEY" in name))
        self.next(self.asks)
    @aws_credentials
    @step
    def asks(self):
        print("ASKS", seen())
        self.next(self.brings)
    @environment(vars={"AWS_ACCESS_KEY_ID": "of the step"})
    @step
    def brings(self):
        print("BRINGS", seen())
        self.next(self.end)
    @step
    def end(self):
        with S3(run=self) as s3:
            print("OBJECT", s3.get("name").text)
"""
ASKS_BOTO3 = """
import boto3
class AFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        boto3.client("s3").list_buckets()
"""
WRITES = """
from airflow_conda_flow import S3
class AFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        root = ROOT
        with S3(s3root=root) as s3:
            for key in ("mine", "flowsy/x", "data/other"):
                s3.put(key, "x")
            for key in ("flows/A/1/run.json", "environments/linux-64/x.packed", "code/x.zip"):
                try:
                    s3.put(key, "x")
                except Exception as error:
                    print("REFUSED", type(error).__name__, error)
            try:
                s3.put_many([("fine", "x"), ("packages/x", "x")])
            except Exception as error:
                print("REFUSED", type(error).__name__)
"""


@pytest.fixture
def machine(moto_s3, tmp_path, channel):
    """A machine whose datastore is in S3, with more credentials than it needs."""
    environ = {
        "AWS_SESSION_TOKEN": "a-token",
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
        "AWS_PROFILE_FOR_TESTS": "p",
    }
    machine = Machine(tmp_path / "home", channel.url, **moto_s3.environment, **environ)
    machine.environ.update(CONDA_FLOW_DATASTORE="s3", CONDA_FLOW_DATASTORE_ROOT=moto_s3.make_root())
    return machine


def printed(done, word: str) -> str:
    """The rest of the line in which a step printed a word."""
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line.partition(f"{word} ")[2] for line in done.stdout.splitlines() if f"] {word} " in line]
    return line


def test_a_step_that_asks_has_them(machine, channel):
    """Another one has none, whatever interpreter it runs on; what a decorator sets, it has."""
    flow = machine.flow(LOOK.replace("CONDA", f'conda(python="{channel.python}")'))
    done = machine.run(flow, "--environment=conda", "run")
    everything = [ACCESS_KEY, SECRET_KEY, "a-token", "arn:aws:iam::1:role/r", "p"]
    assert printed(done, "PLAIN") == str([None, None, None, None, "p"])
    assert printed(done, "ISOLATED") == "[]"
    assert printed(done, "ASKS") == str(everything)
    assert printed(done, "BRINGS") == str(["of the step", None, None, None, "p"])
    assert printed(done, "OBJECT") == "an object"


@pytest.mark.parametrize("way", ["setting", "option", "local"])
def test_a_deployment_that_gives_them(machine, channel, way):
    """By the setting, by --with for every step, and always where the datastore is a directory."""
    flow = machine.flow(LOOK.replace("CONDA", f'conda(python="{channel.python}")'))
    words = ["--environment=conda", "run"]
    if way == "setting":
        machine.environ["CONDA_FLOW_STEP_CREDENTIALS"] = "true"
    elif way == "option":
        words += ["--with", "aws_credentials"]
    else:
        root = machine.environ["CONDA_FLOW_DATASTORE_ROOT"]
        machine.environ.update(
            CONDA_FLOW_DATASTORE="local",
            CONDA_FLOW_DATASTORE_ROOT="",
            CONDA_FLOW_DATATOOLS_S3ROOT=f"{root}/tools",
        )
    done = machine.run(flow, *words)
    assert printed(done, "PLAIN").startswith(str([ACCESS_KEY, SECRET_KEY])[:-1])
    assert "AWS_SECRET_ACCESS_KEY" in printed(done, "ISOLATED")


def test_a_step_that_looks_for_credentials_is_told_how_to_ask(machine):
    """One line beside botocore's own error."""
    done = machine.run(machine.flow(ASKS_BOTO3), "run")
    assert done.returncode == 1
    assert "NoCredentialsError: Unable to locate credentials" in done.stdout
    told = [
        line.partition("] ")[2] for line in done.stdout.splitlines() if "does not get the credentials" in line
    ]
    words = (
        "A step does not get the credentials that its runner has: AWS_ACCESS_KEY_ID, AWS_ROLE_ARN, "
        "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. Write @aws_credentials above the step 'only' to give them to it; "
        "S3(run=self) needs none."
    )
    assert told == [words]


def test_a_step_cannot_write_what_later_runs_execute(machine, moto_s3):
    """Not by the S3 client either, whose credentials are the runner's."""
    root = machine.environ["CONDA_FLOW_DATASTORE_ROOT"]
    done = machine.run(machine.flow(WRITES.replace("ROOT", repr(root))), "run")
    assert done.returncode == 0, done.stdout + done.stderr
    refused = [line.partition("REFUSED ")[2] for line in done.stdout.splitlines() if "REFUSED" in line]
    assert refused[0] == (
        f"S3InvalidURL {root}/flows/A/1/run.json is not stored: flows/ in {root} belongs to the datastore. "
        "Write to another folder, or with S3(run=self), which has one of its own."
    )
    assert len(refused) == 4
    storage = S3Storage(root, moto_s3.make_client())
    keys = set(storage.list_keys(""))
    assert {"mine", "flowsy/x", "data/other"} <= keys
    assert not {"flows/A/1/run.json", "environments/linux-64/x.packed", "code/x.zip", "packages/x"} & keys
