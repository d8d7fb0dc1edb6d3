"""A step that leads back to itself until it is done."""

from airflow_conda_flow import FlowSpec, current, step


class Loop(FlowSpec):
    @step
    def start(self):
        self.count, self.seen, self.done = 0, [], False
        self.big = bytes(2000000)
        self.next(self.again)

    @step
    def again(self):
        """Counts to three."""
        self.count += 1
        self.seen.append((self.count, current.task_id, current.retry_count))
        self.big = self.big[1:] + b"x"
        self.done = self.count >= 3
        print("round", self.count)
        self.next({True: self.end, False: self.again}, condition="done")

    @step
    def end(self):
        assert self.seen == [(1, "again-0", 0), (2, "again-0", 0), (3, "again-0", 0)]
        assert self.big.endswith(b"\0xxx")


dag = Loop.dag(schedule=None, environment="local")


if __name__ == "__main__":
    Loop()
