"""Gets a PostgreSQL with TimescaleDB into .tools/timescale: `python tools/timescale.py`.

Both are packages of the Debian release that the interpreters come from (interpreters.py), since an extension fits one
version of the server only. They are unpacked with their libraries, never installed, and run by their own loader: a
script stands in for each program. Status 0, or 1 where CI=true and they cannot be had.
"""

import fcntl
import os
import shutil
import stat
import sys

import interpreters as debian

HERE = debian.TOOLS / "timescale"
SERVER = "17"
PACKAGES = (f"postgresql-{SERVER}", f"postgresql-{SERVER}-timescaledb", f"postgresql-client-{SERVER}")
LIBRARIES = """
    libaudit1 libc6 libcap-ng0 libcap2 libcom-err2 libgcc-s1 libgssapi-krb5-2 libicu76 libk5crypto3 libkeyutils1
    libkrb5-3 libkrb5support0 libldap2 liblz4-1 liblzma5 libpam0g libpcre2-8-0 libpq5 libsasl2-2 libselinux1
    libssl3t64 libstdc++6 libsystemd0 libuuid1 libxml2 libxslt1.1 libzstd1 zlib1g
"""
PROGRAMS = ("initdb", "pg_isready", "postgres")
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", f"usr/lib/postgresql/{SERVER}/lib/bitcode")
BIN = HERE / "usr" / "lib" / "postgresql" / SERVER / "bin"
# The loader is told where it would have been, so that the program finds what belongs to it beside itself.
STAND_IN = """#!/bin/sh
root=$(dirname "$0")/../../../../..
exec "$root/{loader}" --library-path "$root/{libraries}" --argv0 "$0" "$0.real" "$@"
"""


def unpack(environment):
    """Fetch the packages and make the programs runnable, in place at the end only."""
    native = debian.run("dpkg", "--print-architecture").strip()
    unpacked = debian.APT / "timescale"
    for path in debian.fetch(environment, native, *PACKAGES, *LIBRARIES.split()).values():
        debian.run("dpkg-deb", "-x", str(path), str(unpacked))
    for name in UNUSED:
        shutil.rmtree(unpacked / name, ignore_errors=True)
    loaders = sorted(unpacked.glob("usr/lib/*/ld-linux-*.so.*"))
    if not loaders:
        raise debian.MissingError(f"the libraries of Debian {debian.SUITE} have no loader for {native}")
    told = {"loader": loaders[0].relative_to(unpacked), "libraries": loaders[0].parent.relative_to(unpacked)}
    for name in PROGRAMS:
        program = unpacked / BIN.relative_to(HERE) / name
        program.rename(f"{program}.real")
        program.write_text(STAND_IN.format(**told))
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    shutil.rmtree(HERE, ignore_errors=True)
    os.rename(unpacked, HERE)


def get():
    """Fetch it unless it is there; why that could not be done, or None."""
    if (BIN / "postgres").exists():
        return None
    debian.TOOLS.mkdir(exist_ok=True)
    with open(debian.TOOLS / ".busy", "w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        try:
            unpack(debian.configure())
            debian.run(str(BIN / "postgres"), "--version")
        except debian.MissingError as reason:
            return str(reason)
        finally:
            shutil.rmtree(debian.APT, ignore_errors=True)
    return None


if __name__ == "__main__":
    why = get()
    if why:
        print(f"tools: no TimescaleDB, so this is not tested: readings into a hypertable ({why})")
        if os.environ.get("CI") == "true":
            sys.exit("tools: CI needs TimescaleDB")
