"""A network in memory: delayed, slow, cut, half open, duplicating, reordering, at a moment you choose or by seed.

Its ends are sockets that never block, its poller waits on the test's clock, so hours of trouble take no time:

    clock = ManualClock()
    network = FaultyNetwork(clock, seed=7, delay_ms=(5, 80), cut=0.01)
    hub = MemoryHub(network)                         # or network.listen(...) with a far side of your own
    sender = Sender(URL, "s1", spool, clock, network.connect, poller=network.poller())

A chance (0 to 1) is asked at each `send`, with numbers that follow from the seed alone; all may be changed at any time:

    cut         the connection breaks: what is under way is lost, and each end hears of it or not
    half_open   from now on nothing arrives any more and nobody is told: a pulled cable, a router that forgot
    duplicate   what this `send` took arrives twice
    reorder     what this `send` took arrives up to `hold_ms` later, so that later ones may overtake it

TCP does the first two and never the last two. Those are for protocols over datagrams or brokers, and for a stream whose
`send`s are whole frames: the other side has to notice.
"""

import errno
import select

HOLD_MS = 100  # how much later than its time something reordered arrives
WINDOW = 16384  # bytes that one direction holds before the writer has to wait
FOREVER_MS = 1 << 40


class FaultyNetwork:
    """Connections on `clock`, as good or as bad as its attributes say.

    `delay_ms` is a number, a pair (least, most), or None: then nothing arrives but by `Line.deliver`. `bytes_per_s`
    limits each direction of each connection. `down = True` refuses new connections. `counters` says what happened.
    """

    def __init__(
        self, clock, seed=1, delay_ms=0, bytes_per_s=None, cut=0, half_open=0, duplicate=0, reorder=0, window=WINDOW
    ):
        self.clock = clock
        self.delay_ms = delay_ms
        self.bytes_per_s = bytes_per_s
        self.cut = cut
        self.half_open = half_open
        self.duplicate = duplicate
        self.reorder = reorder
        self.hold_ms = HOLD_MS
        self.window = window
        self.down = False
        self.connections = []  # those that are not closed at both ends
        self.counters = {
            "connections": 0,
            "refused": 0,
            "cut": 0,
            "half_open": 0,
            "duplicated": 0,
            "reordered": 0,
            "lost_bytes": 0,
        }
        self._accept = None
        self._numbers = 1000
        self._random = (seed * 2654435761 + 1) & 0xFFFFFFFF or 1

    def pair(self):
        """Two connected ends."""
        connection = Connection(self)
        self.connections.append(connection)
        self.counters["connections"] += 1
        return connection.near, connection.far

    def listen(self, accept):
        """Call `accept(end)` with the far end of each connection that `connect` makes."""
        self._accept = accept

    def connect(self, url):
        """The near end of a new connection, whatever the address: what a Sender takes. OSError when it is refused."""
        if self.down or self._accept is None:
            self.counters["refused"] += 1
            raise OSError(errno.ECONNREFUSED, "nobody listens there (by the test)")
        near, far = self.pair()
        self._accept(far)
        return near

    def poller(self):
        """What select.poll() is for sockets: it waits by letting `clock` sleep."""
        return Poller(self)

    def heal(self):
        """No trouble by chance any more, and no slowness; connections that are cut stay so."""
        self.cut = self.half_open = self.duplicate = self.reorder = 0
        self.bytes_per_s = None
        self.down = False

    def deliver(self):
        """Let arrive what is due by now."""
        now = self.clock.now()
        for connection in list(self.connections):
            connection.up.run(now)
            connection.down.run(now)

    def next_due(self):
        """When something arrives next, in milliseconds of the clock; None when nothing is under way."""
        due = [
            line.pieces[0][1] for c in self.connections for line in (c.up, c.down) if line.pieces and not c.is_silent
        ]
        return min(due) if due and self.delay_ms is not None else None

    def chance(self, p):
        """True with the probability `p`."""
        return p > 0 and self.number(1 << 24) < p * (1 << 24)

    def number(self, n):
        """The next number of the seed, from 0 to n - 1."""
        x = self._random  # Marsaglia, "Xorshift RNGs" (2003), with 32 bits
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        self._random = x
        return (x >> 3) % n


