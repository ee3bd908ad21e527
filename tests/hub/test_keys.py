"""Who may write: a source that has a key must prove it, a changed key ends the link, and nobody learns the key."""

import asyncio
import hashlib
import hmac
import os
import secrets
import subprocess
from pathlib import Path

import processes
import pytest
from peer import EPOCH, Peer, readings, running

from bourn import wire
from bourn.hub.ingest import MAX_ERRORS
from bourn.hub.keys import Keys, KeysError
from bourn.proof import make_proof, read_key


async def say_hello(url: str, source: str = "s1", epoch: str = EPOCH) -> tuple[Peer, str, str]:
    """A peer that is challenged, with the nonce and the hub's name."""
    peer = await Peer.connect(url)
    await peer.send(wire.encode(wire.HELLO, source, epoch, 1, {}))
    nonce, hub = await peer.expect(wire.CHALLENGE)
    return peer, nonce, hub


async def prove(peer: Peer, key: str, hub: str, nonce: str, source: str = "s1", epoch: str = EPOCH) -> None:
    await peer.send(wire.encode(wire.PROOF, make_proof(read_key(key), hub, source, epoch, nonce)))


async def welcomed(url: str, key: str, source: str = "s1") -> Peer:
    peer, nonce, hub = await say_hello(url, source)
    await prove(peer, key, hub, nonce, source)
    _, last, peer.credit, *_ = await peer.expect(wire.WELCOME)
    peer.epoch, peer.next = EPOCH, last + 1
    return peer


def test_a_source_with_a_key_gets_in_with_it_and_not_without(tmp_path: Path) -> None:
    key = Keys(str(tmp_path / "j.db.keys")).add("s1")

    async def scene() -> None:
        async with running(tmp_path) as hub:
            peer = await welcomed(hub.url, key)
            await peer.deliver(1, 2)
            peer.close()

            for wrong in (secrets.token_hex(32), hashlib.sha256(read_key(key)).hexdigest()):
                peer, nonce, name = await say_hello(hub.url)
                await prove(peer, wrong, name, nonce)
                assert await peer.refused() == "key"

            peer, nonce, name = await say_hello(hub.url)
            await peer.send(wire.encode(wire.DATA, 3, 1000, [["s", 0, 3]]))
            assert await peer.refused() == "hello"

            async with await Peer.greeted(hub.url, "s2") as other:  # on this machine, and without a key of its own
                await other.deliver(7)
            assert hub.ingest.refusals == {"key": 2, "hello": 1}

    asyncio.run(scene())
    assert [(row[0], row[3]) for row in readings(tmp_path)] == [("s1", 1), ("s1", 2), ("s2", 7)]


def test_a_proof_that_was_heard_serves_nobody(tmp_path: Path) -> None:
    key = Keys(str(tmp_path / "j.db.keys")).add("s1")

    async def scene() -> None:
        async with running(tmp_path) as hub:
            peer, nonce, name = await say_hello(hub.url)
            proof = wire.encode(wire.PROOF, make_proof(read_key(key), name, "s1", EPOCH, nonce))
            await peer.send(proof)
            await peer.expect(wire.WELCOME)
            thief, again, _ = await say_hello(hub.url)
            assert again != nonce
            await thief.send(proof)
            assert await thief.refused() == "key"
            await peer.quiet()  # nor does the attempt end the link of the true one
            peer.close()

            late, nonce, name = await say_hello(hub.url)
            await prove(late, key, name, nonce)
            await late.expect(wire.WELCOME)
            await prove(late, key, name, nonce)
            assert await late.refused() == "kind"  # nobody asked

    asyncio.run(scene())


def test_where_keys_are_required_a_name_alone_opens_nothing(tmp_path: Path) -> None:
    keys = Keys(str(tmp_path / "j.db.keys"))
    key = keys.add("s1")

    async def scene() -> None:
        async with running(tmp_path, require_keys=True) as hub:
            for source in ("s2", "s1"):  # who asks cannot tell which of them has a key
                peer, nonce, name = await say_hello(hub.url, source)
                await prove(peer, secrets.token_hex(32), name, nonce, source)
                assert await peer.refused() == "key"
            peer = await welcomed(hub.url, key)
            await peer.send(wire.encode(wire.HELLO, "s2", EPOCH, 1, {}))  # under another's name, once inside
            assert await peer.refused() == "source"
            peer = await welcomed(hub.url, key)
            await peer.hello("s1", "f" * 16)  # the next epoch of the same source needs no second proof
            peer.close()
            assert "s2" not in hub.ingest.sources

    asyncio.run(scene())


def test_a_key_that_is_changed_while_the_hub_runs_ends_the_link_and_a_revoked_one_opens_none(tmp_path: Path) -> None:
    keys = Keys(str(tmp_path / "j.db.keys"))
    old = keys.add("s1")

    async def scene() -> None:
        async with running(tmp_path) as hub:
            peer = await welcomed(hub.url, old)
            new = keys.add("s1")
            assert await peer.refused() == "key"
            peer = await welcomed(hub.url, new)
            keys.revoke("s1")
            assert await peer.refused() == "key"
            for key in (old, new):
                peer, nonce, name = await say_hello(hub.url)
                await prove(peer, key, name, nonce)
                assert await peer.refused() == "key"

    asyncio.run(scene())


