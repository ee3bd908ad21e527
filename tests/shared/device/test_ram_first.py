# heap: 1024k
# timeout: 60
"""A sender over an outbox that is in RAM first: flash is written only while the hub is out of reach."""

from scripted_hub import Pair

from bourn import wire
from bourn.device.sender import Sender
from bourn.spool.ram import RamFirst, RamSpool
from bourn.spool.segments import SegmentSpool


class Slim(Pair):
    """A Pair whose outbox has room for 5 readings in RAM, before files or alone."""

    def open(self):
        if self.spool_settings:
            self.files = SegmentSpool(self.path, sync_each=False, **self.spool_settings)
            self.spool = RamFirst(self.files, ram=5)
        else:
            self.spool = RamSpool(5)
        self.sender = Sender(self.hub.url, "s1", self.spool, self.clock)


def test_nothing_is_written_while_the_hub_acknowledges():
    pair = Slim(max_bytes=1 << 16)
    pair.greet()
    for n in range(1, 31):
        pair.emit(n)
        pair.until(lambda n=n: pair.hub.numbers() == list(range(1, n + 1)))
        pair.hub.say(wire.ACK, pair.spool.epoch, n)
        pair.until(lambda: pair.spool.waiting() == 0)
    assert (pair.files.size(), pair.spool.counters["spilled"], pair.sender.counters["acked"]) == (0, 0, 30)
    pair.close()


def test_an_outage_goes_to_the_files_and_from_there_to_the_hub():
    pair = Slim(max_bytes=1 << 16)
    pair.greet()
    pair.emit(1, 2, 3)
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3])
    pair.hub.say(wire.ACK, pair.spool.epoch, 2)
    pair.until(lambda: pair.spool.waiting() == 1)
    pair.hub.hang_up()
    pair.settle()
    pair.emit(*range(4, 21))
    assert (pair.spool.counters["spilled"], pair.spool.waiting()) == (15, 18)
    pair.clock.advance(Sender.backoff_cap_ms)
    assert pair.greet(last=2)[2] == 3
    pair.until(lambda: pair.hub.numbers()[-1] == 20)
    assert pair.hub.numbers() == list(range(3, 21)) and pair.hub.of(wire.GAP) == []
    pair.hub.say(wire.ACK, pair.spool.epoch, 20)
    pair.until(lambda: pair.spool.waiting() == 0)
    pair.close()


def test_a_close_keeps_what_was_not_acknowledged_for_the_next_run():
    pair = Slim(max_bytes=1 << 16)
    epoch = pair.spool.epoch
    pair.greet()
    pair.emit(1, 2, 3)
    pair.until(lambda: pair.hub.numbers() == [1, 2, 3])
    pair.hub.say(wire.ACK, epoch, 1)
    pair.until(lambda: pair.spool.waiting() == 2)
    pair.sender.close()
    pair.hub.hang_up()
    pair.open()
    assert tuple(pair.greet(last=1)[1:3]) == (epoch, 2)
    pair.until(lambda: pair.hub.numbers() == [2, 3])
    pair.close()


def test_in_ram_alone_what_there_is_no_room_for_is_a_gap():
    pair = Slim()
    pair.emit(*range(1, 9))
    pair.greet()
    pair.until(lambda: pair.hub.numbers() == [4, 5, 6, 7, 8])
    assert [tuple(gap) for gap in pair.hub.of(wire.GAP)] == [(1, 3, "full")]
    pair.close()
