"""However a step process ends, its runner says how, and nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from airflow_conda_flow.runner import step_process
from airflow_conda_flow.runtime import lifeline

from ...parts.attempt_machine import one_step


def _is_gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def _wait_gone(*pids: int) -> None:
    end = time.monotonic() + 10
    while not all(_is_gone(pid) for pid in pids):
        assert time.monotonic() < end, [pid for pid in pids if not _is_gone(pid)]
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os._exit(3)", "The step's process ended with exit code 3 before the step did."),
        ("os._exit(0)", "The step's process ended with exit code 0 before the step did."),
        (
            "os.kill(os.getpid(), 9)",
            "The step's process was killed by SIGKILL. Often that is the machine running out of memory.",
        ),
        ("os.kill(os.getpid(), 15)", "The step's process was killed by SIGTERM."),
        (
            "import faulthandler; faulthandler._sigsegv()",
            "The step's process was killed by SIGSEGV, a segmentation fault: native code crashed.",
        ),
        ("os.kill(os.getpid(), 40)", "The step's process was killed by signal 40."),
        (
            "sys.exit(0)",
            "The step called sys.exit(0). A step ends by returning, and fails by raising an exception.",
        ),
        (
            "sys.exit('no')",
            "The step called sys.exit('no'). A step ends by returning, and fails by raising an exception.",
        ),
        ("raise KeyboardInterrupt", ""),
    ],
)
def test_each_way_to_die(make_run_either_way, code, message):
    """One line says how the process ended."""
    run = make_run_either_way(one_step(f"import os, sys; {code}"))
    exception = run.failure("start")
    assert exception["message"] == message
    assert len([line for line in exception["traceback"].splitlines() if message in line]) >= 1


def test_a_crash_shows_where(make_run_either_way):
    """Native code that crashes leaves the Python stack in the output."""
    run = make_run_either_way(one_step("import faulthandler; faulthandler._sigsegv()"))
    run.failure("start")
    assert any("a_flow.py" in line and "in start" in line for line in run.printed("stderr"))


def test_a_crash_after_the_work_is_done_is_no_failure(make_run_either_way):
    """Native code that fails while the interpreter shuts down does not matter."""
    run = make_run_either_way(one_step("import atexit, os; atexit.register(os._exit, 7); self.x = 1"))
    assert run.value(run.done("start"), "x") == 1


def test_a_fork_that_comes_back_is_not_the_step(make_run_either_way):
    """A child that returns from the step gives no outcome; the step's own counts."""
    run = make_run_either_way(
        one_step("""
            import os
            self.parent = os.getpid()
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            self.pid = os.getpid()
        """)
    )
    result = run.done("start")
    assert run.value(result, "pid") == run.value(result, "parent")


def test_children_end_with_the_step(make_run_either_way):
    """A child that the step forgot ends when the step has ended, well or not."""
    run = make_run_either_way(one_step("import subprocess; self.pid = subprocess.Popen(['sleep', '60']).pid"))
    _wait_gone(run.value(run.done("start"), "pid"))


