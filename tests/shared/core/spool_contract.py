"""The promises of bourn/spool/__init__.py as tests, which every form of a spool passes: `for c in CHECKS: c(make)`.

`make()` gives a fresh home for a spool, an object with

    open()           the spool that lives there: a new one, or what is left of the last
    crash(spool)     the process that had `spool` open is gone, without a close
    record(i)        the record number i (1, 2, ...); records are appended in this order
    number(entry)    the i of the record in an entry that `read` gave
    never            records that can never be stored
    cursors          names of readers, at least one
"""

COUNTERS = ("appended", "refused", "dropped", "torn")


def fill(home, spool, first, last):
    """Append the records `first` to `last`, and sync; their places."""
    places = [spool.append(home.record(i)) for i in range(first, last + 1)]
    assert None not in places
    spool.sync()
    return places


def numbers(home, spool, after=None, limit=7):
    """What follows `after`, read to the end in pages, as numbers of records."""
    found = []
    while True:
        entries = spool.read(after, limit)
        assert len(entries) <= limit
        if not entries:
            return found
        found += [home.number(entry) for entry in entries]
        after = entries[-1][0]


def upto(last, first=1):
    return list(range(first, last + 1))


def a_new_spool_is_empty(make):
    home = make()
    spool = home.open()
    assert spool.read(None, 10) == []
    for cursor in home.cursors:
        assert spool.acked(cursor) is None
    assert spool.trim() == 0
    spool.sync()
    spool.close()
    again = home.open()
    assert again.read(None, 10) == []
    again.close()


def records_come_in_order_each_with_its_place(make):
    home = make()
    spool = home.open()
    places = fill(home, spool, 1, 20)
    assert sorted(places) == places and len(set(places)) == 20  # they grow
    entries = spool.read(None, 100)
    assert [entry[0] for entry in entries] == places
    assert [home.number(entry) for entry in entries] == upto(20)
    spool.close()


def reading_goes_on_after_any_place(make):
    home = make()
    spool = home.open()
    places = fill(home, spool, 1, 12)
    for n in range(12):
        for limit in (1, 2, 5, 100):
            expected = upto(12, n + 2)
            entries = spool.read(places[n], limit)
            assert [home.number(entry) for entry in entries] == expected[:limit], (n, limit)
    assert [numbers(home, spool, None, limit) for limit in (1, 3, 12, 13)] == [upto(12)] * 4
    for here in range(11):
        for there in range(11):  # from anywhere to anywhere
            spool.read(places[here], 1)
            assert home.number(spool.read(places[there], 1)[0]) == there + 2
    spool.close()


def a_read_changes_nothing(make):
    home = make()
    spool = home.open()
    places = fill(home, spool, 1, 8)
    for after in (None, places[2], places[5], places[2], None):
        assert spool.read(after, 3) == spool.read(after, 3)
    assert numbers(home, spool) == upto(8)
    spool.close()


def what_comes_later_follows_the_last_place(make):
    home = make()
    spool = home.open()
    after = None
    for i in range(1, 15):
        fill(home, spool, i, i)
        entries = spool.read(after, 10)
        assert [home.number(entry) for entry in entries] == [i]
        after = entries[0][0]
        assert spool.read(after, 10) == []
    spool.close()


def a_refused_record_leaves_no_trace(make):
    home = make()
    spool = home.open()
    fill(home, spool, 1, 3)
    before = dict(spool.counters)
    for record in home.never:
        try:
            place = spool.append(record)
        except ValueError as e:
            assert str(e)
        else:
            raise AssertionError("taken at %r" % (place,))
    assert spool.counters == before
    fill(home, spool, 4, 6)
    assert numbers(home, spool) == upto(6)
    spool.close()


def a_close_keeps_everything(make):
    home = make()
    last = 0
    places = []
    for n in (5, 1, 0, 17):
        spool = home.open()
        assert numbers(home, spool) == upto(last)
        for i in range(last):
            assert numbers(home, spool, places[i]) == upto(last, i + 2)
        places += fill(home, spool, last + 1, last + n)
        last += n
        assert numbers(home, spool) == upto(last)
        spool.close()


def a_crash_keeps_what_was_synced(make):
    home = make()
    last = 0
    for n in (5, 1, 0, 17):
        spool = home.open()
        assert numbers(home, spool) == upto(last)
        fill(home, spool, last + 1, last + n)
        home.crash(spool)
        last += n
    spool = home.open()
    assert numbers(home, spool) == upto(last)
    spool.close()


def a_crash_loses_the_end_of_what_was_not_synced_and_nothing_else(make):
    home = make()
    spool = home.open()
    fill(home, spool, 1, 4)
    for i in range(5, 9):
        spool.append(home.record(i))
    home.crash(spool)
    again = home.open()
    left = numbers(home, again)
    assert left == upto(len(left)) and 4 <= len(left) <= 8
    again.close()


