"""Readings of a Linux machine out of /proc and /sys alone, where there is no psutil: MicroPython on a small board."""

import os

PROC = "/proc"


def _lines(name):
    try:
        with open(PROC + "/" + name) as file:
            return file.read().split("\n")
    except OSError:
        raise ImportError("sensors of this machine need Linux's /proc, or psutil: pip install psutil")


def cpu(options: dict):
    """A probe of the CPU's use since the last sample, in percent of all cores (proc(5), /proc/stat)."""

    def times():
        fields = [int(word) for word in _lines("stat")[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]  # idle, and waiting for a disk

    last = times()

    def sample():
        nonlocal last
        before = last
        last = times()
        total = last[0] - before[0]
        return round(100 * (1 - (last[1] - before[1]) / total), 1) if total > 0 else 0.0

    return sample


def load(options: dict):
    """A probe of the load average of the last minute."""
    _lines("loadavg")
    return lambda: float(_lines("loadavg")[0].split()[0])


def memory(options: dict):
    """A probe of the memory in use, in percent: what is not MemAvailable."""

    def sample():
        kib = {}
        for line in _lines("meminfo"):
            words = line.split()
            if len(words) > 1:
                kib[words[0]] = int(words[1])
        return round(100 * (1 - kib["MemAvailable:"] / kib["MemTotal:"]), 1)

    sample()
    return sample


def disk(options: dict):
    """A probe of the disk space in use at `path` ("/"), in percent of what a user may have."""
    path = options.get("path", "/")

    def sample():
        fields = os.statvfs(path)  # block size, fragment size, blocks, free, available, ...
        used = fields[2] - fields[3]
        return round(100 * used / (used + fields[4]), 1)

    return sample


def network(options: dict):
    """A probe of [bytes sent, bytes received] since the last sample, over all interfaces."""

    def totals():
        sent = received = 0
        for line in _lines("net/dev")[2:]:
            if ":" in line:
                words = line[line.index(":") + 1 :].split()
                received += int(words[0])
                sent += int(words[8])
        return sent, received

    last = totals()

    def sample():
        nonlocal last
        before = last
        last = totals()
        return [max(0, last[0] - before[0]), max(0, last[1] - before[1])]  # less: an interface has gone

    return sample


def temperatures() -> list:
    """What the thermal zones show now, in degrees Celsius; empty where there is none."""
    found: list = []
    try:
        zones = os.listdir("/sys/class/thermal")
    except OSError:
        return found
    for zone in zones:
        try:
            with open("/sys/class/thermal/%s/temp" % zone) as file:
                found.append(int(file.read()) / 1000)
        except (OSError, ValueError):
            continue  # a cooling device, or a zone that is switched off
    return found
