"""Fetches the runner from S3 into a container whose image has none, and becomes it.

The image's own Python is given this file as text: ``python3 -I -c TEXT run '<request>'``. It may therefore
use only the standard library of Python 3.6 and later, and nothing of this package. The text is a part of
the container's command, whose length is limited: keep it short.

Environment variables: ``CONDA_FLOW_RUNNER``, the s3:// URL of the archive, whose file name is its
sha256; ``AWS_*`` for endpoint and region. Credentials are looked up as boto3 does: in the environment,
at the container's endpoint (ECS, Batch, Fargate), at the instance's (IMDSv2).
"""

import hashlib
import hmac
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CANNOT_RUN = 3  # as in runner/container.py, which cannot be imported here
HINT = "or base the image on the runner image, as docs/containers.md says."
# Fixed addresses of AWS: the metadata of an instance, and the credentials of a container.
METADATA = "http://169.254.169.254"
CONTAINER = "http://169.254.170.2"
TRIES = 4  # as the boto3 client of the datastore has max_attempts=4
DEADLINE = 90  # seconds: then nothing is tried again, and an answer must come at the rate below
LOWEST_RATE = 10000  # bytes a second
PASSING = (429, 500, 502, 503, 504)  # throttled or overloaded: the same request may succeed later


def credentials() -> "tuple[str, str, str | None]":
    """Access key, secret key, and session token or None. They are never printed."""
    env: "Any" = os.environ.get
    if env("AWS_ACCESS_KEY_ID") and env("AWS_SECRET_ACCESS_KEY"):
        return env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")
    url = env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        url = CONTAINER + env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if url:
        token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        if env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            with open(env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) as file:
                token = file.read().strip()
        answer = json.loads(small(url, {"Authorization": token} if token else {}))
    else:
        base = env("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA).rstrip("/") + "/latest/"
        token = small(base + "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, "PUT")
        headers = {"X-aws-ec2-metadata-token": token}
        roles = base + "meta-data/iam/security-credentials/"
        answer = json.loads(small(roles + small(roles, headers).split()[0], headers))
    return answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"]


def small(url: str, headers: "dict[str, str]", method: str = "GET") -> str:
    """Text that a metadata service of this machine answers."""
    request = urllib.request.Request(url, headers=headers, method=method)
    # No proxy: a proxy from the environment variables cannot reach link-local addresses of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        return str(answer.read().decode())


def open_object(bucket: str, key: str, region: str, keys: "tuple[str, str, str | None]") -> "Any":
    """Answer to a signed GET: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    path = "/" + urllib.parse.quote(key, safe="/-_.~")
    # The bucket goes into the path where it cannot be a host name: a custom endpoint has no DNS entry for
    # each bucket, and a dot in the name does not match AWS's wildcard certificate.
    if endpoint or "." in bucket:
        path = "/" + bucket + path
    if not endpoint:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        endpoint = "https://%ss3.%s.%s" % ("" if "." in bucket else bucket + ".", region, suffix)
    endpoint = endpoint.rstrip("/")
    access, secret, token = keys
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {
        "host": urllib.parse.urlsplit(endpoint).netloc,
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-date": now,
    }
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = ["%s:%s\n" % item for item in sorted(headers.items())]
    canonical = "\n".join(["GET", path, "", "".join(lines), names, headers["x-amz-content-sha256"]])
    scope = "%s/%s/s3/aws4_request" % (now[:8], region)
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = ("AWS4" + secret).encode()
    for part in scope.split("/") + [text]:
        signature = hmac.new(signature, part.encode(), hashlib.sha256).digest()
    headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        access,
        scope,
        names,
        "".join("%02x" % byte for byte in signature),
    )
    return urllib.request.urlopen(urllib.request.Request(endpoint + path, headers=headers), timeout=30)


def open_anywhere(bucket: str, key: str) -> "Any":
    """Answer to a GET; asks again in the bucket's own region if that is another one."""
    keys = credentials()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        return open_object(bucket, key, region, keys)
    except urllib.error.HTTPError as error:
        right = error.headers.get("x-amz-bucket-region", region)
        if right == region:
            raise
        return open_object(bucket, key, right, keys)


def save(answer: "Any", path: str, sha256: str) -> None:
    """Write the answer's bytes to a file and verify them. An answer that nearly stands still fails."""
    digest, came, start = hashlib.sha256(), 0, time.monotonic()
    with open(path, "wb") as file:
        while True:
            data: bytes = answer.read1(1 << 20)
            if not data:
                break
            digest.update(data)
            file.write(data)
            came += len(data)
            if time.monotonic() - start > DEADLINE + came / LOWEST_RATE:
                raise OSError("only %d bytes came in %d s" % (came, time.monotonic() - start))
    if digest.hexdigest() != sha256:
        message = "it is damaged, its sha256 is %s: delete it, and the next run stores it again"
        raise OSError(message % digest.hexdigest())


def unpack(bucket: str, key: str, sha256: str, target: str) -> None:
    """Verify the archive's sha256, then unpack it to ``target``, which appears whole."""
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    temporary = tempfile.mkdtemp(dir=folder, prefix=".runner-")
    try:
        packed = os.path.join(temporary, "archive")
        with open_anywhere(bucket, key) as answer:
            save(answer, packed, sha256)
        with tarfile.open(packed, "r:gz") as archive:
            options: "Any" = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
            archive.extractall(temporary, **options)
        os.remove(packed)
        os.chmod(temporary, 0o755)
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def fetch(url: str, target: str) -> None:
    """Unpack the archive into ``target``; failures that may be temporary are tried again."""
    bucket, _, key = url[len("s3://") :].partition("/")
    sha256 = key.rpartition("/")[2].partition(".")[0]
    end = time.monotonic() + DEADLINE
    for left in reversed(range(TRIES)):
        try:
            unpack(bucket, key, sha256, target)
        except urllib.error.HTTPError as error:
            if not left or error.code not in PASSING:
                raise OSError("S3 answers %d %s" % (error.code, error.reason)) from error
        except (OSError, EOFError, tarfile.TarError) as error:
            if not left or time.monotonic() > end:
                raise
            sys.stderr.write("The runner cannot be fetched yet: %s. Trying again.\n" % error)
        else:
            return
        time.sleep(0.5 * 2 ** (TRIES - 1 - left))


def main(arguments: "list[str]") -> int:
    """Replace this process by the runner; on failure print one line and return exit code 3."""
    # The process is PID 1 in its container: the kernel ignores a SIGTERM for which it has no handler.
    signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))
    url = os.environ["CONDA_FLOW_RUNNER"]
    target = os.path.join(
        tempfile.gettempdir(), "airflow-conda-flow", "runner-" + url.rpartition("/")[2][:32]
    )
    runner = os.path.join(target, "bin", "runner")
    try:
        if not os.path.exists(runner):
            fetch(url, target)
    except (OSError, ValueError, KeyError, IndexError, EOFError, tarfile.TarError) as error:
        sys.stderr.write(
            "The runner %s cannot be fetched: %s. Look at the container's credentials, %s\n"
            % (url, error, HINT)
        )
        return CANNOT_RUN
    try:
        os.execv(runner, [runner] + arguments)
    except OSError as error:
        message = (
            "The runner in %s cannot be started: %s. Is it on a file system without programs (noexec)? %s\n"
        )
        sys.stderr.write(message % (target, error, "Set TMPDIR to another one. " + HINT))
    return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
