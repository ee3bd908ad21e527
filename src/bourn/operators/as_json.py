"""Events as lines of JSON, and back."""

import json

from bourn.operators.stateless import map


def to_json():
    """Emit each event as JSON, a SensorEvent as the array [sensor_id, ts, val].

    ValueError for a number that JSON does not have (NaN, infinity), TypeError for an object.

    >>> marbles("-1-|", to_json(), "-a-|", values={"a": "1"})
    """

    def encode(x):
        _check(x)
        return json.dumps(list(x) if isinstance(x, tuple) else x)  # MicroPython writes a named tuple as no JSON at all

    operator = map(encode)
    operator.name, operator.args = "to_json", ()
    return operator


def from_json(constructor=None):
    """Emit what the JSON in each event, a string, says; with a `constructor` what it makes of the array's elements.

    ValueError for what is no JSON; MicroPython lets some of it pass (text that was cut short, before 1.28).

    >>> marbles("-1-|", [to_json(), from_json()], "-1-|")
    """

    def decode(x):
        x = json.loads(x)
        return x if constructor is None else constructor(*x)

    operator = map(decode)
    operator.name, operator.args = "from_json", ()
    return operator


def _check(x):
    if isinstance(x, float):
        if x - x != 0:
            raise ValueError("JSON has no %r" % (x,))
    elif isinstance(x, dict):
        for key in x:
            _check(x[key])
    elif isinstance(x, (list, tuple)):
        for one in x:
            _check(one)
