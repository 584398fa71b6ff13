"""Files that are small for what they ask of a decoder, written by hand."""
import random
import struct


class _Bits:
    """Bits as lossless WebP has them: the lowest first."""

    def __init__(self):
        self.value = self.count = 0

    def put(self, value, bits):
        self.value |= value << self.count
        self.count += bits

    def bytes(self):
        return self.value.to_bytes(self.count // 8 + 2, "little")


def _codes_of_eight_bits(bits, symbols):
    """A prefix code in which the first 256 symbols have eight bits each (RFC 9649, 6.2.1)."""
    bits.put(0, 1)
    bits.put(12 - 4, 4)
    for length in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8):
        bits.put(length in (0, 8), 3)
    bits.put(0, 1)
    for i in range(symbols):
        bits.put(i < 256, 1)


def _code_of_one_symbol(bits):
    bits.put(0b0001, 4)


def webp_of_transforms(width, height):
    """A black picture behind two pictures of transforms (predictors; colours), each with a value for every 4 x 4 pixels,
    of 32 bits: all but a few bytes come before the first pixel."""
    bits = _Bits()
    values = -(-width // 4) * -(-height // 4)
    for value, size in ((0x2f, 8), (width - 1, 14), (height - 1, 14), (0, 4)):
        bits.put(value, size)
    for kind, data in ((0, bytes(4 * values)), (1, random.Random(1).randbytes(4 * values))):
        bits.put(1, 1)
        bits.put(kind, 2)
        bits.put(0, 3)
        bits.put(0, 1)
        for symbols in (280, 256, 256, 256):
            _codes_of_eight_bits(bits, symbols)
        _code_of_one_symbol(bits)
        bits.put(int.from_bytes(data, "little"), 8 * len(data))
    bits.put(0, 3)
    for _ in range(5):
        _code_of_one_symbol(bits)
    data = bits.bytes()
    data += bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data
