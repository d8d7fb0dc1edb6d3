"""The runner that a container fetches from S3, where its image does not hold it."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.runner.archive import published_runner
from airflow_conda_flow.runner.container_command import RUNNER, fetching_command
from airflow_conda_flow.runner.manifest_line import NOTHING, manifest_line

from ...parts.attempt_machine import old_python, one_step
from ...parts.real_parts import docker
from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY

BODY = "import sys; print(sys.executable); self.x = 1"
WITHOUT_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED")


@pytest.fixture(scope="module")
def storage(rclone_s3):
    """A root in a server that checks signatures, with the runner in it."""
    with pytest.MonkeyPatch.context() as patch:
        rclone_s3.use(patch)
        storage = S3Storage(rclone_s3.make_root())
        storage.runner_url = f"{storage.url}/{published_runner(storage)}"
        yield storage


@pytest.fixture
def bootstrap(storage, rclone_s3, tmp_path):
    """Runs the container's command on this machine, under one Python or another."""

    def run(*words, python="/usr/bin/python3", without=(), **environ):
        variables = {**rclone_s3.environment, "TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
        variables.update({"CONDA_FLOW_RUNNER": storage.runner_url, **environ})
        command = [python, "-I", "-c", fetching_command()[3], *words]
        kept = {name: value for name, value in variables.items() if name not in without}
        return subprocess.run(command, env=kept, capture_output=True, text=True, check=False, timeout=60)

    return run


def test_a_step_runs_in_an_image_that_knows_nothing_of_us(
    make_container_run, base_image, rclone_s3, monkeypatch
):
    """Read-only, as nobody, and with less memory than the archive has bytes unpacked."""
    rclone_s3.use(monkeypatch)
    run = make_container_run(one_step(BODY), server=rclone_s3)
    run.environ["CONDA_FLOW_RUNNER"] = f"{run.root}/{published_runner(run.datastore.storage)}"
    run.image = base_image
    run.program = fetching_command()
    ended = run.done(
        "start", options=("--read-only", "--tmpfs=/tmp:mode=1777,exec", "--user=4321", "--memory=300m")
    )
    *begun, printed, told = ended.stdout.splitlines()
    assert begun == [manifest_line(NOTHING)] * 2  # before the runner is there, and by it
    assert printed.endswith("/bin/python3")
    assert told == manifest_line(run.task("start").sha256)
    assert ended.stderr == ""
    assert run.value("start", "x") == 1


def test_an_image_that_holds_the_runner_fetches_nothing(make_container_run):
    run = make_container_run(one_step(BODY))
    run.program = fetching_command()
    run.environ["CONDA_FLOW_RUNNER"] = "s3://nowhere/runners/none.tar.gz"
    run.done("start")


def test_an_image_without_python_is_told_what_to_do(base_image):
    script = 'rm -f /usr/bin/python* /usr/local/bin/python*; exec "$@"'
    ended = docker(
        "run", "--rm", base_image, "sh", "-c", script, "sh", *fetching_command(), "run", "{}", check=False
    )
    assert ended.returncode == 3
    assert ended.stderr == (
        f"This image holds neither {RUNNER} nor a python3 that could fetch it: base the image on the runner image, "
        "as docs/containers.md says.\n"
    )


@pytest.mark.parametrize("minor", ["3.6", "3.8", "3.13"])
def test_any_python_fetches_it(bootstrap, minor):
    python = old_python(minor) or pytest.skip(f"no Python {minor} on this machine")
    ended = bootstrap("--version", python=python)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("0.")


def test_the_second_container_on_a_scratch_directory_fetches_nothing(bootstrap):
    assert bootstrap("--version").returncode == 0
    assert bootstrap("--version", AWS_ENDPOINT_URL="http://127.0.0.1:9").returncode == 0


def test_a_wrong_signature_is_one_line_without_the_secret(bootstrap, storage):
    ended = bootstrap("--version", AWS_SECRET_ACCESS_KEY="a-wrong-secret")
    assert ended.returncode == 3
    assert ended.stderr == (
        f"The runner {storage.runner_url} cannot be fetched: S3 answers 403 Forbidden. "
        "Look at the container's credentials, or base the image on the runner image, as docs/containers.md says.\n"
    )


def test_damaged_bytes_are_never_started(bootstrap, storage, tmp_path):
    """Another archive, sound in itself, under the name of the right one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "runner").write_text("#!/bin/sh\necho should never run\n")
    (tmp_path / "bin" / "runner").chmod(0o755)
    subprocess.run(["tar", "-czf", tmp_path / "other.tar.gz", "-C", tmp_path, "bin"], check=True)
    storage.upload(tmp_path / "other.tar.gz", f"runners/{'0' * 64}.tar.gz")
    ended = bootstrap("--version", CONDA_FLOW_RUNNER=f"{storage.url}/runners/{'0' * 64}.tar.gz")
    assert ended.returncode == 3
    assert "its sha256 is" in ended.stderr
    assert ended.stdout == ""
    assert not list((tmp_path / "airflow-conda-flow").iterdir())


def test_credentials_of_an_instance_come_by_imdsv2(bootstrap, storage, moto_s3):
    """Moto gives keys of its own, which rclone refuses: so the request was made and was signed with them."""
    ended = bootstrap("--version", without=WITHOUT_KEYS, AWS_EC2_METADATA_SERVICE_ENDPOINT=moto_s3.endpoint)
    assert "S3 answers 403 Forbidden" in ended.stderr


def test_credentials_of_a_container_come_from_its_endpoint(bootstrap, tmp_path):
    """As ECS, Batch and Fargate hand them out, with the token of the file in the request."""
    asked = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(
                json.dumps(
                    {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": "a-token"}
                ).encode()
            )

        def log_message(self, *_words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text("secret-of-the-task\n")
    ended = bootstrap(
        "--version",
        without=WITHOUT_KEYS,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"http://127.0.0.1:{server.server_port}/v2/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(tmp_path / "token"),
    )
    server.shutdown()
    server.server_close()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert asked == [("/v2/credentials", "secret-of-the-task")]


def test_publishing_again_asks_and_sends_nothing(storage):
    """It reads the document, asks how old document and archive are, and how large the archive is."""
    requests = []
    storage.client.meta.events.register(
        "before-send.s3", lambda request, **_: requests.append(request.method)
    )
    assert storage.runner_url == f"{storage.url}/{published_runner(storage)}"
    assert requests == ["GET", "HEAD", "HEAD", "HEAD"]


def test_the_runner_publishes_itself(runner_image, rclone_s3, storage):
    """From a machine that cannot make one, such as a Mac: the image does it."""
    variables = {name: value for name, value in rclone_s3.environment.items() if not value.startswith("/")}
    variables.update(CONDA_FLOW_DATASTORE="s3", CONDA_FLOW_DATASTORE_ROOT=storage.url)
    words = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    url = docker("run", "--rm", "--network=host", *words, runner_image, "runner", "publish").stdout.strip()
    assert url.startswith(f"{storage.url}/runners/")
    assert storage.exists(url.removeprefix(f"{storage.url}/"))