class Connection:
    """Two ends, `near` and `far`, and the line of each direction: `up` from near to far, and `down`."""

    def __init__(self, network):
        self.network = network
        self.is_silent = False  # nothing arrives any more
        self.near = End(self)
        self.far = End(self)
        self.up = self.near.line = Line(network, self.near, self.far)
        self.down = self.far.line = Line(network, self.far, self.near)

    def cut(self, near_told=True, far_told=True):
        """Break it: what is under way is lost; an end that is told gets ECONNRESET, the other one only silence."""
        self.network.counters["cut" if near_told or far_told else "half_open"] += 1
        self.is_silent = True
        self.up.lose()
        self.down.lose()
        for end, told in ((self.near, near_told), (self.far, far_told)):
            if told and not end.is_reset:
                end.is_reset = True
                end.notify()

    def half_open(self):
        """Let nothing arrive any more, and tell nobody."""
        self.cut(False, False)

    def trouble(self):
        """What chance wants now."""
        network = self.network
        if network.chance(network.cut):
            told = network.number(4)
            self.cut(told != 1, told != 2)
        elif network.chance(network.half_open):
            self.half_open()


class Line:
    """One direction: `pieces` under way, each [when it begins to arrive, when it is there, its bytes].

    Bytes arrive in order and at most as fast as `bytes_per_s`, unless `reorder` says otherwise. The end of the stream
    comes after the last of them.
    """

    def __init__(self, network, writer, reader):
        self.network = network
        self.writer = writer
        self.reader = reader
        self.pieces = []
        self._is_ended = False  # the writer has said its last word
        self._free_at = 0  # when the last piece is there

    def waiting(self):
        """How many bytes are under way."""
        return sum([len(piece[2]) for piece in self.pieces])

    def put(self, data):
        """Put bytes on the way."""
        network = self.network
        delay = network.delay_ms or 0
        if isinstance(delay, tuple):
            delay = delay[0] + network.number(delay[1] - delay[0] + 1)
        begins = max(network.clock.now() + delay, self._free_at)
        ends = begins + (-(-len(data) * 1000 // network.bytes_per_s) if network.bytes_per_s else 0)
        self._free_at = ends
        if network.chance(network.reorder):
            network.counters["reordered"] += 1
            held = 1 + network.number(network.hold_ms)
            begins += held
            ends += held
        self._place(begins, ends, data)
        if network.chance(network.duplicate):
            network.counters["duplicated"] += 1
            self._place(begins, ends, data)

    def _place(self, begins, ends, data):
        at = len(self.pieces)
        while at and self.pieces[at - 1][1] > ends:
            at -= 1
        self.pieces.insert(at, [begins, ends, data])

    def run(self, now):
        """Let arrive what is due by `now`."""
        if self.network.delay_ms is None or self.writer.connection.is_silent:
            return
        while self.pieces and self.pieces[0][0] <= now:
            begins, ends, data = self.pieces[0]
            if ends > now:  # a part of it
                n = len(data) * (now - begins) // (ends - begins)
                self.pieces[0] = [begins + (ends - begins) * n // len(data), ends, data[n:]]
                self.reader.take(data[:n])
                return
            self.pieces.pop(0)
            self.reader.take(data)
        self._end()

    def deliver(self, n=None):
        """Let the next `n` bytes arrive now, whatever the clock says; without `n` all of them."""
        if self.writer.connection.is_silent:
            return
        n = self.waiting() if n is None else n
        while n and self.pieces:
            data = self.pieces[0][2]
            if len(data) > n:
                self.pieces[0][2] = data[n:]
            else:
                self.pieces.pop(0)
            self.reader.take(data[:n])
            n -= min(n, len(data))
        self._end()

    def finish(self):
        """The writer has said its last word."""
        self._is_ended = True
        if not self.writer.connection.is_silent:
            self._end()

    def _end(self):
        if self._is_ended and not self.pieces and not self.reader.is_ended:
            self.reader.is_ended = True
            self.reader.notify()

    def lose(self):
        """What is under way never arrives."""
        self.network.counters["lost_bytes"] += self.waiting()
        self.pieces = []


class End:
    """One end of a connection: a socket that never blocks (`send`, `recv`, `shutdown`, `close`, `fileno`)."""

    def __init__(self, connection):
        self.connection = connection
        self.line = None  # to the other end
        self.is_ended = False  # the other end has said its last word, and all of it is here
        self.is_reset = False
        self.is_closed = False
        self.on_arrival = None  # a function without arguments, called when `recv` has something new to say
        self._incoming = bytearray()
        network = connection.network
        network._numbers += 1
        self._number = network._numbers

    def fileno(self):
        """A number of its own, as a poller gives it."""
        return self._number

    def setblocking(self, flag):
        """Takes False only: there is nobody to wait for."""
        if flag:
            raise ValueError("an end of a network in memory cannot block")

    def send(self, data):
        """Take as much of `data` as the window allows and return how much. OSError: EAGAIN (none), ECONNRESET."""
        self._check()
        room = self.connection.network.window - self.line.waiting()
        if room <= 0:
            raise OSError(errno.EAGAIN, "the window is full")
        data = bytes(data[:room])
        if self.connection.is_silent:
            self.connection.network.counters["lost_bytes"] += len(data)
        else:
            self.line.put(data)
            self.connection.trouble()
        return len(data)

    def recv(self, n):
        """At most `n` bytes of what has arrived; b"" at the end. OSError: EAGAIN (nothing yet), ECONNRESET."""
        if self.on_arrival is None:  # else it is called from there
            self.connection.network.deliver()
        if self._incoming:
            data = bytes(self._incoming[:n])
            self._incoming = self._incoming[n:]
            return data
        self._check()
        if self.is_ended:
            return b""
        raise OSError(errno.EAGAIN, "nothing has arrived")

    def _check(self):
        if self.is_closed:
            raise OSError(errno.EBADF, "it is closed")
        if self.is_reset:
            raise OSError(errno.ECONNRESET, "the connection is cut")

    def take(self, data):
        """These bytes arrive; an end that is closed answers them with a reset."""
        if self.is_closed:
            self.connection.network.counters["lost_bytes"] += len(data)
            self.line.reader.is_reset = True
            self.line.reader.notify()
        else:
            self._incoming += data
            self.notify()

    def notify(self):
        """Something has come; an end that is closed is not interested."""
        if self.on_arrival is not None and not self.is_closed:
            self.on_arrival()

    def shutdown(self, how=1):
        """Say the last word: the other end reads the end of the stream after what is under way."""
        self.line.finish()

    def close(self):
        """Close this end; what it has sent still arrives."""
        if not self.is_closed:
            self.is_closed = True
            self.line.finish()
            connection = self.connection
            connections = connection.network.connections
            # the other end may have closed on hearing of it, just now, and removed it
            if connection.near.is_closed and connection.far.is_closed and connection in connections:
                connections.remove(connection)

    def has_something(self):
        """True when `recv` would not say EAGAIN."""
        return bool(self._incoming) or self.is_ended or self.is_reset

    def events(self, wanted):
        """Which of the events `wanted` there are, as select.poll says it."""
        ready = select.POLLIN if self.has_something() else 0
        if self.is_reset or self.line.waiting() < self.connection.network.window:
            ready |= select.POLLOUT
        return (ready & wanted) | (select.POLLHUP if self.is_reset else 0)


class Poller:
    """What select.poll() is for sockets, for ends of one network."""

    def __init__(self, network):
        self._network = network
        self._watched = []  # [end, events], in the order of registration: a dict's order is not the same everywhere

    def register(self, end, events=select.POLLIN | select.POLLOUT):
        """Watch `end`. TypeError for what is no end of a FaultyNetwork."""
        if not isinstance(end, End):
            raise TypeError("a poller of a FaultyNetwork watches its ends only, not %r" % (end,))
        self._watched = [one for one in self._watched if one[0] is not end] + [[end, events]]

    modify = register

    def unregister(self, end):
        """Watch `end` no more."""
        self._watched = [one for one in self._watched if one[0] is not end]

    def poll(self, ms=-1):
        """[(number of the end, events), ...] of what is ready; the clock sleeps up to `ms` until there is something.

        RuntimeError when nothing can come any more and `ms` is no bound (None or below 0).
        """
        network = self._network
        clock = network.clock
        end = clock.now() + (FOREVER_MS if ms is None or ms < 0 else ms)
        while True:
            network.deliver()
            ready = [(one[0].fileno(), one[0].events(one[1])) for one in self._watched]
            ready = [one for one in ready if one[1]]
            now = clock.now()
            if ready or now >= end:
                return ready
            due = network.next_due()
            if due is None and end - now > FOREVER_MS // 2:
                raise RuntimeError("nothing is under way: this poll would wait for ever")
            clock.sleep(max(1, min(end, due) - now) if due is not None else end - now)
