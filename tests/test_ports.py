"""A board's firmware has fewer names than MicroPython on Linux, where everything else here runs: nobody takes those.

The tables say what the firmware of all three ports has: ESP8266 (ESP8266_GENERIC), ESP32 (ESP32_GENERIC) and RP2
(RPI_PICO_W), in MicroPython 1.25; newer ones have more. They are read off its sources: the tables of names of the
modules and types in py/, extmod/ and ports/, under the switches that mpconfigport.h of the three sets. No board was at
hand. What is no table's, and is used, stands in one below with the reason why it does no harm.
"""

from __future__ import annotations

import ast
import builtins
import collections
import io
import select
import socket
from collections.abc import Callable, Iterator

import pytest

from bourn.cli.boards.device_files import GROUPS, files
from bourn.cli.boards.install import LIST, MOVE, PROBE, REMOVE
from bourn.cli.boards.project import MAIN

# By module: the names that each of the three ports has.
HAS = {
    "asyncio": "CancelledError Event Lock TimeoutError create_task current_task gather get_event_loop new_event_loop "
    "run sleep sleep_ms wait_for wait_for_ms",  # frozen; an ESP8266 of 1 MB has none
    "binascii": "a2b_base64 b2a_base64 hexlify unhexlify",  # crc32: not on ESP8266
    "builtins": "print",
    "collections": "OrderedDict deque namedtuple",
    "errno": "EACCES EADDRINUSE EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED ECONNRESET EEXIST EHOSTUNREACH "
    "EINPROGRESS EINVAL EIO EISDIR ENOBUFS ENODEV ENOENT ENOMEM ENOTCONN EOPNOTSUPP EPERM ETIMEDOUT errorcode",
    "gc": "collect disable enable isenabled mem_alloc mem_free threshold",
    "hashlib": "sha256",
    "heapq": "heapify heappop heappush",
    "io": "BytesIO IOBase StringIO open",
    "json": "dump dumps load loads",
    "machine": "ADC I2C PWM Pin RTC SPI Signal SoftI2C SoftSPI Timer UART WDT bitstream deepsleep dht_readinto "
    "disable_irq enable_irq freq idle lightsleep reset reset_cause soft_reset time_pulse_us unique_id",
    "machine.ADC": "read_u16",
    "machine.Pin": "IN IRQ_FALLING IRQ_RISING OPEN_DRAIN OUT PULL_UP init irq off on value",  # no PULL_DOWN: ESP8266
    "machine.RTC": "datetime",  # memory: not on RP2
    "math": "acos asin atan atan2 ceil copysign cos degrees e exp fabs floor fmod frexp isfinite isinf isnan ldexp "
    "log modf pi pow radians sin sqrt tan trunc",  # inf, nan, isclose, sinh, log10, factorial: not on ESP8266
    "network": "AP_IF STA_IF WLAN country hostname",
    "onewire": "OneWire OneWireError",
    "os": "chdir dupterm getcwd ilistdir listdir mkdir remove rename rmdir stat statvfs sync uname unlink urandom",
    "random": "getrandbits seed",
    "select": "POLLERR POLLHUP POLLIN POLLOUT poll select",
    "socket": "AF_INET AF_INET6 IPPROTO_IP IPPROTO_TCP IP_ADD_MEMBERSHIP SOCK_DGRAM SOCK_RAW SOCK_STREAM SOL_SOCKET "
    "SO_BROADCAST SO_REUSEADDR TCP_NODELAY getaddrinfo socket",
    "struct": "calcsize pack pack_into unpack unpack_from",
    "sys": "argv byteorder exit implementation maxsize modules path platform print_exception stderr stdin stdout "
    "version version_info",
    "time": "gmtime localtime mktime sleep sleep_ms sleep_us ticks_add ticks_cpu ticks_diff ticks_ms ticks_us time "
    "time_ns",
    "tls": "CERT_NONE PROTOCOL_TLS_CLIENT PROTOCOL_TLS_SERVER SSLContext",
}
THREADS = "two ports have it; on an ESP8266 whoever imports this is told that there are no threads"
OF_MODULES = {
    "_thread": {"stdlib": "the drop-ins want threads", "logger.py": "in a try"},
    "threading": {"stdlib": "the drop-ins", "_compat/threads.py": THREADS},
    "queue": {"stdlib": "the drop-ins"},
    "esp32": {"chip_temperature.py": "in a try: this port, or another"},
    "psutil": {"sensors/system.py": "in a try: CPython's"},
    "operator": {"stdlib": "CPython's half"},
    "ssl": {"tls_module.py": "in a try, and `tls` otherwise"},
}
UNIX = "only where the port has AF_UNIX: an AttributeError is caught"
HASATTR = "only where the port has it: hasattr"
OF_NAMES = {
    ("_compat/doorbell.py", "socket.AF_UNIX"): UNIX,
    ("_compat/doorbell.py", "socket.socketpair"): HASATTR,
    ("_compat/files.py", "os.fdatasync"): HASATTR,
    ("_compat/files.py", "os.fsync"): HASATTR,
    ("_compat/files.py", "os.open"): "beside os.fsync",
    ("_compat/files.py", "os.close"): "beside os.fsync",
    ("_compat/files.py", "os.O_RDONLY"): "beside os.fsync",
    ("_compat/sockets.py", "socket.AF_UNIX"): HASATTR,
    ("_compat/system.py", "binascii.crc32"): "in a try, and _compat/crc.py otherwise",
    ("device/sensors/adc.py", "machine.ADC.ATTN_11DB"): HASATTR,
    ("device/sensors/chip_temperature.py", "machine.ADC.CORE_TEMP"): "RP2's; an AttributeError is caught",
    ("device/sensors/generated.py", "random.randint"): HASATTR,
    ("threading.py", "socket.AF_UNIX"): UNIX,
    ("threading.py", "time.monotonic_ns"): "CPython's half",
    ("device/secure.py", "socket.SO_ERROR"): "CPython's half: WANTS_READ",
    ("device/secure.py", "os.strerror"): "CPython's half: WANTS_READ",
    ("threading.py", "sys.atexit"): HASATTR,
    ("threading.py", "sys.excepthook"): HASATTR,
    ("_threading_rare.py", "sys.settrace"): HASATTR,
    ("_threading_rare.py", "sys.setprofile"): HASATTR,
}
# Without the switches of a port: no TimeoutError, NotImplemented, compile, ...
BUILTINS = (
    "ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis Exception GeneratorExit "
    "ImportError IndentationError IndexError KeyError KeyboardInterrupt LookupError MemoryError NameError "
    "NotImplementedError OSError OverflowError RuntimeError StopAsyncIteration StopIteration SyntaxError "
    "SystemExit TypeError UnicodeError ValueError ZeroDivisionError False None True __build_class__ __import__ "
    "__name__ abs all any bin bool bytearray bytes callable chr classmethod delattr dict dir divmod enumerate "
    "eval exec filter float frozenset getattr globals hasattr hash help hex id input int isinstance issubclass "
    "iter len list locals map max memoryview min next object oct open ord pow print property range repr reversed "
    "round set setattr slice sorted staticmethod str sum super tuple type zip"
)
NO_BUILTINS = set(dir(builtins)) - set(BUILTINS.split()) | {"__file__"}
OF_BUILTINS: dict[tuple[str, str], str] = {}

