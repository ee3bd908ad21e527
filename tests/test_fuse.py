"""Generated code does what the closures do: random chains, events, failures, connects and disconnects, side by side."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bourn
from bourn import _compat, fuse

FAILS, CONNECTS, DISCONNECTS, ENDS, BREAKS, EMITS = -1, -2, -3, -4, -5, 7  # events at which a function does something


class Run:
    """One flow, and everything that can be seen of it."""

    def __init__(self, stages: list[list[Any]]) -> None:
        self.log: list[Any] = []
        self.source = bourn.OutputThing()
        self.other = bourn.OutputThing()
        self.nodes: list[bourn.OutputThing] = [self.source]
        self.sinks: list[Any] = []
        for parent, names in stages:
            made = []
            for i, name in enumerate(names):
                made += operators(name, self, f"{len(self.nodes)}.{i}")
            self.nodes.append(self.nodes[parent % len(self.nodes)].pipe(*made))

    def call(self, who: str, x: int) -> int:
        """What every function does: tell, and at some events something else."""
        self.log.append((who, x))
        if x == FAILS:
            raise ValueError(who)
        if x == CONNECTS and len(self.sinks) < 12:
            self.connect(len(self.log), "skip")
        elif x == DISCONNECTS:
            self.disconnect(len(self.log))
        elif x == ENDS:
            self.source._dispatch_completed()
        elif x == EMITS and len(self.log) < 60:
            self.source._dispatch_next(len(self.log) % 9 - 3)
        elif x == BREAKS:
            raise KeyboardInterrupt(who)
        return x

    def connect(self, node: int, policy: str) -> None:
        sink = Sink(self, f"sink {len(self.sinks)}")
        self.sinks.append(self.nodes[node % len(self.nodes)].connect(sink, policy))

    def disconnect(self, number: int) -> None:
        if self.sinks:
            self.sinks[number % len(self.sinks)]()

    def act(self, action: tuple[Any, ...]) -> None:
        kind, *rest = action
        try:
            if kind == "emit":
                for x in rest[0]:
                    self.source._dispatch_next(x)
            elif kind == "batch":
                bourn.emit_batch(self.source, rest[0] if rest[1] else iter(rest[0]))
            elif kind == "other":
                self.other._dispatch_next(rest[0])
            elif kind == "end":
                self.source._dispatch_error(ValueError("end")) if rest[0] else self.source._dispatch_completed()
            else:
                getattr(self, kind)(*rest)
        except KeyboardInterrupt as e:
            self.log.append(("broken off", e.args))
        self.log.append([(len(node._branches), node.errors) for node in self.nodes])


class Sink:
    """Tells what it is given, by way of the same function."""

    def __init__(self, run: Run, name: str) -> None:
        self.run = run
        self.name = name

    def on_next(self, x: int) -> None:
        self.run.call(self.name, x)

    def on_completed(self) -> None:
        self.run.log.append((self.name, "completed"))

    def on_error(self, e: Exception) -> None:
        self.run.log.append((self.name, type(e), e.args))


def plain(run: Run, who: str) -> bourn.Operator:
    """An operator that no code is generated for."""

    def make(emit: Any) -> Any:
        def on_next(x: int) -> None:
            emit(run.call(who, x))

        return on_next

    return bourn.each(make, "plain")


OPERATORS: dict[str, Any] = {
    "plain": plain,
    "map": lambda run, who: bourn.map(lambda x: run.call(who, x)),
    "negate": lambda run, who: bourn.map(lambda x: -run.call(who, x)),
    "where": lambda run, who: bourn.where(lambda x: run.call(who, x) % 3),
    "delta": lambda run, who: bourn.delta(2, key=lambda x: run.call(who, x)),
    "distinct": lambda run, who: bourn.distinct_until_changed(key=lambda x: run.call(who, x) // 2),
    "tap": lambda run, who: bourn.tap(lambda x: run.call(who, x)),
    "clamp": lambda run, who: bourn.clamp(-5, 8),
    "calibrate": lambda run, who: bourn.calibrate(offset=-1),
    "scan": lambda run, who: bourn.scan(lambda total, x: run.call(who, x) + total % 3),
    "scan from": lambda run, who: bourn.scan(lambda total, x: run.call(who, x) - total % 3, 5),
    "skip": lambda run, who: bourn.skip(2),
    "take": lambda run, who: bourn.take(3),
    "pairwise": lambda run, who: (bourn.pairwise(), bourn.map(lambda pair: run.call(who, pair[1]))),
    "merge": lambda run, who: bourn.merge(run.other),  # not generated, with a state that leads to what comes after
}


def operators(name: str, run: Run, who: str) -> list[bourn.Operator]:
    """One entry of OPERATORS; some are two that belong together."""
    made = OPERATORS[name](run, who)
    return list(made) if isinstance(made, tuple) else [made]


events = st.lists(st.integers(-6, 9) | st.integers(-2, 9), max_size=8)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("emit"), events),
        st.tuples(st.just("batch"), events, st.booleans()),
        st.tuples(st.just("connect"), st.integers(0, 3), st.sampled_from(["stop", "skip"])),
        st.tuples(st.just("disconnect"), st.integers(0, 5)),
        st.tuples(st.just("other"), st.integers(-5, 9)),
        st.tuples(st.just("end"), st.booleans()),
    ),
    max_size=12,
)
flows = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.sampled_from(sorted(OPERATORS)), min_size=1, max_size=6)),
    min_size=1,
    max_size=3,
)


def logged(stages: Any, todo: Any, generates: bool) -> tuple[list[Any], int]:
    """What a run tells, and how many functions were generated for it."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_compat, "print_exception", lambda e, file=None: None)
        function = fuse._function
        patch.setattr(fuse, "_function", lambda text: made.append(text) or function(text))
        if not generates:
            patch.setattr(_compat, "GENERATES", False)
        run = Run(stages)
        run.connect(len(stages), "stop")
        for action in todo:
            run.act(action)
    return run.log, len(made)


