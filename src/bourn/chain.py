"""Chains of operators: what `thing.pipe(map(f), where(p), sink)` makes.

An operator has state and a way to bind it. The state is made once for a chain, when its first sink comes; binding may
happen again and again, whenever sinks come and go behind it, and gives closures over that state. An operator without
state costs one closure call per event and nothing else.

Most events come from the source, under the source's guard. Those that an operator makes on its own, because time has
passed or another thing has emitted, run under the chain's guard (`run`), with the same policy.
"""

import bourn._compat as _compat  # noqa: PLR0402 - MicroPython loads names.py for `from bourn`: 2.5 KB
from bourn.things import OutputThing, _goes_on, _target


class Operator:
    """One stage of a chain.

    `bind(state, emit, complete, fail)` returns the three functions that stand before these: for an event, for the
    end, for an error. `start(chain)` makes the state; without it the state is None. `attach(state, chain)` is called
    when the chain is attached to its source, and returns a function for the end of that: for operators that listen to
    other things as well. `name` and `args` are for drawing. `counters` are numbers that only grow (what a bound has
    dropped, say), over all chains that the operator is in. `first`: it begins a chain of its own, so that it can
    attach anew to what stands before it.
    """

    def __init__(self, bind, start=None, attach=None, name="operator", args=(), counters=None, first=False):
        self.bind = bind
        self.start = start
        self.attach = attach
        self.name = name
        self.args = args
        self.counters = counters
        self.first = first


def each(make, name="each", *args):
    """An operator without state over `on_next` alone: `make(emit)` returns the function that takes an event."""
    return Operator(lambda state, emit, complete, fail: (make(emit), complete, fail), name=name, args=args)


class Chain(OutputThing):
    """Operators over a source, shared by all sinks of the chain; attached to the source while there is one."""

    def __init__(self, source, operators):
        super().__init__()
        self._source = source
        self._operators = operators
        self._states = None
        self._branch = None  # of the source, while attached
        self._undo = []  # what ends timers and side inputs when the chain is detached
        self._head = None  # the three functions before the first operator; None: to be bound

    def connect(self, sink, policy="stop", port_mapping=None):
        """As OutputThing.connect; the first sink attaches the chain to its source."""
        disconnect = super().connect(sink, policy, port_mapping)
        if self._branch is None:
            self.attach()
            if self._states is None:
                self._states = [op.start(self) if op.start else None for op in self._operators]
            for i in range(len(self._operators)):
                if self._operators[i].attach:
                    self._undo.append(self._operators[i].attach(self._states[i], self))
        return disconnect

    # -- as a sink of its source

    # (each may be called once more by a dispatch that was under way when the chain was detached)

    def on_next(self, x):
        """Take an event; the source itself binds through to what this calls."""
        if self.ready():
            self._head[0](x)

    def on_completed(self):
        """The source has ended; operators may have something left to say."""
        if self.ready():
            self._head[1]()

    def on_error(self, e):
        """The source has failed, or something in this chain has."""
        if self.ready():
            self._head[2](e)

    def _goes_on(self, source, e):
        # Without a fan-out the guard is the source's, and the policy that of the one sink; where operators feed
        # several, an exception of theirs ends the chain.
        return len(self._branches) == 1 and _goes_on(self._branches[0][2], self, e)

    # -- for operators

    def root(self):
        """The thing at the beginning of this chain."""
        source = self._source
        return source.root() if hasattr(source, "root") else source

    def attach(self):
        """Receive the source's events from the next one on; again, when the source has ended."""
        self._source.connect(self, self._goes_on)
        self._branch = self._source._branches[-1]

    def detach(self):
        """Receive no more of the source's events until `attach`; unlike a chain without sinks it keeps its state."""
        self._source._detach(self._branch)

    def ready(self):
        """True while the chain is attached; it is then bound to the sinks there are now."""
        if self._branch is None:
            return False
        self.fresh()
        return True

    def run(self, function, *args):
        """Call `function` under this chain's guard: for events that do not come from the source. Not once detached."""
        try:
            if self.ready():
                function(*args)
        except Exception as e:
            self.failed(e)

    def failed(self, e):
        """Something that did not come from the source has raised: its policy decides, as if it had."""
        source = self._source
        if self._branch in source._branches:
            source._failed(self._branch, e)
        else:
            source.errors += 1
            if self._branch and not self._goes_on(source, e):  # the source has ended, but not yet the chain
                source._tell(self._branch, e)

    # -- binding

    def fresh(self):
        """The three functions before the first operator, bound to the sinks there are now."""
        if self._head is None:
            self._bind_head()
        return self._head

    def _change(self, branches):
        super()._change(branches)
        self._head = None
        self._source._change(self._source._branches)  # it is bound through here, so it has to bind anew
        if not branches and self._branch:
            branch, self._branch = self._branch, None
            self._states = None  # who comes back finds the operators as they were at first
            undo, self._undo = self._undo, []
            for function in undo:
                function()
            self._source._detach(branch)

    def _bound(self):
        # One sink is no fan-out: the segment goes on through it, and the guard is the source's.
        if len(self._branches) == 1:
            return _target(self._branches[0])
        return super()._bound()

    def _bind_head(self):
        head = (self._bound(), self._dispatch_completed, self._dispatch_error)
        if getattr(_compat, "GENERATES", False):
            from bourn.fuse import bind

            self._head = bind(self._operators, self._states, head)
            return self._head[0]
        for i in range(len(self._operators) - 1, -1, -1):
            head = self._operators[i].bind(self._states[i], head[0], head[1], head[2])
        self._head = head
        return head[0]


def pipe(source, stages):
    """What `OutputThing.pipe` promises. A stage is an Operator, a tuple of stages, or a sink.

    Or it has `behind(thing)`, which makes of the thing before it what comes after it: a thing with several ways out,
    or, as the last stage, a disconnect function.
    """
    stages = _flat(stages)
    last = len(stages) - 1
    thing = source
    begin = 0  # of the operators that are not in a chain yet
    for i, stage in enumerate(stages):
        operator = isinstance(stage, Operator)
        if begin < i and not (operator and not stage.first):
            thing = Chain(thing, stages[begin:i])
            begin = i
        if operator:
            continue
        begin = i + 1
        if i < last and (not hasattr(stage, "behind") or stage.last):
            raise TypeError("a sink is the last stage of a pipe: %r is followed by more" % (stage,))
        thing = stage.behind(thing) if hasattr(stage, "behind") else thing.connect(stage)
    return Chain(thing, stages[begin:]) if begin <= last else thing


def _flat(stages):
    flat = ()
    for stage in stages:
        flat += _flat(stage) if isinstance(stage, tuple) else (stage,)
    return flat
