"""Recordings into every kind of object store: the provider's own client, a real server, and what may fail between."""

import os
import random
import re
import subprocess
import sys
import urllib.request

import pytest
from fault_proxy import FaultProxy
from recordings import fill, frames_in, joined, sha256, source_bytes, work_off
from repository_kinds import Bench, by_source

from bourn.hub.recorder.form import raw
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.store import Failure, ObjectStore
from bourn.hub.recorder.uploader import Rules
from bourn.hub.repositories import Unreachable, make_repository, object_store
from bourn.hub.repositories import driver as driver_module
from bourn.testing import ManualClock

if os.environ.get("CI") != "true":
    pytest.importorskip("obstore")

FRAMES = 250  # of 4 bytes
SERVERS = {"s3": "s3", "gs": "google", "az": "azure"}


class Remote:
    """A place of this test's own in a bucket of a real server, behind a proxy; `url(...)` of it, and what is in it."""

    def __init__(self, kind, server, prefix):
        self.kind, self.server, self.prefix = kind, server, prefix
        self.proxy = FaultProxy(server)

    def url(self, bucket="bucket", **more):
        options = "".join(f"&{name}={value}" for name, value in more.items())
        return f"{self.kind}://{bucket}/{self.prefix}?endpoint={self.proxy.address}{options}"

    def objects(self):
        """{name: bytes}, asked past the proxy and past obstore."""
        query = "restype=container&comp=list" if self.kind == "az" else "list-type=2"
        listed = self._get(f"bucket?{query}&prefix={self.prefix}/").decode()
        names = re.findall(r"<Name>([^<]+)</Name>" if self.kind == "az" else r"<Key>([^<]+)</Key>", listed)
        return {name: self._get(f"bucket/{name}") for name in names}

    def _get(self, path):
        headers = {} if self.kind == "az" else {"Authorization": "Bearer test"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.server}/{path}", headers=headers), timeout=30
        ) as got:
            return got.read()


@pytest.fixture(params=SERVERS)
def remote(request, tmp_path):
    server = request.getfixturevalue(SERVERS[request.param])
    remote = Remote(request.param, server, re.sub(r"\W", "-", tmp_path.name))
    with remote.proxy:
        yield remote


@pytest.fixture
def make(tmp_path):
    """A recording whose threads do not run: the test does their work, step by step."""
    opened = []

    def make(remote, clock, rules=None, seed=0, part_bytes=8 << 20, frames=FRAMES, **more):
        store = ObjectStore(remote.url(timeout_s=2), part_bytes)
        settings = Settings("hall", raw(4), frames, rules=rules or Rules(), **more)
        opened.append(Recording(str(tmp_path / "rec"), settings, store, clock, random.Random(seed)))
        return opened[-1]

    yield make
    for recording in opened:
        recording._lock.close()
        recording.catalogue.close()


def test_every_fault_is_survived_and_nothing_is_lost_or_stored_twice(make, remote, seed):
    rng, clock = random.Random(seed), ManualClock()
    faults = ["500", "503", "reset", "lost-answer", "truncate", "wrong-sum", "403"]
    recording = make(remote, clock, seed=seed)
    remote.proxy.plan = lambda method, path: rng.choice(faults) if method == "PUT" and rng.random() < 0.5 else None
    fill(recording, 25, seed)
    recording.recorder.close()
    work_off(recording, clock)
    stored = remote.objects()
    assert len(stored) == 25  # one object for each file, whatever was tried how often
    assert joined(stored) == source_bytes(0, 25 * FRAMES, 4, seed)
    assert recording.catalogue.counts().keys() == {"deleted"}
    assert recording.uploader.failures > 5


def test_retry_after_is_honoured(make, remote):
    clock, busy = ManualClock(), [True]
    recording = make(remote, clock)
    remote.proxy.retry_after_s = 777
    remote.proxy.plan = lambda method, path: "503" if busy[0] else None
    fill(recording, 2)
    recording.uploader.run_pass()
    assert remote.proxy.methods()[-2:] == ["PUT", "HEAD"]  # the second one reads the header
    assert 777_000 <= recording.uploader.wait_ms() <= 777_000 * 1.1 + 1
    assert not recording.catalogue.meta("pause")["permanent"]
    busy[0] = False
    work_off(recording, clock)
    assert len(remote.objects()) == 2


def refused(remote, path, url):
    with pytest.raises(Failure) as wrong:
        ObjectStore(url).upload(str(path), "n/x", lambda n: None, sha256(path.read_bytes()), False)
    return wrong.value


