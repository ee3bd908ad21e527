"""Record sensor readings to segment files, and upload them by HTTP PUT: on a board with MicroPython, and on CPython.

    MICROPYPATH=src:stdlib:.frozen micropython examples/record_and_put.py http://192.0.2.7:8080/readings 1000
    PYTHONPATH=src python examples/record_and_put.py http://192.0.2.7:8080/readings 1000

The loop that samples never waits for the network: a second thread uploads, one task running and at most one waiting.
A segment is removed here when the server says that it has as many bytes; its name is made of what it holds, so a retry
overwrites itself. `bourn record` does all this and much more on CPython.
"""

import binascii
import json
import os
import queue
import random
import socket
import sys
import threading
import time

from bourn import InputThing, Scheduler, SensorAsOutputThing

FOLDER = "segments"
READINGS = 100  # of a segment
KEPT = 64  # segments here; beyond it the oldest goes, and is counted
LONGEST_PAUSE_S = 60


class Segments(InputThing):
    """A sink: a line for each reading, in files of READINGS lines; a whole file is renamed from .part to .jsonl."""

    def __init__(self, sealed):
        self.dropped = 0
        self._sealed = sealed  # told about each whole file; must not wait
        self._epoch = binascii.hexlify(os.urandom(4)).decode()  # numbers begin again, names don't
        self._first = self._count = 0
        self._file = None
        if FOLDER not in os.listdir("."):
            os.mkdir(FOLDER)
        for name in os.listdir(FOLDER):  # what a power cut left: it is not whole, and as good as it was
            if name.endswith(".part"):
                os.rename(FOLDER + "/" + name, FOLDER + "/" + name[:-5] + ".jsonl")

    def on_next(self, x):
        if self._file is None:
            self._name = f"{FOLDER}/{self._epoch}-{self._first:08d}"
            self._file = open(self._name + ".part", "wb")  # noqa: SIM115 - open until it is whole
        self._file.write((json.dumps([x.sensor_id, x.ts, x.val]) + "\n").encode())
        self._count += 1
        if self._count == READINGS:
            self.on_completed()

    def on_completed(self):
        if self._file is None:
            return
        self._file.flush()  # MicroPython: on the medium
        if hasattr(os, "fsync"):
            os.fsync(self._file.fileno())
        self._file.close()
        os.rename(self._name + ".part", self._name + ".jsonl")
        self._file, self._first, self._count = None, self._first + self._count, 0
        for name in whole()[:-KEPT]:
            try:
                os.remove(FOLDER + "/" + name)
                self.dropped += 1
            except OSError:
                continue  # it was just uploaded
        self._sealed()


class Uploader:
    """Uploads what is whole, oldest first, and tries again for ever; nothing ends its thread but `stop`."""

    def __init__(self, url):
        host, _, path = url.split("//", 1)[1].partition("/")
        self._host, _, port = host.partition(":")
        self._port, self._path = int(port or 80), path
        self._tasks = queue.Queue(maxsize=1)
        self._stopping = False
        self.sent = self.failures = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def trigger(self):
        try:
            self._tasks.put(None, block=False)
        except queue.Full:
            return  # one more pass is waiting already

    def stop(self):
        """Upload what there is, and end."""
        self._stopping = True
        self.trigger()
        self._thread.join()

    def _run(self):
        in_a_row = 0
        while True:
            try:
                if not in_a_row:
                    self._tasks.get()
                for name in whole():
                    self._upload(name)
                    in_a_row = 0
                in_a_row = 0
                if self._stopping and not whole():
                    return
            except (OSError, ValueError) as e:
                self.failures += 1
                in_a_row += 1
                print("upload:", e)
                time.sleep(random.random() * min(LONGEST_PAUSE_S, 0.05 * 2 ** min(in_a_row, 20)))

    def _upload(self, name):
        with open(FOLDER + "/" + name, "rb") as file:
            body = file.read()  # a segment is small; a larger one would be sent in pieces
        self._ask("PUT", name, body)
        there = self._ask("HEAD", name, b"")
        if there != len(body):
            raise ValueError(f"{name} has {there} bytes there instead of {len(body)}")
        os.remove(FOLDER + "/" + name)
        self.sent += 1

    def _ask(self, method, name, body):
        """One request; the answer's Content-Length. OSError when the answer is no success."""
        link = socket.socket()
        try:
            link.settimeout(10)
            link.connect(socket.getaddrinfo(self._host, self._port)[0][-1])
            stream = link.makefile("rwb", 0)
            head = f"{method} /{self._path}/{name} HTTP/1.0\r\nHost: {self._host}\r\n"
            data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            while data:
                data = data[stream.write(data) :]
            words = stream.readline().split()
            length = 0
            line = stream.readline()
            while line.strip():
                field, _, value = line.partition(b":")
                length = int(value) if field.lower() == b"content-length" else length
                line = stream.readline()
            if len(words) < 2 or not words[1].startswith(b"2"):
                raise OSError(f"{method} {name}: {words[1:2]}")
            return length
        finally:
            link.close()


def whole():
    """The segments that are complete, oldest first as far as their names tell."""
    return sorted(name for name in os.listdir(FOLDER) if name.endswith(".jsonl"))


class Noise:
    """A sensor; put your own here."""

    sensor_id = "noise"

    def __init__(self, readings):
        self._left = readings

    def sample(self):
        if not self._left:
            raise StopIteration  # the end of the recording
        self._left -= 1
        return random.getrandbits(10)


def main(url, readings):
    uploader = Uploader(url)
    segments = Segments(uploader.trigger)
    noise = SensorAsOutputThing(Noise(readings))
    noise.connect(segments)
    scheduler = Scheduler()
    scheduler.schedule_periodic(noise, 0.002)
    scheduler.run_forever()
    uploader.stop()
    print(f"recorded {readings}, sent {uploader.sent} segments, dropped {segments.dropped}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: record_and_put.py URL READINGS, like http://192.0.2.7:8080/readings 1000")
        sys.exit(2)
    main(sys.argv[1], int(sys.argv[2]))
