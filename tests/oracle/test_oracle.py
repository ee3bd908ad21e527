"""CPython's own tests of locks, queues and threads, on MicroPython with stdlib/, and on CPython with it in place.

They are read from the `test` package of the running CPython; each runs in a process of its own. What can't apply is in
the table below, with its reason; whatever else CPython ships must pass.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import slices  # noqa: E402 - beside this file

import interpreters  # noqa: E402 - beside the tools

LIMIT_S = 90
AT_ONCE = 5  # they mostly sleep

# module, class, a line that the class needs to know what it tests
CASES = (
    ("lock_tests", "LockTests", "locktype = staticmethod(threading.Lock)"),
    ("lock_tests", "RLockTests", "locktype = staticmethod(threading.RLock)"),
    ("lock_tests", "EventTests", "eventtype = staticmethod(threading.Event)"),
    ("lock_tests", "ConditionTests", "condtype = staticmethod(threading.Condition)"),
    ("lock_tests", "SemaphoreTests", "semtype = staticmethod(threading.Semaphore)"),
    ("lock_tests", "BoundedSemaphoreTests", "semtype = staticmethod(threading.BoundedSemaphore)"),
    ("lock_tests", "BarrierTests", "barriertype = staticmethod(threading.Barrier)"),
    ("test_threading", "ConditionAsRLockTests", ""),
    ("test_threading", "ThreadTests", ""),
    ("test_threading", "ThreadJoinOnShutdown", ""),
    ("test_threading", "ThreadingExceptionTests", ""),
    ("test_threading", "ExceptHookTests", ""),
    ("test_threading", "TimerTests", ""),
    ("test_threading", "MiscTestCase", ""),
    ("test_threading", "InterruptMainTests", ""),
    ("test_threading", "AtexitTests", ""),
    ("test_threading", "SubinterpThreadingTests", ""),
    ("test_threading_local", "BaseLocalTest", "_local = threading.local"),
    ("test_thread", "ThreadRunningTests", ""),
    ("test_thread", "BarrierTest", ""),
    ("test_queue", "PyQueueTest", ""),
    ("test_queue", "PyLifoQueueTest", ""),
    ("test_queue", "PyPriorityQueueTest", ""),
    ("test_queue", "PyFailingQueueTest", ""),
    ("test_queue", "PySimpleQueueTest", ""),
)

WEAK = "MicroPython has no weak references"
FORK = "it has no os.fork"
PRIVATE = "looks into CPython's own private state"
DEL = "it does not call `__del__` of objects written in Python"
SIGNAL = "it has no signal module and no _thread.interrupt_main"
NOT_APPLICABLE = {
    "test_weakref_exists": WEAK,
    "test_weakref_deleted": WEAK,
    "test_references": WEAK,
    "test_no_refcycle_through_target": WEAK,
    "test_local_refs": WEAK,
    "test_cycle_collection": WEAK,
    "test_at_fork_reinit": FORK,
    "test_fork_at_exit": FORK,
    "test_dummy_thread_after_fork": FORK,
    "test_is_alive_after_fork": FORK,
    "test_main_thread_after_fork": FORK,
    "test_main_thread_after_fork_from_nonmain_thread": FORK,
    "test_2_join_in_forked_process": FORK,
    "test_3_join_in_forked_from_thread": FORK,
    "test_reinit_tls_after_fork": FORK,
    "test_clear_threads_states_after_fork": FORK,
    "test_disallow_instantiation": PRIVATE,
    "test_tstate_lock": PRIVATE,
    "test_shutdown_locks": PRIVATE,
    "test_frame_tstate_tracing": PRIVATE,
    "test_threading_local_clear_race": PRIVATE,
    "test_PyThreadState_SetAsyncExc": "needs ctypes",
    "test_finalize_running_thread": "needs ctypes",
    "test_finalize_with_trace": "it has no sys.settrace unless built with it",
    "test_main_thread_during_shutdown": DEL,
    "test_locals_at_exit": DEL,
    "test_debug_deprecation": "for debug builds of CPython",
    "test_4_daemon_threads": "imports CPython's test package; tests/shared/stdlib/test_exit.py has the like of it",
    "test_recursion_limit": "it has no RecursionError: a stack that is used up is a RuntimeError",
    "test_print_exception_stderr_is_none_1": "its sys.stderr can't be replaced",
    "test_print_exception_stderr_is_none_2": "its sys.stderr can't be replaced",
    "test_recursion_count": "only for Condition: CPython skips it, too",
    "test__all__": "it ignores __all__",
    "test_atexit_output": "threading._register_atexit is CPython's own private name",
    "test_atexit_called_once": "threading._register_atexit is CPython's own private name",
    "test_atexit_after_shutdown": "threading._register_atexit is CPython's own private name",
    "test_interrupt_main_subthread": SIGNAL,
    "test_interrupt_main_mainthread": SIGNAL,
    "test_interrupt_main_with_signal_handler": SIGNAL,
    "test_interrupt_main_noerror": SIGNAL,
    "test_interrupt_main_invalid_signal": SIGNAL,
    "test_can_interrupt_tight_loops": SIGNAL,
    "test_threads_join": "it has no sub-interpreters",
    "test_threads_join_2": "it has no sub-interpreters",
    "test_daemon_threads_fatal_error": "it has no sub-interpreters",
    "test_dict_attribute": "its `__dict__` is a copy that can't be computed by the object",
    "test_dict_attribute_subclass": "its `__dict__` is a copy that can't be computed by the object",
    "test__count": "its _thread has no _count",
    "test_unraisable_exception": "its _thread reports by itself",
    "test_nt_and_posix_stack_size": "of _thread, which is MicroPython's; its sizes are a board's",
}
# The same name in another class does apply.
APPLICABLE = {("lock_tests", "RLockTests", "test_recursion_count")}

# Tests that run a script in a new interpreter: the test itself runs here, its script on MicroPython.
SCRIPTS = {
    "test_join_nondaemon_on_shutdown",
    "test_1_join_on_shutdown",
    "test_print_exception",
    "test_import_from_another_thread",
    "test_finalization_shutdown",
}

# On CPython only: what asks for the standard module's own private names.
NOT_IN_PLACE = {
    "ThreadTests.test_tstate_lock": PRIVATE,
    "ThreadTests.test_shutdown_locks": PRIVATE,
    "ThreadTests.test_dummy_thread_after_fork": "threading for MicroPython has no after-fork handler",
    "ThreadTests.test_is_alive_after_fork": "threading for MicroPython has no after-fork handler",
    "ThreadTests.test_main_thread_after_fork": "threading for MicroPython has no after-fork handler",
    "ThreadTests.test_main_thread_after_fork_from_nonmain_thread": "the same",
    "ThreadTests.test_fork_at_exit": "the same",
    "EventTests.test_at_fork_reinit": "the same",
    "ThreadTests.test_old_threading_api": "MicroPython has no warnings, so the old names give none",
}


def needs_oracle():
    """Skip, or in CI fail, where CPython's tests are not on this machine."""
    if slices.folder() is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        why = f"this CPython came without its tests (apt install libpython{version}-testsuite)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs every lane: {why}", pytrace=False)
        pytest.skip(why)


