"""Every mistake in a flow file gives one message with file and line, before anything runs."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest

from airflow_conda_flow import conda, step
from airflow_conda_flow.flow.decorators.step import step_decorators

HEAD = (
    "from airflow_conda_flow import Config, FlowSpec, JSONType, Parameter, "
    "aws_credentials, conda, conda_base, step\n"
)
END = """
    @step
    def end(self):
        pass
"""

# What is wrong, the class's text (line 2 of the file is its first line), the line, and the message.
MISTAKES = [
    (
        "an assignment to augmented",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.index += 1
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start': self\.index is the number of a split",
    ),
    (
        "an assignment to annotated",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.input: int = 3
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start': self\.input is the value of a split",
    ),
    (
        "an assignment to two",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.x, self.merge_artifacts = 1, 2
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start': self\.merge_artifacts is a method in every flow\.",
    ),
    (
        "an assignment to index, in a loop",
        """
class F(FlowSpec):
    @step
    def start(self):
        for self.index in range(3): self.index += 1
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start': self\.index is the number of a split",
    ),
    (
        "an assignment to next",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next = 3
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start': self\.next is the call that says which step comes next in every flow\.",
    ),
    (
        "an assignment to input",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.input = 3
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start': self\.input is the value of a split in every flow\. Assign to another name\.",
    ),
    (
        "a target without @step",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.train)
    def train(self):
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start' leads to 'train', a method without @step\. Write @step above it, in line 6\.",
    ),
    (
        "a branch without @step",
        """
class Base(FlowSpec):
    @retry(times=1)
    def other(self):
        self.next(self.join)
class F(Base):
    @step
    def start(self):
        self.next(self.a, self.b)
    @step
    def a(self):
        self.next(self.join)
    def b(self): self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
""".replace("    @retry(times=1)\n", "")
        + END,
        8,
        r"Step 'start' leads to 'b', a method without @step\. Write @step above it, in line 12\.",
    ),
    (
        "a case without @step, in a base",
        """
class Base(FlowSpec):
    def other(self):
        self.next(self.end)
class F(Base):
    @step
    def start(self):
        self.x = 1
        self.next({1: self.other, 2: self.end}, condition="x")
"""
        + END,
        9,
        r"Step 'start' leads to 'other', a method without @step\. Write @step above it, in line 3\.",
    ),
    (
        "two marked starts",
        """
class F(FlowSpec):
    @step(start=True)
    def a(self):
        self.next(self.end)
    @step(start=True)
    def b(self):
        self.next(self.end)
"""
        + END,
        7,
        r"Step 'b' has @step\(start=True\), and so has step 'a'\. Keep one\.",
    ),
    (
        "a marked end beside end",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.last)
    @step(end=True)
    def last(self):
        pass
"""
        + END,
        7,
        r"Step 'last' has @step\(end=True\), and there is a step 'end' too",
    ),
    (
        "an end that joins",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)
    @step
    def a(self):
        self.next(self.end)
    @step
    def b(self):
        self.next(self.end)
    @step
    def end(self, inputs):
        pass
""",
        13,
        r"Step 'end' takes inputs; the last step joins nothing",
    ),
    (
        "a loop without a way out",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.again)
    @step
    def again(self):
        self.next({1: self.again, 2: self.again}, condition="x")
"""
        + END,
        8,
        r"Every case of the switch in step 'again' leads back to it",
    ),
    (
        "a join that loops",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)
    @step
    def a(self):
        self.next(self.join)
    @step
    def b(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next({1: self.join, 2: self.end}, condition="x")
"""
        + END,
        13,
        r"Step 'join' takes inputs and leads back to itself",
    ),
    (
        "a switch without cases",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next({}, condition="x")
"""
        + END,
        5,
        r"The switch in step 'start' has no cases",
    ),
    (
        "a switch over a variable",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next({HEAD: self.end}, condition="x")
"""
        + END,
        5,
        r"A case of the switch in step 'start' is not a constant",
    ),
    (
        "a foreach with a condition",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end, foreach="x", condition="y")
