"""Step processes that a fork server has forked are like those that start an interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from airflow_conda_flow.runner.fork_servers import ForkServers

from ...parts.attempt_machine import one_step

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fork servers need /proc of Linux")

LOOK = """
import faulthandler, os, resource, signal, sys, threading

def kind(descriptor):
    return os.readlink("/proc/self/fd/%s" % descriptor).split(":")[0]

def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = kind(name)
        except OSError:  # that of the listing itself
            pass
    return sorted(found.values())

def marks(names):
    return sorted(each.partition("=")[0] for each in names if each.startswith("_AIRFLOW_CONDA_FLOW_PROCESS"))

def look():
    return {
        "variables": {k: v for k, v in os.environ.items() if not marks([k]) and k not in ("PATH", "VIRTUAL_ENV")},
        "marks": len(marks(os.environ)),
        "is_marked": marks(os.environ) == marks(open("/proc/self/environ").read().split(chr(0))),
        "paths": [each for each in sys.path if "overlay" not in each],
        "finders": [type(each).__name__ for each in sys.meta_path],
        "argv": sys.argv,
        "main": [sys.modules["__main__"].__file__, __name__],
        "flags": list(sys.flags),
        "directory": os.getcwd(),
        "leads": os.getpid() == os.getpgid(0) == os.getsid(0),
        "threads": [threading.active_count(), len(os.listdir("/proc/self/task"))],
        "handlers": [str(signal.getsignal(each)).partition(" at ")[0] for each in range(1, 32)],
        "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "descriptors": descriptors(),
        "standard": [kind(each) for each in range(3)],
        "limits": [list(resource.getrlimit(each)) for each in range(resource.RLIMIT_NPROC)],
        "streams": [[s.encoding, s.errors, s.isatty(), s.seekable()] for s in (sys.stdin, sys.stdout, sys.stderr)],
        "buffers": [getattr(s, "line_buffering", None) for s in (sys.stdout, sys.stderr)],
        "faults": faulthandler.is_enabled(),
    }

class AFlow(FlowSpec):
    @step
    def start(self):
        self.seen = look()
        self.modules = sorted(sys.modules)
        self.parent = os.getppid()
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def parent(result, run) -> int:
    return run.value(result, "parent")


def test_they_see_the_same(make_run):
    """Variables, descriptors, signals, streams and paths are the same, and no module of the user's is there."""
    run = make_run(LOOK)
    with closing(ForkServers()) as servers:
        alone, *forked = [run.done("start", attempt=number, servers=servers) for number in range(4)]
        assert parent(alone, run) == os.getpid()
        (server,) = {parent(each, run) for each in forked}
        assert server != os.getpid()
        for each in forked:
            assert run.value(each, "seen") == run.value(alone, "seen")
            assert run.value(each, "seen")["is_marked"]
            more = set(run.value(each, "modules")) - set(run.value(alone, "modules"))
            assert more <= {"airflow_conda_flow.runtime.fork_server", "collections.abc", "gc"}
    assert not Path(f"/proc/{server}").exists()


OPEN_FILE = """
import os, random
ROWS = open(os.environ["ROWS"], "a") if "ROWS" in os.environ else None

class AFlow(FlowSpec):
    held = [ROWS]

    @step
    def start(self):
        self.drawn = random.random()
        ROWS.write("a row\\n")
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def test_open_files_of_the_module_lose_nothing(make_run, tmp_path, monkeypatch):
    """Rows that are not written yet are written at the end of each process; and each draws other numbers."""
    run = make_run(OPEN_FILE)
    monkeypatch.setenv("ROWS", str(tmp_path / "rows"))
    with closing(ForkServers()) as servers:
        results = [run.done("start", attempt=number, servers=servers) for number in range(4)]
    assert (tmp_path / "rows").read_text().splitlines() == ["a row"] * 4
    assert len({run.value(each, "drawn") for each in results}) == 4


def test_a_module_of_the_users_that_a_server_has_too(make_run, tmp_path):
    """A step finds the one beside its flow, forked or not."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "array.py").write_text("WHO = 'the user'")
    run = make_run(one_step("import array, os; self.parent = os.getppid(); self.who = array.WHO"))
    with closing(ForkServers()) as servers:
        results = [run.done("start", attempt=number, servers=servers) for number in range(3)]
    assert [run.value(each, "who") for each in results] == ["the user"] * 3
    assert [parent(each, run) == os.getpid() for each in results] == [True, False, False]


