"""Processor time of a short step: with an interpreter of its own, and forked by a server.

step_start.py [STEPS]    # 200
"""

import contextlib
import resource
import sys
import tempfile
import time
from pathlib import Path

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.runner.fork_servers import ForkServers
from tests.parts.attempt_machine import AttemptMachine, one_step


def used():
    """Processor time of this process and of those that it has waited for, in seconds."""
    kinds = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in kinds)


def measure(run, steps, servers):
    """Seconds, and seconds of processor time, of a step."""
    began, before = time.perf_counter(), used()
    with contextlib.closing(servers) if servers is not None else contextlib.nullcontext():
        for number in range(steps):
            run.done("start", attempt=number, servers=servers)
    return (time.perf_counter() - began) / steps, (used() - before) / steps


def main():
    """Measure both, one after the other, in one folder."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        datastore = open_datastore("local", path / "root", path / "cache")
        run = AttemptMachine(path / "code", one_step("self.x = 2 ** 10"), datastore)
        measure(run, 5, None)
        own, own_cpu = measure(run, steps, None)
        forked, forked_cpu = measure(run, steps, ForkServers())
    rows = [
        ("an interpreter of its own", own, 1.0, "times the first"),
        ("forked by a server", forked, forked / own, "times the first"),
        ("processor time: an interpreter of its own", own_cpu, 1.0, "times the first"),
        ("processor time: forked by a server", forked_cpu, forked_cpu / own_cpu, "times the first"),
    ]
    harness.table(f"A short step, {steps} of each, one at a time", rows)


if __name__ == "__main__":
    main()
