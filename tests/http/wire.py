"""A small HTTP client that sends exactly the bytes it is told and reads answers strictly."""
import json
import socket


class Closed(Exception):
    """The server closed before an answer was whole."""


class Response:
    def __init__(self, version, status, reason, headers, body):
        self.version, self.status, self.reason, self.headers, self.body = version, status, reason, headers, body

    def get(self, name, default=None):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if values else default

    def count(self, name):
        return sum(key.lower() == name.lower() for key, _ in self.headers)

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The problem's stable word."""
        return self.json.get("code")

    @property
    def closes(self):
        return (self.get("Connection") or "").lower() == "close"


class Connection:
    def __init__(self, port, timeout=60, host="127.0.0.1", source=""):
        self.socket = socket.create_connection((host, port), timeout, (source, 0))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends what it can: a server that refuses early closes while the body still comes."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return len(data) > 0

    def response(self, head=False):
        """The next final answer (a 100 before it is skipped)."""
        while True:
            found = self._one(head)
            if found.status >= 200:
                return found

    def _one(self, head):
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise Closed(self.buffer)
        block, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = block.decode("latin-1").split("\r\n")
        version, status, *reason = lines[0].split(" ", 2)
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        response = Response(version, int(status), "".join(reason), headers, b"")
        length = response.get("Content-Length")
        if head or response.status < 200 or response.status in (204, 304):
            return response
        assert length is not None, "an answer without a length"
        while len(self.buffer) < int(length):
            if not self._more():
                raise Closed(self.buffer)
        response.body, self.buffer = self.buffer[: int(length)], self.buffer[int(length):]
        return response

    def closed(self, timeout=60):
        """Whether the server closes the connection within the time, sending nothing more."""
        self.socket.settimeout(timeout)
        try:
            return self.buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except (socket.timeout, TimeoutError):
            return False


def request(method="GET", path="/livez", body=None, headers=(), version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def form(parts, boundary="XyZzY", end=True):
    """(headers, body) of a multipart form; a part is (name, value) or (name, file name, bytes)."""
    out = b""
    for name, *rest in parts:
        disposition = f'form-data; name="{name}"'
        if len(rest) == 2:
            disposition += f'; filename="{rest[0]}"'
        value = rest[-1] if isinstance(rest[-1], bytes) else str(rest[-1]).encode()
        out += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"
    if end:
        out += f"--{boundary}--\r\n".encode()
    return [("Content-Type", f"multipart/form-data; boundary={boundary}")], out


def chunked(*pieces):
    out = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return out + b"0\r\n\r\n"
