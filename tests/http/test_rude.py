"""Rude input: each gets the right refusal with its reason for under a second of work, and the next good request is fine."""
import random
import struct
import zlib

import pytest

from conftest import CLASSIFY, SLOW
from wire import Closed, chunked, form, request

MIB = 1024 * 1024


def png_of(width, height, data, interlaced=0):
    """A grey PNG of that size with that for its image data, in blocks of 64 kB."""
    def block(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    pieces = [block(b"IDAT", data[at:at + 65536]) for at in range(0, len(data), 65536)]
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + b"".join(pieces) + block(b"IEND", b"")


def png_header(width, height):
    """A PNG that claims this size and holds nothing."""
    return png_of(width, height, zlib.compress(b"\0"))


def zeros(megabytes):
    """So many zeros, deflated: a thousandth of that."""
    packer = zlib.compressobj(9)
    head, block = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH), packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * megabytes + packer.flush()


def jpeg_header(width, height):
    """294 bytes that claim 4.3 Gpixel: tables that a decoder accepts, and a progressive frame."""
    quant = b"\xff\xdb" + struct.pack(">H", 67) + b"\0" + bytes([1] * 64)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    return b"\xff\xd8" + quant + frame + b"\xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0\0\0" + b"\0" * 180 + b"\xff\xd9"


def rude(server, body, path=CLASSIFY, headers=(), method="POST"):
    before = server.cpu()
    response = server.ask(method, path, body, headers)
    assert server.cpu() - before < 1 * SLOW
    assert response.json["detail"]
    return response.status, response.code