@settings(max_examples=600, deadline=None)
@given(flows, actions)
def test_it_does_what_the_closures_do(stages: Any, todo: Any) -> None:
    wanted, none = logged(stages, todo, False)
    found, _ = logged(stages, todo, True)
    assert found == wanted
    assert none == 0


@settings(max_examples=200, deadline=None)
@given(flows, st.lists(events, max_size=3))
def test_a_batch_is_a_loop(stages: Any, batches: Any) -> None:
    one_by_one, _ = logged(stages, [("emit", batch) for batch in batches], True)
    at_once, _ = logged(stages, [("batch", batch, True) for batch in batches], True)
    assert at_once == one_by_one


def test_a_chain_of_simple_operators_is_one_function() -> None:
    for names in (["map"], ["map", "where", "negate"] * 3):
        log, made = logged([(0, names)], [("emit", [1, 2, 4]), ("batch", [5, 8], True)], True)
        assert made == 1, names
        assert len(log) > 5
    assert logged([(0, ["map", "plain", "map"])], [("emit", [1])], True)[1] == 2
    # a chain on a chain, as long as nothing else is connected between them
    assert logged([(0, ["map"]), (1, ["map"])], [("emit", [1])], True)[1] == 1


def test_the_same_shape_is_compiled_once() -> None:
    fuse._shapes.clear()
    for _ in range(3):
        logged([(0, ["map", "where"])], [("emit", [1])], True)
    assert len(fuse._shapes) == 1


def test_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    fuse._shapes.clear()
    monkeypatch.setattr(fuse, "_MOST_SHAPES", 4)
    for length in range(1, 12):
        log, _ = logged([(0, ["map"] * length)], [("emit", [1])], True)
        assert log.count(("sink 0", 1)) == 1
        assert len(fuse._shapes) <= 4


def test_a_traceback_shows_the_generated_line() -> None:
    thing, told = bourn.OutputThing(), []

    class Told(bourn.InputThing):
        def on_error(self, e: Exception) -> None:
            told.append("".join(traceback.format_exception(e)))

    thing.pipe(bourn.map(lambda x: x), bourn.map(lambda x: 1 // x), Told())
    thing._dispatch_next(0)
    assert "x = f_1(x)" in told[0] and "bourn segment" in told[0]


def test_the_fuzzing_knows_every_template() -> None:
    found = set()
    for name in OPERATORS:
        for operator in operators(name, Run([]), ""):
            template = fuse._template(operator, operator.start(None) if operator.start else None)
            if template:
                found.add(template[0])
    assert found == {template.strip() for template in [*fuse.TEMPLATES.values(), *fuse.BEGUN.values()]}