def acks_are_cumulative_and_an_older_one_changes_nothing(make):
    home = make()
    spool = home.open()
    places = fill(home, spool, 1, 10)
    for cursor in home.cursors:
        spool.ack(places[3], cursor)
        assert spool.acked(cursor) == places[3]
        for older in (places[0], places[3], places[2]):
            spool.ack(older, cursor)
            assert spool.acked(cursor) == places[3]
        spool.ack(places[7], cursor)
        assert spool.acked(cursor) == places[7]
        assert numbers(home, spool, spool.acked(cursor)) == [9, 10]
    assert numbers(home, spool) == upto(10)  # an ack removes nothing
    spool.close()


def a_reader_goes_on_where_it_was_after_a_close(make):
    home = make()
    spool = home.open()
    places = fill(home, spool, 1, 10)
    for cursor in home.cursors:
        spool.ack(places[5], cursor)
    spool.close()
    again = home.open()
    for cursor in home.cursors:
        assert numbers(home, again, again.acked(cursor)) == upto(10, 7)
    places = fill(home, again, 11, 12)
    for cursor in home.cursors:
        again.ack(places[0], cursor)
    again.close()
    last = home.open()
    for cursor in home.cursors:
        assert numbers(home, last, last.acked(cursor)) == [12]
        last.ack(places[1], cursor)
    last.close()
    spool = home.open()
    for cursor in home.cursors:
        assert numbers(home, spool, spool.acked(cursor)) == []
    fill(home, spool, 13, 13)
    for cursor in home.cursors:
        assert numbers(home, spool, spool.acked(cursor)) == [13]
    spool.close()


def an_ack_may_be_forgotten_by_a_crash_and_a_record_not(make):
    home = make()
    spool = home.open()
    places = fill(home, spool, 1, 10)
    for cursor in home.cursors:
        spool.ack(places[5], cursor)
    spool.trim()
    home.crash(spool)
    again = home.open()
    for cursor in home.cursors:
        left = numbers(home, again, again.acked(cursor))
        assert left == upto(10, 11 - len(left)) and len(left) >= 4
    again.close()


def trim_removes_only_what_was_acknowledged(make):
    home = make()
    spool = home.open()
    places = fill(home, spool, 1, 40)
    assert spool.trim() == 0
    removed = 0
    for upto_number in (1, 10, 25, 40):
        for cursor in home.cursors:
            spool.ack(places[upto_number - 1], cursor)
        spool.sync()
        while True:  # some remove a page at a time
            now = spool.trim()
            if not now:
                break
            removed += now
        assert removed <= upto_number
        assert numbers(home, spool) == upto(40, removed + 1)
        assert numbers(home, spool, places[upto_number - 1]) == upto(40, upto_number + 1)
    assert removed >= 25  # it does remove
    fill(home, spool, 41, 43)
    assert numbers(home, spool, places[-1]) == [41, 42, 43]
    spool.close()
    again = home.open()
    assert numbers(home, again, again.acked(home.cursors[0])) == [41, 42, 43]
    again.close()


def trim_follows_the_slowest_reader(make):
    home = make()
    if len(home.cursors) < 2:
        return
    spool = home.open()
    places = fill(home, spool, 1, 30)
    spool.ack(places[4], home.cursors[0])
    for cursor in home.cursors[1:]:
        spool.ack(places[29], cursor)
    spool.sync()
    while spool.trim():
        pass
    assert numbers(home, spool, spool.acked(home.cursors[0])) == upto(30, 6)
    spool.close()


def a_place_is_never_used_again(make):
    home = make()
    seen = set()
    last = 0
    for n in (6, 3, 4):
        spool = home.open()
        places = fill(home, spool, last + 1, last + n)
        last += n
        assert not seen & set(places)
        seen |= set(places)
        for cursor in home.cursors:
            spool.ack(places[-1], cursor)
        spool.sync()
        while spool.trim():
            pass
        spool.close()  # what is left is empty, or nearly


def counters_only_grow(make):
    home = make()
    spool = home.open()
    before = dict(spool.counters)
    assert [before[name] for name in COUNTERS] == [0, 0, 0, 0]
    for i in range(1, 25):
        places = fill(home, spool, i, i)
        assert spool.counters["appended"] == i
        if i % 5 == 0:
            spool.read(None, 10)
            for cursor in home.cursors:
                spool.ack(places[0], cursor)
            spool.trim()
        for name, value in before.items():
            assert spool.counters[name] >= value
        before = dict(spool.counters)
    assert [before[name] for name in COUNTERS[1:]] == [0, 0, 0]
    spool.close()


CHECKS = (
    a_new_spool_is_empty,
    records_come_in_order_each_with_its_place,
    reading_goes_on_after_any_place,
    a_read_changes_nothing,
    what_comes_later_follows_the_last_place,
    a_refused_record_leaves_no_trace,
    a_close_keeps_everything,
    a_crash_keeps_what_was_synced,
    a_crash_loses_the_end_of_what_was_not_synced_and_nothing_else,
    acks_are_cumulative_and_an_older_one_changes_nothing,
    a_reader_goes_on_where_it_was_after_a_close,
    an_ack_may_be_forgotten_by_a_crash_and_a_record_not,
    trim_removes_only_what_was_acknowledged,
    trim_follows_the_slowest_reader,
    a_place_is_never_used_again,
    counters_only_grow,
)
