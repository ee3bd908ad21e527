"""Generated code for runs of simple operators: one function where closures would call each other. On CPython only.

The closures are the semantics; what is generated here does the same, event by event, exceptions and ends included, and
a test holds it against them with random chains. It saves the calls between the operators and the one of the guard.

An operator takes part if it is one of ours in TEMPLATES. Its template is what its `on_next` does: `x` is the event,
`state` the operator's state, `skip` ends this event, `behind` is what was bound behind it; other names are free
variables of the function that made the closure, names of its module, or local. State stays where the closures have it,
so that a chain may change between the two at any time. A stage (stage.py) asks its state where to emit to, which may
have changed under way; so does its template. Everything else, and what stands between two runs, is bound as on a board.
"""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

_MOST_SHAPES = 512  # functions made of text are kept by their text; when there are more, all are made anew

# By the module and the name of the function that binds, or of the class of a stage. Values come in as arguments; none
# of them ever becomes text.
TEMPLATES = {
    "stateless map.<locals>.make": "x = f(x)",
    "stateless where.<locals>.make": "if not predicate(x): skip",
    "stateless tap.<locals>.make": "f(x)",
    "correct clamp.<locals>.make": """
val = value(x)
if val < low: x = like(x, low)
elif val > high: x = like(x, high)
""",
    "correct calibrate.<locals>.make": "x = like(x, correct(value(x)))",
    "accumulate scan.<locals>.bind": """
if state[0]: x = f(state[1], x)
else: state[0] = True
state[1] = x
""",
    "place skip.<locals>.bind": "if state[0]: state[0] -= 1; skip",
    "change _Pairwise": """
before = state._last
state._last = x
if not state._began: state._began = True; skip
x = (before, x)
if state.emit is not behind: state.emit(x); skip
""",
    "change _Change": """
val = state._key(x)
if state._began and state._same(val, state._last): skip
state._began = True
state._last = val
if state.emit is not behind: state.emit(x); skip
""",
}

# For an operator whose state[0] was true when it was bound, where that stays so: what is left to do then.
BEGUN = {"accumulate scan.<locals>.bind": "x = state[1] = f(state[1], x)"}

_NAME = re.compile(r"(?<![.\w])(?!(?:x|if|elif|else|not|is|and|None|True|skip)\b)[a-z_]\w*")
_shapes: dict[str, Callable[..., Any]] = {}


class Segment:
    """A run of operators of which code can be generated, and the function behind it."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self.emit = emit
        self.stages: list[tuple[str, dict[str, Any]]] = []  # template and its values, the last stage first
        self._function: Callable[[Any], None] | None = None

    def __call__(self, x: Any) -> None:
        """Take an event, unguarded: for who did not ask for `function()`."""
        self.function()(x)

    def function(self) -> Callable[[Any], None]:
        """What takes an event, unguarded."""
        if self._function is None:
            self._function = self._made(_PLAIN, {})
        return self._function

    def guarded(self, failed: Callable[[Any, Exception], None], branch: Any) -> Callable[[Any], None]:
        """What takes an event under the guard of `branch`; its attribute `batch(thing, events)` takes an iterator."""
        return self._made(_GUARDED, {"failed": failed, "branch": branch})

    def _made(self, frame: str, values: dict[str, Any]) -> Callable[..., Any]:
        values = {"emit": self.emit, **values}
        lines: list[str] = []
        for number, (template, named) in enumerate(reversed(self.stages)):
            lines += _NAME.sub(lambda name, n=number: f"{name[0]}_{n}", template).splitlines()  # type: ignore[misc]  # n
            values.update({f"{name}_{number}": value for name, value in named.items()})
        return _function(_text(frame, lines, list(values)))(*values.values())


# The text of a function: BODY stands for the stages, twice where there is a batch.
_PLAIN = """
def make(NAMES):
    def on_next(x):
        BODY return
        emit(x)
    return on_next
"""
_GUARDED = """
def make(NAMES):
    def on_next(x):
        try:
            BODY return
            emit(x)
        except Exception as e:
            failed(branch, e)
    def batch(thing, events):
        for x in events:
            if thing._emit is not on_next:
                thing._emit(x)
                return
            try:
                BODY continue
                emit(x)
            except Exception as e:
                failed(branch, e)
    on_next.batch = batch
    return on_next
"""


def _text(frame: str, stages: list[str], names: list[str]) -> str:
    lines = []
    for line in frame.replace("NAMES", ", ".join(names)).splitlines():
        indent, found, skip = line.partition("BODY ")
        lines += [indent + re.sub(r"\bskip\b", skip, stage) for stage in stages] if found else [line]
    return "\n".join(lines) + "\n"


def _function(text: str) -> Callable[..., Any]:
    if text not in _shapes:
        if len(_shapes) >= _MOST_SHAPES:
            _shapes.clear()
        name = f"<bourn segment {len(_shapes)}>"
        scope: dict[str, Any] = {}
        # Only constants of this file are in the text: templates, frames, and names from the templates with a number.
        # Functions, arguments, states and events are values given to what comes out.
        exec(compile(text, name, "exec"), scope)
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # for a traceback
        _shapes[text] = scope["make"]
    return _shapes[text]


def _template(operator: Any, state: Any) -> tuple[str, dict[str, Any]] | None:
    """An operator's template and the free variables of its closure, or None."""
    function = operator.bind
    if function.__qualname__ == "each.<locals>.<lambda>":
        function = _free(function)["make"]
    elif function.__module__ == "bourn.operators.stage":
        function = type(state)
    module = function.__module__.removeprefix("bourn.operators.")
    name = f"{module} {function.__qualname__}"
    template = TEMPLATES.get(name)
    if template is None:
        return None
    if name in BEGUN and state[0]:
        template = BEGUN[name]
    names = vars(sys.modules[function.__module__])
    return template.strip(), {name: names[name] for name in _NAME.findall(template) if name in names} | _free(function)


def _free(function: Any) -> dict[str, Any]:
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]  # a class has none
    return dict(zip(function.__code__.co_freevars, cells, strict=True)) if cells else {}


def bind(operators: Sequence[Any], states: Sequence[Any], head: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """The three functions before the first of `operators`, as binding one by one gives them, but in segments."""
    emit, complete, fail = head
    for operator, state in zip(reversed(operators), reversed(states), strict=True):
        found = getattr(operator.bind, "__code__", None) and _template(operator, state)
        behind = emit.function() if isinstance(emit, Segment) and not found else emit
        closure, complete, fail = operator.bind(state, behind, complete, fail)
        if not found:
            emit = closure
            continue
        segment = Segment(emit)
        if isinstance(emit, Segment):
            segment.emit = emit.emit
            segment.stages += emit.stages
        values = {**found[1], "state": state, "behind": behind}
        names = sorted(set(_NAME.findall(found[0])) & set(values))
        segment.stages.append((found[0], {name: values[name] for name in names}))
        emit = segment
    return emit, complete, fail
