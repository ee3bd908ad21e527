"""Frames of readings, decoded: the fast way and the patient way agree, and nothing bad takes its neighbours with it."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bourn import wire
from bourn.hub import decode
from bourn.hub.decode import decode_data, deeper_than, poison_reason

FULL = settings(max_examples=300, deadline=None)

NAMES = st.text("abcXYZ0189_.-:/ ", min_size=1, max_size=64).filter(wire.sensor_ok)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
READINGS = st.tuples(NAMES, st.integers(-(2**40), 2**40), VALUES)
# Whatever a writer of JSON may choose: \u escapes or not, blanks or not.
STYLES = st.sampled_from(
    [{"separators": (",", ":")}, {"ensure_ascii": False}, {"indent": 1}, {"ensure_ascii": False, "indent": "\t"}]
)

# As JSON text, since most of these cannot be said otherwise; each is a whole value that no store takes.
POISONS = [
    "9223372036854775808",
    "-9223372036854775809",
    "1" + "0" * 400,
    "1" + "0" * 5000,  # longer than Python turns into an integer
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "-Infinity",
    '"\\ud800"',
    '"x\\udfffy"',
    "[1,2,1e999]",
    '{"a":[NaN]}',
    '{"\\udc00":1}',
]
# A whole reading of the wrong shape.
MISSHAPED = [
    "1",
    "null",
    '"s"',
    "{}",
    "[]",
    '["s",0]',
    '["s",0,1,2]',
    "[1,0,1]",
    '["s",0.5,1]',
    '["s",true,1]',
    '["s",null,1]',
    '["s",1e999,1]',
    '["s",9223372036854775807,1]',
    '["",0,1]',
    '["../s",0,"\\ud800"]',
    '["a;b",0,1]',
    '["' + "s" * 65 + '",0,1]',
    '[["s"],0,1]',
    '["s","0",1]',
]


def frame(first: int, t0: int, readings: list[Any], style: dict[str, Any] | None = None) -> bytes:
    """A DATA body; readings are lists, or the JSON text of one."""
    parts = [one if isinstance(one, str) else json.dumps(one, **(style or {})) for one in readings]
    return f"[{first},{t0},[{','.join(parts)}]]".encode()


def exactly(rows: Any) -> str:
    """What tells 1 from 1.0 and True, and -0.0 from 0.0."""
    return repr(rows)


@FULL
@given(st.integers(1, 2**62), st.integers(-(2**50), 2**50), st.lists(READINGS, min_size=1, max_size=20), STYLES)
def test_both_ways_of_decoding_agree(first: int, t0: int, readings: list[Any], style: dict[str, Any]) -> None:
    body = frame(first, t0, readings, style)
    expected = [(first + i, sensor, t0 + dt, val) for i, (sensor, dt, val) in enumerate(readings)]
    got_first, rows, suspicious = decode_data(body)
    assert (got_first, exactly(rows)) == (first, exactly(expected))
    assert not [reason for row in rows if (reason := poison_reason(*row[1:]))]
    nested = [val for _, _, val in readings if isinstance(val, (list, dict))]
    assert suspicious <= bool(nested or [v for _, _, v in readings if v == -(2**63)]), "what is plain needs no look"
    patient_first, patient = decode._decode_patiently(body)
    assert (patient_first, exactly(patient)) == (first, exactly(expected))


@FULL
@given(st.data())
def test_a_poisoned_reading_is_told_apart_and_its_neighbours_are_kept(data: st.DataObject) -> None:
    good = data.draw(st.lists(READINGS, min_size=0, max_size=6), label="good")
    texts = data.draw(
        st.lists(
            st.sampled_from(POISONS).map(lambda val: f'["s",5,{val}]') | st.sampled_from(MISSHAPED),
            min_size=1,
            max_size=4,
        ),
        label="bad",
    )
    mixed = data.draw(st.permutations([*good, *texts]), label="mixed")
    first = data.draw(st.integers(1, 1000), label="first")
    _, rows, suspicious = decode_data(frame(first, 1000, mixed))
    assert suspicious
    assert [seq for seq, *_ in rows] == list(range(first, first + len(mixed)))
    for row, sent in zip(rows, mixed, strict=True):
        reason = poison_reason(*row[1:])
        if isinstance(sent, str):
            assert reason, f"{sent[:80]} would be stored as {row}"
        else:
            assert reason is None
            assert exactly(row[1:]) == exactly((sent[0], 1000 + sent[1], sent[2]))


@pytest.mark.parametrize("val", POISONS, ids=lambda v: v[:30])
def test_every_poison_alone(val: str) -> None:
    _, rows, suspicious = decode_data(frame(1, 0, [f'["s",0,{val}]']))
    assert suspicious
    assert poison_reason(*rows[0][1:])


@FULL
@given(st.binary(max_size=300))
@example(b"")
@example(b"[]")
@example(b"[1,0,[]]")
@example(b"[1,0,{}]")
@example(b'[0,0,[["s",0,1]]]')
@example(b'[-1,0,[["s",0,1]]]')
@example(b'[1.5,0,[["s",0,1]]]')
@example(b'[true,0,[["s",0,1]]]')
@example(b'[9223372036854775807,0,[["s",0,1]]]')
@example(b'[1,0,[["s",0,1]]')
@example(b'{"first":1}')
@example(b"\xff\xfe\x00")
def test_garbage_is_only_ever_a_frame_error(body: bytes) -> None:
    with pytest.raises(wire.FrameError) as e:
        decode_data(body)
    assert e.value.code in {"json", "shape", "nesting"}


@FULL
@given(st.data())
def test_a_damaged_frame_is_a_frame_error_or_readings(data: st.DataObject) -> None:
    """Some bytes of a good frame are changed, lost or added: whatever still comes out can be judged one by one."""
    readings = data.draw(st.lists(READINGS, min_size=1, max_size=5))
    body = bytearray(frame(1, 1000, readings, data.draw(STYLES)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"[", b"]", b"\\", b'"', b"9" * 30, b"e999"])
        )
    try:
        first, rows, suspicious = decode_data(bytes(body))
    except wire.FrameError:
        return
    assert [row[0] for row in rows] == list(range(first, first + len(rows)))
    for row in rows:
        reason = poison_reason(*row[1:])
        assert suspicious or reason is None
        if reason is None:
            json.dumps(row[1:], allow_nan=False, ensure_ascii=False).encode()


def test_later_versions_may_add_elements_to_a_frame() -> None:
    first, rows, _ = decode_data(b'[7,1000,[["s",1,2],["s",2,3]],{"more":true},5]')
    assert (first, rows) == (7, [(7, "s", 1001, 2), (8, "s", 1002, 3)])


# What brackets inside of strings can do to a count of brackets.
TRICKY = st.text(st.sampled_from('[]{}"\\ a'), max_size=8)
NESTED = st.recursive(
    st.just(0) | TRICKY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=2),
    max_leaves=40,
)


def wrap(value: Any, depth: int, before: str, after: str) -> Any:
    """`value` inside of `depth` arrays and objects, between two strings in each."""
    for i in range(depth):
        value = [before, value, after] if i % 3 else {"k" + before: value, after: 0}
    return value


def depth_of(value: Any) -> int:
    """How deep `value` is nested, the plain way."""
    if isinstance(value, list):
        return 1 + max([depth_of(item) for item in value], default=0)
    if isinstance(value, dict):
        return 1 + max([depth_of(item) for item in value.values()], default=0)
    return 0


@FULL
@given(NESTED, st.integers(0, 24), TRICKY, TRICKY, STYLES)
@example(0, 20, "]", "[", {"separators": (",", ":")})
@example(0, 20, '"]', "[", {"separators": (",", ":")})
@example(0, 20, "\\]", "\\\\[", {"separators": (",", ":")})
@example(0, 5, "[[[[[[[[[[[[[[[[[[[[[[[", "]", {"separators": (",", ":")})
def test_the_fast_count_of_nesting_is_the_slow_one(
    value: Any, depth: int, before: str, after: str, style: dict[str, Any]
) -> None:
    whole = wrap(value, depth, before, after)
    body = json.dumps([whole, [0, [0]], [[]] * 20], **style).encode()  # so many brackets that they are counted
    depth = 1 + max(depth_of(whole), 2)
    assert wire.nesting(body) == depth
    assert deeper_than(body, wire.MAX_NESTING) == (depth > wire.MAX_NESTING)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ('"]",', ',"["'),
        ('"]"   ,', ',"","["'),
        ('"\\"]",', ',"["'),
        ('"\\\\","]",', ',"[\\\\"'),
        ('"[",', ""),
    ],
)
@pytest.mark.parametrize("depth", [17, 100, 3000])
def test_no_string_hides_how_deep_a_frame_is(depth: int, before: str, after: str) -> None:
    body = frame(1, 0, ['["s",0,' + ("[" + before) * depth + "1" + (after + "]") * depth + "]"])
    with pytest.raises(wire.FrameError) as e:
        decode_data(body)
    assert e.value.code == "nesting"


def test_names_are_remembered_within_a_bound() -> None:
    for i in range(2 * decode._MAX_NAMES):
        decode_data(frame(1, 0, [[f"n{i}", 0, 1]]))
    assert len(decode._names) <= decode._MAX_NAMES + 1


def test_poison_is_said_in_words() -> None:
    assert "sensor" in (poison_reason("no;", 0, 1) or "")
    assert "time" in (poison_reason("s", 2**63, 1) or "")
    assert "64 bits" in (poison_reason("s", 0, 2**63) or "")
    assert "nan" in (poison_reason("s", 0, math.nan) or "")
    assert poison_reason("s", 0, -(2**63)) is None
