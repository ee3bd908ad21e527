"""The MQTT client for several threads: any of them publishes, one of its own has the socket.

Theory. Producers make their packets themselves and put them into a queue under the one lock; nothing else of the client
is theirs, so no packet can be torn by another. The owner goes to sleep in `poll` after it found the queue empty under
that lock (`_asleep`); who puts something in afterwards rings a bell that it polls as well. While the window is full or
the link is down nobody rings: it is an ack, or the end of a pause, that makes room. Taking the lock is also what makes
the writes of one processor visible on another, with or without a GIL.
"""

import select

from bourn._compat.doorbell import Doorbell
from bourn._compat.threads import threads, to_stderr
from bourn.device import mqtt_packet
from bourn.device.mqtt import Client

FOREVER_MS = 1 << 28
LOOK_MS = 10  # how late the owner notices a message on a port that has no socket for a bell


class ThreadClient(Client):
    """A `Client` with a thread of its own, which `close` ends; every method may be called from any thread.

    Not for an RP2, whose Wi-Fi and second core do not get on: there a `Client`, stepped by the main thread.

    With "block" `publish` waits for room. `on_message` is called on the client's thread; a `publish` from there never
    waits: it says False when the queue is full. What `on_message` raises goes to `told` (by default its traceback goes
    to stderr), and the link is made anew.
    """

    def __init__(self, *arguments, told=to_stderr, **options):
        super().__init__(*arguments, **options)
        threading = threads()
        self._tell = told
        self._ident = threading.get_ident
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # there is room, or nothing waits any more, or it is over
        # Guarded by the lock, these and the queue.
        self._over = False
        self._asleep = False  # the owner found nothing to send
        self._wanting = 0  # threads that wait for `_changed`
        self._owner = None
        self._bell = Doorbell()
        if self._bell.socket:
            self.poller.register(self._bell.socket, select.POLLIN)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def publish(self, topic, payload, qos=1, retain=False):
        """Accept one message, of `bytes` or `str`; False when the policy refuses it, or the client is closed."""
        item = mqtt_packet.publish(topic, payload, qos, retain)
        with self._lock:
            if self.policy == "block" and self._owner != self._ident():
                self._wait(lambda: len(self._queue) < self._bound)
            if self._over or not self._put(item):
                return False
            rings = self._asleep
            self._asleep = False
        if rings:
            self._bell.ring()
        return True

    def subscribe(self, topic, qos=1):
        """Hear messages of `topic`, on this link and all to come."""
        with self._lock:
            super().subscribe(topic, qos)
        self._bell.ring()

    def waiting(self):
        """Messages accepted that are not on their way to, or not acknowledged by, the broker."""
        with self._lock:
            return super().waiting()

    def drain(self, ms):
        """Wait until the broker has everything, for `ms` milliseconds at most; True if it has."""
        with self._lock:
            return self._wait(lambda: not super(ThreadClient, self).waiting(), ms / 1000)

    def close(self):
        """Say good-bye and end the thread. What is not acknowledged is forgotten: `drain` before."""
        with self._lock:
            self._over = True
            self._changed.notify_all()
        self._bell.ring()
        if self._owner != self._ident():
            self._thread.join()

    def _wait(self, condition, s=None):
        """Under the lock: wait until `condition()` or the end; whether the condition holds."""
        if not condition():
            self._wanting += 1
            try:
                self._changed.wait_for(lambda: self._over or condition(), s)
            finally:
                self._wanting -= 1
        return condition()

    def _fill(self):
        with self._lock:
            super()._fill()
            self._asleep = not self._queue

    def _move(self):
        super()._move()
        with self._lock:  # whatever `waiting` counts has changed before; the lock shows it to who waits
            if self._wanting:
                self._changed.notify_all()

    def _run(self):
        with self._lock:
            self._owner = self._ident()
        while not self._over:
            try:
                if self.step(FOREVER_MS if self._bell.socket else LOOK_MS):
                    self._bell.answer()
            except Exception as e:  # the edge of the thread
                self._tell(e)
        super().close()
        self._bell.close()
