"""Bad input, drawn by a seed: options, values, settings, documents and flow files.

Each ends with exit code 0, 1 or 2, in bounded time, and without a traceback of ours. ``make faults ROUNDS=100`` tries
many. A round that fails names its seed: ``make faults ROUNDS=1 SEED=17`` runs it again.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import airflow_conda_flow
from airflow_conda_flow.settings.loading import options

from ...parts.flow_machine import Machine
from ...parts.tally import CLEAR_ERROR, RIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
INPUTS = 15
SECONDS = 120
LINES, LETTERS_AT_MOST = 4, 2000
PACKAGE = str(Path(airflow_conda_flow.__file__).parent)
FLOW = '''
"""A flow of every kind of statement."""
from airflow_conda_flow import (
    Config, FlowSpec, IncludeFile, JSONType, Parameter, card, catch, conda, current, environment, resources, retry,
    schedule, step, timeout,
)

LIMIT = 3

@schedule(daily=True)
class AFlow(FlowSpec):
    """Its text."""

    alpha = Parameter("alpha", default=0.5, help="a number")
    count = Parameter("count", type=int, default=LIMIT)
    name = Parameter("name", default="x")
    options = Parameter("options", type=JSONType, default='{"a": [1, 2]}')
    is_on = Parameter("is_on", default=False)
    file = IncludeFile("file", required=False, is_text=True)
    config = Config("config", default_value={"depth": 2, "names": ["a", "b"]})

    @card
    @retry(times=1, minutes_between_retries=0)
    @step
    def start(self):
        self.items = list(range(self.count))
        self.kind = "many" if self.alpha > 0.1 else "few"
        self.next({"many": self.many, "few": self.few}, condition="kind")

    @timeout(seconds=30)
    @environment(vars={"A": "1"})
    @step
    def many(self):
        self.next(self.body, foreach="items")

    @catch(var="failure")
    @resources(cpu=1, memory=500)
    @step
    def body(self):
        self.square = self.input ** self.config.depth
        self.next(self.join)

    @step
    def join(self, inputs):
        self.squares = [each.square for each in inputs]
        self.merge_artifacts(inputs, exclude=["square", "failure"])
        self.next(self.end)

    @step
    def few(self):
        self.next(self.end)

    @step
    def end(self):
        print(current.run_id, self.name, self.options)

if __name__ == "__main__":
    AFlow()
'''
VALUES = [
    "", " ", "-", "--", "-1", "-1e-3", "0", "1", "00", "1e400", "nan", "inf", "1_000", "0x10", "True", "none", "a,b",
    "a=b", "=", "{", "}", "[]", "{}", '{"a": 1}', "[" * 3000, '"', "'", "\\", "/", "//", "..", "../x", "/dev/null",
    "/nonexistent/x", "~", "~nobody/x", "$HOME", "%", "%00", "\n", "a\nb", "\t", "\r", "\x01", "\x1b[31m", "é", "密码",
    "😀", "\udcff", "a" * 300, "a" * 5000, "a b", ".", "*", "?", "#", ":", "@", "@x", "x@y", "s3://", "s3://b/p",
    "http://", "http://[::1", "file:///", "file:///nonexistent", "AFlow", "AFlow/1", "AFlow/1/start/1", "1/start",
    "start", "end", "latest", "2026-01-01", "99999999999999999999", "1" * 5000, "retry", "retry:times=", "conda:",
    "card:id=a", "x:y:z", "timeout:seconds=-1", "resources:cpu=a", "environment:vars={", "None", "null", "1.5",
]  # fmt: skip
COMMANDS = [
    "run", "resume", "spin", "show", "check", "help", "dump", "logs", "card list", "card view", "card get",
    "tag add", "tag list", "tag remove", "tag replace", "package list", "package info", "output-raw", "output-dot",
    "environment show", "environment list", "environment export", "datastore usage", "version", "completion",
    "unfinished", "kubernetes list", "batch list", "trigger", "logs scrub", "environment lock --check",
]  # fmt: skip
OPTIONS = [
    "--alpha", "--count", "--name", "--options", "--is_on", "--file", "--config", "--config-value", "--tag", "--with",
    "--namespace", "--user-namespace", "--max-workers", "--max-num-splits", "--run-id-file", "--origin-run-id",
    "--datastore", "--datastore-root", "--cache-dir", "--environment", "--resolver", "--channels", "--quiet",
    "--run-id", "--attempt", "--id", "--type", "--hash", "--include", "--file", "--older-than", "--my-runs",
    "--package-suffixes", "--branch", "--production", "--keywords-file", "--artifacts-module", "--decospecs",
    "--runner-attribute-file", "--skip-decorators", "--persist", "--clone-run-id", "--platform", "--format", "--x",
]  # fmt: skip
LETTERS = "()[]{}:,.='\"@#\\ \t\n*+-_0aZ\x00é"


class Input:
    """Words and environment variables of one command line, and the files around it."""

    def __init__(self, machine: Machine, drawn: random.Random) -> None:
        self.machine = machine
        self.drawn = drawn
        self.flow = machine.home / "a_flow.py"
        self.flow.write_text(FLOW)
        self.words: list[str] = []
        self.environ: dict[str, str] = {}

    def value(self) -> str:
        """A value, or two that are joined."""
        parts = self.drawn.choices(VALUES, k=self.drawn.choice([1, 1, 1, 2]))
        return "".join(parts)

    def text(self) -> str:
        """A value that an environment variable may have."""
        return self.value().replace("\0", "")

    def damaged(self, text: str) -> bytes:
        """The text after one to three changes, of letters and of lines."""
        data = text
        for _ in range(self.drawn.randint(1, 3)):
            place = self.drawn.randrange(len(data) + 1)
            lines = data.splitlines(keepends=True) or [""]
            line = self.drawn.randrange(len(lines))
            change = self.drawn.choice(
                ["delete", "insert", "replace", "cut", "drop", "twice", "indent", "swap"]
            )
            if change == "delete":
                data = data[:place] + data[place + self.drawn.randint(1, 4) :]
            elif change == "insert":
                data = data[:place] + self.drawn.choice(LETTERS) + data[place:]
            elif change == "replace":
                data = data[:place] + self.drawn.choice(LETTERS) + data[place + 1 :]
            elif change == "cut":
                data = data[: max(place, len(data) // 2)]
            else:
                other = self.drawn.randrange(len(lines))
                changed = {
                    "drop": [],
                    "twice": [lines[line]] * 2,
                    "indent": [" " + lines[line]],
                    "swap": [lines[other]],
                }[change]
                data = "".join(lines[:line] + changed + lines[line + 1 :])
        raw = data.encode()
        return raw if self.drawn.random() > 0.05 else raw[:50] + b"\xff" + raw[50:]


def options_of_a_command(given: Input) -> None:
    """A command with options and values that belong to it or to another."""
    for _ in range(given.drawn.choice([0, 0, 1])):
        given.words += [given.drawn.choice(OPTIONS), given.value()]
    given.words += given.drawn.choice(COMMANDS).split()
    for _ in range(given.drawn.randint(0, 3)):
        given.words += given.drawn.choice(
            [[given.value()], [given.drawn.choice(OPTIONS)], [given.drawn.choice(OPTIONS), given.value()]]
        )


def values_of_parameters(given: Input) -> None:
    """A run whose parameters have odd values."""
    given.words.append("run")
    for name in given.drawn.sample(["alpha", "count", "name", "options", "is_on", "file"], 2):
        value = (
            given.drawn.choice(["0", "1", "2"])
            if name == "count" and given.drawn.random() < 0.5
            else given.value()
        )
        given.words += given.drawn.choice([[f"--{name}={value}"], [f"--{name}", value]])


def settings(given: Input) -> None:
    """A command with one or two settings that make no sense."""
    names = ["HOME", "USER", "TMPDIR", "LANG", "METAFLOW_HOME", "METAFLOW_PROFILE", "AIRFLOW_HOME", "COLUMNS"]
    names += [f"CONDA_FLOW_{option.name}".upper() for option in options()] * 3
    for name in given.drawn.sample(names, given.drawn.choice([1, 1, 2])):
        given.environ[name] = given.text()
    given.words += given.drawn.choice(
        ["run", "show", "logs 1/start", "dump 1/start", "environment show"]
    ).split()


def documents(given: Input) -> None:
    """Configs, keywords and Metaflow's configuration file, with damage."""
    text = json.dumps(
        {"depth": 2, "names": ["a", "b"], "deep": [[[{"x": None}]]]}, indent=given.drawn.choice([None, 1])
    )
    file = given.machine.home / "document.json"
    file.write_bytes(given.damaged(text))
    choice = given.drawn.choice(["config", "value", "keywords", "metaflow", "include"])
    if choice == "config":
        given.words += ["--config", "config", str(file), "run"]
    elif choice == "value":
        given.words += [
            "--config-value",
            "config",
            file.read_bytes().decode("utf-8", "surrogateescape"),
            "run",
        ]
    elif choice == "keywords":
        given.words += ["--keywords-file", str(file), "run"]
    elif choice == "include":
        given.words += ["run", "--file", str(file)]
    else:
        place = given.machine.home / ".metaflowconfig" / "config.json"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(
            given.damaged(json.dumps({"METAFLOW_DEFAULT_DATASTORE": "local", "METAFLOW_USER": "me"}))
        )
        given.words.append("run")


