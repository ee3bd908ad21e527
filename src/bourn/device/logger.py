"""A small log in two files of bounded size: what was logged last is always there, also after a power cut.

The newest messages are in FILE, those before it in FILE.1; together they take at most twice `max_len` bytes. When FILE
is full it is renamed over FILE.1 in one step, so no moment is without a log. An empty line stands where a run begins
that goes on with the file of the last one. The names are ThingFlow's.

From `sync_level` on (WARNING) a line is on the medium when the call returns, with all before it; a line below that
level waits for the next such one, so that a chatty log does not wear out the flash.
"""

from bourn._compat import Clock
from bourn._compat import files as real_files

DEBUG = 10
INFO = 20
WARNING = 30
ERROR = 40


def utc_stamp(ms):
    """`ms` since 1970 UTC as "2024-01-31 23:59:58": `utc_stamp(0)` is "1970-01-01 00:00:00"."""
    days, seconds = divmod(ms // 1000, 86400)
    # Counted from 1 March of year 0, where a leap day is the last of its year (Howard Hinnant, "chrono-compatible
    # low-level date algorithms").
    days += 719468
    era, day = divmod(days, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year += era * 400 + (month >= 10)
    month += 3 if month < 10 else -9
    minutes, second = divmod(seconds, 60)
    return "%d-%02d-%02d %02d:%02d:%02d" % (year, month, day + 1, minutes // 60, minutes % 60, second)


class Logger:
    """Writes lines of at least `level` to `outputfile`; `interactive` prints them, too. Any thread may call it.

    `msg % args` is made only when the line is written. A line longer than `max_len` bytes is cut, further lines of one
    message are indented. Passwords in URLs, and what `redact` was told, are written as ***. A full disk costs lines,
    which `dropped` counts, and nothing else. As the sink of a flow it logs each event at level INFO, an error at ERROR.
    """

    DEBUG = DEBUG
    INFO = INFO
    WARNING = WARNING
    WARN = WARNING
    ERROR = ERROR

    def __init__(
        self,
        outputfile,
        max_len=32000,
        level=INFO,
        interactive=False,
        clock=None,
        files=None,
        sync_level=WARNING,
    ):
        if max_len < 100:
            raise ValueError("max_len from 100")
        self.outputfile = outputfile
        self.max_len = max_len
        self.level = level
        self.interactive = interactive
        self.sync_level = sync_level
        self.dropped = 0
        self._secrets = ()
        self.clock = clock or Clock()
        self.files = files or real_files
        try:
            from _thread import allocate_lock

            self._lock = allocate_lock()  # for what stands above, and for the file itself
        except ImportError:  # a port without threads: nobody else is there
            self._lock = None
        self._open()

    def debug(self, msg, *args):
        """Log `msg % args` at level DEBUG."""
        self._log(DEBUG, msg, args)

    def info(self, msg, *args):
        """Log `msg % args` at level INFO."""
        self._log(INFO, msg, args)

    def warning(self, msg, *args):
        """Log `msg % args` at level WARNING."""
        self._log(WARNING, msg, args)

    warn = warning

    def error(self, msg, *args):
        """Log `msg % args` at level ERROR."""
        self._log(ERROR, msg, args)

    def exception(self, e, msg="", *args):
        """Log `msg % args` and the traceback of the exception `e` at level ERROR.

        As ThingFlow's port has it, the exception comes first: MicroPython does not tell which one is being handled.
        """
        from io import StringIO

        from bourn._compat import print_exception

        trace = StringIO()
        print_exception(e, trace)
        self._log(ERROR, (msg and msg + "\n") + "%s", args + (trace.getvalue().rstrip(),))

    def set_level(self, level):
        """From now on leave out what is below `level`."""
        self.level = level

    def redact(self, *secrets):
        """From now on write *** for each of these texts, a password or a key."""
        lock = self._lock
        if lock:
            lock.acquire()
        try:
            self._secrets += secrets
        finally:
            if lock:
                lock.release()

    def close(self):
        """Close the file; a closed log drops and counts what comes."""
        self._write(None)

    # -- a sink of the flow

    on_next = info

    def on_completed(self, e=None):
        """Log that the stream has ended; as `on_error`, the error that has ended it."""
        self._log(ERROR if e else INFO, repr(e) if e else "completed")

    on_error = on_completed

    # -- the files

    def _open(self):
        name = self.outputfile
        self._file = self.files.open(name, "ab")
        self._size = self.files.size(name)
        if self._size:  # the power may have gone in the middle of a line; else an empty one shows where a run began
            self._size += self._file.write(b"\n") or 0
        else:  # else its lines survive a power cut, and its name does not
            self.files.sync_folder(name[: name.rfind("/") + 1] or ".")

    def _log(self, level, msg, args=()):
        if level < self.level:
            return
        msg = str(msg)
        if args:
            try:
                msg %= args
            except (TypeError, ValueError):  # it does not fit; still logged, for a log must not end a program
                msg = "%s %r" % (msg, args)
        name = "DBGINFWRNERR"[level // 10 * 3 - 3 :][:3]
        line = "%s [%s] %s" % (utc_stamp(self.clock.wall()), name, msg)
        if self._secrets or "://" in line:
            from bourn.device.redaction import redacted  # who logs no URL does not load it

            line = redacted(line, self._secrets)
        line = line.replace("\n", "\n    ")
        if self.interactive:
            print(line)
        self._write(line.encode()[: self.max_len - 1] + b"\n", level >= self.sync_level)

    def _write(self, data, sync=False):
        """Put a line into the file, None to close it; a disk that is full costs it."""
        lock = self._lock
        if lock:
            lock.acquire()
        try:
            file = self._file
            if data is None:
                self._file = None
                if file is not None:
                    file.close()
                return
            if file is not None and self._size + len(data) > self.max_len:
                self.files.sync(file)
                file.close()
                try:
                    self.files.rename(self.outputfile, self.outputfile + ".1")
                finally:
                    self._open()  # the same file again, where it could not be renamed
                file = self._file
            if file is None or self._size + len(data) > self.max_len:
                self.dropped += 1
                return
            self._size += file.write(data) or 0
            if sync:
                self.files.sync(file)
        except (OSError, ValueError):  # ValueError: it could not be opened again, and CPython says so in this way
            self.dropped += 1
        finally:
            if lock:
                lock.release()
