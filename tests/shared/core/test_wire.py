# heap: 768k
"""Frames: whatever comes in, cut anywhere, gives frames or a FrameError. The heap is for the longest of them."""

import json
from collections import namedtuple

from bourn import wire
from bourn.wire import ACK, CREDIT, DATA, GAP, HELLO, NACK, PING, PONG, REFUSE, WANT, WELCOME, Decoder, FrameError

EPOCH = "00112233445566ff"
BIG = (1 << 63) - 1

FRAMES = (
    (HELLO, "s1", EPOCH, 1, {"runtime": "micropython 1.25.0"}),
    (WELCOME, EPOCH, 0, 1000, False, "hub1"),
    (WELCOME, EPOCH, BIG, 0, True, "hub1"),
    (DATA, 1, 1700000000000, [["t1", 0, 21.5], ["t1", -10, None], ["t 2", 5, [[1, 2], {"k": 'a"[\\'}]]]),
    (GAP, 3, 17, "full"),
    (ACK, EPOCH, 2),
    (NACK, EPOCH, 1),
    (WANT, 5),
    (CREDIT, 5),
    (PING, 0),
    (PONG, BIG),
    (REFUSE, "shape", "why, in words: ä € [[["),
    (wire.CHALLENGE, "00ff", "4f0c"),
    (wire.PROOF, "ff00"),
)


def refused(function, *arguments):
    """The code of the FrameError that the call raises."""
    try:
        function(*arguments)
    except FrameError as e:
        assert isinstance(e, ValueError) and str(e)
        return e.code
    return None


def header(length, kind=PING, version=wire.VERSION):
    return length.to_bytes(4, "big") + bytes((kind, version))


def frames_in(*chunks):
    decoder, frames = Decoder(), []
    for chunk in chunks:
        frames += decoder.feed(chunk)
    assert decoder.rest == b""
    return frames


# Round trips


def test_every_kind_comes_back_as_it_was():
    for kind, *values in FRAMES:
        ((back, body),) = frames_in(wire.encode(kind, *values))
        assert back == kind
        assert wire.decode(kind, body) == values
    assert {frame[0] for frame in FRAMES} == set(range(HELLO, wire.PROOF + 1))
    assert wire.name_of(HELLO) == "HELLO" and wire.name_of(wire.PROOF) == "PROOF"


def test_the_bytes_of_a_frame():
    assert wire.encode(ACK, "e", 7) == b"\x00\x00\x00\x09\x05\x01" + b'["e",7]'
    assert wire.encode_body(PING, b"[0]") == b"\x00\x00\x00\x05\x09\x01[0]"


def test_more_elements_than_this_version_knows_are_let_be():
    assert wire.decode(ACK, b'["e",1,"more",[2]]') == ["e", 1, "more", [2]]


# Segmentation


def test_frames_cut_anywhere():
    stream = wire.encode(PING, 1) + wire.encode(GAP, 1, 2, "full") + wire.encode(ACK, EPOCH, 3)
    expected = [(PING, b"[1]"), (GAP, b'[1,2,"full"]'), (ACK, b'["' + EPOCH.encode() + b'",3]')]
    assert frames_in(stream) == expected
    assert frames_in(*[stream[i : i + 1] for i in range(len(stream))]) == expected
    for cut in range(len(stream) + 1):
        assert frames_in(stream[:cut], stream[cut:]) == expected
        for second in range(cut, len(stream) + 1, 7):
            assert frames_in(stream[:cut], b"", stream[cut:second], stream[second:]) == expected


