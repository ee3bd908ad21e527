# timeout: 60
# lanes: cpython mpy-x64 mpy-arm64 mpy-armhf
"""From thread to thread: order, bounds, policies, ends, and that every event is accounted for."""

import random
import sys

from bourn import Clock, Handover, OutputThing, Scheduler, map
from bourn._compat.threads import threads
from bourn.ring import Ring
from bourn.testing import Recorder
from run import Skip

SEED = 20261121


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


# The ring


def test_a_ring_keeps_the_order_and_drops_by_policy():
    for policy, kept in (("drop_oldest", [3, 4, 5]), ("drop_newest", [1, 2, 3])):
        ring = Ring(3, policy)
        for x in range(1, 6):
            assert ring.full() == (x > 3)
            ring.put(x)
        assert ring.dropped == 2
        assert [ring.take() for _ in range(ring.count)] == kept
        assert not ring.count and not ring.full()


def test_a_ring_against_a_list():
    for seed in range(20):
        source = random.Random(SEED + seed) if hasattr(random, "Random") else random
        source.seed(SEED + seed)
        bound = source.randrange(1, 5)
        newest = bool(source.randrange(2))
        ring, model, dropped = Ring(bound, "drop_newest" if newest else "drop_oldest"), [], 0
        for x in range(60):
            if source.randrange(3):
                ring.put(x)
                model.append(x)
                if len(model) > bound:
                    model.pop(-1 if newest else 0)
                    dropped += 1
            elif model:
                assert ring.take() == model.pop(0), seed
            assert (ring.count, ring.dropped) == (len(model), dropped), seed


def test_a_ring_does_not_keep_what_was_taken():
    ring = Ring(2, "drop_oldest")
    for x in ("a", "b", "c"):
        ring.put(x)
    ring.take()
    assert ring._slots.count(None) == 1
    ring.clear()
    assert (ring._slots, ring.dropped) == ([None, None], 2)


def test_what_is_no_ring_is_refused():
    raises(ValueError, Ring, 3, "drop")
    raises(ValueError, Ring, 0, "block")
    raises(ValueError, Ring, None, "drop_oldest")
    raises(ValueError, Ring, 2, "keep_latest")
    assert len(Ring(None, "keep_latest")._slots) == 1


# On one thread: what goes in comes out when asked for


def given(policy, bound, events):
    threads()
    handover, sink = Handover(bound, policy), Recorder()
    handover.connect(sink)
    for x in events:
        handover.on_next(x)
    return handover, sink


def test_events_wait_for_the_other_side():
    handover, sink = given("drop_oldest", 5, [1, 2])
    assert sink.events == []
    assert handover.step() == 2
    assert sink.events == [1, 2]
    assert handover.step() == 0
    assert handover.wait(1) == 0
    assert sink.end is None


def test_policies():
    for policy, bound, kept in (
        ("drop_oldest", 3, [3, 4, 5]),
        ("drop_newest", 3, [1, 2, 3]),
        ("keep_latest", None, [5]),
    ):
        handover, sink = given(policy, bound, range(1, 6))
        counters = handover.counters()
        assert counters == {"accepted": 5, "dropped": 5 - len(kept), "waited": 0, "waiting": len(kept)}, policy
        handover.step()
        assert sink.events == kept
        assert handover.counters()["waiting"] == 0


def test_the_end_comes_last_and_once():
    for error in (None, ValueError("over")):
        handover, sink = given("drop_oldest", 1, [1, 2])
        if error:
            handover.on_error(error)
        handover.on_completed()
        handover.on_error(ValueError("late"))
        handover.on_next(3)
        assert sink.end is None
        handover.run_forever()
        assert (sink.events, sink.end) == ([2], error or "completed")
        assert handover.counters() == {"accepted": 2, "dropped": 2, "waited": 0, "waiting": 0}
        sink.end = None
        assert handover.wait() == handover.step() == 0
        assert sink.end is None


def test_a_step_is_bounded_and_may_come_again_inside():
    threads()
    handover, seen = Handover(3, "drop_oldest"), []

    def feeding(x):
        seen.append(x)
        handover.on_next(x + 10)

    handover.connect(feeding)
    for x in (1, 2, 3):
        handover.on_next(x)
    assert handover.step() == 3
    assert (seen, handover.counters()["waiting"]) == ([1, 2, 3], 3)

    handover, seen = Handover(3, "drop_oldest"), []

    def stepping(x):
        seen.append(x)
        handover.step()

    handover.connect(stepping)
    for x in (1, 2, 3):
        handover.on_next(x)
    handover.step()
    assert seen == [1, 2, 3]


def test_close_drops_what_waits():
    handover, sink = given("drop_newest", 3, [1, 2])
    handover.close()
    handover.on_next(3)
    handover.run_forever()
    assert (sink.events, sink.end) == ([], None)
    assert handover.counters() == {"accepted": 2, "dropped": 3, "waited": 0, "waiting": 0}


def test_who_empties_it_does_not_wait_for_itself():
    handover, _ = given("block", 2, [1, 2])
    handover.step()
    handover.on_next(3)
    handover.on_next(4)
    raises(RuntimeError, handover.on_next, 5)
    assert handover.counters() == {"accepted": 4, "dropped": 0, "waited": 0, "waiting": 2}