LEFT_BEHIND = {
    "session": "subprocess.Popen(['sleep', '60'], start_new_session=True)",
    "shell": "os.system('setsid sleep 60 & nohup sleep 61 >/dev/null 2>&1 &')",
    "daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
""",
    "child without variables": "os.system('setsid sh -c \\'env -i sleep 60; true\\' &')",
    "ignores signals": "os.system('setsid sh -c \\'trap \"\" TERM HUP INT; sleep 60; true\\' &')",
}


@pytest.mark.parametrize("way", LEFT_BEHIND)
@pytest.mark.parametrize("end", ["", "raise ValueError", "os._exit(3)"])
def test_what_leaves_the_session_ends_with_the_step(make_run_either_way, tmp_path, way, end):
    """A process in a session of its own, as a daemon is, is gone when the attempt is over, however that ended."""
    lines = ["import os, subprocess, time", f"os.chdir({str(tmp_path)!r})", LEFT_BEHIND[way].strip(), end]
    run = make_run_either_way(one_step("\n".join(lines)))
    run.attempt("start")
    assert _in_folder(tmp_path) == []


def _in_folder(folder: Path) -> list[str]:
    """Command lines of the living processes whose working directory this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_processes_of_other_steps_stay(make_run_either_way, tmp_path):
    """A step that ends takes nothing of a step that still runs."""
    go = tmp_path / "go"
    run = make_run_either_way(
        one_step(f"""
            import os, subprocess, time
            process = subprocess.Popen(["sleep", "60"], start_new_session=True)
            print("ready")
            while current.retry_count == 0 and not os.path.exists({str(go)!r}):
                time.sleep(0.01)
            self.code = process.poll()
        """)
    )
    ready = threading.Event()
    results = []
    first = threading.Thread(
        target=lambda: results.append(run.attempt("start", output=lambda *_: ready.set()))
    )
    first.start()
    assert ready.wait(60)
    run.done("start", attempt=1)
    go.touch()
    first.join()
    assert run.value(results[0], "code") is None


@pytest.mark.parametrize("stubborn", [False, True])
def test_cancelling(make_run_either_way, monkeypatch, stubborn):
    """Step and children get SIGTERM, and those that ignore it SIGKILL."""
    monkeypatch.setattr(step_process, "_GRACE_SECONDS", 0.3)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if stubborn else "pass"
    run = make_run_either_way(
        one_step(f"""
            import os, signal, subprocess, time
            {ignore}
            print(os.getpid(), subprocess.Popen(["sleep", "60"]).pid)
            time.sleep(60)
        """)
    )
    cancel = threading.Event()
    pids = []

    def output(_stream: str, line: str) -> None:
        pids.extend(int(word) for word in line.split())
        cancel.set()

    begun = time.monotonic()
    result = run.attempt("start", output=output, cancel=cancel)
    assert time.monotonic() - begun < 30
    assert result.cancelled
    assert result.exception["message"] == "The task was ended before it finished."
    _wait_gone(*pids)


def test_a_step_may_tidy_up_when_it_is_cancelled(make_run_either_way):
    """A handler for SIGTERM runs, and its exception is the reason."""
    run = make_run_either_way(
        one_step("""
            import signal, time
            def stop(*_):
                raise RuntimeError("tidied up")
            signal.signal(signal.SIGTERM, stop)
            print("ready")
            time.sleep(60)
        """)
    )
    cancel = threading.Event()
    result = run.attempt("start", output=lambda *_: cancel.set(), cancel=cancel)
    assert result.cancelled
    assert result.exception["message"] == "tidied up"


def test_a_finally_runs_when_a_step_is_cancelled(make_run_either_way):
    """Its lines are printed before the process dies of the signal; a child that it has forked dies at once."""
    run = make_run_either_way(
        one_step("""
            import os, time
            name = "parent" if os.fork() else "child"
            try:
                os.write(1, (name + "\\n").encode())  # at once: both write to one pipe
                time.sleep(60)
            except Exception:
                print("not caught as an error")
            finally:
                print("tidied up by", name, end="")
        """)
    )
    cancel = threading.Event()
    lines = []

    def output(_stream: str, line: str) -> None:
        lines.append(line)
        if {"parent", "child"} <= set(lines):
            cancel.set()

    result = run.attempt("start", output=output, cancel=cancel)
    assert sorted(lines) == ["child", "parent", "tidied up by parent"]
    assert result.cancelled
    assert result.exception["message"] == "The task was ended before it finished."


def test_the_last_line_is_read_although_the_runner_is_held_up(make_run_either_way, monkeypatch):
    """On a busy machine all time for reading may pass between the look that finds the process ended and the next."""
    run = make_run_either_way(
        one_step("""
            import time
            try:
                print("ready", flush=True)
                time.sleep(60)  # the signal ends it
            finally:
                print("tidied up", end="")
        """)
    )
    monkeypatch.setattr(step_process, "_DRAIN_SECONDS", -1)
    signalled = step_process._Conversation.end_group

    def held_up(self, number):
        signalled(self, number)
        if number == signal.SIGTERM:
            _wait_gone(self._process.pid)

    monkeypatch.setattr(step_process._Conversation, "end_group", held_up)
    cancel = threading.Event()
    lines = []

    def output(_stream: str, line: str) -> None:
        lines.append(line)
        cancel.set()

    assert run.attempt("start", output=output, cancel=cancel).cancelled
    assert lines == ["ready", "tidied up"]


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("failed = True", "The task was ended before it finished."),
        ("raise ImportError('a dependency is broken')", "a dependency is broken"),
    ],
    ids=["hidden", "while it is handled"],
)
def test_an_error_in_place_of_the_end(make_run_either_way, after, message):
    """Libraries may say that they are broken if their import is ended; a step's own `finally` may fail."""
    run = make_run_either_way(
        one_step(f"""
            import time
            failed = False
            try:
                print("ready")
                time.sleep(60)
            except BaseException:
                {after}
            if failed:
                raise ImportError("a dependency is broken")
        """)
    )
    cancel = threading.Event()
    result = run.attempt("start", output=lambda *_: cancel.set(), cancel=cancel)
    assert result.cancelled
    assert result.exception["message"] == message