def jobs(wanted):
    """(module, class, test, line) of all that applies in one of CPython's files."""
    for module, name, line in CASES:
        for test in slices.tests_of(module, name):
            if module == wanted and (test not in NOT_APPLICABLE or (module, name, test) in APPLICABLE):
                yield module, name, test, line


def environment():
    """Of a process that runs MicroPython with our modules."""
    path = f"{ROOT / 'stdlib'}:{HERE}:.frozen"
    return dict(os.environ, MICROPYPATH=path, PYTHONUNBUFFERED="")


def run_slice(lane, folder, job):
    """What is wrong with one test on one lane, or None."""
    module, name, test, line = job
    path = folder / f"{module}-{name}-{test}.py"
    path.write_text(slices.cut(module, name, test, line), encoding="utf-8")
    command = [*lane["command"], "-X", "heapsize=4096wk", str(path)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{name}.{test}: not done after {LIMIT_S} s"
    lines = (done.stdout.strip() or "nothing").splitlines()
    if done.returncode or lines[-1] != "ok":
        return f"{name}.{test}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return None


def run_script(lane, job, monkeypatch):
    """Run a test here that starts its script on MicroPython; what is wrong, or None."""
    from test import test_threading

    _, name, test, _ = job

    def assert_python_ok(*arguments, **_):
        done = subprocess.run(
            [*lane["command"], *arguments],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done
        # how a builtin function shows itself is the interpreter's own
        return 0, done.stdout.replace(b"<function>", b"<built-in function sleep>"), done.stderr

    monkeypatch.setattr(test_threading, "assert_python_ok", assert_python_ok)
    try:
        getattr(getattr(test_threading, name)(test), test)()
    except AssertionError as e:
        return f"{name}.{test}: {e}"
    return None


@pytest.mark.parametrize("module", list(dict.fromkeys(module for module, _, _ in CASES)))
@pytest.mark.parametrize("name", [name for name in interpreters.LANES if name != "cpython"])
def test_micropython_passes_cpythons_tests(name, module, tmp_path, monkeypatch, capsys):
    needs_oracle()
    lane = interpreters.lanes(get=False)[name]
    if lane["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs every lane: {lane['reason']}", pytrace=False)
        pytest.skip(lane["reason"])
    (ROOT / ".tools/tmp").mkdir(parents=True, exist_ok=True)
    all_jobs = list(jobs(module))
    here = [job for job in all_jobs if job[2] not in SCRIPTS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda job: run_slice(lane, tmp_path, job), here))
    found += [run_script(lane, job, monkeypatch) for job in all_jobs if job[2] in SCRIPTS]
    failed = [one for one in found if one]
    with capsys.disabled():
        left_out = sum(len(slices.tests_of(one, case)) for one, case, _ in CASES if one == module) - len(all_jobs)
        counts = f"{len(found) - len(failed)} pass, {len(failed)} fail, {left_out} do not apply"
        print(f"\n{name}: of CPython's {module} {counts}")
    assert not failed, "\n".join(failed)


def test_every_reason_is_for_a_test_that_exists():
    needs_oracle()
    known = {test for module, name, _ in CASES for test in slices.tests_of(module, name)}
    assert not set(NOT_APPLICABLE) - known
    assert known >= SCRIPTS


IN_PLACE = """
import sys
sys.path.insert(0, {stdlib!r})
import threading, queue, unittest, weakref
assert threading.__file__.startswith({stdlib!r}) and queue.__file__.startswith({stdlib!r})
threading._PyRLock, threading._CRLock = threading.RLock, None
threading._dangling = weakref.WeakSet()  # of the tests' own support
from test.support import import_helper  # a second `queue` beside the first would not be what a program sees
fresh = import_helper.import_fresh_module
import_helper.import_fresh_module = lambda name, **how: queue if name == "queue" else fresh(name, **how)
import test.test_queue, test.test_threading
test.test_queue.py_queue._PySimpleQueue = test.test_queue.py_queue.SimpleQueue
for name in {left_out!r}:
    case, method = name.split(".")
    setattr(getattr(test.test_threading, case), method, unittest.skip("not applicable")(lambda self: None))
program = unittest.main(module=None, argv=["x", *{tests!r}], exit=False)
sys.exit(not program.result.wasSuccessful())
"""
GROUPS = (  # each in a process of its own
    ("test_threading", "LockTests PyRLockTests EventTests ConditionAsRLockTests ConditionTests"),
    ("test_threading", "SemaphoreTests BarrierTests BoundedSemaphoreTests"),
    ("test_threading", "ThreadTests ThreadJoinOnShutdown ThreadingExceptionTests ExceptHookTests TimerTests"),
    ("test_threading_local", "ThreadLocalTest"),
    ("test_thread", "ThreadRunningTests BarrierTest LockTests"),
    ("test_queue", "PyQueueTest PyLifoQueueTest PyPriorityQueueTest PyFailingQueueTest PySimpleQueueTest"),
)


def run_in_place(group):
    """(status, what it says) of one process with some of the tests."""
    module, classes = group
    tests = [f"test.{module}.{name}" for name in classes.split()]
    program = IN_PLACE.format(stdlib=str(ROOT / "stdlib"), tests=tests, left_out=list(NOT_IN_PLACE))
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    return done.returncode, done.stderr


def test_cpython_passes_with_our_modules_in_place(capsys):
    needs_oracle()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(run_in_place, GROUPS))
    count = sum(int(number) for _, said in found for number in re.findall(r"(?m)^Ran (\d+) tests", said))
    with capsys.disabled():
        print(f"\ncpython, ours in place: {count} of CPython's tests ran")
    assert not [said for status, said in found if status], "\n".join(said[-6000:] for status, said in found if status)
