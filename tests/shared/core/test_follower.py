"""The follower over the plainest spool there is: a list."""

from bourn.spool.follower import Follower


class ListSpool:
    """Places are 1, 2, 3, ..."""

    def __init__(self, count, acked=None):
        self.entries = [(i + 1, chr(97 + i)) for i in range(count)]
        self.acks = []
        self._acked = acked

    def read(self, after, limit):
        start = after or 0
        return self.entries[start : start + limit]

    def ack(self, place, cursor="", *mark):
        self.acks.append((place, cursor) + mark)

    def acked(self, cursor=""):
        return self._acked


def test_reads_the_same_until_it_is_sent():
    follower = Follower(ListSpool(5))
    assert follower.read(2) == follower.read(2) == [(1, "a"), (2, "b")]
    follower.sent(2, 2)
    assert follower.read(9) == [(3, "c"), (4, "d"), (5, "e")]
    assert follower.in_flight == 2


def test_begins_where_its_cursor_is():
    assert Follower(ListSpool(5, acked=3)).read(1) == [(4, "d")]
    assert Follower(ListSpool(5, acked=3), None).read(1) == [(1, "a")], "without a cursor from the beginning"


def test_acks_are_cumulative_and_release_what_they_cover():
    spool = ListSpool(9)
    follower = Follower(spool, "c")
    for place in (3, 5, 6):
        follower.sent(place, place)
    assert follower.ack(2) == 0, "in the middle of something sent: it releases nothing yet"
    assert follower.ack(5) == 8
    assert follower.in_flight == 6
    assert follower.ack(5) == 0
    assert follower.ack(6, "mark") == 6
    assert follower.in_flight == 0
    assert spool.acks == [(2, "c"), (5, "c"), (5, "c"), (6, "c", "mark")]


def test_is_idle_when_nothing_is_under_way_not_even_a_gap():
    follower = Follower(ListSpool(9))
    assert follower.idle()
    follower.sent(1, 0)
    assert not follower.idle() and follower.in_flight == 0
    follower.ack(1)
    assert follower.idle()
    follower.sent(3, 2)
    follower.rewind(1)
    assert follower.idle()


def test_an_ack_beyond_what_was_sent_moves_on():
    follower = Follower(ListSpool(9))
    follower.sent(2, 2)
    assert follower.ack(4) == 2
    assert follower.read(1) == [(5, "e")] and follower.in_flight == 0


def test_rewind_goes_back_and_forgets_what_is_under_way():
    spool = ListSpool(9)
    follower = Follower(spool)
    follower.sent(4, 4)
    follower.rewind(1)
    assert follower.read(1) == [(2, "b")] and follower.in_flight == 0
    assert follower.ack(4) == 0, "an ack of the old link releases nothing of the new"
    follower.rewind(None)
    assert follower.read(1) == [(1, "a")]
    assert spool.acks == [(1, ""), (4, "")]


def test_without_a_cursor_the_spool_remembers_nothing():
    spool = ListSpool(3)
    follower = Follower(spool, None)
    follower.sent(3, 3)
    assert follower.ack(3) == 3
    follower.rewind(2)
    assert spool.acks == []


def test_a_spool_that_gives_little_at_a_time_is_not_asked_to_fill_the_memory():
    spool = ListSpool(20)
    read = spool.read
    spool.read = lambda after, limit: read(after, min(limit, 4))
    follower = Follower(spool)
    assert len(follower.read(1)) == 1
    for _ in range(5):
        assert 4 <= len(follower.read(100)) <= 5
    follower.sent(3, 3)
    assert follower.read(100) == [(4, "d"), (5, "e")]
    follower.sent(5, 2)
    assert [place for place, _ in follower.read(3)] == [6, 7, 8]


def test_an_ack_beyond_what_was_sent_forgets_what_was_read_ahead():
    follower = Follower(ListSpool(9))
    assert len(follower.read(6)) == 6
    follower.sent(2, 2)
    follower.ack(4)
    assert follower.read(9) == [(n, chr(96 + n)) for n in range(5, 10)]
