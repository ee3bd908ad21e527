"""Frames on a byte stream: bytes in, frames out, and back; no I/O. The format is described in docs/formats.md.

    u32 length (big-endian, of all that follows) | u8 type | u8 version | JSON array (UTF-8)

Who says what (S = sender, H = hub):

    S  HELLO   [source, epoch, oldest, about]    opens a link, or turns it to the next epoch; `about` is an object
    H  WELCOME [epoch, last, window, shared, hub]  `last` is on disk; `shared`: credit is asked for, see WANT
    S  DATA    [first, t0, [[sensor, dt, val], ...]]  readings first, first+1, ...; ts = t0 + dt, ms since 1970 UTC
    S  GAP     [first, last, reason]             these will never come
    H  ACK     [epoch, last]                     everything up to `last` is on disk here
    H  NACK    [epoch, expected]                 a hole: go on from `expected`
    S  WANT    [n]                               n readings wait for credit
    H  CREDIT  [n]                               n more readings may be sent; from the sender: n given back unused
    both PING [n], PONG [n]                      still there? a hub's PONG is [n, its time in ms since 1970]
    H  REFUSE  [code, text]                      why the hub closes this link now
    H  CHALLENGE [nonce, hub]                    before WELCOME: prove that you are who HELLO says
    S  PROOF   [proof]                           the answer, see proof.py

Each limit below is checked before anything of that size is allocated.
"""

import json

from bourn._compat import const

HELLO = const(1)
WELCOME = const(2)
DATA = const(3)
GAP = const(4)
ACK = const(5)
NACK = const(6)
WANT = const(7)
CREDIT = const(8)
PING = const(9)
PONG = const(10)
REFUSE = const(11)
CHALLENGE = const(12)
PROOF = const(13)

VERSION = const(1)
HEADER = const(6)  # bytes before the body

# One frame never needs more memory than this on either side, headers included.
MAX_FRAME = const(65536)
# One reading as JSON; what a frame adds around a single reading is less than the difference.
MAX_READING = const(MAX_FRAME - 256)
# Arrays in arrays, counted over the whole body: 3 of a DATA frame and 13 inside a value.
MAX_NESTING = const(16)
MAX_NAME = const(64)  # characters of a source's or sensor's name
MAX_INTEGER = (1 << 63) - 1  # what SQL stores and every JSON reader takes

# What each body holds: s string, i integer >= 0, b boolean, d object, a array. More elements may follow: they are
# for later versions and ignored.
# One text for all kinds, five places each: on a board a table of small ones takes six times as much.
_SHAPES = "     ssid siibsiia  iis  si   si   i    i    i    i    ss   ss   s    "
_KINDS = {"s": str, "i": int, "b": bool, "d": dict, "a": (list, tuple)}


def name_of(kind):
    """What the frames of this kind are called."""
    names = "HELLO WELCOME DATA GAP ACK NACK WANT CREDIT PING PONG REFUSE CHALLENGE PROOF"
    return names.split()[kind - 1]


class FrameError(ValueError):
    """What came is not a frame of this protocol; `code` is one short word, for counting and for REFUSE."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def encode(kind, *values):
    """The bytes of one frame. Values are JSON values; FrameError("too_long") when it would exceed MAX_FRAME."""
    return encode_body(kind, json.dumps(values, separators=(",", ":")).encode())


def encode_body(kind, body):
    """The bytes of one frame whose body (a JSON array, as bytes) is already encoded."""
    length = len(body) + 2
    if length + 4 > MAX_FRAME:
        raise FrameError("too_long", "a %s frame of %d bytes; the limit is %d" % (name_of(kind), length + 4, MAX_FRAME))
    return length.to_bytes(4, "big") + bytes((kind, VERSION)) + body


def decode(kind, body):
    """The values of a frame's body, checked against the shape of its kind; FrameError otherwise."""
    if nesting(body) > MAX_NESTING:
        raise FrameError("nesting", "arrays nested deeper than %d" % MAX_NESTING)
    try:
        values = json.loads(body)
    except (ValueError, RuntimeError) as e:  # RuntimeError: CPython's RecursionError
        raise FrameError("json", "the body of a %s frame is not JSON: %s" % (name_of(kind), e))
    check_shape(kind, values)
    return values


def check_shape(kind, values):
    """FrameError unless `values` begins with what a frame of this kind holds."""
    shape = _SHAPES[5 * kind : 5 * kind + 5].strip()
    ok = isinstance(values, (list, tuple)) and len(values) >= len(shape)
    if ok:
        for i in range(len(shape)):
            value = values[i]
            ok = ok and isinstance(value, _KINDS[shape[i]])
            if shape[i] == "i":
                ok = ok and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER
    if not ok:
        raise FrameError("shape", "a %s frame does not hold what it should" % name_of(kind))


