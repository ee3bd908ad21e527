"""What a database's writer promises: order, bounds, no event lost but by a named policy, none written twice."""

import threading

import pytest

from bourn.hub.adapters.batches import BatchWriter, Rejected

PAUSES = (0.001, 0.004)


class Store:
    """Takes batches; `trouble` is what it does about each, in turn."""

    def __init__(self, *trouble, poison=()):
        self.rows = []
        self.batches = []
        self.trouble = list(trouble)
        self.poison = set(poison)
        self.go_on = threading.Event()
        self.go_on.set()
        self.released = 0

    def write(self, batch):
        self.go_on.wait(30)
        self.batches.append(list(batch))
        if self.trouble and (e := self.trouble.pop(0)):
            raise e
        if self.poison & set(batch):
            raise Rejected("poison")
        self.rows += batch

    def release(self):
        self.released += 1


def writer(store, **options):
    return BatchWriter(store.write, store.release, **{"pauses_s": PAUSES, **options})


def test_everything_arrives_once_and_in_order_over_failures():
    store = Store(OSError("1"), OSError("2"), None, OSError("3"))
    one = writer(store, batch_events=7)
    for i in range(100):
        one.on_next(i)
    one.on_completed()
    assert store.rows == list(range(100)) and store.released == 1
    assert (one.written, one.failures, one.dropped, one.rejected) == (100, 3, 0, 0)
    assert max(map(len, store.batches)) <= 7 and str(one.last_error) == "3"


def test_only_what_is_to_blame_is_rejected():
    store = Store(poison={13, 14, 99})
    one = writer(store, batch_events=64)
    for i in range(100):
        one.on_next(i)
    one.close()
    assert store.rows == [i for i in range(100) if i not in (13, 14, 99)]
    assert one.rejected == 3 and one.written == 97 and one.failures == 0


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [0, *range(90, 100)]), ("drop_newest", list(range(11)))])
def test_a_full_queue_drops_by_its_policy_and_counts(policy, kept):
    store = Store()
    store.go_on.clear()
    one = writer(store, queue_events=10, batch_events=1, policy=policy)
    one.on_next(0)
    with one._changed:
        assert one._changed.wait_for(lambda: not one._queue, 30)  # it is being written
    for i in range(1, 100):
        one.on_next(i)
    store.go_on.set()
    one.close()
    assert store.rows == kept
    assert one.dropped == 100 - len(kept)


def test_block_makes_the_flow_wait_and_drops_nothing():
    store = Store()
    one = writer(store, queue_events=3, batch_events=2, policy="block")
    for i in range(200):
        one.on_next(i)
        assert len(one._queue) <= 3
    one.close()
    assert store.rows == list(range(200)) and one.dropped == 0


def test_an_end_while_nothing_can_be_written_is_bounded_and_counted():
    store = Store(*[OSError("gone")] * 1_000_000)
    one = writer(store, close_s=0.01)
    for i in range(10):
        one.on_next(i)
    one.on_error(ValueError("of the source"))
    one._thread.join(30)
    assert one.written == 0 and one.dropped == 10 and store.released == 1
    one.on_next(11)
    assert one.dropped == 11
    one.close()


def test_without_an_event_there_is_no_thread():
    store = Store()
    one = writer(store)
    one.on_completed()
    one.on_completed()
    assert store.released == 1 and one._thread is None


@pytest.mark.parametrize("wrong", [{"policy": "hope"}, {"queue_events": 0}, {"batch_events": 0}])
def test_options_are_checked(wrong):
    with pytest.raises(ValueError, match=r"must be|one of"):
        writer(Store(), **wrong)
