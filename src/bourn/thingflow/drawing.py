"""Prints what is connected to a thing, and what passes, in ThingFlow's format.

`connection` is what `thing.__connections__` holds: {port: [connections]}.
"""

from __future__ import annotations


def _open_connections(thing):
    return [(port, one) for port, some in getattr(thing, "__connections__", {}).items() for one in some]


def print_downstream(thing):
    """Print every path from `thing`, one a line."""

    def walk(path, thing):
        connections = _open_connections(thing)
        if not connections:
            print(path)
        for port, one in connections:
            arrow = "=>" if port == one.input_port == "default" else f"[{port}]=>[{one.input_port}]"
            walk(f"{path} {arrow} {one.input_thing}", one.input_thing)

    print(f"***** Dump of all paths from {thing} *****")
    walk(f"  {thing}", thing)
    print("*" * (12 + len(str(thing))))


def _label(thing, port):
    return f"{thing}.{port}" if port != "default" else str(thing)


def _trace(thing, port, connection):
    """Let this connection print what passes it."""
    on_next, on_error, on_completed = connection.on_next, connection.on_error, connection.on_completed

    def say(what):
        source = _label(thing, port)
        print(f"  {source} => {what} => {_label(connection.input_thing, connection.input_port)}")

    def traced_next(x):
        say(f"({x})")
        on_next(x)

    def traced_error(e):
        say(f"on_error({e})")
        on_error(e)

    def traced_completed():
        say("on_completed")
        on_completed()

    connection.on_next, connection.on_error, connection.on_completed = traced_next, traced_error, traced_completed


def trace_downstream(thing):
    """Print each event of `thing` and of the things after it, from now on."""

    def walk(thing):
        for port, one in _open_connections(thing):
            walk(one.input_thing)
            _trace(thing, port, one)
            thing._port(port).bind_anew()

    walk(thing)
    print(f"***** installed tracing in all paths starting from {thing}")


def print_connections(thing):
    """Print the connections of `thing`, by port."""
    header = f"***** InputThings for {thing} *****"
    print(header)
    for port in sorted(thing.__connections__):
        print(f"  Port {port}")
        for one in thing.__connections__[port]:
            print(f"    [{one.input_port}] => {one.input_thing}")
            print(f"      on_next: {one.on_next}")
            print(f"      on_completed: {one.on_completed}")
            print(f"      on_error: {one.on_error}")
    print("*" * len(header))
