"""``@schedule``: runs the flow's DAG at fixed times."""

import re

from airflow_conda_flow.flow.decorators.base import FlowDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from airflow_conda_flow.flow.decorators.attribute_values import Text
    from airflow_conda_flow.flow.decorators.base import FlowClass
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

_PRESETS = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 0"}
_FIELD = re.compile(r"^[0-9A-Za-z*/,#?-]+\Z")
_DAY_OF_WEEK = 4  # position in a cron expression


class ScheduleDecorator(FlowDecorator):
    """Run the flow's DAG at fixed times; runs on the command line ignore the schedule.

    Args:
        cron: a cron expression of five fields, or of six fields as AWS writes it.
        hourly: True to run at the first minute of each hour.
        daily: True to run at midnight; the default of ``@schedule`` without arguments.
        weekly: True to run at the midnight with which Sunday begins.
        timezone: name from the IANA database, such as ``Europe/Berlin``; Airflow's default if None.
    """

    name = "schedule"
    defaults: "dict[str, Any]" = {
        "cron": None,
        "hourly": False,
        "daily": True,
        "weekly": False,
        "timezone": None,
    }

    def check(self) -> None:
        """Raise unless the attributes give exactly one schedule; ``cron`` is set to it."""
        given = [name for name in ("cron", "hourly", "daily", "weekly") if self.given.get(name)]
        if len(given) > 1:
            self.fail("@schedule gives both %s and %s. Keep one." % (given[0], given[1]))
        for name in _PRESETS:
            if not isinstance(self.attributes[name], bool):
                self.fail("@schedule: %s is %r; write True or False." % (name, self.attributes[name]))
        if not given and not self.attributes["daily"]:
            self.fail("@schedule gives no time. Write one, such as @schedule(hourly=True).")
        name = given[0] if given else "daily"
        self.attributes["cron"] = _PRESETS[name] if name in _PRESETS else self._cron(self.given["cron"])
        self._check_timezone(self.attributes["timezone"])

    def _cron(self, text: "Any") -> str:
        fields = text.split() if isinstance(text, str) else []
        if len(fields) == 6:  # noqa: PLR2004 - https://docs.aws.amazon.com/eventbridge, cron expressions
            # Cron has no year, and AWS counts weekdays from 1 (Sunday), cron from 0.
            if fields[5] not in ("*", "?") or any(each.isdigit() for each in fields[_DAY_OF_WEEK]):
                self._fail_cron(text, "Name the days, such as MON-FRI, and leave out the year.")
            fields = fields[:5]
        if len(fields) != 5 or not all(_FIELD.match(each) for each in fields):  # noqa: PLR2004 - cron's fields
            self._fail_cron(text, 'Write minute, hour, day, month and weekday, such as "30 6 * * *".')
        return " ".join("*" if each == "?" else each for each in fields)

    def _fail_cron(self, text: "Any", hint: str) -> "NoReturn":
        self.fail("@schedule: cron is %r. %s" % (text, hint))

    def _check_timezone(self, name: "Any") -> None:
        if name is None:
            return
        try:
            from zoneinfo import ZoneInfo  # noqa: PLC0415 - missing before Python 3.9; then nothing is checked
        except ImportError:
            return
        try:
            ZoneInfo(name)
        except Exception:  # noqa: BLE001 - any error means that the time zone is invalid
            self.fail("@schedule: timezone is %r; write one such as 'Europe/Berlin' or 'UTC'." % (name,))


if TYPE_CHECKING:

    def schedule(
        __flow_class: "FlowClass | None" = None,
        *,
        cron: "Text" = None,
        hourly: "bool | DelayedValue" = False,
        daily: "bool | DelayedValue" = True,
        weekly: "bool | DelayedValue" = False,
        timezone: "Text" = None,
    ) -> "FlowClass":
        """Run the DAG of a flow at fixed times; see ``ScheduleDecorator``."""

else:
    schedule = decorator_function(ScheduleDecorator)
