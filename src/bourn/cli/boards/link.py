"""A board at a serial port: found, opened, and made to run pieces of code, by mpremote."""

from __future__ import annotations

import codecs
import contextlib
import grp
import io
import os
import stat
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from bourn.cli.boards import BoardError

try:
    from mpremote.transport import TransportError, TransportExecError
    from mpremote.transport_serial import SerialTransport
    from serial.tools import list_ports
except ImportError as e:
    raise BoardError("`bourn board` needs mpremote; install it: pip install 'bourn[board]'") from e

ANSWER_S = 10  # how long a board may take to reset and to say that it is ready
SILENCE_S = 5  # how long one read may wait
OPENS = 4  # tries to open a port: what looks at new ones (a modem manager) has it for a moment
OPEN_PAUSE_S = 0.2
INTERRUPTS = 5  # Ctrl-C's for a program that has not ended by the first
INTERRUPT_S = 0.1  # between two of them
PROMPT = b">>> "
GONE = "the board at {} has gone away; plug it in and give the same command again"


def choose_port(wanted: str | None, ports: list[Any]) -> str:
    """The port to use: the one that is wanted, or the only one with a USB device. BoardError says what there is."""
    if wanted:
        if not os.path.exists(wanted):
            seen = ", ".join(port.device for port in ports) or "none"
            raise BoardError(f"there is no port {wanted}; the serial ports of this machine: {seen}")
        return wanted
    boards = [port for port in ports if port.vid is not None]
    if not boards:
        others = ", ".join(port.device for port in ports)
        looked = f"none of its serial ports ({others}) is a USB device" if others else "it has no serial port"
        raise BoardError(
            f"this machine sees no board: {looked}. Is it plugged in, with a cable that carries data, not only power? "
            "A port of another kind is named with --port"
        )
    if len(boards) > 1:
        lines = "".join(f"\n  --port {port.device}   {port.description or ''}" for port in boards)
        raise BoardError(f"there are {len(boards)} boards; say which:{lines}")
    return str(boards[0].device)


class Link:
    """The board at `port` (None: the only one there is), its program interrupted and its interpreter fresh.

    A context manager. Each method raises BoardError where the board has gone away.
    """

    def __init__(self, port: str | None) -> None:
        self.port = choose_port(port, sorted(list_ports.comports()))
        if not os.access(self.port, os.R_OK | os.W_OK):
            raise BoardError(_forbidden(self.port))
        self._transport = _opened(self.port)
        self._transport.serial.timeout = SILENCE_S
        self._transport.serial.write_timeout = SILENCE_S

    def __enter__(self) -> Link:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it got instead of a prompt
                try:
                    self._transport.enter_raw_repl(soft_reset=True, timeout_overall=ANSWER_S)
                except TransportError:  # it was just starting, or its program catches the first Ctrl-C
                    for _ in range(INTERRUPTS):
                        self._transport.serial.write(b"\x03")
                        time.sleep(INTERRUPT_S)
                    self._transport.enter_raw_repl(soft_reset=True, timeout_overall=ANSWER_S)
        except (TransportError, OSError) as e:
            self._close()
            raise BoardError(
                f"the device at {self.port} does not answer as MicroPython does. Press its reset button and give the "
                "command again at once: its program may catch every Ctrl-C (`except:` does, `except Exception:` does "
                "not). Or put MicroPython on it first (micropython.org/download)"
            ) from e
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, TransportError):  # it may have gone; what matters has been said
            if self._transport.in_raw_repl:
                self._transport.exit_raw_repl()
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError, TransportError):
            self._transport.serial.close()

    def run(self, code: str) -> str:
        """What `code` prints on the board. BoardError with its last line of complaint when it raises."""
        try:
            return str(self._transport.exec(code).decode()).replace("\r\n", "\n")
        except TransportExecError as e:
            raise BoardError(f"the board says: {_last_line(e)}") from e
        except (TransportError, OSError) as e:
            raise BoardError(GONE.format(self.port)) from e

    def write(self, path: str, data: bytes, told: Callable[[int], object]) -> None:
        """Write a file on the board; `told(n)` hears of every n bytes that have arrived. OSError: of its flash."""
        done = 0

        def progress(size: int, _: int) -> None:
            nonlocal done
            told(size - done)
            done = size

        try:
            self._transport.fs_writefile(path, data, progress_callback=progress)
        except TransportExecError as e:
            raise BoardError(f"the board says: {_last_line(e)}") from e
        except TransportError as e:
            raise BoardError(GONE.format(self.port)) from e
        except OSError as e:
            if e.filename is None and e.args[1:] == (path,):  # the board's own, as mpremote passes it on
                raise
            raise BoardError(GONE.format(self.port)) from e

    def read(self, path: str) -> bytes | None:
        """What is in a file of the board; None when there is none."""
        try:
            return bytes(self._transport.fs_readfile(path))
        except FileNotFoundError:
            return None
        except TransportExecError as e:
            raise BoardError(f"the board says: {_last_line(e)}") from e
        except (TransportError, OSError) as e:
            if isinstance(e, OSError) and e.args[1:] == (path,):  # the board's own, as mpremote passes it on
                raise BoardError(f"the board cannot read {path}: {os.strerror(e.errno or 0)}") from e
            raise BoardError(GONE.format(self.port)) from e

    def restart(self) -> None:
        """Start the board's program anew, as power would, and leave it alone."""
        try:
            self._transport.exit_raw_repl()
            self._transport.read_until(1, PROMPT, timeout=SILENCE_S)
            self._transport.serial.write(b"\x04")
            self._transport.read_until(1, b"soft reboot\r\n", timeout=SILENCE_S)
        except (TransportError, OSError) as e:
            raise BoardError(GONE.format(self.port)) from e

    def watch(self, show: Callable[[str], object]) -> bool:
        """Start the board's program anew and show what it prints until it ends; False if that was by an error."""
        self.restart()
        serial = self._transport.serial
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        tail = ""
        failed = False
        while True:
            try:
                if not serial.in_waiting:
                    if tail.endswith("\n" + PROMPT.decode()):
                        return not failed
                    time.sleep(0.02)
                    continue
                data = serial.read(serial.in_waiting)
            except OSError as e:
                raise BoardError(GONE.format(self.port)) from e
            text = decode(data).replace("\r\n", "\n").replace("\x04", "")
            failed = failed or "Traceback (most recent call last):" in tail + text
            tail = (tail + text)[-64:]
            show(text)


def _opened(port: str) -> Any:
    """The transport at that port. BoardError where it cannot be opened, not even a moment later."""
    if not stat.S_ISCHR(os.stat(port).st_mode):
        raise BoardError(f"{port} is no serial port; a board's is like /dev/ttyACM0 or /dev/ttyUSB0")
    tries = 0
    while True:
        try:
            return SerialTransport(port, baudrate=115200)
        except (TransportError, OSError) as e:
            tries += 1
            if tries == OPENS:
                raise BoardError(
                    f"{port} cannot be opened: is it in use by another program (a serial monitor, an editor)?"
                ) from e
        time.sleep(OPEN_PAUSE_S)


def _last_line(e: TransportExecError) -> str:
    lines = [line for line in str(e.error_output).splitlines() if line.strip()]
    return lines[-1] if lines else "an error without a word"


def _forbidden(port: str) -> str:
    try:
        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (KeyError, OSError):
        group = "dialout"
    return (
        f"you may not use {port}, which is for the group {group}: `sudo usermod -aG {group} $USER`, then log out and in"
    )
