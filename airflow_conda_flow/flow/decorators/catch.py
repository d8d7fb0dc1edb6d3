"""``@catch``: lets a run continue after a step has used up its retries."""

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators.attribute_values import Text
    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue
    from airflow_conda_flow.records.graph import FlowGraph


class CatchDecorator(StepDecorator):
    """Continue the flow when a step's last attempt has failed, for whatever reason.

    Values that the step assigned to ``self`` before it failed are available in the steps that follow.

    Args:
        var: name of the attribute that holds the failure; the attribute is None if the step succeeded.
        print_exception: True to print the failure.
    """

    name = "catch"
    defaults = {"var": None, "print_exception": True}

    def check(self) -> None:
        """Raise unless ``var`` is the name of an attribute."""
        var = self.attributes["var"]
        if var is not None and not (isinstance(var, str) and var.isidentifier() and var[0] != "_"):
            self.fail(
                '@catch: var is %r; write the name of an attribute, such as var="failure" for '
                "self.failure." % (var,)
            )
        printed = self.attributes["print_exception"]
        if not isinstance(printed, bool):
            self.fail("@catch: print_exception is %r; write True or False." % (printed,))

    def check_in_flow(self, step: "str | None", graph: "FlowGraph", draft: "FlowDraft") -> None:
        """Raise if the step that follows a failure is unknown, or the name ``var`` is taken."""
        kind = graph.steps[step or ""].kind
        # Other kinds choose their next tasks from values that a failed step may not have set.
        if kind not in ("linear", "split", "end"):
            self.fail(
                "@catch is applied to %r, which decides by its values what comes next: it is a %s. "
                "Catch in the steps that it leads to, or before." % (step, kind)
            )
        var = self.attributes["var"]
        if var is not None and getattr(draft.flow_class, var, None) is not None:
            self.fail(
                "@catch of step %r: self.%s is an attribute of the class %s already. Give var another name."
                % (step, var, graph.name)
            )


if TYPE_CHECKING:

    def catch(
        __method: "Method | None" = None,
        *,
        var: "Text" = None,
        print_exception: "bool | DelayedValue" = True,
    ) -> "Method":
        """Continue the flow when the last attempt of a step has failed; see ``CatchDecorator``."""

else:
    catch = decorator_function(CatchDecorator)
