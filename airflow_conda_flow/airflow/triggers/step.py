"""Trigger that follows the pod or job of a step in Airflow's triggerer, and ends the step's task there.

A task that ends in the triggerer starts no second worker, and cannot meet the races of the scheduler between
the two halves of a deferred task. What the triggerer cannot do is left to a worker: see ``TriggerTask``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_conda_flow.airflow.block_settings import sharing
from airflow_conda_flow.airflow.configuration import airflow_datastore
from airflow_conda_flow.airflow.identity import state_name
from airflow_conda_flow.airflow.manifest_digests import KEY as MANIFESTS_KEY
from airflow_conda_flow.airflow.manifest_digests import manifest_digests
from airflow_conda_flow.airflow.splits import Sharing, as_block, mapped_over, split_range
from airflow_conda_flow.airflow.step_end import SKIP_KEY, StepEnd, failure_text, skipped_value
from airflow_conda_flow.airflow.triggers.requests import (
    answer,
    in_airflows_thread,
    in_thread,
    to_its_end,
    undisturbed,
)
from airflow_conda_flow.airflow.versions import is_at_least
from airflow_conda_flow.compute.remote_attempt import End, Watched, conclude
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import read_attempt, read_run_manifest
from airflow_conda_flow.errors import ComputeUnavailable, CondaFlowError, TaskFailed
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt_record import as_exception
from airflow_conda_flow.runner.task_request import TaskRequest

if TYPE_CHECKING:
    from airflow_conda_flow.airflow.operators.step import StepTask
    from airflow_conda_flow.settings.loading import Settings

_RETURN_KEY = "return_value"
_ANSWER_SECONDS = 20.0
"""Seconds for Airflow to say in which state a task is; a triggerer that shuts down may get no answer.

Without one, the pod or job is left running: so a busy machine has more time than it should ever need."""
_READ_BYTES = 4096
"""Bytes of the log that the triggerer's supervisor reads at a time."""
_LINE_BYTES = 300
"""Bytes that Airflow adds to a line of the log, at most."""
_MOST_ROUNDS = 64
"""Requests after which everything is read that the socket between the two processes can hold."""
_LATE_SECONDS = 0.1
"""Seconds after the time limit at which it is looked at again."""
_KILL_SECONDS = 30.0
"""Seconds that Airflow 3.3 gives ``on_kill``, unless it is configured otherwise."""
_LOOK_SECONDS = 5.0
"""Seconds of them for a look that is under way: a cluster that is slower is told to end the step anyway."""
_LAST_WORDS_SECONDS = 20.0
"""Seconds of them in which the lines of a pod or job are passed on whose task was marked or cleared."""
_ENDING_SECONDS = 60.0
"""Seconds that a pod or job has to end after it was told to: more than the 30 s that its cluster gives it."""