"""
        + END,
        5,
        r"self\.next\(\) takes one of foreach= and condition=; keep one\.",
    ),
    (
        "num_parallel without @parallel",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.train, num_parallel=2)
    @step
    def train(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start' leads to step 'train' with num_parallel, but that has no @parallel",
    ),
    (
        "@parallel without num_parallel",
        """
from airflow_conda_flow import parallel
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.train, foreach="x")
    @parallel
    @step
    def train(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
"""
        + END,
        9,
        r"Step 'train' has @parallel, but step 'start' leads to it without num_parallel",
    ),
    (
        "@parallel without a join",
        """
from airflow_conda_flow import parallel
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.train, num_parallel=2)
    @parallel
    @step
    def train(self):
        self.next(self.more)
    @step
    def more(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
"""
        + END,
        10,
        r"Step 'train' has @parallel, so the next step must be a join",
    ),
    (
        "no start",
        """
class F(FlowSpec):
    @step
    def begin(self):
        self.next(self.end)
"""
        + END,
        2,
        r"F has no step 'start'\.",
    ),
    (
        "no end",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.finish)
    @step
    def finish(self):
        pass
""",
        2,
        r"F has no step 'end'\.",
    ),
    (
        "no steps at all",
        "class F(FlowSpec):\n    pass\n",
        2,
        r"F has no steps\. Mark its methods with @step\.",
    ),
    (
        "a step without self.next",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.x = 1
"""
        + END,
        4,
        r"Step 'start' does not call self\.next\(\)",
    ),
    (
        "self.next inside an if",
        """
class F(FlowSpec):
    @step
    def start(self):
        if True:
            self.next(self.end)
"""
        + END,
        6,
        r"self\.next\(\) is not the last statement of step 'start'",
    ),
    (
        "two self.next",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
        self.next(self.end)
"""
        + END,
        6,
        r"Step 'start' calls self\.next\(\) twice",
    ),
    (
        "self.next without a step",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next()
"""
        + END,
        5,
        r"self\.next\(\) names no step",
    ),
    (
        "self.next with something else",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next("end")
"""
        + END,
        5,
        r"self\.next\(\) names something that is not a step",
    ),
    (
        "several steps in one case of a switch",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.state = "a"
        self.next({"a": [self.end, self.end], "b": self.end}, condition="state")
"""
        + END,
        6,
        r"A case of the switch in step 'start' names several steps\. Name one step, which splits: ",
    ),
    (
        "an unknown option",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end, for_each="x")
"""
        + END,
        5,
        r"self\.next\(\) has no option 'for_each'\. Did you mean 'foreach'\?",
    ),
    (
        "an unknown target",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.ende)
"""
        + END,
        5,
        r"Step 'start' leads to 'ende', which is not a step of F\. Did you mean 'end'\?",
    ),
    (
        "a cycle",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.a)
    @step
    def a(self):
        self.next(self.b)
    @step
    def b(self):
        self.next(self.a)
"""
        + END,
        8,
        r"The steps form a cycle: a -> b -> a",
    ),
    (
        "an unreachable step",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def lost(self):
        self.next(self.end)
"""
        + END,
        7,
        r"Nothing leads to step 'lost'",
    ),
    (
        "a join without inputs",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)
    @step
    def a(self):
        self.next(self.join)
    @step
    def b(self):
        self.next(self.join)
    @step
    def join(self):
        self.next(self.end)
"""
        + END,
        13,
        r"Branches 'a' and 'b' of the split in 'start' come together in step 'join', which takes no inputs",
    ),
    (
        "a split that is never joined",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.items = [1]
        self.next(self.a, foreach="items")
    @step
    def a(self):
        self.next(self.end)
"""
        + END,
        12,
        r"The foreach in step 'start' is never joined",
    ),
    (
        "a branch that misses the join",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b, self.c)
    @step
    def a(self):
        self.next(self.j)
    @step
    def b(self):
        self.next(self.j)
    @step
    def c(self):
        self.next(self.k)
    @step
    def j(self, inputs):
        self.next(self.k)
    @step
    def k(self, inputs):
        self.next(self.end)
"""
        + END,
        16,
        r"Step 'j' joins only 'a' and 'b' of the split in 'start'; 'c' does not come together there",
    ),
    (
        "inputs without a split",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.a)
    @step
    def a(self, inputs):
        self.next(self.end)
