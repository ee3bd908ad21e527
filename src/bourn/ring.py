"""A bounded buffer of events with a policy for when it is full. One thread, or a lock around it."""

POLICIES = ("block", "drop_oldest", "drop_newest", "keep_latest")


class Ring:
    """At most `bound` events, the oldest first; its memory is taken once, at the start.

    `policy`, when one more comes: "drop_oldest" drops the oldest, "drop_newest" the one that comes, "keep_latest" is
    "drop_oldest" with a bound of 1, and with "block" the caller waits before `put` until it is not `full`.
    ValueError for another policy, or a bound below 1.
    """

    def __init__(self, bound, policy):
        if policy not in POLICIES:
            raise ValueError("policy: one of %s, not %r" % (", ".join(POLICIES), policy))
        if policy == "keep_latest" and bound is None:
            bound = 1
        if bound is None or bound < 1 or (policy == "keep_latest" and bound > 1):
            raise ValueError("bound: at least 1, and just that to keep the latest, not %r" % (bound,))
        self._slots = [None] * bound
        self._first = 0  # the slot of the oldest
        self._newest = policy == "drop_newest"
        self.count = 0
        self.dropped = 0

    def full(self):
        """Whether one more would drop one."""
        return self.count == len(self._slots)

    def put(self, x):
        """Take `x`, or drop by the policy and count it."""
        slots = self._slots
        if self.count == len(slots):
            self.dropped += 1
            if self._newest:
                return
            self.take()
        slots[(self._first + self.count) % len(slots)] = x
        self.count += 1

    def take(self):
        """The oldest event, taken out; there must be one."""
        first = self._first
        x = self._slots[first]
        self._slots[first] = None  # what was taken is not kept alive
        self._first = (first + 1) % len(self._slots)
        self.count -= 1
        return x

    def clear(self):
        """Drop everything, and count it."""
        while self.count:
            self.take()
            self.dropped += 1
