"""Uploads against a server that fails in every way; virtual time, a real client, and a seed."""

import hashlib
import random
import threading
import time

import pytest
from recordings import fill, frames_in, joined, source_bytes, work_off
from s3_stub import S3Stub

from bourn.hub.recorder.backoff import Backoff
from bourn.hub.recorder.form import raw
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.store import Failure, ObjectStore, Sums, retry_after
from bourn.hub.recorder.uploader import Rules
from bourn.testing import ManualClock

FRAMES = 250  # of 4 bytes


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A recording whose threads do not run: the test does their work, step by step."""
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv("AWS_" + name, value)
    opened = []

    def make(stub, clock, rules=None, seed=0, timeout_s=5, part_bytes=8 << 20, frames=FRAMES, **more):
        store = ObjectStore(f"s3://bucket/p?endpoint={stub.address}&timeout_s={timeout_s}", part_bytes)
        settings = Settings("hall", raw(4), frames, rules=rules or Rules(), **more)
        opened.append(Recording(str(tmp_path / "rec"), settings, store, clock, random.Random(seed)))
        return opened[-1]

    yield make
    for recording in opened:
        recording._lock.close()
        recording.catalogue.close()


def test_every_fault_is_survived_and_nothing_is_lost_or_stored_twice(make, seed):
    rng, clock = random.Random(seed), ManualClock()
    faults = ["500", "503", "reset", "lost-answer", "truncate", "wrong-sum", "403"]
    hangs = [3]

    def plan(method, name):
        if hangs[0] and rng.random() < 0.01:
            hangs[0] -= 1
            return "hang"
        return rng.choice(faults) if method == "PUT" and rng.random() < 0.5 else None

    with S3Stub(plan) as stub:
        recording = make(stub, clock, seed=seed, timeout_s=1)
        for _ in range(10):
            fill(recording, 20, seed)
        recording.recorder.close()
        work_off(recording, clock)
        stored = {name: found.data for name, found in stub.objects.items()}
        assert len(stored) == 200  # one object for each file, whatever was tried how often
        assert joined(stored) == source_bytes(0, 200 * FRAMES, 4, seed)
        assert recording.catalogue.counts().keys() == {"deleted"}
        assert recording.uploader.failures > 100
        assert {fault for *_, fault in stub.history} >= set(faults)


@pytest.mark.parametrize("fault", ["500", "reset", "lost-answer", "truncate", "wrong-sum", "hang"])
def test_one_fault_is_tried_again_and_what_is_here_stays_until_it_is_there(make, tmp_path, fault):
    clock, left = ManualClock(), [fault]
    with S3Stub(lambda method, name: left.pop() if method == "PUT" and left else None) as stub:
        recording = make(stub, clock, timeout_s=1)
        fill(recording, 1)
        recording.uploader.run_pass()
        [row] = recording.catalogue.rows()
        assert (row.state, row.attempts) == ("archived", 1) and row.error
        assert (tmp_path / "rec" / row.archive).exists()  # whatever the server said, it is not verified
        assert row.next_at > clock.wall()
        work_off(recording, clock)
        assert not (tmp_path / "rec" / row.archive).exists()
        assert joined({name: one.data for name, one in stub.objects.items()}) == source_bytes(0, FRAMES, 4)


def test_retry_after_is_honoured_and_survives_a_restart(make):
    clock = ManualClock()
    busy = [True]
    with S3Stub(lambda method, name: "503" if busy[0] else None, retry_after_s=777) as stub:
        recording = make(stub, clock)
        fill(recording, 2)
        recording.uploader.run_pass()
        assert [call[0] for call in stub.history] == ["PUT", "HEAD"]  # the second one reads the header
        assert 777_000 <= recording.uploader.wait_ms() <= 777_000 * 1.1 + 1
        recording._lock.close()
        again = make(stub, clock)
        busy[0] = False
        clock.advance(776_000)
        again.uploader.run_pass()
        assert len(stub.history) == 2
        clock.advance(80_000)
        again.uploader.run_pass()
        assert again.catalogue.counts().keys() == {"deleted"}


@pytest.mark.parametrize("fault", ["403", "404"])
def test_what_waiting_does_not_mend_waits_long_and_says_so(make, fault, caplog):
    clock = ManualClock()
    told = [fault]
    with S3Stub(lambda method, name: told[0] if method == "PUT" else None) as stub, caplog.at_level("WARNING"):
        recording = make(stub, clock)
        fill(recording, 3)
        recording.uploader.run_pass()
        assert len(stub.history) == 1  # the others are not even tried
        assert recording.uploader.wait_ms() >= 1800_000
        assert recording.catalogue.meta("pause")["permanent"] and "upload failed" in {r.event for r in caplog.records}
        told[0] = None
        assert recording.catalogue.retry() == 1  # `bourn record retry`
        recording.uploader.run_pass()
        assert recording.catalogue.counts().keys() == {"deleted"}


def test_give_up_parks_with_an_alarm_and_the_others_go_on(make, caplog):
    clock = ManualClock()
    with S3Stub() as stub, caplog.at_level("ERROR"):
        stub.plan = lambda method, name: "wrong-sum" if method == "PUT" and "-000000000000250." in name else None
        recording = make(stub, clock, Rules(give_up_after=3))
        fill(recording, 4)
        work_off(recording, clock)
        counts = recording.catalogue.counts()
        assert (counts["parked"][0], counts["deleted"][0]) == (1, 3)
        assert [r.event for r in caplog.records if r.event == "parked"] == ["parked"]
        stub.plan = lambda method, name: None
        recording.catalogue.retry()
        work_off(recording, clock)
        assert recording.catalogue.counts().keys() == {"deleted"}


def test_large_files_go_in_parts_and_are_verified(make, seed):
    with S3Stub() as stub:
        clock = ManualClock()
        recording = make(stub, clock, seed=seed, part_bytes=1 << 20, frames=800_000, max_bytes=100_000_000)
        fill(recording, 1, seed)
        work_off(recording, clock)
        [(name, found)] = stub.objects.items()
        assert found.etag.endswith("-4") and "multipart" not in str(recording.uploader.last_error)
        assert [c[0] for c in stub.history] == ["POST", "PUT", "PUT", "PUT", "PUT", "POST", "HEAD"]
        assert frames_in(name, found.data)[3] == source_bytes(0, 800_000, 4, seed)
        # One part that arrives with another byte: the sum of sums tells.
        stub.plan = lambda method, name: "wrong-sum" if method == "PUT" and len(stub.history) == 9 else None
        fill(recording, 1, seed)
        work_off(recording, clock)
        assert recording.uploader.failures == 1
        stored = {name: one.data for name, one in stub.objects.items()}
        assert joined(stored) == source_bytes(0, 1_600_000, 4, seed)


def test_a_budget_pauses_uploads_until_next_month_and_never_the_recording(make):
    clock = ManualClock(1769900000000)  # 2026-01-31T22:53:20Z
    with S3Stub() as stub:
        recording = make(stub, clock, Rules(archive=".plain", price_per_gb=1000.0, budget=0.0025))
        fill(recording, 5)  # of 1000 bytes: two cost 0.002
        recording.uploader.run_pass()
        assert (len(stub.objects), recording.uploader.over_budget) == (2, True)
        fill(recording, 1)
        assert recording.recorder.lost == 0
        assert recording.uploader.wait_ms() == min(3600_000, 1769904000000 - clock.wall())
        clock.advance(3600_000)
        clock.advance(recording.uploader.wait_ms())
        recording.uploader.run_pass()
        assert len(stub.objects) == 4  # February's two


def test_bandwidth_is_bounded_on_the_average(make):
    clock = ManualClock()
    with S3Stub() as stub:
        recording = make(stub, clock, Rules(archive=".plain", bytes_per_s=500))
        recording.uploader._wait = lambda seconds: clock.advance(round(seconds * 1000))
        fill(recording, 10)
        begun = clock.wall()
        recording.uploader.run_pass()
        assert len(stub.objects) == 10
        assert clock.wall() - begun == 9 * 2000  # 1000 bytes each; the first one need not wait


def test_a_file_that_changed_on_the_disk_is_not_uploaded(make, tmp_path):
    clock = ManualClock()
    with S3Stub() as stub:
        recording = make(stub, clock)
        fill(recording, 2)
        rows = recording.catalogue.rows()
        path = tmp_path / "rec" / rows[0].file.sealed
        path.write_bytes(b"\0" + path.read_bytes()[1:])
        recording.uploader.run_pass()
        assert [row.state for row in recording.catalogue.rows()] == ["damaged", "deleted"]
        assert path.exists() and len(stub.objects) == 1


def test_one_worker_with_one_task_waiting(make):
    """A trigger while a pass runs means one more pass; nobody spins; the thread outlives whatever happens."""
    clock = ManualClock()
    inside, go_on = threading.Event(), threading.Event()

    class Store:
        calls = 0

        def upload(self, path, name, paced, sha256, read_back):
            Store.calls += 1
            inside.set()
            assert go_on.wait(10)
            if Store.calls == 1:
                raise RuntimeError("a defect of the driver")
            raise Failure("away")

    with S3Stub() as stub:
        recording = make(stub, clock)
        uploader = recording.uploader
        uploader._store = Store()
        fill(recording, 1)
        recording.uploader.start()
        assert inside.wait(10)  # the keeper has triggered
        assert [uploader.trigger() for _ in range(5)] == [True, False, False, False, False]
        go_on.set()
        assert uploader.settled(20)
        assert uploader.alive and Store.calls >= 2
        passes, used = uploader.passes, time.process_time()
        time.sleep(0.5)
        assert uploader.passes == passes and time.process_time() - used < 0.1
        assert uploader.stop(10)


def test_back_off_is_capped_jittered_and_never_shorter_than_asked():
    rng = random.Random(1)
    backoff = Backoff(base_s=1, cap_s=60)
    for failures, most in ((1, 2000), (3, 8000), (6, 60_000), (1_000_000, 60_000)):
        pauses = [backoff.pause_ms(failures, None, False, rng) for _ in range(2000)]
        assert min(pauses) < most / 50 and most * 0.97 < max(pauses) <= most  # fully: from nothing to all
    assert backoff.pause_ms(1, 30, False, rng) >= 30_000
    assert backoff.pause_ms(1, 1e12, False, rng) <= 86400_000 * 1.1
    assert backoff.pause_ms(1, None, True, rng) >= 1800_000
    assert backoff.bounded(10**15, 1000) == 1000 + 86400 * 1100  # somebody set the clock back by years


def test_sums_know_both_kinds_of_etag():
    sums = Sums(4)
    for piece in (b"ab", b"cdef", b"ghij"):
        sums.update(piece)
    assert sums.prove('"a925576942e94b2ef57a066101b48876"')  # md5 of abcdefghij
    parts = b"".join(hashlib.md5(piece).digest() for piece in (b"abcd", b"efgh", b"ij"))
    assert sums.prove(f'"{hashlib.md5(parts).hexdigest()}-3"')
    for other in (None, "opaque-1", "b925576942e94b2ef57a066101b48876", f"{hashlib.md5(parts).hexdigest()}-2"):
        assert not sums.prove(other)
    assert retry_after("7") == 7 and retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0 and retry_after("soon") is None