def flow_files(given: Input) -> None:
    """A flow file with slips of the keyboard and lost lines."""
    given.flow.write_bytes(given.damaged(FLOW))
    given.words += given.drawn.choice(["run", "run", "show", "check", "help", "package list"]).split()


KINDS = [
    options_of_a_command,
    options_of_a_command,
    values_of_parameters,
    settings,
    documents,
    flow_files,
    flow_files,
]


def has_traceback_of_ours(text: str, home: Path) -> bool:
    """Whether our code failed: not lines of the flow, nor what Python says of its file."""
    frames: list[str] | None = None
    for printed in text.splitlines():
        line = re.sub(r"^\d{4}-\d\d-\d\d \S+ \[[^\]]*\] ", "", printed)
        if line.startswith("Traceback (most recent call last)"):
            frames = []
        elif frames is not None and (match := re.match(r'\s+File "([^"]+)"', line)):
            frames.append(match[1])
        elif frames is not None and line and not line[0].isspace():
            behind = frames[
                max((i for i, each in enumerate(frames) if each.startswith(str(home))), default=-1) + 1 :
            ]
            if any(each.startswith(PACKAGE) for each in behind):
                return True
            frames = None
    return False


def run(given: Input) -> tuple[str, str]:
    """How it ended, and all that was printed."""
    words = [os.fsencode(word.replace("\0", "")) for word in given.words]
    try:
        done = subprocess.run(
            [*given.machine.command(given.flow), *words],
            capture_output=True,
            env={**given.machine.environ, **given.environ},
            cwd=given.machine.home,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "otherwise: it did not end", ""
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    if done.returncode not in {0, 1, 2}:
        return f"otherwise: it ended with {done.returncode}", text
    if has_traceback_of_ours(text, given.machine.home):
        return "otherwise: a traceback of ours", text
    if done.returncode and not text.strip():
        return f"otherwise: it ended with {done.returncode} and said nothing", text
    # Python's own words about a flow file are not ours, and the lines of a run go to standard output.
    is_long = len(done.stderr.splitlines()) > LINES or len(done.stderr) > LETTERS_AT_MOST
    if done.returncode and is_long and given.flow.read_text(errors="replace") == FLOW:
        return "otherwise: an error of many lines", text
    return (CLEAR_ERROR if done.returncode else RIGHT), text


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_bad_input(tmp_path, seed, tally: Callable[..., None]):
    """A right result, or an error that says what is wrong."""
    drawn = random.Random(f"bad input {seed}")
    wrong = []
    for number in range(INPUTS):
        make = drawn.choice(KINDS)
        given = Input(Machine(tmp_path / f"home{number}"), drawn)
        make(given)
        outcome, text = run(given)
        kind = f"bad input: {make.__name__.replace('_', ' ')}"
        if outcome.startswith("otherwise"):
            tally(kind, "otherwise", happened=1)
            flow = given.flow.read_text(errors="replace") if make is flow_files else ""
            wrong.append(f"{outcome}: {given.words} {given.environ}\n{flow}\n{text[-3000:]}")
        else:
            tally(kind, outcome, happened=1)
    assert not wrong, f"seed {seed}, {len(wrong)} of {INPUTS}:\n" + "\n\n".join(wrong)
