"""Records: everything that is stored about runs or sent between processes, each fact in one place.

``shapes`` has the documents and messages as types, ``names`` the names of tasks and attempts, ``graph``
the step graph. ``run_record`` and ``task_record`` read the two manifests, and ``task_record`` is the
only place that makes a task manifest. Standard library alone, Python 3.6: step processes use it too.
"""
