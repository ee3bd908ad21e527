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
        self._ahead: list = []  # what follows `at`, read and not sent: a spool goes on reading, but has to search back
        self._under_way: list = []  # [(last place, number of readings), ...], oldest first
        self.at = None if cursor is None else spool.acked(cursor)
        self.in_flight = 0  # readings under way

    def read(self, limit: int):
        """At most `limit` entries that were not sent yet; the same again until `sent` is called."""
        ahead = self._ahead
        if len(ahead) < min(limit, 2):  # not for every place that is free: a small board has no memory for so many
            self._ahead = ahead = ahead + self._spool.read(ahead[-1][0] if ahead else self.at, limit - len(ahead))
        return ahead[:limit]

    def sent(self, place, readings: int) -> None:
        """Everything up to `place` is under way, `readings` of it since the last call."""
        self.at = place
        n = 0
        while n < len(self._ahead) and self._ahead[n][0] != place:
            n += 1
        self._ahead = self._ahead[n + 1 :]
        self._under_way.append((place, readings))
        self.in_flight += readings

    def idle(self) -> bool:
        """True if nothing is under way, not even a Gap."""
        return not self._under_way

    def ack(self, place, mark: str | None = None) -> int:
        """The sink has everything up to `place`; returns how many readings under way that releases.

        It may have more than was sent here (over an older link): then what follows `place` is next. Places that meet
        here are of one epoch, and so can be compared.
        """
        released = 0
        while self._under_way and self._under_way[0][0] <= place:
            released += self._under_way.pop(0)[1]
        self.in_flight -= released
        if self.at is None or self.at < place:
            self.at = place
            self._ahead = []
        if mark is not None:
            self._spool.ack(place, self._cursor, mark)
        elif self._cursor is not None:
            self._spool.ack(place, self._cursor)
        return released

    def rewind(self, place) -> None:
        """Nothing is under way any more; go on after `place`, which the sink is known to have (None: the beginning)."""
        self._under_way = []
        self._ahead = []
        self.in_flight = 0
        self.at = place
        if place is not None and self._cursor is not None:
            self._spool.ack(place, self._cursor)