# The methods of built-in types, of files, sockets, polls and hashes there, all together.
METHODS_THERE = (
    "append appendleft clear copy count extend index insert pop popleft remove reverse sort fromkeys get items keys "
    "popitem setdefault update values add discard difference intersection issubset issuperset union isdisjoint "
    "from_bytes to_bytes hex fromhex decode encode find rfind rindex join split rsplit startswith endswith strip "
    "lstrip rstrip format replace lower upper isspace isalpha isdigit isupper islower send throw close read readinto "
    "readline readlines write flush seek tell getvalue digest acquire release locked getter setter deleter bind "
    "listen accept connect sendall recv sendto recvfrom setsockopt settimeout setblocking register unregister modify "
    "poll ipoll"
)
METHODS = set(METHODS_THERE.split())
# Those of CPython's that are not among them: `partition`, `fileno`, `splitlines`, `truncate`, `bit_length`, ...
TYPES = (str, bytes, bytearray, int, float, list, tuple, dict, set, frozenset, slice, range, memoryview)
TYPES += (io.FileIO, io.BufferedWriter, io.TextIOWrapper, io.StringIO, socket.socket, collections.deque)
NO_METHODS = {name for kind in (*TYPES, type(select.poll())) for name in dir(kind) if name[0] != "_"} - METHODS
OF_METHODS = {
    ("_compat/files.py", "fileno"): "beside os.fsync",
    ("device/connections/mqtt.py", "fileno"): "CPython's half: where sockets have `detach`",
    ("device/connections/tls.py", "fileno"): "CPython's half: WANTS_READ",
    ("device/mqtt.py", "fileno"): "where the socket has it",
    ("device/secure.py", "getsockopt"): "CPython's half: WANTS_READ",
    ("device/sender.py", "fileno"): "where the channel has it",
}
# Hooks of a class that an ESP8266 does not ask for (MICROPY_PY_DELATTR_SETATTR).
NO_HOOKS = {"__setattr__", "__delattr__", "__file__"}
OF_HOOKS = {("_threading_local.py", hook): "no threads on that port" for hook in ("__setattr__", "__delattr__")}

# Native functions take no keywords there, but these.
KEYWORDS = {"open", "print", "sorted", "sort", "max", "min", "enumerate", "dict", "dumps", "dump", "wrap_socket"}
NATIVE = METHODS | {name for names in HAS.values() for name in names.split()} | set(dir(builtins))


