"""Multipart uploads that were cut short are aborted, those of this folder and no others; against a real S3 server."""

import random
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from recordings import fill
from s3_stub import S3Stub

from bourn.hub.recorder.form import raw
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.store import Failure, ObjectStore
from bourn.hub.recorder.unfinished import Unfinished
from bourn.testing import ManualClock

NAMES = "{name}/2026-01-31/{name}.{epoch}.000000000000000-000000000000100.1769817600000.raw4{packed}"
DAY_MS = 86_400_000


def begin(s3, prefix, name, epoch, packed=".tar.zst"):
    """An upload that nobody finishes; its key."""
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    key = prefix + NAMES.format(name=name, epoch=epoch, packed=packed)
    upload = client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
    client.upload_part(Bucket="bucket", Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 100)
    return key


def unfinished(s3, prefix):
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    return sorted(
        one["Key"] for one in client.list_multipart_uploads(Bucket="bucket", Prefix=prefix).get("Uploads", [])
    )


@pytest.mark.parametrize("prefix", ["cut", "two/levels and a space"])
def test_what_was_cut_short_is_aborted_with_the_first_pass_and_once_a_day(s3, tmp_path, prefix, seed):
    clock = ManualClock()
    prefix = f"{prefix}-{seed}"
    store = ObjectStore(f"s3://bucket/{prefix}?endpoint={s3}")
    recording = Recording(str(tmp_path / "rec"), Settings("hall", raw(4), 100), store, clock, random.Random(seed))
    try:
        other = [
            begin(s3, f"{prefix}/", "hall", "f" * 16),  # another device's
            begin(s3, f"{prefix}/", "yard", recording.epoch),
            begin(s3, f"{prefix}-2/", "hall", recording.epoch),
        ]
        for packed in (".tar.zst", ".zip", ""):
            begin(s3, f"{prefix}/", "hall", recording.epoch, packed)
        assert len(unfinished(s3, prefix)) == 6
        fill(recording, 2)
        recording.uploader.run_pass()
        assert unfinished(s3, prefix) == sorted(other)
        assert recording.uploader.aborted == 3 and recording.catalogue.counts().keys() == {"deleted"}

        begin(s3, f"{prefix}/", "hall", recording.epoch)
        clock.advance(DAY_MS // 2)
        recording.uploader.run_pass()
        assert recording.uploader.aborted == 3  # not yet
        clock.advance(DAY_MS // 2)
        recording.uploader.run_pass()
        assert recording.uploader.aborted == 4 and unfinished(s3, prefix) == sorted(other)
    finally:
        recording.catalogue.close()
        recording._lock.close()


def test_a_store_that_refuses_the_question_gets_its_uploads_all_the_same(s3, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "bourn")
    with S3Stub() as stub:
        stub.lists_status = 403
        store = ObjectStore(f"s3://bucket/p?endpoint={stub.address}")
        recording = Recording(str(tmp_path / "rec"), Settings("hall", raw(4), 100), store, ManualClock())
        fill(recording, 3)
        recording.uploader.run_pass()
        assert recording.catalogue.counts()["deleted"][0] == 3 and recording.uploader.failures == 0
        assert "could not be looked for: the store answered 403" in caplog.text
        assert stub.lists == 1  # and it is not asked again with each pass
        recording.catalogue.close()
        recording._lock.close()
        with pytest.raises(Failure):
            store.abort_unfinished("hall", "0" * 16)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of somebody else")  # whose secret is not known here
        assert store.abort_unfinished("hall", "0" * 16) is None
    assert ObjectStore(f"file:{tmp_path}/away").abort_unfinished("hall", "0" * 16) is None


@pytest.mark.parametrize("token", [None, "a/token+of=a day"])
@pytest.mark.parametrize("where", ["s3://bucket/p?endpoint=http://127.0.0.1:9", "s3://bucket/p?region=eu-west-1"])
def test_requests_are_signed_as_obstore_signs_them(monkeypatch, token, where):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA/EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    store = ObjectStore(where)
    theirs = urlsplit(store._obstore.sign(store._store, "GET", "n/a file", timedelta(minutes=5)))
    then = parse_qs(theirs.query)["X-Amz-Date"][0]
    ours = Unfinished(
        theirs.geturl(), "p/n/a file", lambda: datetime.strptime(then, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    )
    assert ours.possible
    assert parse_qs(ours.signed("GET", theirs.path, {})) == parse_qs(theirs.query)