def test_a_step_without_streams_can_be_cancelled(make_run_either_way, tmp_path):
    """Even one that has closed every descriptor."""
    closed = tmp_path / "closed"
    run = make_run_either_way(
        one_step(f"""
            import os, time
            open(os.path.join(current.tempdir, "x"), "w").close()
            os.closerange(1, 100)
            open({str(closed)!r}, "w").close()
            time.sleep(60)
        """)
    )
    cancel = threading.Event()

    def cancel_when_closed() -> None:
        while not closed.exists():
            time.sleep(0.01)
        cancel.set()

    threading.Thread(target=cancel_when_closed, daemon=True).start()
    begun = time.monotonic()
    assert run.attempt("start", cancel=cancel).cancelled
    assert time.monotonic() - begun < 30


def test_a_failing_callback_leaves_no_process(make_run_either_way):
    """An exception of the runner's own ends the process too."""
    run = make_run_either_way(one_step("import os, time; print(os.getpid()); time.sleep(60)"))
    pids = []

    def output(_stream: str, line: str) -> None:
        pids.append(int(line))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run.attempt("start", output=output)
    _wait_gone(*pids)


def test_a_missing_interpreter(make_run_either_way):
    """An interpreter that cannot be started fails the task with its path."""
    run = make_run_either_way(one_step("pass"))
    assert "/nonexistent/python" in run.failure("start", python="/nonexistent/python")["message"]


HOLDER = """
import fcntl, os, sys, time
if sys.argv[2] == "thread":
    del fcntl.F_SETSIG
sys.path.append(sys.argv[3])
from airflow_conda_flow.runtime import lifeline
lifeline.hold(int(sys.argv[1]))
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("way", ["kernel", "thread"])
def test_the_life_line(way):
    """When the other end of the pipe closes, the process and its children end."""
    ours, held = os.pipe()
    root = str(Path(lifeline.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(ours), way, root],
        stdout=subprocess.PIPE,
        pass_fds=(ours,),
        start_new_session=True,
        text=True,
    )
    os.close(ours)
    with process:
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(_is_gone(pid) for pid in pids)
        os.close(held)
        assert process.wait(10) == -signal.SIGKILL
    _wait_gone(*pids)


def test_the_life_line_may_be_cut_before_it_is_held():
    """A runner that is gone before the process looks is noticed."""
    ours, held = os.pipe()
    os.close(held)
    root = str(Path(lifeline.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", HOLDER, str(ours), "kernel", root],
        pass_fds=(ours,),
        start_new_session=True,
        check=False,
        timeout=10,
    )
    os.close(ours)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("decorator", "line"),
    [
        ("environment(vars={'BIG': 'x' * 200_000})", "the longest is BIG, with 200000 characters"),
        (
            "secrets(sources=[{'type': 'inline', 'id': 'x', 'options': {'env_vars': {'NUL': 'a\\0b'}}}])",
            "The environment variable 'NUL' of the step is none",
        ),
    ],
)
def test_variables_with_which_no_process_starts(make_run_either_way, decorator, line):
    """One line names the variable."""
    text = one_step("self.x = 1").replace("@step\n    def start", f"@{decorator}\n    @step\n    def start")
    exception = make_run_either_way(f"from airflow_conda_flow import environment, secrets\n{text}").failure(
        "start"
    )
    assert line in exception["message"]
    assert exception["traceback"].count("\n") == 1


@pytest.mark.parametrize("fault", ["a file", "not even root may write there"])
def test_a_cache_that_cannot_be_written(make_run_either_way, fault):
    """One line says what this machine refused, where, and what to set."""
    run = make_run_either_way(one_step("self.x = 1"))
    cache = run.datastore.cache_dir
    shutil.rmtree(cache, ignore_errors=True)
    if fault == "a file":
        cache.write_text("in the way")
    else:
        cache.symlink_to("/sys/kernel")
    exception = run.failure("start")
    assert exception["type"] == "TaskFailed"
    assert exception["message"].startswith("This machine refused it: ")
    assert str(cache) in exception["message"]
    assert "set datastore_root, cache_dir or TMPDIR to " in exception["message"]
