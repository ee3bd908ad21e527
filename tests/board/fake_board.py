"""A board that is not there: a serial port (a pty) with a real MicroPython behind it, for whatever speaks to boards.

    python tests/board/fake_board.py FOLDER [--flash 1024]      a port, until Ctrl-C; the flash is FOLDER/flash.img

`mpremote connect PORT ...` and `bourn board ... --port PORT` take it for a board with MicroPython: it speaks the
friendly and the raw REPL with raw-paste mode, runs boot.py and main.py when it gets power, is interrupted by Ctrl-C
and reset by Ctrl-D. Its files are a littlefs of a fixed size in one file, so a full flash is a real ENOSPC, and what a
cut in the middle of a write leaves behind is what littlefs makes of it. It has no radio: `network` says yes to all.

The protocol: MicroPython's documentation, "The MicroPython Interactive Interpreter Mode", "Raw-paste mode".
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

CHIP = Path(__file__).resolve().with_name("chip.py")
BANNER = b"raw REPL; CTRL-B to exit\r\n>"
PROMPT = b"\r\n>>> "
ENDS_S = 1  # how long a program may take to end by a Ctrl-C
WINDOW = 128  # bytes of raw-paste mode that may be on their way
SWEEP = b"import gc, sys\nsys.modules.clear()\nglobals().clear()\nimport gc\ngc.collect()\n"
START = (
    "import os\n"
    "for _name in ('boot.py', 'main.py')[:%d]:\n"
    "    if _name in os.listdir():\n"
    "        exec(open(_name).read())\n"
)


class FakeBoard:
    """A context manager: `port` is the path of the serial port while it is plugged in.

    `micropython` is the interpreter's command. `version` is one to pretend, like "1.24.1". `root` is where its flash
    is, "/" or "/flash"; `fat`: with FAT instead of littlefs. `unplug()` cuts the cable and with it the power;
    `unplug_after(n)` does so after `n` more bytes from the computer; `plug()` plugs it in again.
    """

    def __init__(
        self,
        folder: Path,
        micropython: list[str],
        flash_kb: int = 1024,
        version: str = "-",
        heap: str = "512k",
        root: str = "/",
        fat: bool = False,
    ) -> None:
        self.image = Path(folder) / "flash.img"
        chip = (str(CHIP), str(self.image), str(flash_kb // 4), version, root, *(["fat"] if fat else []))
        self._command = [*micropython, "-X", f"heapsize={heap}", *chip]
        self._left: int | None = None  # bytes until the cable is cut
        self._thread: threading.Thread | None = None
        self.received = 0
        self.resets = 0

    def __enter__(self) -> FakeBoard:
        self.plug()
        return self

    def __exit__(self, *error: object) -> None:
        self.unplug()

    def plug(self) -> None:
        """Power and cable: it boots, and runs main.py."""
        self._left = None
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._quit, self._asked_to_quit = os.pipe()
        self._raw = False
        self._running = False
        self._line = b""
        self._paste: bytes | None = None
        self._taken = 0
        self._ends = 0  # how many of the two \x04 of what runs have come
        self._power_on(2)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """No power and no cable from now on."""
        if self._thread is not None:
            os.write(self._asked_to_quit, b"x")
            self._thread.join(10)
            self._thread = None
            os.close(self._quit)
            os.close(self._asked_to_quit)

    def unplug_after(self, n: int) -> None:
        """Cut the cable when `n` more bytes have come from the computer."""
        self._left = n

    # -- inside: one thread between the computer and the chip

    def _power_on(self, programs: int) -> None:
        environment = dict(os.environ, MICROPYPATH=str(CHIP.parent))
        self._chip = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            bufsize=0,
        )
        assert os.read(self._chip.stdout.fileno(), 1) == b"\x06", "the chip does not start"
        self._run((START % programs).encode())

    def _power_off(self) -> None:
        self._chip.kill()
        self._chip.wait()
        self._chip.stdin.close()
        self._chip.stdout.close()

    def _serve(self) -> None:
        poller = select.poll()
        try:
            poller.register(self._quit, select.POLLIN)
            poller.register(self._master, select.POLLIN)
            while True:
                chip = self._chip.stdout.fileno()
                poller.register(chip, select.POLLIN)
                ready = dict(poller.poll())
                if self._quit in ready:
                    return
                if chip in ready:
                    data = os.read(chip, 4096)
                    if not data:
                        return  # it crashed
                    self._from_chip(data)
                elif self._master in ready:
                    data = os.read(self._master, 4096)
                    if self._left is not None:
                        data = data[: self._left]
                        self._left -= len(data)
                    before = self._chip
                    for at in range(len(data)):
                        self._from_computer(data[at : at + 1])
                    self.received += len(data)
                    if self._chip is not before:
                        poller.unregister(chip)
                    if self._left == 0:
                        return
        finally:
            self._power_off()
            os.close(self._master)
            os.close(self._slave)

    def _say(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data) :]

    def _run(self, code: bytes) -> None:
        while select.select([self._chip.stdout], [], [], 0)[0]:  # of one that was interrupted when it had ended
            assert os.read(self._chip.stdout.fileno(), 4096), "the chip has died"
        self._running = True
        self._ends = 0
        self._chip.stdin.write(b"%d\n" % len(code) + code)

    def _from_chip(self, data: bytes) -> None:
        data = data.replace(b"\x06", b"").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if not self._running:
            return
        if self._raw:
            self._say(data)
        else:
            self._say(data.replace(b"\x04", b""))
        self._ends += data.count(b"\x04")
        if self._ends >= 2:
            self._running = False
            self._say(b">" if self._raw else PROMPT)

    def _interrupt(self) -> None:
        self._chip.send_signal(signal.SIGINT)
        time.sleep(0.03)  # it may have ended by itself: then the interrupt goes nowhere, before the next code comes

    def _wait_for_the_chip(self) -> bytes:
        """What it says until it has done what it was given."""
        said = b""
        while self._running:
            data = os.read(self._chip.stdout.fileno(), 4096)
            assert data, "the chip has died"
            said += data.replace(b"\x04", b"").replace(b"\x06", b"")
            self._ends += data.count(b"\x04")
            self._running = self._ends < 2
        return said.replace(b"\n", b"\r\n")

    def _reset(self) -> None:
        """Everything of the interpreter is new, only the flash stays; open files are closed, as on a board."""
        self.resets += 1
        self._run(SWEEP)
        self._wait_for_the_chip()
        self._power_off()
        self._say(b"\r\nMPY: soft reboot\r\n")
        self._power_on(1 if self._raw else 2)
        if self._raw:
            self._say(self._wait_for_the_chip())
            self._say(BANNER)

    def _from_computer(self, byte: bytes) -> None:
        if self._running:
            if byte == b"\x03":
                self._interrupt()
            elif byte == b"\x01" and not self._raw and self._finish():
                self._raw = True
                self._line = b""
                self._say(BANNER)
            return  # to the program, which does not read it
        if self._paste is not None:
            self._pasted(byte)
        elif self._raw:
            self._in_raw(byte)
        elif byte == b"\x01":
            self._raw = True
            self._line = b""
            self._say(BANNER)
        elif byte == b"\x04":
            self._reset()
        elif byte in {b"\x02", b"\x03", b"\r"}:
            self._say(PROMPT)

    def _finish(self) -> bool:
        """Whether the program ends by the Ctrl-C that is under way, if there is one; what it still says is said."""
        end = time.monotonic() + ENDS_S
        while self._running and time.monotonic() < end:
            if select.select([self._chip.stdout], [], [], ENDS_S / 10)[0]:
                self._from_chip(os.read(self._chip.stdout.fileno(), 4096))
        return not self._running

    def _in_raw(self, byte: bytes) -> None:
        if byte == b"\x01":
            if self._line == b"\x05A":
                self._paste, self._taken, self._line = b"", 0, b""
                self._say(b"R\x01" + struct.pack("<H", WINDOW) + b"\x01")
                return
            self._line = b""
            self._say(BANNER)
        elif byte == b"\x02":
            self._raw = False
            self._say(b"\r\nMicroPython (fake board)" + PROMPT)
        elif byte == b"\x03":
            self._line = b""
        elif byte == b"\x04":
            code, self._line = self._line, b""
            self._say(b"OK")
            if code:
                self._run(code)
            else:
                self._reset()
        else:
            self._line += byte

    def _pasted(self, byte: bytes) -> None:
        if byte == b"\x04":
            code, self._paste = self._paste, None
            self._say(b"\x04")
            self._run(code)
        elif byte == b"\x03":
            self._paste = None
            self._say(b"\x04\x04\x04>")
        else:
            self._paste += byte
            self._taken += 1
            if self._taken % WINDOW == 0:
                self._say(b"\x01")


def main() -> None:
    """A port for trying things out."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))
    import interpreters

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    flash = int(sys.argv[sys.argv.index("--flash") + 1]) if "--flash" in sys.argv else 1024
    with FakeBoard(folder, interpreters.lanes(get=False)["mpy-x64"]["command"], flash) as board:
        print(board.port, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
