"""How many threads there are: by the environment, by the system's limits, by threadpoolctl."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import evengrad as eg
from evengrad import layers

VARIABLES = ("EVENGRAD_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS")


def in_child(program, arguments=(), **variables):
    """Run a program in a process of its own; return what it prints, and what it says in errors."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split(), finished.stderr


# What cannot be had: no numbers, too small ones, too large ones.
REFUSED_VALUES = ["abc", "-1", "2.5", "0", "100000", "9" * 30]
ASKED = """
import evengrad as eg
print(eg.get_num_threads(), eg.get_num_threads())
"""
# The same in forked children of one process, which has imported all that it takes.
ASKED_OFTEN = """
import json, os, sys
import evengrad as eg
for variables in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        os.environ.update(variables)
        print(eg.get_num_threads(), eg.get_num_threads(), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print("of the next child:", file=sys.stderr, flush=True)
"""


def asked(*environments):
    """Return the number of threads under each of them, asked twice, and what is said of it."""
    if not hasattr(os, "fork"):
        return [in_child(ASKED, **variables) for variables in environments]
    counts, said = in_child(ASKED_OFTEN, [json.dumps(environments)])
    *said, rest = said.split("of the next child:\n")
    assert rest == ""
    return list(zip(zip(counts[::2], counts[1::2], strict=True), said, strict=True))


@pytest.fixture(scope="module")
def processors():
    """Return the number of threads without any variable."""
    (counts, said) = in_child(ASKED)
    assert said == ""
    return int(counts[0])


def test_what_the_variable_says_and_cannot_be_had_is_told_once(processors):
    found = asked(*({"EVENGRAD_NUM_THREADS": value} for value in REFUSED_VALUES))
    for value, (counts, said) in zip(REFUSED_VALUES, found, strict=True):
        assert list(counts) == [str(processors)] * 2, value
        assert said.count(f"EVENGRAD_NUM_THREADS={value}: ") == 1, said


def test_the_least_of_the_shared_variables_counts(processors):
    own, rayon, openmp = VARIABLES
    expected = [
        ({rayon: "2", openmp: "1"}, 1),
        ({rayon: "1", openmp: "2"}, 1),
        ({openmp: "many"}, processors),
        # What was asked of this library by name comes before what was asked of all.
        ({own: str(processors), openmp: "1"}, processors),
        ({own: "1", openmp: str(processors)}, 1),
    ]
    found = asked(*(variables for variables, _ in expected))
    for (variables, threads), (counts, said) in zip(expected, found, strict=True):
        assert (int(counts[0]), said) == (threads, ""), variables


TRAINED = """
import os
import sys
import numpy as np
import evengrad as eg
x, y = np.zeros((64, 600), "float32"), np.zeros(64, "int64")
model = eg.Sequential([eg.layers.Dense(600, "relu"), eg.layers.Dense(600)], seed=1)
model.compile("adam", "sparse_categorical_crossentropy")

def helpers():
    names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
    return sum(name.startswith("evengrad-") for name in names)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="counts threads in /proc")
def test_each_training_reads_the_limits_anew(processors):
    program = TRAINED + textwrap.dedent("""
        os.environ["OMP_NUM_THREADS"] = "1"
        model.fit(x, y, epochs=20, verbose=0)
        print(eg.get_num_threads(), helpers(), model.plan(x).threads)
        os.environ["OMP_NUM_THREADS"] = "1024"
        model.fit(x, y, epochs=20, verbose=0)
        print(eg.get_num_threads(), helpers())
        os.environ["OMP_NUM_THREADS"] = "1"
        print(model.plan(x).threads)
    """)
    found, said = in_child(program)
    assert said == ""
    assert found == ["1", "0", "1", str(processors), str(processors - 1), "1"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="sets an affinity mask")
def test_the_processors_that_a_process_may_use_may_change():
    program = """
    import os
    import evengrad as eg
    before, every = eg.get_num_threads(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(every)})
    print(eg.get_num_threads())
    os.sched_setaffinity(0, every)
    print(eg.get_num_threads() == before)
    """
    assert in_child(program)[0] == ["1", "True"]


REFUSED = """
import resource
eg.set_num_threads(1)
model.fit(x, y, epochs=2, verbose=0)
expected = [w.tolist() for w in model.get_weights()]
product = (eg.tensor(x + 1) @ eg.ones((600, 600))).tolist()
again = eg.Sequential([eg.layers.Dense(600, "relu"), eg.layers.Dense(600)], seed=1)
again.compile("adam", "sparse_categorical_crossentropy")
again.build((None, 600))
eg.set_num_threads(3)
# The superuser has no limit.
if os.getuid() == 0:
    os.setuid(65534)
most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
resource.setrlimit(resource.RLIMIT_NPROC, (0, most))
print((eg.tensor(x + 1) @ eg.ones((600, 600))).tolist() == product, eg.get_num_threads())
again.fit(x, y, epochs=2, verbose=0)
print([w.tolist() for w in again.get_weights()] == expected, eg.get_num_threads(), helpers())
resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
again.fit(x, y, epochs=20, verbose=0)
print(eg.get_num_threads(), helpers())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the threads of a user, as Linux does")
def test_threads_that_the_system_refuses_are_done_without():
    found, said = in_child(TRAINED + REFUSED)
    assert found == ["True", "1", "True", "1", "0", "3", "2"]
    assert said.count("the system refused some of 3 threads") == 1


def test_threadpoolctl_sees_and_bounds_the_threads():
    def ours():
        return [one for one in threadpool_info() if one["user_api"] == "evengrad"]

    eg.utils.register_threadpoolctl()
    eg.utils.register_threadpoolctl()
    before = eg.get_num_threads()
    try:
        eg.set_num_threads(3)
        (found,) = ours()
        assert (found["num_threads"], found["version"]) == (3, eg.__version__)
        with threadpool_limits(2):
            assert eg.get_num_threads() == ours()[0]["num_threads"] == 2
            with threadpool_limits({"evengrad": 1}):
                assert eg.get_num_threads() == 1
            assert eg.get_num_threads() == 2
        with threadpool_limits(1, user_api="blas"):
            assert eg.get_num_threads() == 3
        assert eg.get_num_threads() == 3
        model = eg.Sequential([layers.Dense(500, "relu"), layers.Dense(500)])
        model.compile("sgd", "mse")
        with threadpool_limits(1):
            assert model.plan(np.zeros((64, 500)), batch_size=64).threads == 1
    finally:
        eg.set_num_threads(before)


def test_threadpoolctl_is_registered_where_it_was_there_first():
    program = """
    import sys, threadpoolctl, evengrad
    print([one["num_threads"] for one in threadpoolctl.threadpool_info()
           if one["user_api"] == "evengrad"] == [evengrad.get_num_threads()])
    """
    assert in_child(program)[0] == ["True"]
    assert in_child("import sys, evengrad; print('threadpoolctl' in sys.modules)")[0] == ["False"]
    program = """
    import evengrad.sklearn, threadpoolctl
    print("evengrad" in {one["user_api"] for one in threadpoolctl.threadpool_info()})
    """
    assert in_child(program)[0] == ["True"]
