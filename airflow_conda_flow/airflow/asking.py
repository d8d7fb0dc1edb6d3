"""The lock of the one channel on which a task's process asks Airflow, for threads that ask."""

from __future__ import annotations

import threading

ASKING = threading.RLock()
"""Held while a thread asks Airflow: not every version keeps the answers to several threads apart."""