def test_images(server, png, jpeg):
    assert rude(server, b"") == (400, "bad_request")
    assert rude(server, b"Dear server, this is a photo.") == (415, "unsupported_format")
    assert rude(server, b"GIF89a" + b"\0" * 100) == (415, "unsupported_format")
    assert rude(server, b"<svg xmlns='http://www.w3.org/2000/svg'/>") == (415, "unsupported_format")
    assert rude(server, jpeg[: len(jpeg) // 2]) == (422, "bad_image")
    assert rude(server, png[: len(png) // 2]) == (422, "bad_image")
    assert rude(server, png_header(1, 1)) == (422, "bad_image")
    assert rude(server, png_header(30000, 1))[0] in (413, 422)
    assert rude(server, png_header(50000, 50000)) == (413, "too_many_pixels")
    assert rude(server, png_header(0, 10))[0] == 422
    assert rude(server, jpeg_header(65500, 65500)) == (413, "too_many_pixels")
    assert rude(server, b"\xff") == (415, "unsupported_format")
    assert rude(server, bytes(range(256)) * 4096)[0] == 415
    assert server.ask("POST", CLASSIFY, png).status == 200


@pytest.mark.parametrize("interlaced", [0, 1])
def test_png_with_image_data_behind_its_last_row(server, interlaced):
    """2 GB of zeros behind 64 rows: no limit of pixels sees them."""
    bomb = png_of(64, 64, zeros(2048), interlaced)
    assert rude(server, bomb) == (422, "bad_image")
    rows = png_of(64, 64, zlib.compress(bytes(65 * 64)))
    assert server.ask("POST", CLASSIFY, rows).status == 200
    assert rude(server, png_of(64, 64, zlib.compress(bytes(65 * 64 + 1)))) == (422, "bad_image")
    assert rude(server, png_of(64, 64, zlib.compress(bytes(65 * 64)) + b"more")) == (422, "bad_image")


def test_memory_is_flat(server, png, jpeg):
    for _ in range(3):
        test_images(server, png, jpeg)
    before = server.rss()
    for _ in range(10):
        test_images(server, png, jpeg)
    assert server.rss() - before < 16 * MIB * SLOW


def test_large_body_is_refused_at_its_head(server, png):
    """50 MB: the answer comes without the body being read."""
    with server.connect() as connection:
        connection.send(request("POST", CLASSIFY, headers=[("Content-Length", 50 * MIB)]))
        response = connection.response()
    assert response.status == 413 and response.code == "body_too_large"
    assert f"at most {32 * MIB} are taken (max_body)" in response.json["detail"]
    before = server.rss()
    assert rude(server, b"x" * (50 * MIB)) == (413, "body_too_large")
    assert server.rss() - before < 16 * MIB
    assert server.ask("POST", CLASSIFY, png).status == 200


def test_a_refused_body_is_passed_over(server, png):
    """To its last byte, wherever it is cut: what looks like requests in it is none, and the one behind it is answered."""
    rng = random.Random(1)
    for length in (1, 37, 5000, 32768, 200_000, MIB):
        body = (request("GET", "/nope") * (length // 20 + 1))[:length]
        good = request("POST", CLASSIFY + "?model=digits", png)
        whole = request("POST", CLASSIFY + "?top_k=x", body) + request("PUT", "/nope", body) + good
        cuts = sorted(rng.sample(range(1, len(whole)), 5))
        with server.connect() as connection:
            for a, b in zip([0, *cuts], [*cuts, len(whole)]):
                connection.send(whole[a:b])
            assert [connection.response().status for _ in range(3)] == [400, 404, 200]
            connection.send(good)
            assert connection.response().status == 200


def test_large_chunked_body_is_cut(server, png):
    """Its length is not known before it is there: drained a little past the limit, then cut or answered 413."""
    piece = b"x" * MIB
    with server.connect() as connection:
        connection.send(request("POST", CLASSIFY, headers=[("Transfer-Encoding", "chunked")]))
        for _ in range(40):
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        try:
            assert connection.response().status == 413
        except (Closed, ConnectionError):
            pass
    assert server.ask("POST", CLASSIFY, png).status == 200


def test_chunked_a_little_over(server):
    body = chunked(*[b"x" * MIB] * 32, b"y" * 1000)
    assert rude(server, body, headers=[("Transfer-Encoding", "chunked")]) == (413, "body_too_large")


def test_expect_is_refused_without_continue(server):
    with server.connect() as connection:
        connection.send(request("POST", CLASSIFY, headers=[("Content-Length", 50 * MIB), ("Expect", "100-continue")]))
        data = connection.socket.recv(65536)
        assert data.startswith(b"HTTP/1.1 413")


FORMS = {
    "no boundary": ("multipart/form-data", b"--b--"),
    "empty boundary": ("multipart/form-data; boundary=", b"--b--"),
    "boundary too long": ("multipart/form-data; boundary=" + "b" * 71, b"--b--"),
    "two boundaries": ("multipart/form-data; boundary=b; boundary=c", b"--b--"),
    "wrong boundary": ("multipart/form-data; boundary=zzz",
                       b"--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n--b--"),
    "unclosed quote": ('multipart/form-data; boundary="b', b"--b--"),
    "garbage": ("multipart/form-data; boundary=b", b"garbage" * 100),
    "no end": ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=image\r\n\r\nxxx"),
    "no end of headers": ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=image"),
    "no disposition": ("multipart/form-data; boundary=b", b"--b\r\n\r\nxxx\r\n--b--"),
    "no name": ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nxxx\r\n--b--"),
    "two names": ("multipart/form-data; boundary=b",
                  b"--b\r\nContent-Disposition: form-data; name=image; name=file\r\n\r\nxxx\r\n--b--"),
    "not form-data": ("multipart/form-data; boundary=b",
                      b"--b\r\nContent-Disposition: attachment; name=image\r\n\r\nxxx\r\n--b--"),
    "folded": ("multipart/form-data; boundary=b",
               b"--b\r\nContent-Disposition: form-data;\r\n name=image\r\n\r\nxxx\r\n--b--"),
    "space before colon": ("multipart/form-data; boundary=b",
                           b"--b\r\nContent-Disposition : form-data; name=image\r\n\r\nxxx\r\n--b--"),
    "NUL in a name": ("multipart/form-data; boundary=b",
                      b"--b\r\nContent-Disposition: form-data; name=im\0age\r\n\r\nxxx\r\n--b--"),
    "name is not UTF-8": ("multipart/form-data; boundary=b",
                          b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nxxx\r\n--b--'),
    "base64 part": ("multipart/form-data; boundary=b",
                    b"--b\r\nContent-Disposition: form-data; name=image\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--"),
    "header too long": ("multipart/form-data; boundary=b",
                        b"--b\r\nX: " + b"x" * 5000 + b"\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n--b--"),
    "no parts": ("multipart/form-data; boundary=b", b"--b--\r\n"),
    "no image": ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=top_k\r\n\r\n3\r\n--b--"),
}


@pytest.mark.parametrize("name", FORMS)
def test_bad_forms(server, name):
    content_type, body = FORMS[name]
    assert rude(server, body, headers=[("Content-Type", content_type)]) == (400, "bad_request")


def test_too_many_parts(server, png):
    headers, body = form([("image", "a.png", png)] * 65)
    assert rude(server, body, headers=headers) == (400, "bad_request")


def test_two_images_where_one_is_asked_for(server, png):
    headers, body = form([("a", "a.png", png), ("b", "b.png", png)])
    assert rude(server, body, "/v1/mask", headers) == (400, "bad_request")


def test_empty_image_part(server):
    headers, body = form([("image", "a.png", b"")])
    status, code = rude(server, body, headers=headers)
    assert status in (400, 415)


def test_encoded_body(server, png):
    assert rude(server, png, headers=[("Content-Encoding", "gzip")]) == (415, "unsupported_format")


def test_truncated_and_flipped_bytes(server, png, jpeg):
    """No crash, no 5xx: every 37th truncation and bit flip of a small JPEG and PNG."""
    with server.connect() as connection:
        for image in (png, jpeg):
            for at in range(1, len(image), max(1, len(image) // 60)):
                flipped = image[:at] + bytes([image[at] ^ 0x10]) + image[at + 1:]
                for body in (image[:at], flipped):
                    connection.send(request("POST", CLASSIFY, body))
                    response = connection.response()
                    assert response.status in (200, 413, 415, 422), response.text
