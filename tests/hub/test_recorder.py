"""End to end: what was played is stored in a real S3 server, byte for byte, and nothing is left here."""

import ctypes.util
import itertools
import json
import os
import random
import subprocess
import sys
import time
import wave
from pathlib import Path

import boto3
import pytest
from processes import micropython
from recordings import joined, sha256, source_bytes
from s3_stub import S3Stub
from servers import missing

from bourn.cli import main
from bourn.hub.recorder.form import raw
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.store import Failure, ObjectStore
from bourn.hub.recorder.uploader import Rules

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def bourn(folder, *args, timeout=60, stdin=None):
    return subprocess.run(
        [sys.executable, "-m", "bourn.cli", *args],
        cwd=folder,
        env={**ENV, **{k: v for k, v in os.environ.items() if k.startswith(("AWS_", "ALSA_"))}},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=stdin,
    )


def objects_of(address, prefix):
    s3 = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
    found = s3.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
    return {one["Key"]: s3.get_object(Bucket="bucket", Key=one["Key"])["Body"].read() for one in found}


def run_here(*args):
    """The command's exit status, without a process of its own."""
    with pytest.raises(SystemExit) as end:
        main(list(args))
    return end.value.code


def write_wav(path, rate, frames, seed):
    data = source_bytes(0, frames, 4, seed)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(data)
    return data


