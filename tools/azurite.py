"""Gets Azurite, Microsoft's emulator of Azure's object store, into .tools/azurite: `python tools/azurite.py`.

It comes from npm, from wherever npm is set up to fetch, pinned by checksum, without running anybody's install scripts.
What it would need for telemetry and for SQL databases (300 MB) stays out: an empty package stands in for each, and the
tests use neither. Status 0, or 1 where CI=true and it cannot be had.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "azurite@3.37.0"
SHA512 = (
    "765d805cc917b55957f6cdd4dedb484051652b07bae24fee812215353e15dea5"
    "f8f3c35cc3df3cac81c0b3a6a9814b5f133caac2d14df4c669d05a2aeb41ed6a"
)
LEFT_OUT = ("applicationinsights", "mysql2", "tedious")
TIMEOUT_S = 600
HERE = Path(__file__).resolve().parent.parent / ".tools" / "azurite"
STAMP = HERE / ".complete"  # holds what is there


def npm(folder, *arguments):
    """Run npm in `folder`; its first complaint where it fails, or None."""
    quiet = ["--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            ["npm", *arguments, *quiet],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"npm did not answer within {TIMEOUT_S} s"
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"npm {arguments[0]} failed: {said[0] if said else 'no reason given'}" if done.returncode else None


def get():
    """Fetch and install it unless it is there; why that could not be done, or None."""
    if STAMP.exists() and STAMP.read_text() == PACKAGE:
        return None
    if not (shutil.which("npm") and shutil.which("node")):
        return "there is no npm to fetch it with (apt install npm)"
    print(f"tools: fetching {PACKAGE} and what it needs", file=sys.stderr, flush=True)
    shutil.rmtree(HERE, ignore_errors=True)
    (HERE / "nothing").mkdir(parents=True)
    why = npm(HERE, "pack", PACKAGE)
    if why:
        return why
    archive = HERE / f"{PACKAGE.replace('@', '-')}.tgz"
    if hashlib.sha512(archive.read_bytes()).hexdigest() != SHA512:
        return f"what npm fetched is not the {PACKAGE} that is wanted (another checksum)"
    (HERE / "nothing" / "package.json").write_text('{"name": "nothing", "version": "0.0.0", "main": "index.js"}\n')
    (HERE / "nothing" / "index.js").write_text("module.exports = {};\n")
    wanted = {
        "private": True,
        "dependencies": {"azurite": f"file:./{archive.name}"},
        "overrides": dict.fromkeys(LEFT_OUT, "file:./nothing"),
    }
    (HERE / "package.json").write_text(json.dumps(wanted, indent=1) + "\n")
    why = npm(HERE, "install", "--omit=dev", "--omit=optional")
    if not why:
        STAMP.write_text(PACKAGE)
    return why


if __name__ == "__main__":
    reason = get()
    if reason:
        print(f"tools: no azurite, so this is not tested: recordings and readings into az://, for {reason}")
        if os.environ.get("CI") == "true":
            sys.exit("tools: CI needs azurite")
