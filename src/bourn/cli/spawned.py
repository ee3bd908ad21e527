"""A sensor's process that multiprocessing starts, because it inherits queues; for the rest as any other program.

Its standard input, output and error are pipes to this process, so that it is told to end, and reports, as those are
that were started by their command.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import IO, Any

from bourn import process_queue


class SpawnedProcess:
    """What is used here of an `asyncio.subprocess.Process`."""

    def __init__(self, process: Any, stdin: IO[bytes], stdout: asyncio.StreamReader, stderr: asyncio.StreamReader):
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._process = process
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(process.sentinel, self._has_ended)

    @classmethod
    async def start(cls, arguments: list[str], pair: process_queue.Pair) -> SpawnedProcess:
        """Start a node with these arguments and its end of these queues. OSError."""
        pipes = [process_queue.CONTEXT.Pipe(duplex=False) for _ in range(3)]
        (its_in, our_in), (our_out, its_out), (our_err, its_err) = pipes
        try:
            process = process_queue.CONTEXT.Process(
                target=run_node, args=(arguments, pair, its_in, its_out, its_err), daemon=True
            )
            # Ctrl-C in the terminal is for the one who started us all: it never hears of it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            stdin = os.fdopen(os.dup(our_in.fileno()), "wb", buffering=0)
            return cls(process, stdin, await _reader(our_out), await _reader(our_err))
        finally:
            for end in (end for pipe in pipes for end in pipe):
                end.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def wait(self) -> int:
        """Its exit status, when it has ended."""
        if self.returncode is None:
            await asyncio.shield(self._ended)
            self._process.join()
            self.returncode = self._process.exitcode
            self._process.close()
            self.stdin.close()
        assert self.returncode is not None
        return self.returncode

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._ended.set_result(None)


async def _reader(end: Any) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    file = os.fdopen(os.dup(end.fileno()), "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader


def run_node(arguments: list[str], pair: process_queue.Pair, *standard: Any) -> None:
    """In the new process: what `python -m bourn.device.node` does, with a hub at the end of these queues."""
    for number, end in enumerate(standard):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin = os.fdopen(0, closefd=False)  # multiprocessing had put another in its place
    os.setsid()
    process_queue.inherit(pair)
    from bourn.device.node import main

    sys.exit(main(["node", *arguments]))
