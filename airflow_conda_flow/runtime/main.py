"""The step process: takes one task from the runner, runs the user's step, and gives back its outputs.

Started as ``python .../airflow_conda_flow/runtime/main.py SOCKET LIFE_LINE`` with two inherited file
descriptors: one end of a socket pair, and the reading end of a pipe that nobody writes to.

A process that the step spawns with ``multiprocessing`` imports this file too, as ``__mp_main__``.
"""

import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import LastMessage, TaskMessage


def main(arguments: "list[str]") -> None:
    """Run one task; the outcome goes to the runner, not into the exit code."""
    _replace_script_directory()
    import faulthandler  # noqa: PLC0415 - a process that only spawns from here needs none of it

    from airflow_conda_flow.runtime import lifeline, protocol  # noqa: PLC0415 - path is set just now

    link, life_line = (int(each) for each in arguments)
    lifeline.hold(life_line)
    os.set_inheritable(link, False)
    _buffer_lines()
    faulthandler.enable()
    stream = protocol.running = protocol.MessageStream(link)
    message = stream.receive()
    if message is None:
        return
    own = os.getpid()
    outcome = _outcome(message, stream)
    if os.getpid() == own:  # else the step forked, and its child came back from the step too
        stream.send(outcome)


class _OwnPackage:
    """Finds this package around this file, whatever stands under its name elsewhere on ``sys.path``.

    Without it, a checkout that runs in the virtual environment of another checkout would mix the two.

    Args:
        root: the directory that holds the package.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """The package's spec; None for everything else, its modules among it."""
        del path, target
        return PathFinder.find_spec(name, [self._root]) if name == "airflow_conda_flow" else None


def _root() -> str:
    """The directory that holds this package."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _replace_script_directory() -> None:
    """Make this package importable, whatever comes before it, and the folder of this file not at all."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != own]
    sys.path.append(_root())  # for processes that are given a copy of it
    sys.meta_path.insert(0, _OwnPackage(_root()))


def _buffer_lines() -> None:
    """Let the runner see every line as soon as it is printed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
            continue
        import io  # noqa: PLC0415 - Python 3.6, whose encoding is ASCII in many containers

        stream = io.TextIOWrapper(stream.detach(), "utf-8", "backslashreplace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def _outcome(message: "TaskMessage", stream: "Any") -> "LastMessage":
    from airflow_conda_flow.runtime import protocol  # noqa: PLC0415 - path is set by main

    python = "%d.%d.%d" % sys.version_info[:3]
    running: "list[Any]" = []
    try:
        artifacts, transition = _run(message, stream, running)
    except BaseException as error:  # noqa: BLE001 - whatever the step raises is its failure
        if running and running[0].cards is not None:
            running[0].cards.send(last=True)
        from airflow_conda_flow.runtime import failure  # noqa: PLC0415 - only where something failed

        described = failure.describe(error)
        left = running[0].left_behind() if running and message["is_caught"] else None
        return protocol.failed(described, python, left)
    return protocol.done(artifacts, transition, python)


def _run(message: "TaskMessage", stream: "Any", running: "list[Any]") -> "Any":
    """Run the step; ``running`` takes its task as soon as there is one."""
    from airflow_conda_flow.flow import flowspec  # noqa: PLC0415 - path is set by main
    from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - path is set by main
    from airflow_conda_flow.runtime import protocol, user_sources  # noqa: PLC0415 - path is set by main
    from airflow_conda_flow.runtime.task import StepTask  # noqa: PLC0415 - path is set by main

    protocol.check_version(message)
    flowspec.in_step_process = True
    protocol.s3 = message.get("s3")
    current._set(**message["current"])  # noqa: SLF001 - the seam for the runtime
    if not message.get("is_copy"):
        user_sources.leave_untouched(message["code_dir"])
    flow_class = _load_flow(message["code_dir"], message["flow_file"], message["flow"])
    current._update(flow_class=flow_class)  # noqa: SLF001 - the seam for the runtime
    task = StepTask(message, stream)
    flow = task.make_flow(flow_class, message.get("call"))
    if message["cards"]:
        from airflow_conda_flow.runtime.step_cards import StepCards  # noqa: PLC0415 - few steps have one

        task.cards = StepCards(message["cards"], stream, flow)
        current._update(card=task.cards)  # noqa: SLF001 - the seam for the runtime
    running.append(task)
    if "mutated_with" in message:
        from airflow_conda_flow.runtime import mutators  # noqa: PLC0415 - few flows have one

        mutators.run_again(flow, task, message["mutated_with"])
    # After the mutators, which add parameters to a class that does not have them yet.
    _declare_parameters(flow_class, message["current"]["parameter_names"])
    method = getattr(flow, message["step"])
    if message.get("user_decorators"):
        from airflow_conda_flow.runtime import user_steps  # noqa: PLC0415 - few steps have one

        method = user_steps.decorated(flow, method, task, message["user_decorators"])
    arguments = () if task.inputs is None else (task.inputs,)
    if message["timeout"] is None:
        method(*arguments)
    else:
        from airflow_conda_flow.runtime import time_limit  # noqa: PLC0415 - few steps have one

        time_limit.run(method, arguments, message["timeout"], message["step"], stream)
    done = task.finish(flow)
    if task.cards is not None:
        task.cards.send(last=True, done=done)
    return done


def _declare_parameters(flow_class: "Any", names: "list[str]") -> None:
    """Give the class the parameters that a mutator added where the flow was read."""
    missing = [name for name in names if not hasattr(flow_class, name)]
    if missing:
        from airflow_conda_flow.flow.parameters.parameters import Parameter  # noqa: PLC0415 - few flows have them

        for name in missing:
            setattr(flow_class, name, Parameter(name))


def _load_flow(code_dir: str, flow_file: str, name: str) -> "Any":
    """The flow class; its module has the file's name, so that later steps find its classes."""
    sys.path.insert(0, code_dir)
    path = os.path.join(code_dir, flow_file)
    sys.argv[:] = [path]
    module_name = os.path.splitext(flow_file)[0]
    if module_name.isidentifier() and module_name not in sys.modules:
        module = __import__(module_name)
        if os.path.abspath(getattr(module, "__file__", None) or "") == os.path.abspath(path):
            return getattr(module, name)
    import importlib.util  # noqa: PLC0415 - only for files whose name another module has

    from airflow_conda_flow.runtime.user_sources import UncachedLoader  # noqa: PLC0415 - path is set by main

    loader = UncachedLoader(module_name, path)
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[module_name] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return getattr(module, name)


def _join_step() -> None:
    """Keep a flow file from compiling its DAG in a process that the step spawned, and its folder as it is."""
    sys.meta_path.insert(0, _OwnPackage(_root()))
    from airflow_conda_flow.flow import flowspec  # noqa: PLC0415 - the parent set the path
    from airflow_conda_flow.runtime import user_sources  # noqa: PLC0415 - the parent set the path

    user_sources.leave_untouched(sys.path[0])
    flowspec.in_step_process = True


if __name__ == "__main__":
    main(sys.argv[1:])
elif __name__ == "__mp_main__":
    _join_step()
