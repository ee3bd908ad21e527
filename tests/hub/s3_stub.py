"""A server that speaks as much S3 as uploads need, checks what it gets, and fails as it is told.

`plan(method, name)` names a fault for each request, or None:

    500 503 403 404   that status, 503 with `Retry-After: retry_after_s`
    reset             the link is cut in the middle of the body
    lost-answer       the object is stored, the link is cut before the answer
    truncate          accepted, but only half of it is stored
    wrong-sum         accepted, and one byte of it is another
    hang              nothing comes back until the server is closed
"""

import contextlib
import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape


class Object:
    """What is stored; `data` is None where the server only keeps sums."""

    def __init__(self, data, etag):
        self.data, self.etag, self.size = data, etag, len(data)


class S3Stub:
    """`objects` by name (bucket/key); `history` has every (method, name, fault or None)."""

    def __init__(self, plan=None, stored=None, retry_after_s=1):
        self.plan = plan or (lambda method, name: None)
        self.stored = stored  # called with (name, bytes) after an object is there whole; True: forget its bytes
        self.retry_after_s = retry_after_s
        self.objects = {}
        self.history = []
        self.puts = 0
        self.lists = 0  # times that unfinished uploads were asked for; not in the history, and no fault is planned
        self.lists_status = 200
        self._uploads = {}
        self._keys = {}  # of the uploads
        self._lock = threading.Lock()
        self._closed = threading.Event()
        stub = self

        class Handler(_Handler):
            server_stub = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def keep(self, name, data, etag):
        with self._lock:
            self.puts += 1
            self.objects[name] = Object(data, etag)
        if self.stored and self.stored(name, data):
            self.objects[name].data = None


class _Handler(BaseHTTPRequestHandler):
    server_stub = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle_one_request(self):
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def serve(self):
        stub = self.server_stub
        address = urlsplit(self.path)
        name, query = address.path.lstrip("/"), parse_qs(address.query, keep_blank_values=True)
        if self.command == "GET" and "uploads" in query:
            return self.on_list(name, query["prefix"][0])
        fault = stub.plan(self.command, name)
        stub.history.append((self.command, name, fault))
        size = int(self.headers.get("Content-Length") or 0)
        if fault == "reset":
            self.rfile.read(size // 2)
            return self.cut()
        body = self.rfile.read(size)
        if fault == "hang":
            stub._closed.wait(60)
            return self.cut()
        if fault in ("500", "503", "403", "404"):
            more = {"Retry_After": str(stub.retry_after_s)} if fault == "503" else {}
            return self.answer(int(fault), b"<Error><Code>Told</Code></Error>", **more)
        return getattr(self, "on_" + self.command.lower())(name, query, body, fault)

    def __getattr__(self, name):
        if name.startswith("do_"):  # BaseHTTPRequestHandler looks for do_GET and the like
            return self.serve
        raise AttributeError(name)

    def on_put(self, name, query, body, fault):
        if fault == "truncate":
            body = body[: len(body) // 2]
        if fault == "wrong-sum":
            body = bytes([body[0] ^ 1]) + body[1:]
        etag = hashlib.md5(body).hexdigest()
        if "uploadId" in query:
            self.server_stub._uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            self.server_stub.keep(name, body, etag)
        if fault == "lost-answer":
            return self.cut()
        return self.answer(200, ETag=f'"{etag}"')

    def on_post(self, name, query, body, fault):
        uploads = self.server_stub._uploads
        if "uploads" in query:
            number = f"u{len(self.server_stub._keys) + 1}"
            uploads[number] = {}
            self.server_stub._keys[number] = name.partition("/")[2]
            return self.answer(200, _xml("InitiateMultipartUploadResult", UploadId=number, Key=name))
        parts = uploads.pop(query["uploadId"][0])
        wanted = [int(n) for n in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        data = b"".join(parts[n] for n in wanted)
        etag = hashlib.md5(b"".join(hashlib.md5(parts[n]).digest() for n in wanted)).hexdigest() + f"-{len(wanted)}"
        self.server_stub.keep(name, data, etag)
        if fault == "lost-answer":
            return self.cut()
        return self.answer(200, _xml("CompleteMultipartUploadResult", ETag=f'"{etag}"', Key=name))

    def on_list(self, bucket, prefix):
        stub = self.server_stub
        stub.lists += 1
        found = [(number, stub._keys[number]) for number in stub._uploads if stub._keys[number].startswith(prefix)]
        inner = "".join(f"<Upload><Key>{escape(key)}</Key><UploadId>{n}</UploadId></Upload>" for n, key in found)
        body = f"<ListMultipartUploadsResult>{inner}</ListMultipartUploadsResult>".encode()
        return self.answer(stub.lists_status, body)

    def on_head(self, name, query, body, fault):
        found = self.server_stub.objects.get(name)
        if found is None:
            return self.answer(404)
        when = "Wed, 01 Jan 2025 00:00:00 GMT"
        return self.answer(200, Content_Length=str(found.size), ETag=f'"{found.etag}"', Last_Modified=when)

    def on_get(self, name, query, body, fault):
        found = self.server_stub.objects.get(name)
        if found is None:
            return self.answer(404)
        return self.answer(200, found.data, ETag=f'"{found.etag}"', Last_Modified="Wed, 01 Jan 2025 00:00:00 GMT")

    def on_delete(self, name, query, body, fault):
        if "uploadId" in query:
            self.server_stub._uploads.pop(query["uploadId"][0], None)
        else:
            self.server_stub.objects.pop(name, None)
        return self.answer(204)


def _xml(root, **fields):
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f'<?xml version="1.0"?><{root}><Bucket>bucket</Bucket>{inner}</{root}>'.encode()
