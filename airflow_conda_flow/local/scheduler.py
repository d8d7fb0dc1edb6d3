"""Scheduler of a run: starts each task as soon as its inputs are complete, and prints the events."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from airflow_conda_flow.compute.gang import run_together
from airflow_conda_flow.flow.hidden_module import hiding_line
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.readiness import Readiness, TaskKey
from airflow_conda_flow.records.graph import FlowGraph
from airflow_conda_flow.records.names import task_id

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import Transition

# Never a limit in practice: ``max_workers`` is, but all nodes of a num_parallel start together however many
# they are. The pool makes a thread only when a task needs one.
_MOST_THREADS = 10_000


@dataclass
class TaskOutcome:
    """Outcome of an attempt: its transition, or its failure and the time of the next attempt.

    Attributes:
        ok: True if the task is done.
        transition: transition of a task that is done; None for the last step.
        failure: lines that describe the failure; None if the task has printed them.
        retry_in: seconds until the next attempt; None if there is none.
        was_ended: True if the attempt was cancelled: the cause is another task, or an interrupt.
        is_lost: True if the attempt's machine, pod or job was taken away.
    """

    ok: bool
    transition: Transition | None = None
    failure: str | None = None
    retry_in: float | None = None
    was_ended: bool = False
    is_lost: bool = False


@dataclass
class RunOutcome:
    """Outcome of a run.

    Attributes:
        failed: failed tasks as ``run/step/task``, with the message of each; not those that were cancelled.
        interrupted: True if a signal, or the end of the reader of the output, ended the run early.
    """

    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """True if every task of the run finished."""
        return not self.failed and not self.interrupted


class TaskLines:
    """Printer of one task's lines, under its name.

    Attributes:
        process: process of the attempt, such as ``pid 123``; None before it has started.
        attempt: number of the attempt that runs, from 0.
        lost: number of attempts before it that the infrastructure has lost.
    """

    def __init__(self, console: Console, pathspec: str) -> None:
        self.process: str | None = None
        self.attempt = 0
        self.lost = 0
        self._console = console
        self._pathspec = pathspec

    def started(self, process: str) -> None:
        """Print that the attempt has started, as a process such as ``pid 123``."""
        self.process = process
        self.line("Task is starting (retry)." if self.attempt else "Task is starting.")

    def line(self, text: str) -> None:
        """Print a line of the task or about it."""
        self._console.task_line(self._pathspec, self.process, text)


RunTask = Callable[[TaskKey, TaskLines, threading.Event], TaskOutcome]
"""Runs attempt ``lines.attempt`` of a task in the calling thread, until it ends or the event is set."""
_Task = tuple[TaskKey, TaskLines]


class Scheduler:
    """Scheduler of one run's tasks, up to ``max_workers`` at a time.

    The nodes of a num_parallel start together and may exceed ``max_workers``.

    Args:
        graph: graph of the flow.
        run_id: id of the run, for the lines.
        run_task: runs one attempt to its end.
        console: prints the lines.
        max_workers: number of tasks that may run at the same time.
        readiness: knows the cloned tasks of a resumed run; if None, no task has finished.
        first: tasks to start with; the task of the first step if None.

    Attributes:
        has_succeeded: True once the run is done; False while it runs, and if it ends early.
    """

    def __init__(
        self,
        graph: FlowGraph,
        run_id: str,
        run_task: RunTask,
        console: Console,
        max_workers: int,
        readiness: Readiness | None = None,
        first: Sequence[TaskKey] | None = None,
    ) -> None:
        self._run_id = run_id
        self._run_task = run_task
        self._console = console
        self._max_workers = max_workers
        self._graph = graph
        self._readiness = readiness or Readiness(graph)
        self._ready: deque[TaskKey] = deque([self._readiness.first()] if first is None else first)
        self._running = 0
        # Ended tasks; None asks for the end of the run. A SimpleQueue, because its put() is reentrant: a
        # signal handler may call it while this thread is inside get().
        self._ended: queue.SimpleQueue[tuple[TaskKey, TaskOutcome] | None] = queue.SimpleQueue()
        self._cancel = threading.Event()
        self.has_succeeded = False

    def run(self) -> RunOutcome:
        """Run the flow to its end and return when no task is left running.

        After a failure or an interrupt no further task starts, and running tasks are ended.
        """
        self._console.on_reader_left(self.interrupt)
        outcome = RunOutcome()
        with ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="task") as pool:
            while self._ready or self._running:
                self._start_ready(pool)
                self._take_one(outcome)
        self.has_succeeded = outcome.ok
        return outcome

    def interrupt(self) -> None:
        """End the run early. May be called from a signal handler, from any thread, and several times."""
        self._ended.put(None)

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        while self._ready and (
            self._running < self._max_workers or self._graph.is_in_gang(self._ready[0][0])
        ):
            keys = self._take_ready()
            self._running += len(keys)
            pool.submit(self._run, keys)

    def _take_ready(self) -> list[TaskKey]:
        """Next task; of a ``num_parallel`` all nodes, because they wait for one another."""
        step, indices = self._ready[0]
        if not self._graph.is_in_gang(step):
            return [self._ready.popleft()]
        keys = [key for key in self._ready if (key[0], key[1][:-1]) == (step, indices[:-1])]
        self._ready = deque(key for key in self._ready if key not in keys)
        return keys

    def _run(self, keys: list[TaskKey]) -> None:
        """Run one task, or all nodes of a num_parallel, with retries. Nodes are retried together."""
        tasks = [(key, TaskLines(self._console, self._pathspec(key))) for key in keys]
        outcomes = self._attempts(tasks)
        while (pause := _pause(outcomes)) is not None and not self._cancel.wait(pause):
            for _, lines in tasks:
                lines.attempt += 1
                lines.lost += any(each.is_lost for each in outcomes)
            outcomes = self._attempts(tasks)
        ended = zip(keys, outcomes, strict=True)
        for pair in sorted(ended, key=lambda pair: pair[1].was_ended):  # _take_one reports the first
            self._ended.put(pair)

    def _attempts(self, tasks: list[_Task]) -> list[TaskOutcome]:
        if len(tasks) == 1:
            return [self._attempt(tasks[0], self._cancel)]
        return run_together([partial(self._attempt, task) for task in tasks], self._cancel)

    def _attempt(self, task: _Task, cancel: threading.Event) -> TaskOutcome:
        key, lines = task
        try:
            outcome = self._run_task(key, lines, cancel)
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the main loop
            hiding = hiding_line(error) if isinstance(error, (ImportError, AttributeError)) else None
            outcome = TaskOutcome(ok=False, failure=hiding or f"{type(error).__name__}: {error}")
        if outcome.ok:
            lines.line("Task finished successfully.")
            return outcome
        for text in (outcome.failure or "").splitlines():
            lines.line(text)
        if self._cancel.is_set():
            lines.line("Task ended with the run.")
        else:
            lines.line("Task ended with the other nodes." if outcome.was_ended else "Task failed.")
        if outcome.retry_in:
            lines.line(f"Sleeping {outcome.retry_in / 60:g} minutes before the next retry")
        return outcome

    def _take_one(self, outcome: RunOutcome) -> None:
        message = self._ended.get()
        if message is None:
            if not outcome.interrupted:
                self._console.note("Interrupted: ending the tasks that run.")
            outcome.interrupted = True
            self._stop()
            return
        key, ended = message
        self._running -= 1
        if ended.ok and key[0] == self._graph.end:
            outcome.interrupted = False  # too late: every task is done
        if not ended.ok:
            # Only the first failure counts: those after it are tasks that were ended because of it.
            if not self._cancel.is_set():
                outcome.failed[self._pathspec(key)] = ended.failure or "no reason known"
            self._stop()
        elif not self._cancel.is_set():
            self._ready.extend(self._readiness.finished(*key, ended.transition))

    def _stop(self) -> None:
        self._cancel.set()
        self._ready.clear()

    def _pathspec(self, key: TaskKey) -> str:
        step, indices = key
        return f"{self._run_id}/{step}/{task_id(step, indices)}"


def _pause(outcomes: list[TaskOutcome]) -> float | None:
    """Seconds until a failed task, or num_parallel, is tried again; None if it is not."""
    return max((each.retry_in for each in outcomes if each.retry_in is not None), default=None)
