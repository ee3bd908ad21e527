"""Proves to a hub that a sender has the key of its source, and never says the key.

The proof of SCRAM (RFC 5802, section 3) with SHA-256, without its salt and iterations: those protect passwords that
people make up, and this key is 256 random bits. The hub keeps only the SHA-256 of the key; who steals that cannot
make a proof, and who hears a proof cannot use it again, for the nonce is new every time.
"""

import binascii
import hashlib

KEY_BYTES = 32
_BLOCK = 64  # bytes, of SHA-256


def read_key(text):
    """The key that `bourn keys add` printed, as bytes. ValueError when it is none."""
    try:
        key = binascii.unhexlify(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("a key is %d hexadecimal digits, as `bourn keys add` printed it" % (2 * KEY_BYTES))
    return key


def prover(path, source):
    """A function that makes the proofs of `source`, whose line `source key` is in the file `path`.

    OSError, ValueError when it can't be read or has no such line.
    """
    with open(path) as file:
        for line in file:
            words = line.split()
            if len(words) == 2 and words[0] == source:
                key = read_key(words[1])
                return lambda *said: make_proof(key, *said)
    raise ValueError(
        "%s has no key for %s; `bourn keys add %s` on the hub's machine makes one" % (path, source, source)
    )


def make_proof(key, hub, source, epoch, nonce):
    """What answers the hub's CHALLENGE, as hexadecimal text."""
    signature = _sign(hashlib.sha256(key).digest(), hub, source, epoch, nonce)
    return binascii.hexlify(_xor(key, signature)).decode()


def proof_fits(stored, proof, hub, source, epoch, nonce):
    """True if `proof` was made with the key whose SHA-256 is `stored`."""
    try:
        given = binascii.unhexlify(proof)
    except ValueError:
        return False
    if len(given) != KEY_BYTES:
        return False
    key = _xor(given, _sign(stored, hub, source, epoch, nonce))
    # What is compared is a hash of what was sent: how long it takes tells nothing of use.
    return hashlib.sha256(key).digest() == stored


def _sign(stored, *said):
    """HMAC-SHA-256 (RFC 2104); the words are names, hexadecimal digits and a nonce, in none of which a space can be."""
    pad = stored + bytes(_BLOCK - len(stored))
    text = " ".join(("bourn-proof-1",) + said).encode()
    inner = hashlib.sha256(bytes([b ^ 0x36 for b in pad]) + text).digest()
    return hashlib.sha256(bytes([b ^ 0x5C for b in pad]) + inner).digest()


def _xor(a, b):
    return bytes([a[i] ^ b[i] for i in range(KEY_BYTES)])