def code() -> Iterator[tuple[str, ast.Module]]:
    """Every file that a board may get, and what `bourn board` runs there: (its place, without `bourn/`; its tree)."""
    for group in GROUPS:
        for place, path in files(group).items():
            yield place.removeprefix("bourn/"), ast.parse(path.read_text(encoding="utf-8"))
    yield "board/main.py", ast.parse(MAIN)
    for text in (PROBE, LIST, MOVE, REMOVE):
        yield "board/install.py", ast.parse(text)


CODE = list(code())
# What our own classes call a method or an attribute is no built-in type's.
OURS = {node.name for _, tree in CODE for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
OURS |= {
    node.attr
    for _, tree in CODE
    for node in ast.walk(tree)
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
}


def place_ok(place: str, table: dict[str, str]) -> bool:
    return any(place.endswith(end) or (end == "stdlib" and "/" not in place) for end in table)


def taken_of_modules(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """(module, name, line) of what a file takes from modules that are not ours; the name is "" for the module."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                if not one.name.startswith("bourn"):
                    known[one.asname or one.name] = one.name
                    yield one.name, "", node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("bourn"):
            for one in node.names:
                known[one.asname or one.name] = f"{node.module}.{one.name}"
                yield node.module, one.name, node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            module = known[node.value.id]
            if "." not in module or module in HAS:  # else it is of a type that is not in the tables
                yield module, node.attr, node.lineno


def names_of_modules(place: str, tree: ast.Module) -> Iterator[tuple[str, int, object]]:
    for module, name, line in taken_of_modules(tree):
        if module in OF_MODULES:
            if not place_ok(place, OF_MODULES[module]):
                yield module, line, None
        elif module not in HAS:
            yield module, line, None
        elif name and not name.startswith("__") and name not in HAS[module].split():
            yield f"{module}.{name}", line, (place, f"{module}.{name}")


def names_of_builtins(place: str, tree: ast.Module) -> Iterator[tuple[str, int, object]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in NO_BUILTINS and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno, (place, node.id)


def methods(place: str, tree: ast.Module) -> Iterator[tuple[str, int, object]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in NO_METHODS - OURS | {"fileno"}:
            yield node.attr, node.lineno, (place, node.attr)
        elif isinstance(node, ast.Constant) and node.value == "fileno":  # of `getattr`
            yield node.value, node.lineno, (place, node.value)


def hooks(place: str, tree: ast.Module) -> Iterator[tuple[str, int, object]]:
    for node in ast.walk(tree):
        name = node.name if isinstance(node, ast.FunctionDef) else node.attr if isinstance(node, ast.Attribute) else ""
        if name in NO_HOOKS:
            yield name, node.lineno, (place, name)


def keywords(place: str, tree: ast.Module) -> Iterator[tuple[str, int, object]]:
    local = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.keywords:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in NATIVE - KEYWORDS - OURS - local:
                yield f"{name}({node.keywords[0].arg}=)", node.lineno, (place, name)


OF_KEYWORDS = {
    ("device/sensors/adc.py", "ADC"): "the constructors of `machine` take keywords; this one where there is ATTN_11DB",
    ("device/sensors/bus.py", "I2C"): "the constructors of `machine` take keywords on every port",
}
CHECKS: list[tuple[Callable[[str, ast.Module], Iterator[tuple[str, int, object]]], dict[tuple[str, str], str]]] = [
    (names_of_modules, OF_NAMES),
    (names_of_builtins, OF_BUILTINS),
    (methods, OF_METHODS),
    (hooks, OF_HOOKS),
    (keywords, OF_KEYWORDS),
]


@pytest.mark.parametrize(("check", "known"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_nothing_is_taken_that_a_port_lacks(
    check: Callable[[str, ast.Module], Iterator[tuple[str, int, object]]], known: dict[tuple[str, str], str]
) -> None:
    found = []
    met = set()
    for place, tree in CODE:
        for what, line, key in check(place, tree):
            if key in known:
                met.add(key)
            else:
                found.append(f"{place}:{line} takes {what}")
    assert not found, "not every port has that: do without, or guard it and say why in the table"
    assert set(known) - met == set(), "nobody takes these any more"


def test_the_scan_finds_what_was_wrong_once() -> None:
    """The names that stood in files of ours when the first board's sources were read."""
    tree = ast.parse(
        "import errno, socket\nfrom binascii import crc32\nfrom signal import alarm\n"
        "errno.EMSGSIZE\nurl.partition(':')\nself._socket.fileno()\ntext.splitlines()\nx = NotImplemented\n"
        "text.split(':', maxsplit=1)\n"
    )
    found = {check.__name__: [what for what, _, _ in check("device/new.py", tree)] for check, _ in CHECKS}
    assert found["names_of_modules"] == ["binascii.crc32", "signal", "errno.EMSGSIZE"]
    assert sorted(found["methods"]) == ["fileno", "partition", "splitlines"]
    assert found["names_of_builtins"] == ["NotImplemented"]
    assert found["keywords"] == ["split(maxsplit=)"]
