"""A small log in two files of bounded size: what was logged last is always there, also after a power cut.

The newest messages are in FILE, those before it in FILE.1; together they take at most twice `max_len` bytes. When FILE
is full it is renamed over FILE.1 in one step, so no moment is without a log. The names are ThingFlow's.
"""

from bourn._compat.files import Files

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
    """Writes lines of at least `level` to `outputfile`; `interactive` prints them, too.

    A line longer than `max_len` bytes is cut. A full disk costs lines, which `dropped` counts, and nothing else.
    """

    DEBUG = DEBUG
    INFO = INFO
    WARNING = WARNING
    WARN = WARNING
    ERROR = ERROR

    def __init__(self, outputfile, max_len=32000, level=INFO, interactive=False, clock=None, files=None):
        if max_len < 100:
            raise ValueError("max_len must be at least 100 bytes, not %r" % (max_len,))
        if clock is None:
            from bourn.clock import Clock

            clock = Clock()
        self.outputfile = outputfile
        self.max_len = max_len
        self.level = level
        self.interactive = interactive
        self.dropped = 0
        self._clock = clock
        self._files = files or Files()
        self._file = None
        self._size = 0
        self._open()

    def debug(self, msg):
        """Log `msg` at level DEBUG."""
        self._log(DEBUG, msg)

    def info(self, msg):
        """Log `msg` at level INFO."""
        self._log(INFO, msg)

    def warning(self, msg):
        """Log `msg` at level WARNING."""
        self._log(WARNING, msg)

    warn = warning

    def error(self, msg):
        """Log `msg` at level ERROR."""
        self._log(ERROR, msg)

    def set_level(self, level):
        """From now on leave out what is below `level`."""
        self.level = level

    def close(self):
        """Close the file; a closed log drops and counts what comes."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self):
        self._file = self._files.open(self.outputfile, "ab")
        self._size = self._files.size(self.outputfile)
        if self._size and not self._ends_whole():  # the power went in the middle of a line
            self._size += self._file.write(b"\n") or 0

    def _ends_whole(self):
        file = self._files.open(self.outputfile, "rb")
        try:
            file.seek(self._size - 1)
            return file.read(1) == b"\n"
        finally:
            file.close()

    def _log(self, level, msg):
        if level < self.level:
            return
        line = "%s [%s] %s" % (utc_stamp(self._clock.wall()), _NAMES[level], msg)
        if self.interactive:
            print(line)
        data = line.encode()[: self.max_len - 1] + b"\n"
        try:
            self._write(data)
        except OSError:
            self.dropped += 1

    def _write(self, data):
        if self._file is None:
            self.dropped += 1
            return
        if self._size + len(data) > self.max_len:
            self._file.close()
            try:
                self._files.rename(self.outputfile, self.outputfile + ".1")
            finally:
                self._open()  # the same file again, where it could not be renamed
            if self._size + len(data) > self.max_len:
                self.dropped += 1
                return
        self._size += self._file.write(data) or 0


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
