"""A small log in two files of bounded size: what was logged last is always there, also after a power cut.

The newest messages are in FILE, those before it in FILE.1; together they take at most twice `max_len` bytes. When FILE
is full it is renamed over FILE.1 in one step, so no moment is without a log. The names are ThingFlow's.

From `sync_level` on (WARNING) a line is on the medium when the call returns, with all before it; a line below that
level waits for the next such one, so that a chatty log does not wear out the flash.
"""

from bourn._compat.files import Files
from bourn._compat.system import new_lock

DEBUG = 10
INFO = 20
WARNING = 30
ERROR = 40
_NAMES = {DEBUG: "DBG", INFO: "INF", WARNING: "WRN", ERROR: "ERR"}

_logger = None


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
            raise ValueError("max_len must be at least 100 bytes, not %r" % (max_len,))
        if clock is None:
            from bourn.clock import Clock

            clock = Clock()
        self.outputfile = outputfile
        self.max_len = max_len
        self.level = level
        self.interactive = interactive
        self.sync_level = sync_level
        self.dropped = 0
        self._clock = clock
        self._files = files or Files()
        self._lock = new_lock()  # for what follows, and for the file itself
        self._secrets = ()
        self._file = None
        self._size = 0
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
        if self.level > ERROR:
            return
        from io import StringIO

        from bourn._compat import print_exception

        trace = StringIO()
        print_exception(e, trace)
        text = trace.getvalue().rstrip()
        self._log(ERROR, "%s", ((_formatted(msg, args) + "\n" if msg else "") + text,))

    def set_level(self, level):
        """From now on leave out what is below `level`."""
        self.level = level

    def redact(self, *secrets):
        """From now on write *** for each of these texts, a password or a key."""
        with self._lock:
            self._secrets += tuple([secret for secret in secrets if secret])

    def close(self):
        """Close the file; a closed log drops and counts what comes."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    # -- a sink of the flow

    def on_next(self, x):
        """Log the event."""
        self._log(INFO, "%s", (x,))

    def on_completed(self):
        """Log that the stream has ended."""
        self._log(INFO, "completed", ())

    def on_error(self, e):
        """Log the error that has ended the stream."""
        self._log(ERROR, "%r", (e,))

    # -- the files

    def _open(self):
        folder = self.outputfile[: self.outputfile.rfind("/") + 1]
        self._file = self._files.open(self.outputfile, "ab")
        self._size = self._files.size(self.outputfile)
        if not self._size:
            self._files.sync_folder(folder or ".")  # else its lines survive a power cut, and its name does not
        elif not self._ends_whole():  # the power went in the middle of a line
            self._size += self._file.write(b"\n") or 0

    def _ends_whole(self):
        file = self._files.open(self.outputfile, "rb")
        try:
            file.seek(self._size - 1)
            return file.read(1) == b"\n"
        finally:
            file.close()

    def _log(self, level, msg, args):
        if level < self.level:
            return
        line = "%s [%s] %s" % (utc_stamp(self._clock.wall()), _NAMES[level], _formatted(msg, args))
        line = _without_passwords(line).replace("\n", "\n    ")
        with self._lock:
            for secret in self._secrets:
                line = line.replace(secret, "***")
            if self.interactive:
                print(line)
            data = line.encode()[: self.max_len - 1] + b"\n"
            try:
                self._write(data)
                if level >= self.sync_level and self._file is not None:
                    self._files.sync(self._file)
            except OSError:
                self.dropped += 1

    def _write(self, data):
        if self._file is None:
            self.dropped += 1
            return
        if self._size + len(data) > self.max_len:
            self._files.sync(self._file)
            self._file.close()
            try:
                self._files.rename(self.outputfile, self.outputfile + ".1")
            finally:
                self._open()  # the same file again, where it could not be renamed
            if self._size + len(data) > self.max_len:
                self.dropped += 1
                return
        self._size += self._file.write(data) or 0


def _formatted(msg, args):
    """`msg % args`; a message that does not fit its arguments is still logged, for a log must not end a program."""
    if not args:
        return str(msg)
    try:
        return str(msg) % args
    except (TypeError, ValueError):
        return "%s %r" % (msg, args)


def _without_passwords(line):
    """`line` with *** for what stands before the @ of each URL: `mqtt://me:secret@host` is `mqtt://***@host`."""
    at = line.find("://")
    while at >= 0:
        at += 3
        end = at
        last = -1  # a password may hold an @ itself
        while end < len(line) and line[end] not in " /\n\t\"'<>":
            if line[end] == "@":
                last = end
            end += 1
        if last >= 0:
            line = line[:at] + "***" + line[last:]
        at = line.find("://", at)
    return line


def initialize_logging(filename, max_len=32000, level=INFO, interactive=False):
    """Open the program's one log; RuntimeError when there is one already."""
    global _logger  # noqa: PLW0603 - ThingFlow's programs ask the module for the one log
    if _logger is not None:
        raise RuntimeError("the log was already initialized")
    _logger = Logger(filename, max_len, level, interactive)


def get_logger():
    """The log that `initialize_logging` has opened; RuntimeError before."""
    if _logger is None:
        raise RuntimeError("the log was not yet initialized")
    return _logger


def close_logging():
    """Close the program's log; nothing happens when there is none."""
    global _logger  # noqa: PLW0603 - as above
    if _logger is not None:
        _logger.close()
        _logger = None
