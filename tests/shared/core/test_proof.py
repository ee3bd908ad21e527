"""Proofs of a source's key, the same bytes on every interpreter. tests/hub/test_keys.py computes the vector anew."""

from bourn.proof import make_proof, proof_fits, read_key

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
SAID = ("4f0c", "s1", "0123456789abcdef", "00ff00ff00ff00ff00ff00ff00ff00ff")


def stored(text):
    import hashlib

    return hashlib.sha256(read_key(text)).digest()


def test_the_vector():
    assert make_proof(read_key(KEY), *SAID) == "2391ac2767bc692345a884f4781540e1b190fade9c9e3975b2ea491a9101d332"


def test_a_proof_fits_its_key_and_what_was_asked_and_nothing_else():
    proof = make_proof(read_key(KEY), *SAID)
    assert proof_fits(stored(KEY), proof, *SAID)
    assert not proof_fits(stored(KEY[:-1] + "0"), proof, *SAID)
    for i in range(len(SAID)):
        other = list(SAID)
        other[i] = "x"
        assert not proof_fits(stored(KEY), proof, *other), i
    for bad in ("", "00", proof[:-2], proof + "00", "zz" + proof[2:], "0" * 64):
        assert not proof_fits(stored(KEY), bad, *SAID), bad


def test_what_is_stored_is_not_enough_for_a_proof():
    proof = make_proof(stored(KEY), *SAID)
    assert not proof_fits(stored(KEY), proof, *SAID)


def test_a_key_is_64_hexadecimal_digits():
    assert read_key(" %s\n" % KEY) == bytes(range(32))
    for bad in ("", KEY[:-1], KEY[:-2], KEY + "00", "g" + KEY[1:], "s1 " + KEY):
        try:
            read_key(bad)
        except ValueError as e:
            assert "64 hexadecimal digits" in str(e), bad
            continue
        raise AssertionError(bad)
