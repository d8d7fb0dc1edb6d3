"""What a function is given that computes a default when a run starts."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class DefaultContext:
    """Where a default is computed.

    Attributes:
        flow_name: the flow's name.
        parameter_name: the name of the parameter, or of the config.
        user_name: who starts the run.
        ds_type: the datastore's kind: ``local`` or ``s3``.
        configs: the values of the flow's configs; None while configs themselves are read.
    """

    def __init__(
        self,
        flow_name: str,
        parameter_name: str,
        user_name: str = "",
        ds_type: str = "local",
        configs: "Mapping[str, Any] | None" = None,
    ) -> None:
        self.flow_name = flow_name
        self.parameter_name = parameter_name
        self.user_name = user_name
        self.ds_type = ds_type
        self.configs = configs

    def logger(self, text: "Any" = "", *_arguments: "Any", **_keywords: "Any") -> None:
        """Print a line for whoever starts the run."""
        print(text)
