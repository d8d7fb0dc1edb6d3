"""The step process: takes one task from the runner, runs the user's step, and gives back its outputs.

Started as ``python .../airflow_conda_flow/runtime/main.py SOCKET LIFE_LINE`` with two inherited file
descriptors: one end of a socket pair, and the reading end of a pipe that nobody writes to.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(arguments):
    # type: (list[str]) -> None
    """Run one task; the outcome goes to the runner, not into the exit code."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    _replace_script_directory(root)
    from airflow_conda_flow.runtime import lifeline, protocol  # noqa: PLC0415 - path is set just now

    lifeline.hold(int(arguments[1]))
    stream = protocol.MessageStream(int(arguments[0]))
    message = stream.receive()
    if message is None:
        return
    stream.send(_outcome(message, stream))


def _replace_script_directory(root):
    # type: (str) -> None
    """Make this package importable last, and the folder of this file not at all."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != own]
    sys.path.append(root)


def _outcome(message, stream):
    # type: (dict[str, Any], Any) -> dict[str, Any]
    from airflow_conda_flow.runtime import protocol  # noqa: PLC0415 - path is set by main

    try:
        artifacts, transition = _run(message, stream)
    except BaseException as error:  # noqa: BLE001 - whatever the step raises is its failure
        from airflow_conda_flow.runtime import failure  # noqa: PLC0415 - only where something failed

        return protocol.failed(failure.describe(error))
    return protocol.done(artifacts, transition)


def _run(message, stream):
    # type: (dict[str, Any], Any) -> Any
    import airflow_conda_flow.flow.flowspec as flowspec  # noqa: PLC0415 - path is set by main
    from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - path is set by main
    from airflow_conda_flow.runtime.task import StepTask  # noqa: PLC0415 - path is set by main

    flowspec.in_step_process = True
    current._set(**message["current"])  # noqa: SLF001 - the seam for the runtime
    flow_class = _load_flow(message["code_dir"], message["flow_file"], message["flow"])
    flow = flow_class(use_cli=False)
    task = StepTask(message, stream)
    flow._task = task  # noqa: SLF001 - the seam for the runtime
    method = getattr(flow, message["step"])
    if task.inputs is None:
        method()
    else:
        method(task.inputs)
    sys.stdout.flush()
    sys.stderr.flush()
    return task.finish(flow)


def _load_flow(code_dir, flow_file, name):
    # type: (str, str, str) -> Any
    """The flow class; its module has the file's name, so that later steps find its classes."""
    sys.path.insert(0, code_dir)
    path = os.path.join(code_dir, flow_file)
    module_name = os.path.splitext(flow_file)[0]
    if module_name.isidentifier() and module_name not in sys.modules:
        module = __import__(module_name)
        if os.path.abspath(getattr(module, "__file__", None) or "") == os.path.abspath(path):
            return getattr(module, name)
    import importlib.util  # noqa: PLC0415 - only for files whose name another module has

    spec = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[module_name] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return getattr(module, name)


if __name__ == "__main__":
    main(sys.argv[1:])