def test_a_wav_file_goes_to_a_real_s3_server_byte_for_byte(tmp_path, s3, seed):
    data = write_wav(tmp_path / "in.wav", 8000, 8000 * 5 + 123, seed)
    done = bourn(
        tmp_path, "record", "--from", "wav:in.wav", "--speed", "20", "--file", "1s", "--name", "hall",
        "--folder", "rec", "--to", f"s3://bucket/e2e-{seed}?endpoint={s3}", "--linger", "30",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = objects_of(s3, f"e2e-{seed}/")
    assert len(stored) == 6 and all(name.startswith(f"e2e-{seed}/hall/20") for name in stored)
    assert joined(stored) == data
    assert [name for name in os.listdir(tmp_path / "rec") if name.startswith("hall")] == []

    status = bourn(tmp_path, "record", "status", "--folder", "rec", "--json")
    told = json.loads(status.stdout)
    assert told["states"] == {"deleted": {"files": 6, "bytes": told["states"]["deleted"]["bytes"]}}
    assert told["live"]["recorded"] == 40123 and told["live"]["lost"] == 0
    listed = bourn(tmp_path, "record", "export", "--folder", "rec")
    files = json.loads(listed.stdout)["files"]
    assert [(one["first"], one["end"]) for one in files][-1] == (40000, 40123)
    assert {one["remote"] for one in files} == {name.split("/", 1)[1] for name in stored}
    assert (
        json.loads(bourn(tmp_path, "record", "export", "--folder", "rec", "--until", "2001-01-01").stdout)["files"]
        == []
    )


def test_what_a_command_prints_continues_the_numbers_of_before(tmp_path, s3, seed):
    for _ in range(2):
        done = bourn(
            tmp_path, "record", "--from", f"command:{sys.executable} -c \"print('x' * 9999)\"", "--frame-bytes", "100",
            "--file", "30", "--folder", "rec", "--to", f"s3://bucket/cmd-{seed}?endpoint={s3}", "--linger", "30",
            "--archive", "zip",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    stored = objects_of(s3, f"cmd-{seed}/")
    assert joined(stored) == (b"x" * 9999 + b"\n") * 2


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_the_example_for_boards_uploads_every_reading_once(tmp_path, interpreter, seed):
    """The worker's pattern with our threading and queue, against a server that fails half of the time."""
    program = sys.executable if interpreter == "cpython" else micropython()
    path = {"PYTHONPATH": str(ROOT / "src"), "MICROPYPATH": f"{ROOT / 'src'}:{ROOT / 'stdlib'}:.frozen"}
    rng = random.Random(seed)
    faults = ["500", "reset", "lost-answer", "truncate", "403"]
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "0000-00000000.part").write_bytes(b"from before\n")
    state = {"faults": 0, "calm": 0}

    def fault(method, name):
        """Two of five requests fail, but after three in a row a segment gets through: pauses double with each."""
        state["calm"] = max(0, state["calm"] - 1)
        if state["calm"] or rng.random() >= 0.4:
            state["faults"] = 0
            return None
        state["faults"] += 1
        if state["faults"] == 3:
            state["faults"], state["calm"] = 0, 3
        return rng.choice(faults)

    with S3Stub(fault) as stub:
        done = subprocess.run(
            [program, str(ROOT / "examples" / "record_and_put.py"), f"{stub.address}/bucket/d1", "1050"],
            cwd=tmp_path, env={**os.environ, **path}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout.endswith("recorded 1050, sent 12 segments, dropped 0\n"), done.stdout + done.stderr
        stored = {name: found.data for name, found in sorted(stub.objects.items())}
    before = stored.pop("bucket/d1/0000-00000000.jsonl")
    assert before == b"from before\n" and os.listdir(tmp_path / "segments") == []
    assert [name.rsplit("-", 1)[1] for name in stored] == [f"{n:08}.jsonl" for n in range(0, 1050, 100)]
    lines = [json.loads(line) for data in stored.values() for line in data.splitlines()]
    assert len(lines) == 1050 and {line[0] for line in lines} == {"noise"}
    times = [line[1] for line in lines]
    assert times == sorted(times)


def test_a_real_server_takes_parts_and_says_what_does_not_exist(tmp_path, s3, seed):
    data = source_bytes(0, 20_000_000, 1, seed)
    (tmp_path / "large").write_bytes(data)
    store = ObjectStore(f"s3://bucket/parts-{seed}?endpoint={s3}")
    paced = []
    etag = store.upload(str(tmp_path / "large"), "n/large", paced.append, sha256(data), False)
    assert etag.strip('"').endswith("-3") and paced == [8 << 20, 8 << 20, 20_000_000 - (16 << 20)]
    assert objects_of(s3, f"parts-{seed}/") == {f"parts-{seed}/n/large": data}
    assert store.upload(str(tmp_path / "large"), "n/large", paced.append, sha256(data), True) == etag  # reads back
    nowhere = ObjectStore(f"s3://no-such-bucket/p?endpoint={s3}")
    with pytest.raises(Failure) as wrong:
        nowhere.upload(str(tmp_path / "large"), "n/large", paced.append, sha256(data), False)
    assert wrong.value.permanent
    with pytest.raises(Failure) as gone:
        ObjectStore("s3://bucket/p?endpoint=http://127.0.0.1:9").upload(
            str(tmp_path / "large"), "n/large", paced.append, sha256(data), False
        )
    assert not gone.value.permanent and not gone.value.alone


def test_retry_wakes_a_recorder_that_waits_for_an_hour(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    class Store:
        allowed, calls = False, 0

        def upload(self, *_):
            Store.calls += 1
            if not Store.allowed:
                raise Failure("403 Forbidden", permanent=True)

    recording = Recording("rec", Settings("n", raw(1), 10, rules=Rules(archive=".plain")), Store())
    recording.start()
    recording.recorder.write(b"0123456789" * 3)
    until = time.monotonic() + 20
    while not recording.catalogue.meta("pause"):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert run_here("record", "status", "--folder", "rec") == 0
    said = capsys.readouterr().out
    assert "cannot be mended by waiting" in said and "403 Forbidden" in said
    assert run_here("record", "list", "--folder", "rec") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    Store.allowed = True
    assert run_here("record", "retry", "--folder", "rec") == 0
    until = time.monotonic() + 20
    while recording.catalogue.counts().keys() != {"deleted"}:
        assert time.monotonic() < until, recording.catalogue.counts()
        time.sleep(0.01)
    assert recording.close(5) and Store.calls == 4


def test_a_microphone_faster_than_the_disk_loses_nothing_unsaid(tmp_path, monkeypatch):
    """ALSA's null device gives silence as fast as it is taken: what finds the ten seconds held full is a gap."""
    if ctypes.util.find_library("portaudio") is None:
        missing("PortAudio")
    (tmp_path / "asound").write_text("pcm.!default { type null }\nctl.!default { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound"))
    done = bourn(tmp_path, "record", "--from", "mic:", "--rate", "8000", "--file", "10s", "--for", "1s", "--quiet")
    assert done.returncode == 0, done.stderr
    told = json.loads(bourn(tmp_path, "record", "export").stdout)
    ranges = sorted((one["first"], one["end"]) for one in told["files"] + told["gaps"])
    assert ranges[0][0] == 0 and all(one[1] == two[0] for one, two in itertools.pairwise(ranges))
    assert sum(one["end"] - one["first"] for one in told["files"]) >= 8000
    assert {one["reason"] for one in told["gaps"]} <= {"overflow"}


def test_a_wrong_option_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for args, said in (
        (("--from", "wav:none.wav"), "none.wav cannot be read"),
        (("--from", "raw:none"), "--frame-bytes"),
        (("--from", "tape:"), "wav:FILE"),
        (("--from", "wav:none.wav", "--policy", "never"), "drop_oldest"),
        (("--from", "stdin:", "--rate", "9", "--to", "ftp://host"), "s3://BUCKET"),
        (("--from", "stdin:", "--rate", "9", "--name", "../x"), "cannot be called"),
    ):
        assert run_here("record", "--folder", "rec", *args) == 2
        assert said in capsys.readouterr().err, args
    (tmp_path / "lines").write_text("1\n2\n3\n")
    asked = ("record", "--from", "raw:lines", "--lines", "--speed", "0", "--file", "2")
    assert run_here(*asked, "--folder", "ring") == 0, "nothing waits where nothing is uploaded"
    assert capsys.readouterr().err == ""
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "recording").write_text("no folder")
    run_here(*asked, "--folder", "stuck", "--to", "file:away", "--linger", "200ms")
    said = capsys.readouterr().err
    assert "some recordings wait in stuck (" in said and "away" in said, "and why"
    assert run_here("record", "status", "--folder", "rec") == 2
    assert "no catalogue" in capsys.readouterr().err