def nesting(body):
    """How deep arrays and objects are nested in `body` (JSON as bytes), by brackets outside of strings."""
    if body.count(b"[") + body.count(b"{") <= MAX_NESTING:
        return 0  # it cannot be deeper than that, so there is no need to look
    depth = deepest = 0
    quoted = escaped = False
    for c in body:
        if quoted:
            if escaped:
                escaped = False
            elif c == 92:  # backslash
                escaped = True
            elif c == 34:  # quote
                quoted = False
        elif c == 34:
            quoted = True
        elif c == 91 or c == 123:  # [ {
            depth += 1
            deepest = max(deepest, depth)
        elif c == 93 or c == 125:  # ] }
            depth -= 1
    return deepest


def _check_name(name, first, others):
    ok = isinstance(name, str) and 0 < len(name) <= MAX_NAME
    if ok:
        for c in name:
            # letters and digits by code: a board's str has no isalnum
            ok = ok and ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in others)
        ok = ok and name[0] not in first
    return ok


def source_ok(name):
    """True if `name` may name a source: 1 to 64 of A-Z a-z 0-9 _ . - and no dot or dash at the front."""
    return _check_name(name, ".-", "_.-")


def sensor_ok(name):
    """True if `name` may name a sensor: 1 to 64 of A-Z a-z 0-9 _ . - : / and space, beginning with no space."""
    return _check_name(name, " ", "_.-:/ ")


def check_value(val, depth=MAX_NESTING - 3):
    """ValueError, saying why, unless `val` is a JSON value that every reader of the stream can take.

    Integers are within 64 bits, floats finite, keys strings, and arrays nested at most `depth` deep.
    """
    if val is None or isinstance(val, bool):
        return
    if isinstance(val, str):
        _check_text(val.encode())  # CPython's encode refuses what the check is for, by a ValueError as well
    elif isinstance(val, int):
        if not -MAX_INTEGER - 1 <= val <= MAX_INTEGER:
            raise ValueError("an integer of more than 64 bits cannot be stored")
    elif isinstance(val, float):
        if val - val != 0.0:
            raise ValueError("%s is no JSON value; leave the reading out or use None" % val)
    elif isinstance(val, (list, dict)) or type(val) is tuple:  # a named one would become its repr on a board
        if not depth:
            raise ValueError("a value nested deeper than %d" % (MAX_NESTING - 3))
        for item in val:
            if isinstance(val, dict):
                if not isinstance(item, str):
                    raise ValueError("the keys of an object must be strings, not %r" % (item,))
                _check_text(item.encode())
                item = val[item]
            check_value(item, depth - 1)
    else:
        raise ValueError("%s is no JSON value" % type(val).__name__)


def _check_text(data):
    at = data.find(b"\xed")
    while at >= 0:
        if data[at + 1] >= 0xA0:
            raise ValueError("half of a surrogate pair is no text")
        at = data.find(b"\xed", at + 1)


class Decoder:
    """Cuts a byte stream into frames, however it was segmented; holds at most one unfinished frame."""

    def __init__(self, max_frame=MAX_FRAME):
        self._max = max_frame
        self.rest = b""  # the beginning of a frame that waits for its end

    def feed(self, data):
        """All frames that `data` completes, as a list of (kind, body).

        FrameError on the first byte that cannot be right. After an error the stream has no meaning any more: close it.
        """
        buffer = self.rest + data if self.rest else data
        frames = []
        at = 0
        size = len(buffer)
        while size - at >= 4:
            length = int.from_bytes(buffer[at : at + 4], "big")
            if not 4 <= length <= self._max - 4:
                raise FrameError("too_long", "a frame of %d bytes; 8 to %d are allowed" % (length + 4, self._max))
            if size - at >= HEADER:
                if buffer[at + 5] != VERSION:
                    raise FrameError("version", "frame version %d; this end speaks %d" % (buffer[at + 5], VERSION))
                if not HELLO <= buffer[at + 4] <= PROOF:
                    raise FrameError("kind", "a frame of unknown kind %d" % buffer[at + 4])
            end = at + 4 + length
            if size < end:
                break
            frames.append((buffer[at + 4], bytes(buffer[at + HEADER : end])))
            at = end
        self.rest = bytes(buffer[at:])
        return frames
