"""``@catch``: a run that goes on although a step kept failing."""

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators.attribute_values import Text
    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue
    from airflow_conda_flow.records.graph import FlowGraph


class CatchDecorator(StepDecorator):
    """Go on with the flow when a step's last attempt failed, for whatever reason.

    What the step had assigned to ``self`` before it failed is there in the steps that follow.

    Args:
        var: the attribute that holds what went wrong, and None where nothing did.
        print_exception: whether to print it.
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
        """Raise where the way on from a failed step is not known, or ``var`` is taken."""
        kind = graph.steps[step or ""].kind
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
