"""What drains a spool into something that acknowledges: a device's sender, and every repository of the hub."""


class Follower:
    """Reads a spool in order for one reader, knows what is under way, and forgets only what was acknowledged.

    The states of an entry, in the order of the spool: acknowledged | under way (read and `sent`) | not read yet.
    `at` is the border between the last two; an ack moves the border before the second, `rewind` empties it.
    """

    def __init__(self, spool, cursor: str | None = "") -> None:
        """`cursor` names the reader in the spool. None: the spool remembers nothing, `rewind` says where to begin."""
        self._spool = spool
        self._cursor = cursor
        self._under_way: list = []  # [(last place, number of readings), ...], oldest first
        self.at = None if cursor is None else spool.acked(cursor)
        self.in_flight = 0  # readings under way

    def read(self, limit: int):
        """At most `limit` entries that were not sent yet; the same again until `sent` is called."""
        return self._spool.read(self.at, limit)

    def sent(self, place, readings: int) -> None:
        """Everything up to `place` is under way, `readings` of it since the last call."""
        self.at = place
        self._under_way.append((place, readings))
        self.in_flight += readings

    def ack(self, place, mark: str | None = None) -> int:
        """The sink has everything up to `place`, the end of something sent; returns how many readings that releases.

        An ack for anything else (an old link, a repeated one) changes nothing.
        """
        for i in range(len(self._under_way)):
            if self._under_way[i][0] == place:
                released = sum([readings for _, readings in self._under_way[: i + 1]])
                del self._under_way[: i + 1]
                self.in_flight -= released
                if mark is not None:
                    self._spool.ack(place, self._cursor, mark)
                elif self._cursor is not None:
                    self._spool.ack(place, self._cursor)
                return released
        return 0

    def rewind(self, place) -> None:
        """Nothing is under way any more; go on after `place`, which the sink is known to have (None: the beginning)."""
        self._under_way = []
        self.in_flight = 0
        self.at = place
        if place is not None and self._cursor is not None:
            self._spool.ack(place, self._cursor)