def test_a_frame_is_given_with_its_last_byte():
    stream = wire.encode(PING, 1) + wire.encode(PING, 2)
    decoder = Decoder()
    given = []
    for i in range(len(stream)):
        for frame in decoder.feed(stream[i : i + 1]):
            given.append((i, frame))
    assert given == [(len(stream) // 2 - 1, (PING, b"[1]")), (len(stream) - 1, (PING, b"[2]"))]


def test_a_longest_frame_in_pieces():
    frame = wire.encode_body(DATA, b"[" + b" " * (wire.MAX_FRAME - 8) + b"]")
    assert len(frame) == wire.MAX_FRAME
    ((kind, body),) = frames_in(*[frame[i : i + 4096] for i in range(0, len(frame), 4096)])
    assert (kind, len(body)) == (DATA, wire.MAX_FRAME - wire.HEADER)


def test_bytearrays_and_views_are_taken_and_not_kept():
    data = bytearray(wire.encode(PING, 1) + wire.encode(PING, 2)[:-1])
    decoder = Decoder()
    frames = decoder.feed(memoryview(data))
    for i in range(len(data)):
        data[i] = 0
    assert frames == [(PING, b"[1]")]
    assert decoder.feed(bytearray(b"]")) == [(PING, b"[2]")]


# Limits


def test_a_length_that_cannot_be_is_refused_at_once():
    for length in (0, 1, 3, wire.MAX_FRAME - 3, 65537, 1 << 30, (1 << 32) - 1):
        start = length.to_bytes(4, "big")
        decoder = Decoder()
        assert refused(decoder.feed, start) == "too_long", length
        assert decoder.rest == b""
        decoder = Decoder()
        assert decoder.feed(start[:3]) == []
        assert refused(decoder.feed, start[3:]) == "too_long", length
        assert len(decoder.rest) <= 3
        decoder = Decoder()
        assert refused(decoder.feed, wire.encode(PING, 1) + start) == "too_long", length


def test_a_shortest_and_a_longest_length_are_taken():
    for length in (4, wire.MAX_FRAME - 4):
        assert Decoder().feed(header(length)) == []
    assert frames_in(b"\x00\x00\x00\x04\x09\x01[]") == [(PING, b"[]")]


def test_a_decoder_may_have_a_lower_limit():
    frame = wire.encode(REFUSE, "x", "y" * 50)
    assert len(Decoder(len(frame)).feed(frame)) == 1
    assert refused(Decoder(len(frame) - 1).feed, frame) == "too_long"


def test_a_frame_that_would_be_too_long_is_not_made():
    text = "x" * (wire.MAX_FRAME - wire.HEADER - len('["c",""]'))
    assert len(wire.encode(REFUSE, "c", text)) == wire.MAX_FRAME
    assert refused(wire.encode, REFUSE, "c", text + "x") == "too_long"
    assert refused(wire.encode_body, DATA, b" " * (wire.MAX_FRAME - 5)) == "too_long"


def test_the_longest_reading_fits_a_frame():
    name = "n" * wire.MAX_NAME
    text = "x" * (wire.MAX_READING - len(json.dumps((name, BIG, ""))))
    assert len(json.dumps((name, BIG, text))) == wire.MAX_READING
    assert len(wire.encode(DATA, BIG, BIG, [[name, BIG, text]])) <= wire.MAX_FRAME


def test_another_version_is_refused_with_its_header():
    for version in (0, 2, 255):
        decoder = Decoder()
        assert decoder.feed(header(100, version=version)[:5]) == []
        assert refused(decoder.feed, bytes((version,))) == "version"


def test_an_unknown_kind_is_refused_with_its_header():
    for kind in (0, 14, 255):
        assert refused(Decoder().feed, header(100, kind)) == "kind"


# Bodies


def test_what_is_no_json():
    bodies = (b"", b"{", b'["a', b"nul", b"[1]]", b"[\xff]", b'["\xff"]', b"\x00\x00", b"[nan]", b"][", b"-")
    for body in bodies:
        assert refused(wire.decode, PING, body) in ("json", "shape"), body
    assert refused(wire.decode, ACK, b'["e",1') in ("json", None)  # a lax reader closes it: the length has said so
    assert refused(wire.decode, ACK, b'["e,1]') == "json"


def test_every_shape_is_checked():
    for kind, *values in FRAMES:
        for i in range(len(values)):
            short = json.dumps(values[:i]).encode()
            assert refused(wire.decode, kind, short) == "shape", (kind, short)
            for other in ("x", 1, -1, 1.5, True, None, [], {}, 1 << 63):
                fits = {
                    str: lambda v: isinstance(v, str),
                    int: lambda v: type(v) is int and 0 <= v <= BIG,
                    bool: lambda v: type(v) is bool,
                    dict: lambda v: isinstance(v, dict),
                    list: lambda v: isinstance(v, list),
                }[type(values[i])](other)
                changed = values[:i] + [other] + values[i + 1 :]
                body = json.dumps(changed).encode()
                assert refused(wire.decode, kind, body) == (None if fits else "shape"), (kind, body)


def test_a_body_that_is_no_array():
    for body in (b"1", b'"s1"', b"null", b"true", b'{"0":5}'):
        assert refused(wire.decode, PING, body) == "shape", body


def test_integers_of_a_frame_are_within_63_bits():
    assert wire.decode(PING, b"[%d]" % BIG) == [BIG]
    for n in (BIG + 1, 1 << 70, -1, -BIG):
        assert refused(wire.decode, PING, b"[%d]" % n) == "shape", n


# Nesting


def nested(depth, inner=b""):
    return b"[" * depth + inner + b"]" * depth


def test_nesting_is_counted_exactly():
    for depth in (0, 1, 16, 17, 40):
        # so many brackets that it has to look
        assert wire.nesting(b"[" + nested(depth) + b",[]" * 20 + b"]") == depth + 1 if depth else 2
    deep = b"[" + b'{"k":[' * 9 + b"]}" * 9 + b"]"
    assert wire.nesting(deep) == 19
    assert wire.nesting(b"[" + b"[]," * 50 + b"{}]") == 2
    assert wire.nesting(b"[" + b"{}," * 50 + b"[]]") == 2


def test_brackets_in_strings_do_not_count():
    many = b'"' + b"[{" * 20 + b'"'
    for body, depth in (
        (b"[" + many + b"]", 1),
        (b'["\\"' + b"[" * 30 + b'",[1]]', 2),  # an escaped quote does not end the string
        (b'["\\\\",' + nested(18) + b"]", 19),  # an escaped backslash does not escape the quote
        (b'["a\\\\\\"[",' + nested(18) + b"]", 19),
        (b"[" + many + b"," + nested(3, many) + b"," + many + b"]", 4),
    ):
        assert wire.nesting(body) == depth, body


def test_a_nesting_too_deep_is_refused_before_it_is_parsed():
    assert wire.decode(GAP, b'[1,2,"x",[],' + nested(15) + b"]")[4]
    assert refused(wire.decode, GAP, b'[1,2,"x",[],' + nested(16) + b"]") == "nesting"
    assert refused(wire.decode, GAP, b'[1,2,"x",' + nested(20000) + b"]") == "nesting"
    assert refused(wire.decode, GAP, b"[" * 60000) == "nesting"
    assert refused(wire.decode, HELLO, b'["s","e",1,' + b'{"a":' * 16 + b"1" + b"}" * 16 + b"]") == "nesting"
    assert wire.decode(REFUSE, b'["c","' + b"[" * 200 + b'"]') == ["c", "[" * 200]


# Names


def test_names_of_sources():
    for name in ("a", "s1", "A-Z_0.9", "_x", "9", "x" * 64):
        assert wire.source_ok(name), name
    for name in ("", "x" * 65, ".a", "-a", "..", "a/b", "a:b", "a b", "ä", "a\n", "a\0", "²", None, 5, b"a", ["a"]):
        assert not wire.source_ok(name), name


def test_names_of_sensors():
    for name in ("a", "room 1/temp:x", ".a", "-a", "/", "x" * 64, "a "):
        assert wire.sensor_ok(name), name
    for name in ("", " a", "x" * 65, "a\tb", "a,b", 'a"', "a'b", "ä", "a\\b", "a\n", "\u0661", None, 5, b"a"):
        assert not wire.sensor_ok(name), name


# Values


def in_lists(val, depth):
    for _ in range(depth):
        val = [val]
    return val


def in_objects(val, depth):
    for _ in range(depth):
        val = {"k": val}
    return val


def test_values_that_every_reader_takes():
    for val in (
        None,
        True,
        0,
        -1,
        BIG,
        -BIG - 1,
        0.0,
        -1.5,
        1e300,
        "",
        "x[",
        "ä €",
        "\U0001f321",
        "\ud7ff\ue000",
        [],
        (1, [2, "x"]),
        {},
        {"a": {"b": [None]}},
        in_lists(1, 13),
        in_objects(1, 13),
        [in_objects([1], 11)],
    ):
        wire.check_value(val)
        body = json.dumps(("s", 0, val)).encode()
        assert wire.nesting(b"[1,0,[" + body + b"]]") <= wire.MAX_NESTING
        json.loads(body)


def test_values_that_some_reader_would_not_take():
    reading = namedtuple("reading", ("a", "b"))
    for val in (
        float("nan"),
        float("inf"),
        -float("inf"),
        BIG + 1,
        -BIG - 2,
        1 << 100,
        b"bytes",
        bytearray(1),
        {1, 2},
        object(),
        len,
        1j,
        {1: 2},
        {None: 1},
        {"a": {b"b": 1}},
        in_lists(1, 14),
        in_objects(1, 14),
        [1, [2, float("nan")]],
        (1, (BIG + 1,)),
        {"k": [b"x"]},
        reading(1, 2),  # a board would write it as its repr
        [reading(1, 2)],
        "\ud800",  # half of a surrogate pair
        ["x\udfff"],
        {"\udc00": 1},
    ):
        try:
            wire.check_value(val)
        except ValueError as e:
            assert not isinstance(e, FrameError) and str(e)
        else:
            raise AssertionError(repr(val))


# Garbage


class Generator:
    """Pseudo-random numbers, the same on every interpreter."""

    def __init__(self, seed):
        self.state = seed * 2654435761 % 4294967296 or 1

    def below(self, n):
        self.state ^= self.state << 13 & 0xFFFFFFFF
        self.state ^= self.state >> 17
        self.state ^= self.state << 5 & 0xFFFFFFFF
        return self.state % n

    def bytes(self, n):
        return bytes([self.below(256) for _ in range(n)])


def take(decoder, data):
    """Feed and decode; False when the stream was refused."""
    try:
        for kind, body in decoder.feed(data):
            wire.decode(kind, body)
    except FrameError as e:
        assert e.code in ("too_long", "version", "kind", "json", "nesting", "shape")
        return False
    return True


def test_garbage_raises_frame_errors_only():
    good = b"".join([wire.encode(*frame) for frame in FRAMES])
    pieces = b'[ ] { } " \\ : , 1 - e null \xff \xed\xa0\x80'.split(b" ") + [b" "]
    refusals = 0
    for seed in range(300):
        g = Generator(seed)
        what = seed % 4
        if what == 0:
            data = g.bytes(g.below(40))
        elif what == 1:  # a good stream with some bytes changed
            data = bytearray(good)
            for _ in range(1 + g.below(4)):
                data[g.below(len(data))] = g.below(256)
        elif what == 2:  # a good stream, cut out
            at = g.below(len(good))
            data = good[:at] + good[at + 1 + g.below(5) :]
        else:  # a good header with a body made of pieces of JSON
            body = b"[" + b"".join([pieces[g.below(len(pieces))] for _ in range(g.below(40))])
            data = wire.encode_body(1 + g.below(11), body + b"]" * g.below(3))
        decoder = Decoder()
        at = 0
        try:
            while at < len(data):
                step = 1 + g.below(60)
                if not take(decoder, data[at : at + step]):
                    refusals += 1
                    break
                at += step
                assert len(decoder.rest) < wire.MAX_FRAME
        except Exception:
            print("seed", seed, bytes(data))
            raise
    assert refusals > 100
