"""An HTTP proxy between a client and a real server, that makes the server fail as it is told.

`plan(method, path)` names a fault for each request, or None:

    500 503 403 404   that status instead of the server's answer, 503 with `Retry-After: retry_after_s`
    reset             the link is cut in the middle of the body; the server hears nothing
    lost-answer       the server gets the request, the link is cut before its answer
    truncate          the server gets half of the body
    wrong-sum         the server gets the body with one byte changed
    hang              nothing comes back until the proxy is closed
"""

import contextlib
import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = ("connection", "content-length", "host", "keep-alive", "transfer-encoding")  # of one link only
TIMEOUT_S = 60


class FaultProxy:
    """In front of the server at `address`; `history` has every (method, path, fault or None)."""

    def __init__(self, address, plan=None, retry_after_s=1):
        self.target = urlsplit(address)
        self.plan = plan or (lambda method, path: None)
        self.retry_after_s = retry_after_s
        self.etag = None  # what every HEAD and GET is told instead of the server's
        self.history = []
        self.closed = threading.Event()
        proxy = self

        class Handler(_Handler):
            faults = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}{self.target.path}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def methods(self):
        """What was asked, in order."""
        return [method for method, _, _ in self.history]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    faults = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_one_request(self):
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def __getattr__(self, name):
        if name.startswith("do_"):  # BaseHTTPRequestHandler looks for do_GET and the like
            return self.serve
        raise AttributeError(name)

    def serve(self):
        faults = self.faults
        fault = faults.plan(self.command, self.path)
        faults.history.append((self.command, self.path, fault))
        size = int(self.headers.get("Content-Length") or 0)
        if fault == "reset":
            self.rfile.read(size // 2)
            return self.cut()
        body = self.rfile.read(size)
        if fault == "hang":
            faults.closed.wait(TIMEOUT_S)
            return self.cut()
        if fault is not None and fault.isdecimal():
            more = [("Retry-After", str(faults.retry_after_s))] if fault == "503" else []
            return self.answer(int(fault), [("Content-Type", "text/plain"), *more], b"(by the test)")
        if fault == "truncate":
            body = body[: len(body) // 2]
        if fault == "wrong-sum":
            body = bytes([body[0] ^ 1]) + body[1:]
        answer = self.forward(body)
        return self.cut() if fault == "lost-answer" else self.answer(*answer)

    def forward(self, body):
        """(status, headers, body) of the real server."""
        link = http.client.HTTPConnection(self.faults.target.hostname, self.faults.target.port, timeout=TIMEOUT_S)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        try:
            link.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in [("Host", self.headers["Host"]), ("Content-Length", str(len(body))), *headers.items()]:
                link.putheader(name, value)
            link.endheaders(body)
            got = link.getresponse()
            size = got.headers.get("Content-Length") if self.command == "HEAD" else None
            kept = [(name, value) for name, value in got.headers.items() if name.lower() not in HOP]
            if self.faults.etag and self.command in ("HEAD", "GET"):
                kept = [(name, self.faults.etag if name.lower() == "etag" else value) for name, value in kept]
            return got.status, kept, got.read(), size
        finally:
            link.close()

    def answer(self, status, headers, body, size=None):
        """`size`: the length that the answer to a HEAD tells."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", size or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
