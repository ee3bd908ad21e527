"""A flow as a picture: a tree of text, or a Mermaid flowchart. What `print(thing)` and `thing.to_mermaid()` load.

Whatever thing of a flow one asks, the picture is that of the whole: from the source, through all that is connected to
it. Numbers are given in the order of connecting, so the same flow is always the same text. Of a `Handover` only what
comes after it can be seen, since it does not know who gives to it.
"""

from bourn.chain import Chain
from bourn.things import OutputThing

_LONGEST = 24  # characters of one argument


class _Graph:
    """Nodes and arrows of one flow, found from any thing in it."""

    def __init__(self, thing):
        self.labels = []
        self.shapes = []  # "source", "operator" or "sink" of each node
        self.arrows = []  # (from, to, whether something flows there by a plain connection)
        self._ends = {}  # id() of a thing or sink: its first and its last node
        self._thing(thing)
        self.arrows.sort()

    def _node(self, label, shape):
        self.labels.append(label)
        self.shapes.append(shape)
        return len(self.labels) - 1

    def _thing(self, thing):
        """Find everything before and after `thing`; its first and last node."""
        if isinstance(thing, Chain):
            source = self._thing(thing._source)[1]  # comes by here itself, where the chain is connected
            if id(thing) not in self._ends:
                waiting = thing._branch is None
                self._chain(thing)
                if waiting:
                    self.arrows.append((source, self._ends[id(thing)][0], False))
        elif id(thing) not in self._ends:
            for before in ("_owner", "_source"):  # of a named port, and of a thing that has them
                if isinstance(getattr(thing, before, None), OutputThing):
                    self._thing(getattr(thing, before))
            if id(thing) not in self._ends:
                self._leaf(thing, _source_label(thing), "source")
                self._branches(thing)
        return self._ends[id(thing)]

    def _leaf(self, thing, label, shape):
        node = self._node(label, shape)
        self._ends[id(thing)] = (node, node)
        return node

    def _chain(self, chain):
        nodes = [self._node(_operator_label(op), "operator") for op in chain._operators]
        self._ends[id(chain)] = (nodes[0], nodes[-1])
        for i in range(1, len(nodes)):
            self.arrows.append((nodes[i - 1], nodes[i], True))
        for i in range(len(nodes)):
            for other in chain._operators[i].args:
                if isinstance(other, OutputThing):  # one that the operator listens to as well
                    self.arrows.append((self._thing(other)[1], nodes[i], False))
        self._branches(chain)

    def _branches(self, thing):
        for _, sink, _ in thing._branches:
            first = self._sink(sink)
            if first is not None:
                self.arrows.append((self._ends[id(thing)][1], first, True))
        ports = getattr(thing, "_ports", {})
        for name in sorted(ports):
            if ports[name] is not thing:
                node = self._leaf(ports[name], "port " + name, "operator")
                self.arrows.append((self._ends[id(thing)][1], node, True))
                self._branches(ports[name])

    def _sink(self, sink):
        """The first node of a sink; None for an operator's ear at another thing, whose arrow the operator draws."""
        if isinstance(getattr(sink, "_chain", None), Chain) and not isinstance(sink, OutputThing):
            self._thing(sink._chain)
            return None
        if isinstance(sink, Chain):
            if id(sink) not in self._ends:
                self._chain(sink)
        elif isinstance(sink, OutputThing):
            self._thing(sink)
        elif id(sink) not in self._ends:
            self._leaf(sink, _name(sink), "sink")
        return self._ends[id(sink)][0]


def _name(x):
    """What a person calls a function, a thing, or a value."""
    if isinstance(x, (int, float, str, bytes, tuple, list, dict, type(None))):
        text = repr(x)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    name = getattr(x, "__name__", None)  # some boards keep none
    if name is None:
        name = type(x).__name__
    return str(name).strip("<>")


def _operator_label(operator):
    names = [_name(arg) for arg in operator.args if not isinstance(arg, OutputThing)]  # an arrow shows the things
    return operator.name + ("(%s)" % ", ".join(names) if names else "")


def _source_label(thing):
    name = getattr(getattr(thing, "sensor", None), "sensor_id", None)
    return type(thing).__name__ + (" " + str(name) if name is not None else "")


def text(thing):
    """The flow as a tree; a node that several lead to has a number, and is drawn once.

    `SensorAsOutputThing t1 → where(hot) → Recorder`
    """
    graph = _Graph(thing)
    count = len(graph.labels)
    behind = [[] for _ in range(count)]
    before = [0] * count
    for start, end, _ in graph.arrows:
        behind[start].append(end)
        before[end] += 1
    drawn = [False] * count
    lines = []

    def label(node):
        again = drawn[node]
        drawn[node] = True
        if before[node] > 1:
            return "[%d]%s" % (node + 1, "" if again else " " + graph.labels[node])
        return ("see " if again else "") + graph.labels[node]

    def draw(node, lead, indent):
        line = label(node)
        after = behind[node]
        while len(after) == 1:
            again = drawn[after[0]]
            line += " → " + label(after[0])
            after = () if again else behind[after[0]]
        lines.append(lead + line)
        for i in range(len(after)):
            last = i == len(after) - 1
            lead, more = ("└─ ", "   ") if last else ("├─ ", "│  ")
            if drawn[after[i]]:
                lines.append(indent + lead + label(after[i]))
            else:
                draw(after[i], indent + lead, indent + more)

    for node in range(count):
        if not before[node]:
            draw(node, "", "")
    for node in range(count):
        if not drawn[node]:  # a circle that nothing leads into
            draw(node, "", "")
    return "\n".join(lines)


_SHAPES = {"source": '(["%s"])', "operator": '["%s"]', "sink": '[["%s"]]'}
_ESCAPES = (("#", "#35;"), ("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;"), ("\n", " "))


def mermaid(thing):
    """The flow as a Mermaid flowchart, which pages that show Markdown draw.

    Dotted arrows are further inputs of an operator, and those that will be there once something is connected.
    """
    graph = _Graph(thing)
    lines = ["flowchart LR"]
    for node in range(len(graph.labels)):
        label = graph.labels[node]
        for character, escape in _ESCAPES:
            label = label.replace(character, escape)
        lines.append("    n%d%s" % (node + 1, _SHAPES[graph.shapes[node]] % label))
    for start, end, plain in graph.arrows:
        lines.append("    n%d %s n%d" % (start + 1, "-->" if plain else "-.->", end + 1))
    return "\n".join(lines)