def test_a_server_that_a_step_stops(make_run, monkeypatch):
    """Its parent is stopped: the end of the step is found out without it, and others start by themselves."""
    for name, seconds in (("_LOOK", 0.05), ("_ANSWER", 0.5), ("_END", 0.2)):
        monkeypatch.setattr(f"airflow_conda_flow.runner.fork_servers.{name}_SECONDS", seconds)
    run = make_run(
        one_step(
            "import os, signal; self.parent = os.getppid()\n"
            f"if self.parent != {os.getpid()}: os.kill(self.parent, signal.SIGSTOP)"
        )
    )
    with closing(ForkServers(alone=0)) as servers:
        server = parent(run.done("start", servers=servers), run)
        assert server != os.getpid()
        assert parent(run.done("start", attempt=1, servers=servers), run) == os.getpid()
    assert not runs(server)


def test_an_interpreter_that_prints_much_at_its_start(make_run, tmp_path, monkeypatch):
    """More than a pipe holds."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif '--serve' in sys.orig_argv: print('x' * 200_000)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = make_run(one_step("import os; self.parent = os.getppid()"))
    with closing(ForkServers(alone=0)) as servers:
        assert parent(run.done("start", servers=servers), run) != os.getpid()


def test_others_have_a_server_of_their_own(make_run):
    """A step with other variables is not forked by the server of the first one."""
    run = make_run("""
from airflow_conda_flow import environment
import os

class AFlow(FlowSpec):
    @environment(vars={"NUMBER": "one"})
    @step
    def start(self):
        self.number, self.parent = os.environ["NUMBER"], os.getppid()
        self.next(self.end)

    @environment(vars={"NUMBER": "two"})
    @step
    def end(self):
        self.number, self.parent = os.environ["NUMBER"], os.getppid()