@dataclass(frozen=True)
class TriggerTask:
    """Facts about a task that decide how it may end in the triggerer.

    Attributes:
        needs_worker: True if the task's success has effects that Airflow has on workers alone: events of its
            outlets, and callbacks.
        failure_needs_worker: True if its failure has such effects.
        ends_here: True if Airflow does not try again, whatever the failure is.
        is_foreach: True if tasks are mapped over the splits of this one.
        is_mapped: True if the task is mapped itself.
        indices: its index path.
        sharing: how the splits of a foreach are shared out.
        left_out: for a switch: the tasks to skip, by the step that was chosen.
    """

    needs_worker: bool
    failure_needs_worker: bool
    ends_here: bool
    is_foreach: bool
    is_mapped: bool
    indices: list[int]
    sharing: Sharing
    left_out: dict[str, list[str]]

    @classmethod
    def of(cls, operator: StepTask, settings: Settings, *, ends_here: bool) -> TriggerTask:
        """Facts about the task of an operator, whose index path is that of one split.

        Raises:
            SettingError: a setting is wrong.
        """
        return cls(
            needs_worker=bool(operator.outlets or operator.on_success_callback),
            failure_needs_worker=bool(operator.on_failure_callback or operator.on_retry_callback),
            ends_here=ends_here,
            is_foreach=operator.kind == "foreach",
            is_mapped=bool(operator.indices),
            indices=list(operator.indices),
            sharing=sharing(settings),
            left_out={chosen: list(tasks) for chosen, tasks in operator.left_out.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON."""
        return {**asdict(self), "sharing": list(self.sharing)}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> TriggerTask:
        """The facts that ``to_dict`` wrote."""
        return cls(**{**facts, "sharing": Sharing(*facts["sharing"])})


class StepTrigger(BaseTrigger):
    """Trigger that follows a pod or job to its end, and ends the task.

    Args:
        request: the attempt, as ``TaskRequest.to_dict`` writes it.
        settings: texts of the settings that the worker has and that this process may lack.
        watch: function, as ``module:name``, that makes the ``Watched`` from the state and the datastore.
        state: what the function needs: the pod or job, the position of its log, the connection.
        end_at: the task's time limit, in seconds since 1970; None for no limit.
        facts: ``TriggerTask`` as JSON.
    """

    def __init__(
        self,
        *,
        request: dict[str, Any],
        settings: dict[str, str],
        watch: str,
        state: dict[str, Any],
        end_at: float | None,
        facts: dict[str, Any],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.request = request
        self.settings = settings
        self.watch = watch
        self.state = state
        self.end_at = end_at
        self.facts = facts
        self._watched: Watched | None = None
        self._look: asyncio.Future[None] | None = None
        self._is_killed = False
        self._logged = 0  # bytes

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path of the class, and the arguments that make the trigger again."""
        names = ("request", "settings", "watch", "state", "end_at", "facts")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the task has ended, or a worker has to go on."""
        # Problems become events: a trigger that raises fails the task, and its pod or job is left alone.
        try:
            event = await self._event()
        except asyncio.CancelledError:
            # Airflow 3.3 calls on_kill itself, if a person has marked or cleared the task. But it cancels the
            # trigger again in every second, and with Python 3.11 and earlier it waits no longer for on_kill
            # then, and closes the task's log.
            if await undisturbed(self._is_given_up()):
                await self.on_kill()
            raise
        except CondaFlowError as error:
            event = self._back(str(error))
        except Exception as error:
            self.log.exception("The triggerer cannot follow the step any more.")
            event = self._back(f"{type(error).__name__}: {error}")
        finally:
            if self._watched is not None:
                self._watched.close()
        await self._until_log_is_read()
        yield event

    async def _event(self) -> TriggerEvent:
        datastore = await in_airflows_thread(_opened, tuple(sorted(self.settings.items())))
        request = TaskRequest.from_dict(self.request)
        end = await self._followed(datastore, request)
        result = await in_thread(conclude, datastore.storage, request, end)
        run = await in_thread(
            read_run_manifest, datastore.storage, request.flow, request.run_id, request.run_sha256
        )
        task = TriggerTask.from_dict(self.facts)
        step_end = await in_thread(
            StepEnd.of, request, run, datastore, result, self.log.error, task.ends_here
        )
        if self.task_instance is None:  # ``airflow dags test``, which knows no other events
            return self._back(None, step_end.result.record)
        return await self._ending(step_end, task)

    async def _followed(self, datastore: Datastore, request: TaskRequest) -> End:
        """Pass the log on until the pod or job has ended; the manifest counts if the cluster is away."""
        try:
            watched = await self._open_watched(datastore, request)
            news = _News()
            watched.on_news(news.tell)
            deadline, reason = self.end_at, None
            while True:
                await self._pass_on(watched)
                if watched.is_over:
                    break
                if deadline is not None and time.time() > deadline:
                    if reason is not None:  # it was told to end, and did not
                        break
                    reason = "The task's time is up (execution_timeout)."
                    deadline = time.time() + _ENDING_SECONDS
                    await self._remove(watched)
                left = math.inf if deadline is None else max(0.0, deadline - time.time()) + _LATE_SECONDS
                await news.wait(min(watched.pause, left))
            await self._remove(watched)
            end = watched.end()
            return end if reason is None else End(reason, manifest=end.manifest)
        except ComputeUnavailable:
            record = await in_thread(read_attempt, datastore.storage, request.name)
            if record is None or not record.is_done:
                raise
            self.log.warning("The cluster cannot be reached, but the step is done.")
            return End(None)

    async def _pass_on(self, watched: Watched) -> None:
        """Look at the pod or job, and write its new lines to the task's log, even if this is cancelled."""
        self._look = asyncio.ensure_future(self._pass_on_now(watched))
        await to_its_end(self._look)

    async def _pass_on_now(self, watched: Watched) -> None:
        for line in await in_thread(watched.lines):
            self._logged += len(line.encode()) + _LINE_BYTES
            self.log.info("%s", line)

    async def _remove(self, watched: Watched) -> None:
        """End the pod or job, and remove it; that it is left is said in the task's log."""
        if problem := await in_thread(watched.remove):
            self.log.warning("%s", problem)

    async def _open_watched(self, datastore: Datastore, request: TaskRequest) -> Watched:
        if self._watched is None:
            module, _, name = self.watch.partition(":")
            make = getattr(importlib.import_module(module), name)
            made: Watched = await in_airflows_thread(make, self.state, datastore, request)
            self._watched = made
        return self._watched

    async def _ending(self, end: StepEnd, task: TriggerTask) -> TriggerEvent:
        """Event that ends the task, or one for a worker where that is needed."""
        record = end.result.record
        if end.result.ok:
            if task.needs_worker:
                return self._back(None, record)
            await self._tell(task, record)
            self.log.info("The step is done.")
            return TaskSuccessEvent()
        if task.failure_needs_worker or not _fails_rightly(end, task):
            return self._back(None, record)
        exception = end.result.exception or as_exception(TaskFailed("No reason is known."))
        self.log.error("%s", failure_text(record.step, exception))
        return TaskFailedEvent()

    async def _tell(self, task: TriggerTask, record: TaskRecord) -> None:
        """Push what tasks after this one read: the manifest's digest, splits, or what a switch leaves out."""
        # Without a digest of the run, nobody compares those of its tasks either.
        if self.request.get("run_sha256"):
            await self._push(MANIFESTS_KEY, manifest_digests([record]), None)
        if task.is_foreach and record.num_splits is not None:
            ranges = [split_range(task.indices, record.num_splits)]
            if task.is_mapped:
                await self._push(_RETURN_KEY, as_block(ranges), None)
            else:
                elements = mapped_over(ranges, task.sharing)
                await self._push(_RETURN_KEY, elements, len(elements))
        if left_out := task.left_out.get(record.chosen or ""):
            await self._push(SKIP_KEY, skipped_value(left_out), None)

    async def _push(self, key: str, value: Any, mapped_length: int | None) -> None:
        from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - only in a triggerer
        from airflow.sdk.execution_time.comms import SetXCom  # noqa: PLC0415 - only in a triggerer

        # Not by TaskSuccessEvent(xcoms=...): Airflow stores those as JSON in JSON, and without the length
        # that a mapped task needs.
        ti: Any = self.task_instance
        comms: Any = task_runner.SUPERVISOR_COMMS
        message = SetXCom(
            key=key,
            value=value,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index,
            mapped_length=mapped_length,
        )
        await to_its_end(comms.asend(message))

    def _back(self, problem: str | None, record: TaskRecord | None = None) -> TriggerEvent:
        """Event that makes a worker go on, with the digest of the attempt's record if that is known."""
        self.log.info("A worker ends this task.")
        # Airflow 3.0 hands the event to the next try of the task too; the number shows that it is an old one.
        try_number = None if self.task_instance is None else self.task_instance.try_number
        news = {"problem": problem, "try_number": try_number, "manifest": record and record.sha256}
        return TriggerEvent(news)  # type: ignore[no-untyped-call]

    async def _is_given_up(self) -> bool:
        """True if a person has marked or cleared the task; False if the triggerer is shut down."""
        state = await self._state()
        return state is not None and state != "deferred"

    async def _until_log_is_read(self) -> None:
        """Return when Airflow has read what was logged: it drops what it reads after the event.

        The triggerer's two processes have a socket for the log and one for requests and events, and read from
        each in turn. So an answer means that a part of the log was read too.
        """
        if self.task_instance is not None:
            for _ in range(min(self._logged // _READ_BYTES, _MOST_ROUNDS) + 1):
                if await self._state() is None:  # no answer: more questions would only hold up the event
                    return

    async def _state(self) -> str | None:
        """State of the task; None if Airflow does not say."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415 - slow

        ti: Any = self.task_instance
        if ti is None:
            return None
        asked = sync_to_async(RuntimeTaskInstance.get_task_states)(
            dag_id=ti.dag_id, task_ids=[ti.task_id], map_index=ti.map_index, run_ids=[ti.run_id]
        )
        try:
            states = await answer(asked, _ANSWER_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises: the pod or job keeps running
            self.log.info("Airflow does not say in which state the task is: %s", error)
            return None
        state = states.get(ti.run_id, {}).get(state_name(ti.task_id, ti.map_index))
        return None if state is None else str(state)

    async def on_kill(self) -> None:
        """End the pod or job: a person has marked or cleared the task. A further call does nothing."""
        if self._is_killed:
            return
        self._is_killed = True
        # Airflow cancels the trigger again in every second until it has ended.
        with contextlib.suppress(asyncio.TimeoutError):
            await undisturbed(asyncio.wait_for(self._end_given_up(), _KILL_SECONDS))

    async def _end_given_up(self) -> None:
        datastore = await in_airflows_thread(_opened, tuple(sorted(self.settings.items())))
        watched = await self._open_watched(datastore, TaskRequest.from_dict(self.request))
        if self._look is not None:
            await asyncio.wait({self._look}, timeout=_LOOK_SECONDS)  # one call at a time; its lines count
        try:
            await self._remove(watched)
            await self._last_words(watched)
        finally:
            watched.close()
        await self._until_log_is_read()

    async def _last_words(self, watched: Watched) -> None:
        """Pass on what a step prints while it ends, such as in its ``finally``."""
        news = _News()
        watched.on_news(news.tell)
        deadline = time.monotonic() + _LAST_WORDS_SECONDS
        while not watched.is_over and (left := deadline - time.monotonic()) > 0:
            try:
                await self._pass_on(watched)
            except ComputeUnavailable as error:
                self.log.warning("%s", error)
                return
            if not watched.is_over:
                await news.wait(min(watched.pause, left))


class _News:
    """Wakes the event loop's task that made it, from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def tell(self) -> None:
        """End the present wait or, without one, the next."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> None:
        """Wait for news, or until the time is up."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()


def _fails_rightly(end: StepEnd, task: TriggerTask) -> bool:
    """True if ``TaskFailedEvent`` ends the try as it has to end, with or without another try."""
    if is_at_least("3.3"):  # Airflow tries again while it has tries left
        return end.may_retry or task.ends_here
    return not end.may_retry or task.ends_here  # Airflow never tries again


_datastores: dict[tuple[tuple[str, str], ...], Datastore] = {}
"""Datastores by settings, shared by all triggers of this process: opening one may ask for a connection."""


def _opened(settings: tuple[tuple[str, str], ...]) -> Datastore:
    if settings not in _datastores:
        _datastores[settings] = airflow_datastore(dict(settings))
    return _datastores[settings]
