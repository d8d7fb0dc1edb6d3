"""The step process: receives one task from the runner, runs the user's step, and sends back its outputs.

Started as ``python .../airflow_conda_flow/runtime/main.py SOCKET LIFE_LINE`` with two inherited file
descriptors: one end of a socket pair, and the reading end of a pipe that nobody writes to. As ``main.py
--serve SOCKET MARK`` it is a fork server, whose processes are step processes (``fork_server.py``).

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
    """Run one task. The outcome is sent to the runner; the exit code does not contain it."""
    _replace_script_directory()
    if arguments[0] == "--serve":
        before = frozenset(sys.modules)
        from airflow_conda_flow.runtime import fork_server  # noqa: PLC0415 - few processes are one

        descriptors = fork_server.serve(int(arguments[1]), arguments[2], before)
        if descriptors is None:
            os._exit(0)  # nothing of a user's is in this process; the runner waits for its end
    else:
        descriptors = [int(each) for each in arguments]
    import faulthandler  # noqa: PLC0415 - spawned processes do not need it

    from airflow_conda_flow.runtime import lifeline, protocol, termination  # noqa: PLC0415 - as above

    link, life_line = descriptors
    lifeline.hold(life_line)
    os.set_inheritable(link, False)
    _buffer_lines()
    faulthandler.enable()
    stream = protocol.running = protocol.MessageStream(link)
    message = stream.receive()
    if message is None:
        return
    own = os.getpid()
    termination.expect()
    outcome = _outcome(message, stream)
    if os.getpid() == own:  # the step may have forked; only the original process reports
        stream.send(outcome)


class _OwnPackage:
    """Import finder that takes this package from this file's location, even if ``sys.path`` has another copy.

    Without it, a checkout that runs in another checkout's virtual environment would mix both versions.

    Args:
        root: directory that contains the package.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Spec of the package; None for every other name, including the package's modules."""
        del path, target
        return PathFinder.find_spec(name, [self._root]) if name == "airflow_conda_flow" else None


def _root() -> str:
    """Directory that contains this package."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _replace_script_directory() -> None:
    """Give this package precedence over other copies, and remove this file's directory from ``sys.path``."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != own]
    sys.path.append(_root())  # for child processes that inherit sys.path
    sys.meta_path.insert(0, _OwnPackage(_root()))


def _buffer_lines() -> None:
    """Make the output line-buffered, so that the runner sees every line at once."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
            continue
        import io  # noqa: PLC0415 - Python 3.6, which often uses ASCII in containers

        stream = io.TextIOWrapper(stream.detach(), "utf-8", "backslashreplace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def _outcome(message: "TaskMessage", stream: "Any") -> "LastMessage":
    from airflow_conda_flow.runtime import protocol, termination  # noqa: PLC0415 - main sets the path

    python = "%d.%d.%d" % sys.version_info[:3]
    running: "list[Any]" = []
    try:
        artifacts, transition = _run(message, stream, running)
    except termination.Terminated:
        termination.die()
        raise
    except BaseException as error:  # anything that the step raises is its failure
        if termination.is_hidden_by(error):
            termination.die()
            raise
        if running and running[0].cards is not None:
            running[0].cards.send(last=True)
        from airflow_conda_flow.runtime import failure  # noqa: PLC0415 - needed after a failure only

        described = failure.describe(error)
        left = running[0].left_behind() if running and message["is_caught"] else None
        return protocol.failed(described, python, left)
    return protocol.done(artifacts, transition, python)


def _run(message: "TaskMessage", stream: "Any", running: "list[Any]") -> "Any":
    """Run the step; its task is appended to ``running`` as soon as it exists."""
    from airflow_conda_flow.flow import flowspec  # noqa: PLC0415 - main sets the path
    from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - main sets the path
    from airflow_conda_flow.runtime import protocol, stored_code  # noqa: PLC0415 - main sets the path
    from airflow_conda_flow.runtime.task import StepTask  # noqa: PLC0415 - main sets the path

    protocol.check_version(message)
    flowspec.in_step_process = True
    protocol.s3 = message.get("s3")
    current._set(**message["current"])  # noqa: SLF001 - interface for the runtime
    if "overlay" in message:
        from airflow_conda_flow.runtime import overlay  # noqa: PLC0415 - main sets the path

        overlay.enter(message["overlay"])
    stored_code.serve(message["code_dir"], message["stored_dir"], message.get("modules"))
    flow_class = _load_flow(message["code_dir"], message["flow_file"], message["flow"])
    current._update(flow_class=flow_class)  # noqa: SLF001 - interface for the runtime
    task = StepTask(message, stream)
    flow = task.make_flow(flow_class, message.get("call"))
    if message["cards"]:
        from airflow_conda_flow.runtime.step_cards import StepCards  # noqa: PLC0415 - few steps have one

        task.cards = StepCards(message["cards"], stream, flow)
        current._update(card=task.cards)  # noqa: SLF001 - interface for the runtime
    running.append(task)
    if "mutated_with" in message:
        from airflow_conda_flow.runtime import mutators  # noqa: PLC0415 - few flows have one

        mutators.run_again(flow, task, message["mutated_with"])
    # After the mutators, which may define the parameters themselves.
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
    """Add the parameters to the class that a mutator added in the process that read the flow."""
    missing = [name for name in names if not hasattr(flow_class, name)]
    if missing:
        from airflow_conda_flow.flow.parameters.parameters import Parameter  # noqa: PLC0415 - few flows have them

        for name in missing:
            setattr(flow_class, name, Parameter(name))


def _load_flow(code_dir: str, flow_file: str, name: str) -> "Any":
    """Flow class. Its module is named after the file, so that later steps can unpickle its classes."""
    sys.path.insert(0, code_dir)
    path = os.path.join(code_dir, flow_file)
    if "/" in flow_file:
        # A flow that is run as a module of a package. Modules beside it are importable in steps all the same.
        sys.path.append(os.path.dirname(path))
    sys.argv[:] = [path]
    base, suffix = os.path.splitext(flow_file)
    module_name = base.replace(".", "_").replace("/", ".")  # a dot would stand for a package
    can_be_imported = suffix == ".py" and all(part.isidentifier() for part in base.split("/"))
    if can_be_imported and module_name not in sys.modules:
        __import__(module_name)
        module = sys.modules[module_name]
        if os.path.abspath(getattr(module, "__file__", None) or "") == os.path.abspath(path):
            return getattr(module, name)
    import importlib.util  # noqa: PLC0415 - needed only if the file's name is another module's, or no module's

    from airflow_conda_flow.runtime.stored_code import flow_spec  # noqa: PLC0415 - main sets the path

    spec = flow_spec(module_name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def _join_step() -> None:
    """Prepare a process that the step spawned: its flow file is the stored one, and compiles no DAG."""
    sys.meta_path.insert(0, _OwnPackage(_root()))
    from airflow_conda_flow.flow import flowspec  # noqa: PLC0415 - the parent set the path
    from airflow_conda_flow.runtime import stored_code  # noqa: PLC0415 - the parent set the path

    stored_code.serve_again()
    flowspec.in_step_process = True


if __name__ == "__main__":
    main(sys.argv[1:])
elif __name__ == "__mp_main__":
    _join_step()
