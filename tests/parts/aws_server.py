"""moto's server, whose Batch ends a container as AWS does: with SIGTERM, and with SIGKILL 30 s later.

Run as a program, with the arguments of ``moto_server``. moto itself kills a container at once.
https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
"""

from docker.models.containers import Container
from moto.server import main

Container.kill = lambda self: self.stop(timeout=30)

if __name__ == "__main__":
    main()
