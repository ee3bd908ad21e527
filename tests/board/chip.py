# What runs inside a fake board: a real MicroPython whose root is a littlefs in one file, and which runs the pieces of
# code that fake_board.py sends it. Arguments: image, blocks of 4096 bytes, version to pretend (1.24.1) or -, and where
# the flash is: "/", as on an ESP32 or RP2, or "/flash", as on the others; "fat" at the end: FAT instead of littlefs.
# Each piece comes as "LENGTH\n" and its text; back come its output, \x04, its traceback, \x04, as from a raw REPL.

import hashlib
import os
import sys
import time

import vfs


class Flash:
    """A block device in a file: what was written is there whenever the process is killed."""

    def __init__(self, path, blocks):
        self.blocks = blocks
        try:
            self.file = open(path, "r+b")
        except OSError:
            self.file = open(path, "w+b")
            for _ in range(blocks):
                self.file.write(b"\xff" * 4096)

    def readblocks(self, n, buffer, offset=0):
        self.file.seek(n * 4096 + offset)
        self.file.readinto(buffer)

    def writeblocks(self, n, buffer, offset=0):
        self.file.seek(n * 4096 + offset)
        self.file.write(buffer)

    def ioctl(self, what, _):
        return {4: self.blocks, 5: 4096}.get(what, 0)


class Radio:
    """A `network` whose one access point has every name and password: no radio is simulated."""

    STA_IF = 0
    AP_IF = 1

    class WLAN:
        def __init__(self, interface=0):
            self.up = False

        def active(self, on=None):
            return False

        def connect(self, *arguments):
            self.up = True

        def isconnected(self):
            return self.up

        def status(self, *arguments):
            return 1010 if self.up else 1000

        def config(self, *arguments, **settings):
            return ""

        def ifconfig(self, *arguments):
            return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")


class Machine:
    """A `machine` whose clock stands at the beginning of 2000 when the power comes, as a board's does.

    Each flash is on a chip of its own.
    """

    def unique_id():
        return hashlib.sha256(sys.argv[1].encode()).digest()[:8]

    class RTC:
        def datetime(self, told):
            year, month, day, _, hour, minute, second, _ = told
            Time.began = time.time_ns() - time.mktime((year, month, day, hour, minute, second, 0, 0)) * 1000000000


class Time:
    """`time`, as that clock has it."""

    began = time.time_ns() - 946684800000000000

    def time_ns(self):
        return time.time_ns() - Time.began

    def time(self):
        return self.time_ns() // 1000000000

    def __getattr__(self, name):
        return getattr(time, name)


class Older:
    """`sys` as another version has it."""

    def __init__(self, version):
        self.implementation = Implementation(version)

    def __getattr__(self, name):
        return getattr(sys, name)


class Implementation:
    def __init__(self, version):
        self.name = "micropython"
        self.version = version
        self._mpy = sys.implementation._mpy


flash = Flash(sys.argv[1], int(sys.argv[2]))
system = vfs.VfsFat if sys.argv[5:] == ["fat"] else vfs.VfsLfs2
try:
    root = system(flash)
    root.statvfs("/")
except OSError:
    system.mkfs(flash)
    root = system(flash)
vfs.umount("/")
vfs.mount(root, sys.argv[4])
if sys.argv[4] == "/":
    sys.path[:] = ["", ".frozen", "/lib"]
else:
    os.chdir(sys.argv[4])
    sys.path[:] = ["", ".frozen", sys.argv[4], sys.argv[4] + "/lib"]
sys.modules["network"] = Radio
sys.modules["machine"] = Machine
sys.modules["time"] = Time()
if sys.argv[3] != "-":
    sys.modules["sys"] = Older(tuple([int(n) for n in sys.argv[3].split(".")]))
sys.modules.pop("chip", None)

codes = sys.stdin.buffer
out = sys.stdout.buffer
space = {"__name__": "__main__"}


def serve():
    """Run what comes; ends when nothing more comes."""
    line = b""
    out.write(b"\x06")  # from here on a Ctrl-C is an exception
    while True:
        byte = codes.read(1)
        if not byte:
            return
        line += byte
        if byte != b"\n":
            continue
        code = codes.read(int(line))
        line = b""
        try:
            exec(code, space)
            out.write(b"\x04\x04")
        except SystemExit:
            out.write(b"\x04\x04")
        except BaseException as e:
            out.write(b"\x04")
            sys.print_exception(e, sys.stdout)
            out.write(b"\x04")


serving = True
while serving:
    try:
        serve()
        serving = False
    except KeyboardInterrupt:  # it came when nothing ran any more
        continue