def test_a_damaged_file_lets_nobody_else_in_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bourn.hub.ingest.TICK_S", 0.01)
    path = tmp_path / "j.db.keys"
    key = Keys(str(path)).add("s1")

    async def scene() -> None:
        async with running(tmp_path, require_keys=True) as hub:
            path.write_text("{")
            while not hub.ingest.errors:
                await asyncio.sleep(0.01)
            peer = await welcomed(hub.url, key)  # what was read before goes on
            peer.close()
            await asyncio.sleep(0.1)  # ten ticks
            assert len([e for e in hub.ingest.errors if e["where"] == "keys"]) == 1 < MAX_ERRORS
            assert "damaged" in hub.ingest.errors[0]["text"]

    asyncio.run(scene())
    with pytest.raises(KeysError, match="damaged"):
        Keys(str(path))


def test_the_file_holds_no_key_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.db.keys"
    keys = Keys(str(path))
    key = keys.add("s1")
    assert key not in path.read_text() and oct(path.stat().st_mode & 0o777) == "0o600"
    assert os.listdir(tmp_path) == ["j.db.keys"]
    path.chmod(0o620)
    with pytest.raises(KeysError, match="chmod go-w"):
        Keys(str(path))
    path.chmod(0o600)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(KeysError, match="newer"):
        Keys(str(path))


def test_the_vector_of_the_shared_test() -> None:
    key = bytes(range(32))
    words = b"bourn-proof-1 4f0c s1 0123456789abcdef 00ff00ff00ff00ff00ff00ff00ff00ff"
    signature = hmac.new(hashlib.sha256(key).digest(), words, hashlib.sha256).digest()
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True)).hex()
    assert proof == make_proof(key, *words.decode().split()[1:])
    shared = Path(__file__).parent.parent / "shared" / "core" / "test_proof.py"
    assert proof in shared.read_text()


def bourn(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*processes.BOURN, *words], cwd=folder, capture_output=True, text=True, check=False)


def test_the_command(tmp_path: Path) -> None:
    added = bourn(tmp_path, "keys", "add", "s1", "s2")
    assert added.returncode == 0
    assert "shown this once" in added.stderr
    lines = [line.split() for line in added.stdout.splitlines()]
    assert [name for name, _ in lines] == ["s1", "s2"] and all(read_key(key) for _, key in lines)
    written = bourn(tmp_path, "keys", "add", "s3", "--out", "sensors.keys")
    assert "1 key written to sensors.keys" in written.stdout
    assert oct((tmp_path / "sensors.keys").stat().st_mode & 0o777) == "0o600"
    assert bourn(tmp_path, "keys", "revoke", "s2").returncode == 0
    listed = bourn(tmp_path, "keys", "list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["s1", "s2", "s3"]
    assert [("revoked" in line) for line in listed.splitlines()] == [False, True, False]
    assert not any(key in listed for _, key in lines)
    for words, said in (
        (["keys", "revoke", "s9"], "s9 has no key here; `bourn keys list`"),
        (["keys", "add", "a b"], "not 'a b'"),
        (["keys", "add", "s4", "--out", "no/such/file"], "--out no/such/file cannot be written: No such file"),
        (["keys", "add", "s4", "--journal", "no/such.db"], "no/such.db.keys cannot be written: No such file"),
    ):
        wrong = bourn(tmp_path, *words)
        assert wrong.returncode == 2 and said in wrong.stderr and len(wrong.stderr.splitlines()) == 1


def test_sensors_in_processes_prove_their_keys_and_those_without_say_what_is_missing(tmp_path: Path) -> None:
    assert bourn(tmp_path, "keys", "add", "s1", "s2", "--journal", "j.db", "--out", "sensors.keys").returncode == 0
    key = (tmp_path / "sensors.keys").read_text().split()[1]
    with processes.hub(tmp_path, "--require-keys") as hub:
        url = processes.url_of(hub)
        options = ("--num-sensors", "2", "--every", "0.05", "--keys", "sensors.keys")
        with processes.sensors(tmp_path, url, *options, "--micropython", processes.micropython()) as both:
            processes.until(lambda: len(processes.stored_of(tmp_path)) == 2, "readings of both sources")
            for process in both.remember():
                assert key not in " ".join(process.cmdline()), "a key that `ps` shows is none"
            both.interrupt()
            assert both.ended() == 0
        stored = processes.count(tmp_path)
        bare = bourn(tmp_path, "sensors", "--hub", url, "--num-sensors", "1", "--outbox", "others", "--for", "2")
        assert "wants a key; `bourn keys add s1` there" in bare.stdout, bare
        assert processes.count(tmp_path) == stored == sum(processes.check_complete(tmp_path).values())
        hub.interrupt()
        assert hub.ended() == 0
    wrong = bourn(tmp_path, "sensors", "--hub", url, "--num-sensors", "3", "--keys", "sensors.keys", "--for", "2")
    assert wrong.returncode == 2 and "has no key for s3; `bourn keys add s3`" in wrong.stderr
    assert "Error" not in wrong.stderr, "words, not the name of a class"
