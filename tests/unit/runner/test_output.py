"""The lines that a step prints, as its runner hands them on."""

from __future__ import annotations

import time

import pytest

from airflow_conda_flow.datastore.logs import read_log
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.runner.step_process import LineReader

from ...parts.attempt_machine import old_python, one_step


@pytest.mark.parametrize("python", [None, "3.6"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_line_comes_while_the_step_runs(make_run, tmp_path, stream, python):
    """The step waits for a file that is made when its line has arrived."""
    seen = tmp_path / "seen"
    run = make_run(
        one_step(f"""
            import os, sys, time
            print("here I am", file=sys.{stream})
            end = time.time() + 20
            while not os.path.exists({str(seen)!r}):
                assert time.time() < end, "the line did not arrive"
                time.sleep(0.01)
        """)
    )
    run.manifest["pickle_protocols"] = {"start": 4, "end": 4}
    if python and not (python := old_python(python)):
        pytest.skip("no such interpreter here")

    def output(name: str, line: str) -> None:
        assert (name, line) == (stream, "here I am")
        seen.touch()

    run.done("start", output=output, python=python)


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("print('a'); print(); print('b', end='')", ["a", "", "b"]),
        ("sys.stdout.buffer.write(b'caf\\xe9\\n')", ["caf\ufffd"]),
        ("print('caf\\xe9 \\u20ac')", ["café €"]),
        ("print('10%', end='\\r'); print('20%', end='\\r'); print('done')", ["done"]),
        ("print('dos', end='\\r\\n')", ["dos"]),
        ("sys.stdout.flush(); os.write(1, b'native\\n')", ["native"]),
        ("subprocess.check_call(['echo', 'a child'])", ["a child"]),
        ("os.system('echo a shell')", ["a shell"]),
        ("import logging; logging.basicConfig(stream=sys.stdout); logging.warning('w')", ["WARNING:root:w"]),
        ("import atexit; atexit.register(print, 'at exit')", ["at exit"]),
    ],
)
def test_what_comes_of_what_is_printed(make_run, code, lines):
    """Text, bytes that are no text, overwritten lines, native code and children."""
    run = make_run(one_step(f"import os, subprocess, sys; {code}"))
    run.done("start")
    assert run.printed() == lines


def test_long_and_many_lines(make_run, datastore):
    """Nothing of a large output is lost; a line that never ends is cut, not held back."""
    run = make_run(one_step("print('x' * 3_000_000); [print(i) for i in range(20_000)]"))
    run.done("start")
    lines = run.printed()
    assert lines[-20_000:] == [str(i) for i in range(20_000)]
    assert "".join(lines[:-20_000]) == "x" * 3_000_000
    stored = read_log(datastore.storage, TaskName("AFlow", "1", "start", "0").attempt(0), "stdout")
    assert stored == b"x" * 3_000_000 + b"\n" + b"".join(b"%d\n" % i for i in range(20_000))


def test_a_child_that_outlives_the_step_is_not_waited_for(make_run):
    """It holds the pipes open in a session of its own, and yet the task ends at once."""
    run = make_run(
        one_step("""
            import subprocess
            print("before")
            self.pid = subprocess.Popen(["sleep", "30"], start_new_session=True).pid
        """)
    )
    begun = time.monotonic()
    result = run.done("start")
    assert time.monotonic() - begun < 20
    assert run.printed() == ["before"]
    import os
    import signal

    os.kill(run.value(result, "pid"), signal.SIGKILL)


def test_lines_are_cut_the_same_however_they_arrive():
    """Byte by byte or all at once, the lines are the same."""
    data = b"one\n\ntwo\nthree"
    whole, single = LineReader(None), LineReader(None)
    assert list(whole.feed(data)) == [b"one\n", b"\n", b"two\n"]
    assert [line for byte in data for line in single.feed(bytes([byte]))] == [b"one\n", b"\n", b"two\n"]
    assert whole.rest() == single.rest() == b"three"
    assert list(LineReader(3).feed(b"abcdef")) == [b"abcdef"]
