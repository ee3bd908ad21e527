# heap: 256k
"""The device's log under power cuts, and under threads."""

import os

from bourn._compat.system import random_bytes
from bourn._compat.threads import threads
from bourn.device import log
from bourn.testing import FaultyFiles, ManualClock, PowerCut
from run import Skip

FOLDER = "/tmp/bourn-test-log-%02x%02x%02x%02x" % tuple(random_bytes(4))  # the lanes run at the same time
NAME = FOLDER + "/log"


def begin():
    try:
        os.mkdir(FOLDER)
    except OSError:
        for name in os.listdir(FOLDER):
            os.remove(FOLDER + "/" + name)


def end():
    begin()
    os.rmdir(FOLDER)


def lines(name=NAME):
    with open(name) as file:
        return file.read().split("\n")[:-1]


def test_a_power_cut_at_every_step_costs_no_line_that_was_told():
    for torn in (0, 7):
        cut = 0
        while True:
            cut += 1
            begin()
            files = FaultyFiles(cut_after=cut, torn=torn, lose_unsynced=True)
            told = 0
            done = False
            try:
                one = log.Logger(NAME, max_len=200, clock=ManualClock(0), files=files)
                for i in range(1, 16):
                    one.warning("message %3d" % i)
                    told = i
                done = True
                one.close()
            except PowerCut:
                pass
            if done and cut > files.steps:
                break
            after = log.Logger(NAME, max_len=200, clock=ManualClock(0))
            after.close()
            there = []
            for name in (NAME + ".1", NAME):
                if name[len(FOLDER) + 1 :] in os.listdir(FOLDER):
                    assert os.stat(name)[6] <= 201  # a torn line is ended
                    there += [int(line[-3:]) for line in lines(name) if line[26:34] == "message " and len(line) == 37]
            # the latest, in order, without a hole: what was told is there, as far back as two files go
            assert not told or (there and there[-1] >= told), (cut, told, there)
            assert there == list(range(there[0], there[-1] + 1)) if there else not told, (cut, there)
            assert len(there) >= min(told, 5), (cut, told, there)
        assert cut > 30
    end()


def test_threads_share_it():
    try:
        import _thread

        threading = threads()
    except ImportError:
        raise Skip("no threads here")
    assert _thread
    begin()
    one = log.Logger(NAME, max_len=100000, clock=ManualClock(0))

    def write(name):
        for i in range(50):
            one.info("%s %d %s", name, i, "x" * 20)

    workers = [threading.Thread(target=write, args=("worker%d" % n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    one.close()
    said = sorted([line[26:] for line in lines()])
    assert said == sorted(["worker%d %d %s" % (n, i, "x" * 20) for n in range(4) for i in range(50)])
    end()
