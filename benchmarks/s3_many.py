"""200 small objects stored and read: S3 in a step and outside, boto3 in threads, Metaflow's S3."""

import shutil
import sys
import tempfile
from pathlib import Path

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from tests.parts.s3_servers import run_rclone

COUNT, SIZE = 200, 10_000
MEASURE = """
import json, sys, time
def measure(s3):
    names = ["%s/%d" % (s3, number) for number in range({count})]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        put([(name.rpartition("/")[2], b"x" * {size}) for name in names])
        between = time.perf_counter()
        found = get([name.rpartition("/")[2] for name in names])
        times.append((between - started, time.perf_counter() - between))
        assert [len(each) for each in found] == [{size}] * {count}
    puts, gets = (sorted(each)[2] for each in zip(*times))
    print("MEASURED", json.dumps([puts, gets]))
"""
CLIENT = (
    MEASURE
    + """
from {package} import S3
with S3(s3root="{root}") as s3:
    put, get = s3.put_many, lambda keys: [each.blob for each in s3.get_many(keys)]
    measure("{root}")
"""
)
BOTO3 = (
    MEASURE
    + """
import boto3
from botocore.config import Config
from concurrent.futures import ThreadPoolExecutor
client = boto3.client("s3", config=Config(max_pool_connections=64))
bucket, _, prefix = "{root}"[5:].partition("/")
def write(pair):
    client.put_object(Bucket=bucket, Key=prefix + "/" + pair[0], Body=pair[1])
def put(pairs):
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(write, pairs))
def read(key):
    return client.get_object(Bucket=bucket, Key=prefix + "/" + key)["Body"].read()
def get(keys):
    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(read, keys))
measure("{root}")
"""
)
FLOW = """
from airflow_conda_flow import FlowSpec, step
PROGRAM = {program!r}
class ManyFlow(FlowSpec):
    @step
    def start(self):
        exec(PROGRAM, {{}})
        self.next(self.end)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    ManyFlow()
"""


def measured(python, text, environ, folder, *words):
    """Times that a program prints."""
    path = folder / "many_flow.py"
    path.write_text(text)
    _, output = harness.run([python, path, *words], env=environ, cwd=folder)
    line = next(line for line in output.splitlines() if "MEASURED" in line)
    return [float(each) for each in line.partition("MEASURED [")[2].rstrip("]").split(", ")]


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    metaflow = harness.metaflow_python()
    folder = Path(tempfile.mkdtemp(dir=harness.WORK))
    try:
        with run_rclone(folder) as server:
            environ = {**harness.environ(folder), **server.environment}

            def program(text, package=""):
                return text.format(count=COUNT, size=SIZE, package=package, root=server.make_root())

            ours = program(CLIENT, "airflow_conda_flow")
            plain = measured(sys.executable, program(BOTO3), environ, folder)
            step = measured(sys.executable, FLOW.format(program=ours), environ, folder, "run")
            outside = measured(sys.executable, program(CLIENT, "airflow_conda_flow"), environ, folder)
            peer = measured(metaflow, program(CLIENT, "metaflow"), environ, folder)
    finally:
        shutil.rmtree(folder)
    rows = [
        (f"{what}, {who}", times[index], None if times is plain else times[index] / plain[index], "boto3")
        for index, what in enumerate(["put_many", "get_many"])
        for who, times in (
            ("boto3 in 32 threads", plain),
            ("S3 outside of a step", outside),
            ("S3 in a step", step),
            ("Metaflow's S3", peer),
        )
    ]
    harness.table(f"{COUNT} objects of {SIZE // 1000} kB in S3 (rclone, same machine)", rows)


if __name__ == "__main__":
    main()
