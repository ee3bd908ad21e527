"""Readings of the machine this runs on: by psutil where it is, out of Linux's /proc otherwise."""


def _psutil():
    """psutil, or None where it is not installed: then proc.py reads the same out of /proc."""
    try:
        import psutil
    except ImportError:
        return None  # no reason to tell anyone to `pip install` it: where there is no /proc either, proc.py does
    return psutil


def _of_proc(name: str, options: dict):
    from bourn.device.sensors import proc

    return getattr(proc, name)(options)


def cpu(options: dict):
    """A probe of the CPU's use since the last sample, in percent of all cores."""
    psutil = _psutil()
    if psutil is None:
        return _of_proc("cpu", options)
    psutil.cpu_percent(None)  # the first call only sets the mark
    return lambda: psutil.cpu_percent(None)


def load(options: dict):
    """A probe of the load average of the last minute."""
    psutil = _psutil()
    if psutil is None:
        return _of_proc("load", options)
    return lambda: round(psutil.getloadavg()[0], 2)


def memory(options: dict):
    """A probe of the memory in use, in percent."""
    psutil = _psutil()
    if psutil is None:
        return _of_proc("memory", options)
    return lambda: psutil.virtual_memory().percent


def disk(options: dict):
    """A probe of the disk space in use at `path` ("/"), in percent."""
    psutil = _psutil()
    if psutil is None:
        return _of_proc("disk", options)
    return lambda: psutil.disk_usage(options.get("path", "/")).percent


def network(options: dict):
    """A probe of [bytes sent, bytes received] since the last sample, over all interfaces."""
    psutil = _psutil()
    if psutil is None:
        return _of_proc("network", options)
    last = psutil.net_io_counters()

    def sample():
        nonlocal last
        before = last
        last = psutil.net_io_counters()
        return [last.bytes_sent - before.bytes_sent, last.bytes_recv - before.bytes_recv]

    return sample


def temperatures() -> list:
    """What this machine's thermometers show now, in degrees Celsius; empty where there is none."""
    psutil = _psutil()
    if psutil is None:
        from bourn.device.sensors.proc import temperatures

        return temperatures()
    if not hasattr(psutil, "sensors_temperatures"):
        return []
    return [t.current for chip in psutil.sensors_temperatures().values() for t in chip if t.current]


def temperature(options: dict):
    """A probe of the hottest thermometer of this machine, in degrees Celsius."""
    if not temperatures():
        raise ValueError("this machine has no thermometer that can be read; leave the kind 'temperature' out")
    return lambda: max(temperatures())
