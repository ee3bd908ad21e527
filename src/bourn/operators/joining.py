"""Operators that bring events of several things together. All things belong to one thread.

Each attaches to the other things while its chain is attached to its own source. An error of any of them is the error
of the stream; what is withheld for want of a partner is then given up, and counted.
"""

from bourn.operators.stage import Stage, staged


class _Side:
    """A sink of another thing: input number `i` of the stage."""

    def __init__(self, chain, stage, i):
        self._chain = chain
        self._stage = stage
        self._take = stage.take
        self._i = i

    def on_next(self, x):
        # as chain.run, which would make a tuple of the arguments at every event
        chain = self._chain
        try:
            if chain.ready():
                self._take(self._i, x)
        except Exception as e:
            chain.failed(e)

    def on_completed(self):
        self._chain.run(self._stage.ended, self._i)

    def on_error(self, e):
        self._chain.run(self._stage.on_error, e)


class _Join(Stage):
    """Inputs are numbered, 0 is the chain's own source; `take` and `ended` say what an event or an end of one means."""

    def __init__(self, inputs):
        super().__init__()
        self.open = [True] * inputs  # which have not ended

    def on_next(self, x):
        self.take(0, x)

    def on_completed(self):
        self.ended(0)

    def ended(self, i):
        self.open[i] = False
        if True not in self.open:
            self.end()


def _joined(make, name, others, counters=None):
    def attach(state, chain):
        ends = [others[i].connect(_Side(chain, state, i + 1)) for i in range(len(others))]

        def undo():
            for end in ends:
                end()

        return undo

    return staged(make, name, others, attach, counters)


class _Merge(_Join):
    def take(self, i, x):
        self.emit(x)


def merge(*others):
    """Emit the events of the source and of `others` as they come; ends when all have ended, or the first one fails.

    >>> marbles("1--2|", merge, "1342-|", others=("-34--|",))
    """
    return _joined(lambda chain: _Merge(1 + len(others)), "merge", others)


class _Zip(_Join):
    def __init__(self, inputs, bound, newest, counters):
        super().__init__(inputs)
        self._waiting = [[] for _ in range(inputs)]
        self._bound = bound
        self._newest = newest
        self._counters = counters

    def take(self, i, x):
        queue = self._waiting[i]
        if len(queue) >= self._bound:
            self._counters["dropped"] += 1
            if self._newest:
                return
            queue.pop(0)
        queue.append(x)
        for queue in self._waiting:
            if not queue:
                self._check()  # the last tuple may have raised
                return
        row = tuple([queue.pop(0) for queue in self._waiting])
        self.emit(row)
        self._check()

    def ended(self, i):
        self.open[i] = False
        self._check()

    def _check(self):
        for i in range(len(self.open)):
            if not self.open[i] and not self._waiting[i]:
                self._give_up()
                self.end()
                return

    def on_error(self, e):
        self._give_up()
        self.end(e)

    def _give_up(self):
        for queue in self._waiting:
            self._counters["dropped"] += len(queue)
            del queue[:]


def zip(*others, bound=16, policy="drop_oldest"):
    """Emit a tuple of the first events of the source and of each of `others`, of the second ones, and so on.

    Up to `bound` events of each wait for their partners; then `policy` drops the oldest of that thing ("drop_oldest")
    or the new one ("drop_newest"), counted in `counters["dropped"]`: what follows is then paired one further. Ends as
    soon as no more tuple can come; what waits then is dropped and counted too.

    >>> marbles("12--|", zip, "--ab|", others=("--34-|",), values={"a": (1, 3), "b": (2, 4)})
    """
    newest = _drops_newest(policy)
    if bound < 1:
        raise ValueError("bound must be at least 1, not %r" % (bound,))
    counters = {"dropped": 0}
    return _joined(lambda chain: _Zip(1 + len(others), bound, newest, counters), "zip", others, counters)


def _drops_newest(policy):
    if policy not in ("drop_oldest", "drop_newest"):
        raise ValueError("policy: 'drop_oldest' or 'drop_newest', not %r" % (policy,))
    return policy == "drop_newest"


class _Latest(_Join):
    def __init__(self, inputs, counters):
        super().__init__(inputs)
        self._latest = [None] * inputs
        self._missing = [True] * inputs  # which have not emitted yet
        self._counters = counters


class _CombineLatest(_Latest):
    def take(self, i, x):
        self._latest[i] = x
        self._missing[i] = False
        if True not in self._missing:
            self.emit(tuple(self._latest))

    def ended(self, i):
        if self._missing[i]:  # it never will emit, so there is no tuple
            self.end()
        else:
            super().ended(i)


def combine_latest(*others):
    """Emit a tuple of the latest events of the source and of `others` whenever one emits, once each has emitted.

    Ends when all have ended, or when one ends that has not emitted anything.

    >>> marbles("1-2|", combine_latest, "-ab|", others=("-3-|",), values={"a": (1, 3), "b": (2, 3)})
    """
    return _joined(lambda chain: _CombineLatest(1 + len(others), None), "combine_latest", others)


class _WithLatestFrom(_Latest):
    def take(self, i, x):
        self._latest[i] = x
        self._missing[i] = False
        if i:
            return
        if True in self._missing:
            self._counters["dropped"] += 1
        else:
            self.emit(tuple(self._latest))

    def ended(self, i):
        if i == 0:
            self.end()


def with_latest_from(*others):
    """Emit a tuple of each event of the source and the latest one of each of `others`; ends with the source.

    Events of the source before each of `others` has emitted are dropped and counted in `counters["dropped"]`.

    >>> marbles("1-2|", with_latest_from, "--a|", others=("-3-|",), values={"a": (2, 3)})
    """
    counters = {"dropped": 0}
    return _joined(lambda chain: _WithLatestFrom(1 + len(others), counters), "with_latest_from", others, counters)