def test_wake_is_called_when_something_has_come():
    threads()
    woken = []
    handover = Handover(2, "drop_oldest", lambda: woken.append(1))
    handover.connect(lambda x: x == 2 and handover.on_next(9))
    for x in (1, 2, 3):
        handover.on_next(x)
    assert len(woken) == 1
    handover.step()  # 9 came while it was not empty: it asks to be called again
    assert (len(woken), handover.counters()["waiting"]) == (2, 1)
    handover.step()
    assert len(woken) == 2
    handover.on_completed()
    assert len(woken) == 3


def test_a_failing_sink_is_the_taking_sides_matter():
    handover, _ = given("block", 5, [1, 0, 2])
    good = Recorder()
    handover.connect(good)
    handover.pipe(map(lambda x: 1 // x)).connect(Recorder(), policy="skip")
    handover.step()
    assert (good.events, handover.errors) == ([1, 0, 2], 1)


# Between threads


def joined(thread):
    thread.join(30)
    assert not thread.is_alive(), "a thread waits for ever"


class End:
    """Keeps how a stream ended and none of its events: a long list wants one large piece of a small heap."""

    def __init__(self):
        self.end = None

    def on_next(self, x):
        pass

    def on_completed(self):
        self.end = "completed"

    def on_error(self, e):
        self.end = e


def stress(seed, givers, count, bound, policy):
    """Numbered events of several threads through one hand-over; returns what arrived of each, and the counters."""
    threading = threads()
    random.seed(seed)
    pauses = [random.randrange(40) for _ in range(64)]
    handover = Handover(bound, policy)
    arrived = [[] for _ in range(givers)]
    ends = End()
    done = threading.Semaphore(0)

    def give(me):
        thing = OutputThing()
        thing.connect(handover.on_next)
        for x in range(count):
            thing._emit((me, x))
            for _ in range(pauses[(x * 7 + me) % 64] if x % 5 == me else 0):
                pass
        done.release()

    def end():
        for _ in range(givers):
            done.acquire()
        handover.on_completed()

    def take(x):
        arrived[x[0]].append(x[1])
        for _ in range(pauses[x[1] % 64]):
            pass

    handover.connect(take)
    handover.connect(ends)
    workers = [threading.Thread(target=give, args=(i,)) for i in range(givers)]
    workers.append(threading.Thread(target=end))
    for worker in workers:
        worker.start()
    handover.run_forever()
    for worker in workers:
        joined(worker)
    assert ends.end == "completed", (seed, ends.end)
    return arrived, handover.counters()


def test_every_event_is_accounted_for():
    count = 300
    for seed in range(12):
        random.seed(SEED + seed)
        policy = ("block", "drop_oldest", "drop_newest", "keep_latest")[seed % 4]
        bound = None if policy == "keep_latest" else random.randrange(1, 20)
        givers = random.randrange(1, 5)
        arrived, counters = stress(SEED + seed, givers, count, bound, policy)
        what = (SEED + seed, policy, bound, givers, counters)
        for one in arrived:
            assert one == sorted(set(one)), what
        total = sum([len(one) for one in arrived])
        assert counters["accepted"] == givers * count, what
        assert counters["waiting"] == 0, what
        assert total + counters["dropped"] == givers * count, what
        if policy == "block":
            assert total == givers * count, what
        elif policy != "drop_newest":
            assert max([one[-1] for one in arrived if one]) == count - 1, what


def test_who_waits_for_room_goes_on_when_it_is_over():
    threading = threads()
    for closes in (True, False):
        handover = Handover(1, "block")
        handover.on_next(0)
        givers = [threading.Thread(target=handover.on_next, args=(i,)) for i in range(3)]
        for giver in givers:
            giver.start()
        clock = Clock()
        while handover.counters()["waited"] < 3:
            assert clock.now() < 20000
        if closes:
            handover.close()
        else:
            handover.on_completed()
        for giver in givers:
            joined(giver)
        waiting = 0 if closes else 1
        assert handover.counters() == {"accepted": 1, "dropped": 4 - waiting, "waited": 3, "waiting": waiting}


def test_a_scheduler_wakes_for_what_comes():
    threading = threads()
    handover, sink = Handover(10, "block"), Recorder()
    handover.connect(sink)
    scheduler = Scheduler(Clock(), wait=handover.wait)
    late = []
    cancel = scheduler.schedule_later_one_time(lambda: late.append(1), 30)
    handover.connect(lambda x: x == 3 and cancel())
    giver = threading.Thread(target=lambda: [handover.on_next(x) for x in (1, 2, 3)])
    giver.start()
    clock = Clock()
    scheduler.run_forever()
    joined(giver)
    assert (sink.events, late) == ([1, 2, 3], [])
    assert clock.now() < 20000


def test_on_micropython_an_event_allocates_nothing_on_its_way():
    if sys.implementation.name == "cpython":
        raise Skip("CPython keeps no such count")
    import gc

    handover, _ = given("drop_oldest", 4, [])
    handover._branches = ()
    handover.connect(lambda x: None)
    for _ in range(3):
        handover.on_next(1)
        handover.step()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(50):
        handover.on_next(1)
        handover.step()
    after = gc.mem_alloc()
    gc.enable()
    assert after == before, after - before
