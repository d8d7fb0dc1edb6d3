"""A step that looks for the credentials of its runner: in its own variables, and in those of every process."""

STEALS = """
import os
from airflow_conda_flow import S3
with S3(run=self) as s3:
    s3.put("name", "an object")
    self.seen = s3.get("name").text
own = [name for name in os.environ if name.startswith("AWS_") and "KEY" in name]
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open("/proc/%s/environ" % pid, "rb") as file:
            text = file.read()
    except OSError:
        continue
    if b"AWS_SECRET_ACCESS_KEY=" in text:
        with open("/proc/%s/cmdline" % pid) as file:
            found.append(file.read())
print("STOLEN", own, found, self.seen)
"""
NOTHING = "STOLEN [] [] an object"
"""The line that it prints where it finds none."""
