"""A hub that keeps in memory what it gets: the far side of a FaultyNetwork, for tests of what sends to one."""

from bourn import wire

WINDOW = 100  # readings that a sender may have under way


class MemoryHub:
    """Answers the senders that connect over `network`, with the protocol of bourn/wire.py.

    `readings` has (source, epoch, number, sensor, ts, val) in the order of arrival, each once; `gaps` has (source,
    epoch, first, last, reason); `duplicates` counts readings that came again, `holes` frames that came too early,
    `refused` connections that said no frame of ours. What it has it acknowledges at once; while `acknowledges` is False
    it keeps quiet about that, as a hub whose disk is full.
    """

    def __init__(self, network, window=WINDOW):
        self.window = window
        self.acknowledges = True
        self.readings = []
        self.gaps = []
        self.duplicates = self.holes = self.refused = 0
        self._lasts = {}  # (source, epoch): the last number of data and gaps without a hole
        network.listen(lambda end: _Link(self, end))

    def last(self, source, epoch):
        """The number up to which it has everything."""
        return self._lasts.get((source, epoch), 0)


class _Link:
    """One connection to the hub."""

    def __init__(self, hub, end):
        self._hub = hub
        self._end = end
        self._decoder = wire.Decoder()
        self._stream = None  # (source, epoch) of the last HELLO
        end.on_arrival = self._receive

    def _receive(self):
        end = self._end
        try:
            while end.has_something() and not end.is_closed:
                data = end.recv(65536)
                if not data:
                    end.close()
                for kind, body in self._decoder.feed(data):
                    self._take(kind, wire.decode(kind, body))
        except wire.FrameError as e:
            self._hub.refused += 1
            self._say(wire.REFUSE, "shape", str(e))
            end.close()
        except OSError:  # cut: the sender comes back
            end.close()

    def _take(self, kind, values):
        hub = self._hub
        if kind == wire.HELLO:
            self._stream = (values[0], values[1])
            # What is older than the oldest that a sender has will never come.
            hub._lasts[self._stream] = last = max(hub.last(values[0], values[1]), values[2] - 1)
            self._say(wire.WELCOME, values[1], last, hub.window, False, "memory")
        elif kind == wire.PING:
            self._say(wire.PONG, values[0])
        elif kind in (wire.DATA, wire.GAP) and self._stream is not None:
            first = values[0]
            last = hub.last(*self._stream)
            if first > last + 1:
                hub.holes += 1
                self._say(wire.NACK, self._stream[1], last + 1)
                return
            if kind == wire.DATA:
                last = self._take_readings(first, values[1], values[2], last)
            elif values[1] > last:
                hub.gaps.append(self._stream + (last + 1, values[1], values[2]))
                last = values[1]
            hub._lasts[self._stream] = last
            if hub.acknowledges:
                self._say(wire.ACK, self._stream[1], last)

    def _take_readings(self, first, t0, readings, last):
        for i, (sensor, dt, val) in enumerate(readings):
            if first + i <= last:
                self._hub.duplicates += 1
            else:
                last = first + i
                self._hub.readings.append(self._stream + (last, sensor, t0 + dt, val))
        return last

    def _say(self, kind, *values):
        self._end.send(wire.encode(kind, *values))
