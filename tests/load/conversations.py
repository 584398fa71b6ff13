#!/usr/bin/env python3
"""A fuzzer of whole connections: what a client may do to one in the order of time.

    make fuzz-connections MINUTES=10

A conversation is a row of steps: pieces of good, odd and damaged requests written (cut anywhere), pauses, reads, an end of
file in one direction, a close, a reset, a connection that is just left.  Many run at once.  Whatever they do, the service
goes on answering, what it answers is HTTP, and at the end nothing is left of them: no request in flight, no descriptor, no
job, no report of a sanitizer.  The seed is printed; SEED=N does the same again.
"""
import argparse
import base64
import json
import pathlib
import random
import re
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "http"))

from conftest import Image, Server, encode, sanitizer_report, until  # noqa: E402

CROWD = 24
PHOTO = encode(Image.linear_gradient("L").convert("RGB").resize((40, 30)))
FORM = b'--x\r\nContent-Disposition: form-data; name="1"; filename="a.png"\r\n\r\n' + PHOTO + b"\r\n--x--\r\n"
JSON = json.dumps({"image": base64.b64encode(PHOTO).decode(), "top": 3}).encode()
PATHS = ["/livez", "/readyz", "/metrics", "/v1/models", "/v1/classify", "/v1/mask", "/v1/analyze?format=json", "/v1/filter",
         "/v1/estimates", "/v1/estimates/ESTIMATE/samples", "/v1/estimates/ESTIMATE", "/v1/jobs/x", "/v2", "/", "/docs",
         "/v2/models/m/infer", "*", "/v1/%zz", "/" + "a" * 9000, "/v1/classify?" + "a&" * 300]
METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "BREW", "post", ""]
FIELDS = ["Connection: close", "Connection: keep-alive", "Expect: 100-continue", "Expect: nonsense", "Prefer: respond-async",
          "Accept: application/x-ndjson", "Accept: image/webp", "Accept-Encoding: gzip", "X-Request-Timeout: 0.01",
          "Origin: https://evil.example", "Range: bytes=0-1", "Content-Encoding: gzip", "Cookie: " + "a=b; " * 200,
          "Transfer-Encoding: gzip, chunked", "Upgrade: h2c", "Content-Length: 5", "Content-Length: -1", "X: \x01", " folded"]


def chunked(body, generator):
    out = b""
    while body:
        size = generator.randrange(1, len(body) + 1)
        out += b"%x%s\r\n" % (size, generator.choice([b"", b"", b";a=b"])) + body[:size] + b"\r\n"
        body = body[size:]
    return out + generator.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"ffffffffffffffff\r\n"])


def message(generator, estimate):
    """Mostly a good request, sometimes with one thing wrong."""
    good = generator.random() < 0.7
    path = generator.choice(PATHS[:14] if good else PATHS).replace("ESTIMATE", estimate)
    kind, body = generator.choice([("image/png", PHOTO), ("multipart/form-data; boundary=x", FORM),
                                   ("application/json", JSON), ("application/json", b"{}"), ("", b"")])
    method = generator.choice(METHODS[:6] if good else METHODS)
    if body and good:
        method = "POST"
    fields = ["Host: localhost"] if good or generator.random() < 0.8 else []
    if kind:
        fields.append(f"Content-Type: {kind}")
    fields += generator.sample(FIELDS[:9] if good else FIELDS, generator.randrange(0, 3))
    if body and generator.random() < 0.3:
        fields.append("Transfer-Encoding: chunked")
        body = chunked(body, generator)
    elif body or method == "POST":
        fields.append(f"Content-Length: {len(body) if good else generator.choice([len(body), 0, len(body) + 7, 10 ** 12])}")
    version = "HTTP/1.1" if good else generator.choice(["HTTP/1.0", "HTTP/2.0", "HTTP/1.1", "HTTX"])
    text = f"{method} {path} {version}\r\n" + "".join(field + "\r\n" for field in fields) + "\r\n"
    raw = bytearray(text.encode("latin-1") + body)
    if not good and generator.random() < 0.5:
        for _ in range(generator.randrange(1, 4)):
            raw[generator.randrange(len(raw))] = generator.randrange(256)
    return bytes(raw)


class Conversation:
    def __init__(self, port, seed, estimate):
        self.generator = random.Random(seed)
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.estimate, self.received = estimate, b""

    def read(self, seconds):
        self.socket.settimeout(seconds)
        try:
            self.received += self.socket.recv(1 << 16)
        except (OSError, TimeoutError):
            pass

    def write(self, data):
        self.socket.settimeout(5)
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def step(self):
        g = self.generator
        for _ in range(g.randrange(1, 4)):  # pipelined
            data = message(g, self.estimate)
            cuts = sorted(g.randrange(len(data) + 1) for _ in range(g.choice([0, 0, 1, 2, 5])))
            for a, b in zip([0, *cuts], [*cuts, len(data)]):
                self.write(data[a:b])
                if g.random() < 0.3:
                    time.sleep(g.random() * 0.05)
            if g.random() < 0.1:
                break  # with the next one in the middle of it
        if g.random() < 0.2:
            try:
                self.socket.shutdown(g.choice([socket.SHUT_WR, socket.SHUT_RD]))
            except OSError:
                pass
        if g.random() < 0.8:
            self.read(g.choice([0.01, 0.2, 1.0]))

    def run(self):
        for _ in range(self.generator.randrange(1, 5)):
            self.step()
        end = self.generator.random()
        if end < 0.3:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        elif end < 0.6:
            self.read(2)
        self.socket.close()
        if self.received and not re.match(rb"HTTP/1\.[01] [1-5]\d\d ", self.received):
            raise AssertionError(f"no HTTP: {self.received[:80]!r}")


def talk(server, seeds, estimate, wrong, ended):
    while not ended.is_set() and not wrong:
        seed = next(seeds)
        try:
            Conversation(server.port, seed, estimate).run()
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(f"conversation {seed}: {error!r}")


class Seeds:
    def __init__(self, first):
        self.lock, self.value = threading.Lock(), first

    def __next__(self):
        with self.lock:
            self.value += 1
            return self.value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10 ** 6))
    options = parser.parse_args()
    first = options.seed * 10 ** 6
    print(f"seed {options.seed}", flush=True)
    server = Server("--header-timeout", 2, "--body-timeout", 3, "--request-timeout", 5, "--drain-timeout", 60, "--log-rate", 20)
    estimate = server.ask("POST", "/v1/estimates", b"{}").json["id"]
    descriptors = server.fds()
    seeds, wrong, ended = Seeds(first), [], threading.Event()
    crowd = [threading.Thread(target=talk, args=(server, seeds, estimate, wrong, ended)) for _ in range(CROWD)]
    for thread in crowd:
        thread.start()
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end and not wrong and server.process.poll() is None:
        time.sleep(5)
        try:
            if server.ask(timeout=60).status != 200:
                wrong.append("/livez is not 200")
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(f"/livez: {error!r}")
    ended.set()
    for thread in crowd:
        thread.join()
    if not wrong:
        until(lambda: server.metric("infomask_in_flight") == 1 and server.fds() <= descriptors + 2, 120)
    code = server.stop()
    reports = sanitizer_report(server.lines)
    print(f"{seeds.value - first} conversations, exit code {code}, {len(reports)} reports", flush=True)
    for line in wrong[:5] + ([] if not reports else server.lines[-60:]):
        print(line)
    return 1 if wrong or reports or code != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
