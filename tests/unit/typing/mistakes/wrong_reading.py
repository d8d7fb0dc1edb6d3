"""Mistakes in programs that read past runs."""

from airflow_conda_flow import S3, Flow, Run, Runner, cards, parallel_map
from airflow_conda_flow.cards import get_cards

run = Flow("TrainFlow").latest_run
# error: Item "None" of "Run | None" has no attribute "data"
# error: Item "None" of "TaskData | Any | None" has no attribute "model"
print(run.data.model)
# error: "Run" has no attribute "succesful"
print(Run("TrainFlow/1").succesful)
# error: "Step" has no attribute "data"
print(Run("TrainFlow/1")["start"].data)
# error: "TaskCard" has no attribute "html"
print(get_cards("TrainFlow/1/start/0")[0].html)
# error: Module has no attribute "Marked"
print(cards.Marked("text"))
# error: "ExecutingRun" has no attribute "data"
print(Runner("flow.py").run().data)
# error: Argument 2 to "put" of "S3" has incompatible type "int"
S3().put("key", 3)
# error: Incompatible types in assignment (expression has type "list[int]", variable has type "int")
total: int = parallel_map(len, ["a"])
