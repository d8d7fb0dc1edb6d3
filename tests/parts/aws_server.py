"""moto's server, whose Batch ends a container as AWS does: with SIGTERM, and with SIGKILL 30 s later.

Run as a program, with the arguments of ``moto_server``. moto itself kills a container at once, and its
``describe_jobs`` leaves out the exit code. A container that a test kills stands for one whose machine was lost, of
which AWS knows no exit code.
https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
"""

import logging
import threading

from docker.models.containers import Container
from moto import backends
from moto.batch.models import Job
from moto.s3.responses import S3Response
from moto.server import main

Container.kill = lambda self: self.stop(timeout=30)
# moto lists its own folder for each request, and logs it: together a third of what a request costs.
_modules = tuple(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: _modules
logging.getLogger("werkzeug").setLevel(logging.ERROR)
_KILLED = 137
_details_of = Job._container_details


def _with_exit_code(job):
    code = {} if job.exit_code in {None, _KILLED} else {"exitCode": job.exit_code}
    return {**_details_of(job), **code}


Job._container_details = _with_exit_code

_put_object = S3Response.put_object
_put = threading.Lock()


def _put_alone(self):
    """AWS checks the condition of a write and writes in one action; moto's threads come between the two."""
    with _put:
        return _put_object(self)


S3Response.put_object = _put_alone

if __name__ == "__main__":
    main()
