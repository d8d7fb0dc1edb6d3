"""moto's server, whose Batch ends a container as AWS does: with SIGTERM, and with SIGKILL 30 s later.

Run as a program, with the arguments of ``moto_server``. moto itself kills a container at once.
https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
"""

import logging

from docker.models.containers import Container
from moto import backends
from moto.server import main

Container.kill = lambda self: self.stop(timeout=30)
# moto lists its own folder for each request, and logs it: together a third of what a request costs.
_modules = tuple(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: _modules
logging.getLogger("werkzeug").setLevel(logging.ERROR)

if __name__ == "__main__":
    main()
