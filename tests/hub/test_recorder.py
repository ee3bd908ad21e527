"""End to end: what was played is stored in a real S3 server, byte for byte, and nothing is left here."""

import json
import os
import subprocess
import sys
import wave
from pathlib import Path

import boto3
import pytest
from recordings import joined, source_bytes

from bourn.cli import main

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def bourn(folder, *args, timeout=60, stdin=None):
    return subprocess.run(
        [sys.executable, "-m", "bourn.cli", *args],
        cwd=folder,
        env={**ENV, **{k: v for k, v in os.environ.items() if k.startswith("AWS_")}},
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
    assert run_here("record", "status", "--folder", "rec") == 2
    assert "no catalogue" in capsys.readouterr().err