def test_what_waiting_does_not_mend(remote, tmp_path, monkeypatch):
    """No bucket, no permission, wrong key: told as lasting. Away, busy, broken: not."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * 1000)
    assert refused(remote, path, remote.url("no-such-bucket")).permanent  # the server's own answer
    for fault, lasting in (("403", True), ("404", True), ("500", False), ("503", False), ("reset", False)):
        remote.proxy.plan = lambda method, _, fault=fault: fault if method == "PUT" else None
        wrong = refused(remote, path, remote.url())
        assert (wrong.permanent, wrong.alone) == (lasting, False), f"{fault}: {wrong}"
    gone = remote.url().replace(remote.proxy.address.split("/")[2], "127.0.0.1:9")
    assert not refused(remote, path, gone).permanent
    remote.proxy.plan = lambda *_: None
    if remote.kind == "az":  # the only one of these servers that looks at keys
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "AAAA")
        wrong = refused(remote, path, remote.url())
        assert wrong.permanent and "403" in str(wrong) and "AAAA" not in str(wrong)
        with pytest.raises(Unreachable, match="403"):
            object_store.objects_in_store(remote.url()).store.put("n/x", b"x")


def test_accepted_and_not_there_is_tried_again(make, remote):
    """The file is here still, whatever the store has done with what it said it had."""
    clock, lost = ManualClock(), [True]
    recording = make(remote, clock)
    remote.proxy.plan = lambda method, path: "404" if method == "HEAD" and lost[0] else None
    fill(recording, 1)
    recording.uploader.run_pass()
    [row] = recording.catalogue.rows()
    assert (row.state, row.attempts) == ("archived", 1) and "not there" in row.error
    lost[0] = False
    work_off(recording, clock)
    assert joined(remote.objects()) == source_bytes(0, FRAMES, 4)


def test_what_proves_that_it_is_there(remote, tmp_path):
    """A sum that the store tells, where it tells one; else it is read back, and a byte that changed is noticed."""
    small, large = source_bytes(0, 1000, 1), source_bytes(0, 12_000_000, 1)
    store = ObjectStore(remote.url(), 5 << 20)

    def upload(data, read_back=False):
        (tmp_path / "f").write_bytes(data)
        remote.proxy.history.clear()
        store.upload(str(tmp_path / "f"), "n/f", lambda n: None, sha256(data), read_back)
        return remote.proxy.methods()

    assert upload(small) == {"az": ["PUT", "HEAD", "HEAD"]}.get(remote.kind, ["PUT", "HEAD"])
    assert upload(small, True)[-1] == "GET"
    in_parts = ["POST", "PUT", "PUT", "PUT", "POST", "HEAD"]
    assert upload(large) == {"az": ["PUT", "PUT", "PUT", "PUT", "HEAD", "HEAD", "GET"]}.get(remote.kind, in_parts)
    assert remote.objects() == {f"{remote.prefix}/n/f": large}
    for data, broken in ((small, 1), (large, 2)):
        puts = []
        remote.proxy.plan = lambda method, path, puts=puts, broken=broken: (
            "wrong-sum" if method == "PUT" and (puts.append(1) or len(puts) == broken) else None
        )
        with pytest.raises(Failure, match="checksum is not that of the file") as wrong:
            upload(data)
        assert wrong.value.alone and remote.proxy.methods()[-1] == "GET", "an ETag that differs proves nothing"
        remote.proxy.plan = lambda *_: None


def test_an_etag_that_only_looks_like_a_sum(remote, tmp_path):
    """S3 with a KMS key and Google's objects of parts have such; the bytes decide."""
    data = source_bytes(0, 6_000_000, 1)
    (tmp_path / "f").write_bytes(data)
    looks = {"s3": '"d41d8cd98f00b204e9800998ecf8427e"', "gs": '"7fc8f92280ac3c975f300cb64412c16f-2"', "az": '"0x8D"'}
    remote.proxy.etag = looks[remote.kind]
    store = ObjectStore(remote.url(), 5 << 20)
    assert store.upload(str(tmp_path / "f"), "n/f", lambda n: None, sha256(data), False) == remote.proxy.etag
    assert remote.proxy.methods()[-1] == "GET"


def test_a_large_recording_goes_in_parts(make, remote, seed):
    clock = ManualClock()
    recording = make(remote, clock, seed=seed, part_bytes=5 << 20, frames=1_500_000, max_bytes=100_000_000)
    fill(recording, 1, seed)
    work_off(recording, clock)
    [(name, data)] = remote.objects().items()
    assert frames_in(name, data)[3] == source_bytes(0, 1_500_000, 4, seed)
    assert recording.uploader.failures == 0


def test_the_command_as_the_docs_have_it(remote, tmp_path, seed):
    """`bourn record` and `bourn hub` take the URL; keys come from the environment."""
    data = source_bytes(0, 1000, 100, seed)
    (tmp_path / "in.raw").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-m", "bourn", "record", "--from", "raw:in.raw", "--frame-bytes", "100", "--file", "300",
         "--name", "hall", "--folder", "rec", "--to", remote.url(), "--linger", "30"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = remote.objects()
    assert len(stored) == 4 and joined(stored) == data


def test_readings_survive_faults(remote, tmp_path, monkeypatch, seed):
    """The repository of readings: each once, whatever its store answered in between."""
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.01,))
    monkeypatch.setattr(object_store, "TRIES", 0)
    rng, faults = random.Random(seed), ["500", "503", "reset", "lost-answer", "403"]
    remote.proxy.plan = lambda method, path: rng.choice(faults) if rng.random() < 0.3 else None
    bench = Bench(tmp_path / "j.db")
    try:
        repository = make_repository(remote.url(rows=3, age=0))
        driver = bench.add(repository, "oldest")
        for i in range(30):
            bench.put(i, str(i), source=f"s{i % 2}")
        bench.settle()
        assert driver.retries > 0
        remote.proxy.plan = lambda *_: None
        assert by_source(list(repository.read())) == by_source(bench.all())
        assert len(remote.objects()) >= 20
    finally:
        bench.stop()


@pytest.mark.parametrize(
    "url", ["gs://b/p?region=x", "az://b/p?region=x", "az://b/p?account_key=x", "gs:b", "xx://b/p"]
)
def test_a_wrong_url(url):
    for make in (ObjectStore, object_store.objects_in_store):
        with pytest.raises(ValueError, match=r"region is an option of s3|does not belong|no such kind") as error:
            make(url)
        assert "key=x" not in str(error.value)
