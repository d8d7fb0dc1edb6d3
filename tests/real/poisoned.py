"""Flows with a step that changes what their runs execute or read next, as whoever may write the datastore could."""

from __future__ import annotations

import re
import subprocess

POISONER = """
from airflow_conda_flow import aws_credentials, batch, kubernetes, retry

class AFlow(FlowSpec):
    @step
    def start(self):
        self.x = "evil"
        self.next(self.attacker)
    @aws_credentials
    @step
    def attacker(self):
        import boto3, hashlib, json, os
        bucket, _, prefix = os.environ["CONDA_FLOW_DATASTORE_ROOT"][5:].partition("/")
        client = boto3.client("s3")
        folder = "%s/flows/AFlow/%s/" % (prefix, current.run_id)
        def read(key):
            document = json.loads(client.get_object(Bucket=bucket, Key=folder + key)["Body"].read())
            document.pop("checksum")
            return document
        def write(key, document):
            rest = json.dumps(document, sort_keys=True, separators=(",", ":"))[:-1]
            body = rest + ',"checksum":"%s"}' % hashlib.sha256(rest.encode()).hexdigest()
            client.put_object(Bucket=bucket, Key=folder + key, Body=body.encode())
        # As if the step had run already: it is to refuse the record, and leave that as its result.
        write("victim/0/0.json", dict(read("start/0/0.json"), step="victim", task_id="victim-0", transition={
            "next": ["end"], "foreach": None, "num_splits": None, "split_names": None, "condition": None,
            "chosen": None}))
        record = read("run.json")
        record["decorators"]["victim"]["environment"] = {"vars": {"PYTHONSTARTUP": "/tmp/evil.py"}}
        write("run.json", record)
        self.x = "good"
        self.next(self.victim)
    @retry(times=2)
    @@PLACE@@
    @step
    def victim(self):
        print("VICTIM RAN")
        self.next(self.end)
    @step
    def end(self):
        print("END RAN", self.x)
"""
MANIFEST_POISONER = """
from airflow_conda_flow import aws_credentials, batch, kubernetes, retry

class AFlow(FlowSpec):
    @step
    def start(self):
        self.x = "good"
        self.y = "evil"
        self.next(self.victim, self.attacker)
    @retry(times=2)
    @@PLACE@@
    @step
    def victim(self):
        self.next(self.join)
    @aws_credentials
    @step
    def attacker(self):
        import boto3, hashlib, json, os, time
        bucket, _, prefix = os.environ["CONDA_FLOW_DATASTORE_ROOT"][5:].partition("/")
        client = boto3.client("s3")
        key = "%s/flows/AFlow/%s/victim/0/0.json" % (prefix, current.run_id)
        while True:
            try:
                record = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
                break
            except client.exceptions.NoSuchKey:
                time.sleep(0.005)
        record.pop("checksum")
        record["artifacts"]["x"] = record["artifacts"]["y"]
        rest = json.dumps(record, sort_keys=True, separators=(",", ":"))[:-1]
        body = rest + ',"checksum":"%s"}' % hashlib.sha256(rest.encode()).hexdigest()
        client.put_object(Bucket=bucket, Key=key, Body=body.encode())
        self.next(self.join)
    @step
    def join(self, inputs):
        print("END RAN", inputs.victim.x)
        self.next(self.end)
    @step
    def end(self):
        pass
"""
TOLD = re.compile(
    r"flows/AFlow/\S+/victim/0/0\.json in the datastore \S+ is not what its attempt wrote: its sha256 is \w+, and "
    r"the attempt told \w+\."
)
LINE = re.compile(
    r"flows/AFlow/\S+/run\.json in the datastore \S+ is not what this run was prepared with: its sha256 is \w+, "
)


def check_refused(done: subprocess.CompletedProcess[str], line: re.Pattern[str] = LINE) -> None:
    """The run failed with one line about a document; nothing read it, and nothing was tried again."""
    assert done.returncode == 1, done.stdout + (done.stderr or "")
    assert len(line.findall(done.stdout)) == 1, done.stdout
    assert not re.search("(END|VICTIM) RAN", done.stdout), done.stdout
    assert "(retry)" not in done.stdout