""")
    with closing(ForkServers(alone=0)) as servers:
        results = {name: run.done(name, servers=servers) for name in ("start", "end")}
    assert [run.value(each, "number") for each in results.values()] == ["one", "two"]
    assert len({parent(each, run) for each in results.values()} - {os.getpid()}) == 2


def test_only_so_many_servers(make_run, monkeypatch):
    """The oldest one ends when there are too many."""
    monkeypatch.setattr("airflow_conda_flow.runner.fork_servers._MOST", 1)
    run = make_run(one_step("import os; self.parent = os.getppid()"))
    with closing(ForkServers(alone=0)) as servers:
        parents = []
        for number in range(4):
            monkeypatch.setenv("NUMBER", str(number // 2))
            parents.append(parent(run.done("start", attempt=number, servers=servers), run))
        first, again, second, _ = parents
        assert first == again != second
        wait_for(lambda: not runs(first))
        assert runs(second)


def test_a_server_that_is_killed_harms_no_step(make_run, tmp_path):
    """The step that runs ends as it would have, and the next one is started without the server."""
    told = tmp_path / "told"
    run = make_run(
        one_step(f"""
            import os, pathlib, signal, time
            self.parent = os.getppid()
            if self.parent != {os.getpid()}:
                os.kill(self.parent, signal.SIGKILL)
                while os.getppid() == self.parent:
                    time.sleep(0.01)
            pathlib.Path({str(told)!r}).write_text("done")
        """)
    )
    with closing(ForkServers(alone=0)) as servers:
        assert parent(run.done("start", servers=servers), run) != os.getpid()
        assert told.read_text() == "done"
        for number in (1, 2, 3):
            assert parent(run.done("start", attempt=number, servers=servers), run) == os.getpid()


def test_a_step_that_dies_after_its_server(make_run):
    """It has told nothing, and counts as killed."""
    run = make_run(one_step("import os; os.kill(os.getppid(), 9); os._exit(3)"))
    with closing(ForkServers(alone=0)) as servers:
        assert "killed by SIGKILL" in run.failure("start", servers=servers)["message"]


@pytest.mark.parametrize(
    "module",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=[60], daemon=True).start()",
        "import os, sys\nif '--serve' in sys.argv or '--serve' in sys.orig_argv: os._exit(1)",
    ],
)
def test_an_interpreter_that_cannot_serve(make_run, tmp_path, monkeypatch, module):
    """Its steps start by themselves."""
    (tmp_path / "sitecustomize.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = make_run(one_step("import os; self.parent = os.getppid()"))
    with closing(ForkServers(alone=0)) as servers:
        for number in range(2):
            assert parent(run.done("start", attempt=number, servers=servers), run) == os.getpid()


def test_nobody_waits_for_a_server_that_starts(make_run, tmp_path, monkeypatch):
    """Other tasks of its kind start by themselves, others have their servers, and all can be closed meanwhile."""
    gate = tmp_path / "gate"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys\nif '--serve' in sys.orig_argv and 'SLOW' in os.environ: open({str(gate)!r}).read()"
    )
    os.mkfifo(gate)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = make_run(one_step("import os; self.parent = os.getppid()"))
    with closing(ForkServers(alone=0)) as servers, ThreadPoolExecutor(1) as pool:
        monkeypatch.setenv("SLOW", "1")
        first = pool.submit(run.done, "start", servers=servers)
        with gate.open("w"):  # opened as soon as the server reads it, and so hangs
            assert parent(run.done("start", attempt=1, servers=servers), run) == os.getpid()
            monkeypatch.delenv("SLOW")
            assert parent(run.done("start", attempt=2, servers=servers), run) != os.getpid()
            servers.close()
        assert parent(first.result(), run) == os.getpid()


def test_a_server_that_does_not_answer(make_run, monkeypatch):
    """The step starts by itself, once."""
    monkeypatch.setattr("airflow_conda_flow.runner.fork_servers._ANSWER_SECONDS", 0.2)
    run = make_run(one_step("import os; self.parent = os.getppid(); print('once')"))
    with closing(ForkServers(alone=0)) as servers:
        server = parent(run.done("start", servers=servers), run)
        os.kill(server, signal.SIGSTOP)
        assert parent(run.done("start", attempt=1, servers=servers), run) == os.getpid()
        os.kill(server, signal.SIGCONT)
        assert parent(run.done("start", attempt=2, servers=servers), run) == os.getpid()
        wait_for(lambda: not runs(server))
    assert run.printed() == ["once"] * 3


RUNNER = """
import sys
from contextlib import closing
from pathlib import Path
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.runner.fork_servers import ForkServers
from tests.parts.attempt_machine import AttemptMachine, one_step

folder = Path(sys.argv[1])
datastore = open_datastore("local", folder / "root", folder / "cache")
run = AttemptMachine(folder / "code", one_step('''
    import os, time
    print(os.getpid(), os.getppid(), flush=True)
    time.sleep(60)
'''), datastore)
servers = ForkServers(alone=0)
run.attempt("start", servers=servers, output=lambda _stream, line: print(line, flush=True))
"""


def test_a_server_ends_with_its_runner(tmp_path):
    """A runner that is killed leaves no server, and no step."""
    command = [sys.executable, "-c", RUNNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as runner:
        assert runner.stdout is not None
        pids = [int(each) for each in runner.stdout.readline().split()]
        assert len({*pids, runner.pid}) == 3
        runner.kill()
        wait_for(lambda: not any(runs(each) for each in pids))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
