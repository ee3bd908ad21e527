"""Operators per key: each key has a chain of its own, with its own state."""

from bourn.operators.stage import Stage, staged
from bourn.things import OutputThing


class _Group:
    """The chain of one key, and the sink at its end."""

    def __init__(self, groups, operators):
        self._groups = groups
        self.used = 0  # grows with every event, so the smallest is the key that was quiet for longest
        self._source = OutputThing()
        self._source.scheduler = groups.chain.root().scheduler
        self.disconnect = self._source.pipe(*operators).connect(self, self._goes_on)

    def take(self, x):
        """Give an event to the chain, unguarded: the guard is that of the chain around the groups."""
        for _, sink, _ in self._source._branches:  # none when the group has ended by itself
            getattr(sink, "on_next", sink)(x)

    def close(self):
        """No more events of this key: what its operators withhold is emitted."""
        self._source._dispatch_completed()

    def on_next(self, x):
        if self._groups.chain.ready():
            self._groups.emit(x)

    def on_error(self, e):
        self._groups.on_error(e)

    def _goes_on(self, thing, e):
        # A timer inside of the group has raised: for the policy it is an exception of the chain around.
        chain = self._groups.chain
        chain._source.errors += 1
        return chain._goes_on(chain._source, e)


class _Groups(Stage):
    def __init__(self, chain, key, make, bound, newest, counters):
        self.chain = chain
        self._key = key
        self._make = make
        self._bound = bound
        self._newest = newest
        self._counters = counters
        self._groups = {}
        self._events = 0

    def on_next(self, x):
        key = self._key(x)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= self._bound:
                if self._newest:
                    self._counters["dropped"] += 1
                    return
                self._close_quietest()
            made = self._make(key)
            group = _Group(self, made if isinstance(made, (tuple, list)) else (made,))
            self._groups[key] = group
        self._events += 1
        group.used = self._events
        group.take(x)

    def _close_quietest(self):
        quietest = None
        for key, group in self._groups.items():
            if quietest is None or group.used < self._groups[quietest].used:
                quietest = key
        self._counters["closed"] += 1
        self._groups.pop(quietest).close()

    def flush(self):
        groups, self._groups = self._groups, {}
        for group in sorted(groups.values(), key=lambda group: group.used):
            group.close()

    def forget(self):
        """The chain is detached: with it go all timers of the groups."""
        groups, self._groups = self._groups, {}
        for group in groups.values():
            group.disconnect()


def group_by(key, make, bound=64, policy="drop_oldest"):
    """Send the events of each `key(x)` through operators of their own, which `make(key)` returns: one, or several.

    What comes out of all of them is emitted as it comes. At most `bound` keys at once; then the key that was quiet
    for longest is closed, what its operators withhold is emitted, and `counters["closed"]` counts ("drop_oldest"), or
    events of new keys are dropped and counted in "dropped" ("drop_newest"). At the end of the stream all are closed.

    >>> marbles("1236|", group_by(lambda x: x % 2, lambda key: delta(4)), "12-6|")
    """
    if policy not in ("drop_oldest", "drop_newest"):
        raise ValueError("policy: 'drop_oldest' or 'drop_newest', not %r" % (policy,))
    if bound < 1:
        raise ValueError("bound must be at least 1, not %r" % (bound,))
    counters = {"closed": 0, "dropped": 0}
    return staged(
        lambda chain: _Groups(chain, key, make, bound, policy == "drop_newest", counters),
        "group_by",
        (key,),
        lambda state, chain: state.forget,
        counters,
    )