"""
        + END,
        7,
        r"Step 'a' takes inputs, but no split or foreach is open before it",
    ),
    (
        "a foreach over two steps",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.end, foreach="x")
    @step
    def a(self):
        self.next(self.end)
"""
        + END,
        5,
        r"A foreach has one target",
    ),
    (
        "a foreach over something that is not a name",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end, foreach=[1])
"""
        + END,
        5,
        r"foreach of self\.next\(\) is not a text",
    ),
    (
        "a reserved name",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.input)
    @step
    def input(self):
        self.next(self.end)
"""
        + END,
        7,
        r"'input' cannot be the name of a step",
    ),
    (
        "a private name",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self._hidden)
    @step
    def _hidden(self):
        self.next(self.end)
"""
        + END,
        7,
        r"Step '_hidden' is private",
    ),
    (
        "a step whose name is too long",
        f"""
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.{"s" * 201})
    @step
    def {"s" * 201}(self):
        self.next(self.end)
"""
        + END,
        7,
        r"The name of the step 'ssssssssssssssssssss'\.\.\. is stored with 201 bytes; it may have 200",
    ),
    (
        "a flow whose name is too long in UTF-8",
        f"""
class {"é" * 34}(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
"""
        + END
        + f"F = {'é' * 34}",
        2,
        r"The name of the flow 'é{20}'\.\.\. is stored with 204 bytes; it may have 200",
    ),
    (
        "a next after the end",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        self.next(self.start)
""",
        8,
        r"Step 'end' calls self\.next\(\); the flow ends with it",
    ),
    (
        "a duplicate parameter",
        """
class F(FlowSpec):
    a = Parameter("alpha", default=1)
    b = Parameter("Alpha", default=2)
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        4,
        r"Parameter 'Alpha' is defined twice \(also in line 3\)",
    ),
    (
        "a step that is a static method",
        """
class F(FlowSpec):
    @staticmethod
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        3,
        r"'start' has @step, but a decorator above it makes it a staticmethod\. A step is a plain method\.",
    ),
    (
        "a step that is a property",
        """
class F(FlowSpec):
    @property
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        3,
        r"a decorator above it makes it a property\.",
    ),
    (
        "a step whose decorator loses it",
        """
def timed(method):
    def wrapper(self):
        method(self)
    return wrapper
class F(FlowSpec):
    @timed
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        7,
        r"makes it another function\. Write functools\.wraps in that decorator, or make it a @user_step_decorator\.",
    ),
    (
        "a config with a misspelt option",
        """
class F(FlowSpec):
    a = Config("a", defaut="a.json")
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        3,
        r"Config 'a' has no option 'defaut'\. Did you mean 'default'\? It takes: default, default_value, help,",
    ),
    (
        "a parameter that is an option",
        """
class F(FlowSpec):
    a = Parameter("max-workers", default=1)
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        3,
        r"Parameter 'max-workers' is an option of every run",
    ),
    (
        "a parameter named like a step",
        """
class F(FlowSpec):
    start_ = Parameter("start", default=1)
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        3,
        r"Parameter 'start' has the name of a step",
    ),
    (
        "a default of another type",
        'class F(FlowSpec):\n    a = Parameter("a", type=int, default="many")\n' + END,
        3,
        r"Parameter 'a' has the default 'many', but its type is int",
    ),
    (
        "a step that is written twice",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
    @step
    def end(self):
        print("other")
""",
        10,
        r"'end' is defined twice in F \(also in line 7\); the second one hides the first\.",
    ),
    (
        "a step that a plain method hides",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    def start(self):
        pass
"""
        + END,
        6,
        r"'start' is defined twice in F \(also in line 4\)",
    ),
    (
        "a parameter that is written twice",
        """
class F(FlowSpec):
    alpha = Parameter("alpha", default=1)
    alpha = Parameter("beta", default=2)
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        4,
        r"'alpha' is defined twice in F \(also in line 3\)",
    ),
    (
        "a parameter in the place of a word of the language",
        """
class F(FlowSpec):
    input = Parameter("input", default=1)
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        3,
        r"Parameter 'input' cannot be self\.input, which every flow has already",
    ),
    (
        "a step that yields",
        """
class F(FlowSpec):
    @step
    def start(self):
        yield 1
        self.next(self.end)
"""
        + END,
        5,
        r"Step 'start' yields; a step returns nothing",
    ),
    (
        "a foreach over what is no attribute",
        """
class F(FlowSpec):
    @step
    def start(self):
        self.next(self.end, foreach="a b")
"""
        + END,
        5,
        r"foreach of self\.next\(\) is 'a b', which is not the name of an attribute",
    ),
    (
        "a range",
        """
class F(FlowSpec):
    @conda(libraries={"pandas": ">=1.0"})
    @step
    def start(self):
        self.next(self.end)
"""
        + END,
        3,
        r"'pandas' is '>=1\.0', a range, .* Write exactly one version, or .*: \S*python\S* /.*/bad_flow\.py environment lock$",
    ),
    (
        "a wildcard",
        'class F(FlowSpec):\n    @conda(libraries={"pandas": "1.*"})\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"the version of 'pandas' is '1\.\*', a range",
    ),
    (
        "an empty version",
        'class F(FlowSpec):\n    @conda(libraries={"pandas": ""})\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"the version of 'pandas' is '', a range",
    ),
    (
        "a version that is a number",
        'class F(FlowSpec):\n    @conda(libraries={"pandas": 2.2})\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"the version of 'pandas' is 2\.2, not a string\. Write \{\"pandas\": \"2\.2\"\}",
    ),
    (
        "a range on the class",
        '@conda_base(libraries={"pandas": "~=2.2"})\nclass F(FlowSpec):\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        2,
        r"@conda_base: the version of 'pandas' is '~=2\.2', a range",
    ),
    (
        "half a Python",
        'class F(FlowSpec):\n    @conda(python="3.11")\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"the version of 'python' is '3\.11', a range, .* Write exactly one version with all three numbers, or keep",
    ),
    (
        "no version and no range",
        'class F(FlowSpec):\n    @conda(libraries={"pandas": "newest"})\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"the version of 'pandas' is 'newest', which is neither a version nor a range of versions\. Write one such as",
    ),
    (
        "a Python that is none",
        'class F(FlowSpec):\n    @conda(python="")\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"python is ''; write all three numbers of one version as a string",
    ),
    (
        "a misspelt attribute",
        'class F(FlowSpec):\n    @conda(library={"a": "1"})\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"@conda has no attribute 'library'\. Did you mean 'libraries'\?",
    ),
    *(
        (
            f"{written} of @airflow_task",
            f"from airflow_conda_flow import airflow_task\nclass F(FlowSpec):\n    @airflow_task({written})\n    @step\n"
            "    def start(self):\n        self.next(self.end)\n" + END,
            4,
            message,
        )
        for written, message in {
            "pool=''": "@airflow_task: pool is ''; write the name of a pool",
            "pool_slots=0": "@airflow_task: pool_slots is 0; write a whole number, 1 at least",
            "pool_slots=True": "@airflow_task: pool_slots is True; write a whole number, 1 at least",
            "priority_weight='high'": "@airflow_task: priority_weight is 'high'; write a whole number",
            "weight_rule='up'": "@airflow_task: weight_rule is 'up'; write 'downstream', 'upstream' or 'absolute'",
            "depends_on_past='yes'": "@airflow_task: depends_on_past is 'yes'; write True or False",
            "executor_config=print": "@airflow_task: executor_config is .*; write a dict of texts",
            "retries=3": r"@airflow_task has no attribute 'retries'\. It takes: pool, pool_slots",
            "pol='x'": r"@airflow_task has no attribute 'pol'\. Did you mean 'pool'\?",
        }.items()
    ),
    (
        "an attribute of a decorator that has none",
        'class F(FlowSpec):\n    @aws_credentials(role="x")\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"@aws_credentials has no attribute 'role'\. It takes: nothing\.",
    ),
    (
        "the same library twice",
        'class F(FlowSpec):\n    @conda(libraries={"a": "1"}, packages={"a": "2"})\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"@conda gives 'a' twice, as '1' and '2'",
    ),
    (
        "the same library in two spellings",
        'class F(FlowSpec):\n    @conda(libraries={"NumPy": "1", "c::numpy": "2"})\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"@conda gives 'numpy' twice, as '1' and '2'",
    ),
    (
        "a Python that is too old",
        'class F(FlowSpec):\n    @conda(python="2.7.18")\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"python is '2\.7\.18'; steps run on Python 3\.6 and later",
    ),
    (
        "a decorator on what is no step",
        'class F(FlowSpec):\n    @conda(libraries={"a": "1"})\n    def helper(self):\n        pass\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"'helper' has @conda but is not a step\. Add @step",
    ),
    (
        "no file",
        'class F(FlowSpec):\n    @conda(disabled="no")\n    @step\n    def start(self):\n        self.next(self.end)\n'
        + END,
        3,
        r"disabled is 'no'; write True or False",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_names_file_line_and_what_is_wrong(tmp_path, text, line, message):
    """`run` prints one message, no traceback, exits 1 and leaves nothing behind."""
    flow = tmp_path / "bad_flow.py"
    flow.write_text(HEAD + text.lstrip("\n") + '\nif __name__ == "__main__":\n    F()\n')
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, flow, "run"],
        capture_output=True,
        text=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    said = done.stderr.strip()
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"{flow}:{line}: " in said, done.stderr
    assert re.search(message, said), said
    assert not home.exists()


def test_a_switch_joins_without_inputs(tmp_path):
    """Arms of a switch come together in a plain step."""
    flow = tmp_path / "switch_flow.py"
    flow.write_text(
        HEAD
        + textwrap.dedent("""
        class F(FlowSpec):
            @step
            def start(self):
                self.way = "b"
                self.next({"a": self.a, "b": self.b}, condition="way")
            @step
            def a(self):
                self.next(self.end)
            @step
            def b(self):
                self.taken = "b"
                self.next(self.end)
            @step
            def end(self):
                print("taken:", self.taken)
        if __name__ == "__main__":
            F()
        """)
    )
    done = subprocess.run(
        [sys.executable, flow, "run"],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "taken: b" in done.stdout


@pytest.mark.parametrize(
    "decorator",
    [
        "conda(libraries={{'pandas{end}': '2.2.3'}})",
        "pypi(packages={{'pandas{end}': '2.2.3'}})",
        "card(type='blank{end}', id='one{end}')",
        "kubernetes(secrets=['keys{end}'])",
        "environment(vars={{'NAME{end}': 'x'}})",
        "card(id='one{end}')",
        "kubernetes(namespace='flows{end}')",
        "kubernetes(labels={{'team{end}': 'x'}})",
        "kubernetes(labels={{'team': 'x{end}'}})",
        "batch(iam_role='arn:aws:iam::123456789012:role/r{end}')",
    ],
)
def test_a_line_break_after_a_right_value_is_refused(tmp_path, decorator):
    """``$`` in a pattern also matches before a last line break, which would then reach channels and pods."""
    text = HEAD + "from airflow_conda_flow import batch, card, environment, kubernetes, pypi\n"
    text += (
        "class F(FlowSpec):\n    @DECORATOR\n    @step\n    def start(self):\n        self.next(self.end)\n"
        + END
    )
    for end, code in ("", 0), ("\\n", 1):
        path = tmp_path / "flow.py"
        called = decorator.format(end=end)
        path.write_text(text.replace("DECORATOR", called) + "\nif __name__ == '__main__':\n    F()\n")
        done = subprocess.run([sys.executable, path, "show"], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert code == 0 or f"{path}:4: " in done.stderr


def test_a_version_is_none_of_what_is_around_it():
    """Space, as of a line that was read from a file, and ``==`` make no range of it, which would want a lock file."""

    @conda(libraries={"pandas": " 2.2.3\n", "six": "== 1.17.0"}, python="3.11.7 ")
    @step
    def start(self):
        pass

    (found,) = step_decorators(start)
    assert found.attributes["libraries"] == {"pandas": "2.2.3", "six": "1.17.0"}
    assert found.attributes["python"] == "3.11.7"
    assert found.ranges() == []
