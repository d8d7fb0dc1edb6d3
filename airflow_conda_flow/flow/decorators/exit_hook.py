"""``@exit_hook``: calls functions when a run has ended."""

from airflow_conda_flow.flow.decorators.base import FlowDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Fields, Text
    from airflow_conda_flow.flow.decorators.base import FlowClass

_OUTCOMES = ("on_success", "on_error")
# Value of inspect.CO_VARKEYWORDS. Importing inspect would slow down the start of every step process.
_KEYWORD_ARGUMENTS = 0x08


class ExitHookDecorator(FlowDecorator):
    """Call functions when a run has ended, outside its steps. A flow may have several of these decorators.

    A function takes no arguments, or the run as ``run``: a client's ``Run``, or None if the run never began.

    Args:
        on_success: functions to call, in order, when every step is done.
        on_error: functions to call, in order, when at least one step is not done.
        options: accepted for compatibility and ignored.
        image: accepted for compatibility and ignored.
    """

    name = "exit_hook"
    defaults: "dict[str, Any]" = {"on_success": [], "on_error": [], "options": None, "image": None}
    allow_many = True

    def check(self) -> None:
        """Raise unless all hooks are functions that can be called with ``run=`` or without arguments."""
        for outcome in _OUTCOMES:
            functions = self.attributes[outcome] or []
            if not isinstance(functions, (list, tuple)) or not all(callable(each) for each in functions):
                self.fail(
                    "@exit_hook: %s is %r; write a list of functions, such as [notify]."
                    % (outcome, getattr(functions, "__name__", functions))
                )
            for each in functions:
                self._check_arguments(each)
            self.attributes[outcome] = list(functions)
        if not any(self.attributes[outcome] for outcome in _OUTCOMES):
            self.fail("@exit_hook calls nothing. Write @exit_hook(on_error=[notify]), or on_success.")

    def _check_arguments(self, function: "Any") -> None:
        code = getattr(function, "__code__", None)
        if code is None:  # not written in Python, such as a builtin: its arguments are unknown
            return
        required = code.co_varnames[: code.co_argcount - len(function.__defaults__ or ())]
        wrong = [each for each in required if each not in ("run", "self", "cls")]
        if wrong:
            self.fail(
                "@exit_hook: %s() takes %s. It is called with the run as run=, or with nothing."
                % (function.__name__, ", ".join(wrong))
            )


def call_hook(function: "Any", run: "Any") -> None:
    """Call a function of ``@exit_hook``, passing the run if the function takes it."""
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
    if "run" in names or (code is not None and code.co_flags & _KEYWORD_ARGUMENTS):
        function(run=run)
    else:
        function()


if TYPE_CHECKING:

    def exit_hook(
        __flow_class: "FlowClass | None" = None,
        *,
        on_success: "Sequence[Callable[..., object]]" = ...,
        on_error: "Sequence[Callable[..., object]]" = ...,
        options: "Fields" = None,
        image: "Text" = None,
    ) -> "FlowClass":
        """Call functions when a run has ended; see ``ExitHookDecorator``."""

else:
    exit_hook = decorator_function(ExitHookDecorator)
