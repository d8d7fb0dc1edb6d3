"""``DefaultContext``: argument of the functions that compute defaults when a run starts."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class DefaultContext:
    """Context passed to functions that compute defaults of parameters and configs.

    Attributes:
        flow_name: the flow's name.
        parameter_name: name of the parameter or config.
        user_name: name of the user who starts the run.
        ds_type: kind of the datastore: ``local`` or ``s3``.
        configs: the values of the flow's configs; None while configs themselves are read.
        folder: directory of the flow file; None while configs are read.
    """

    def __init__(
        self,
        flow_name: str,
        parameter_name: str,
        user_name: str = "",
        ds_type: str = "local",
        configs: "Mapping[str, Any] | None" = None,
        folder: "str | None" = None,
    ) -> None:
        self.flow_name = flow_name
        self.parameter_name = parameter_name
        self.user_name = user_name
        self.ds_type = ds_type
        self.configs = configs
        self.folder = folder

    def logger(self, text: "Any" = "", *_arguments: "Any", **_keywords: "Any") -> None:
        """Print a line for the user who starts the run."""
        print(text)
