"""Four nodes that run at once and wait for each other, on the command line alone."""

import os
import time

from airflow_conda_flow import FlowSpec, Parameter, current, parallel, step


class ParallelNodes(FlowSpec):
    folder = Parameter("folder", default="")
    nodes = 4

    @step
    def start(self):
        self.before = "kept"
        self.next(self.train, num_parallel=self.nodes)

    @parallel
    @step
    def train(self):
        assert current.is_parallel
        self.node = current.parallel.node_index
        assert (self.node, current.parallel.num_nodes) == (self.index, 4) == (self.input, 4)
        assert current.parallel.main_ip == "127.0.0.1"
        assert current.parallel.control_task_id == "0"
        open(os.path.join(self.folder, str(self.node)), "w").close()
        deadline = time.time() + 30
        while len(os.listdir(self.folder)) < 4:
            assert time.time() < deadline, "the other nodes do not run"
            time.sleep(0.02)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all = [each.node for each in inputs]
        self.merge_artifacts(inputs, include=["before"])
        self.next(self.end)

    @step
    def end(self):
        assert (self.all, self.before) == ([0, 1, 2, 3], "kept")


if __name__ == "__main__":
    ParallelNodes()
