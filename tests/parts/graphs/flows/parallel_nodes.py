"""Three nodes that talk to each other; the last one fails at first, and all of them are tried again."""

import socket
import time

from airflow_conda_flow import FlowSpec, Parameter, current, parallel, retry, step


class ParallelNodes(FlowSpec):
    port = Parameter("port", default=0, help="of the main node; to be given")
    nodes = 3

    @step
    def start(self):
        self.before = "kept"
        self.next(self.train, num_parallel=self.nodes)

    @retry(times=1, minutes_between_retries=0)
    @parallel
    @step
    def train(self):
        assert current.is_parallel
        self.node = current.parallel.node_index
        assert (self.node, current.parallel.num_nodes) == (self.index, 3) == (self.input, 3)
        assert current.parallel.control_task_id == "train-0"
        print("node", self.node, "finds the main one at", current.parallel.main_ip)
        self.met = self.gather() if self.node == 0 else self.report()
        if current.retry_count == 0:
            if self.node == 2:
                raise ValueError("on purpose")
            time.sleep(100)  # whoever waits for a node that has failed is ended
        self.tries = current.retry_count
        self.next(self.join)

    def gather(self):
        """Wait for the other nodes and tell each of them who is there."""
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((current.parallel.main_ip, self.port))
            server.listen(8)
            server.settimeout(90)
            others = [server.accept()[0] for _ in range(current.parallel.num_nodes - 1)]
            met = sorted([0] + [int(other.recv(10)) for other in others])
            for other in others:
                other.sendall(repr(met).encode())
                other.close()
        return str(met)

    def report(self):
        """Tell the main node that this one is there."""
        deadline = time.time() + 90
        while True:
            try:
                with socket.create_connection((current.parallel.main_ip, self.port), 90) as main:
                    main.sendall(str(self.node).encode())
                    return main.recv(100).decode()
            except OSError:
                assert time.time() < deadline, "the main node does not run"
                time.sleep(0.05)

    @step
    def join(self, inputs):
        self.all = [(each.node, each.met, each.tries) for each in inputs]
        self.merge_artifacts(inputs, include=["before"])
        self.next(self.end)

    @step
    def end(self):
        assert self.all == [(node, "[0, 1, 2]", 1) for node in range(3)], self.all
        assert self.before == "kept"


dag = ParallelNodes.dag(schedule=None, environment="local")


if __name__ == "__main__":
    ParallelNodes()
