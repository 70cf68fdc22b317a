"""How are packets laid into a capture file? pcap, pcapng and snoop (RFC 1761), in both byte orders.

A packet is `bytes`, or a `Packet` when its original length, time, interface or comment matter. Times are fixed: packet n
of a file is n seconds after 2023-11-14 22:13:20 UTC.
"""

import struct
from dataclasses import dataclass

T0 = 1_700_000_000
ETHERNET, NULL, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 1, 0, 101, 108, 113, 228, 229, 276


@dataclass
class Packet:
    data: bytes
    orig: int | None = None  # length on the wire; more than data = cut by the snaplen
    nanos: int | None = None  # nanoseconds since the epoch
    interface: int = 0
    comment: str = ""
    drops: int = 0

    @property
    def wire_length(self):
        return len(self.data) if self.orig is None else self.orig


def packets(items):
    """Fills in what was left out, so that every writer sees the same shape."""
    out = []
    for n, item in enumerate(items):
        packet = item if isinstance(item, Packet) else Packet(item)
        if packet.nanos is None:
            packet.nanos = (T0 + n) * 1_000_000_000
        out.append(packet)
    return out


def cut(frame, length):
    """A frame of which the capture kept only the first `length` bytes."""
    return Packet(frame[:length], orig=len(frame))


def pcap(items, link=ETHERNET, order="<", nano=False, snaplen=262144, modified=False):
    """The classic format; `modified` is Kuznetzov's variant with eight more bytes per record."""
    magic = 0xA1B2CD34 if modified else 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)
    for packet in packets(items):
        seconds, rest = divmod(packet.nanos, 1_000_000_000)
        out += struct.pack(order + "IIII", seconds, rest if nano else rest // 1000, len(packet.data), packet.wire_length)
        out += struct.pack(order + "IHBB", 2, 0x0008, 0, 0) if modified else b""
        out += packet.data
    return out


def padded(data):
    return data + b"\0" * (-len(data) % 4)


class Pcapng:
    """Blocks of draft-ietf-opsawg-pcapng, one method each."""

    def __init__(self, order="<"):
        self.order = order
        self.out = b""

    def block(self, kind, body):
        total = 12 + len(body)
        self.out += struct.pack(self.order + "II", kind, total) + body + struct.pack(self.order + "I", total)
        return self

    def options(self, pairs):
        if not pairs:
            return b""
        out = b"".join(struct.pack(self.order + "HH", code, len(value)) + padded(value) for code, value in pairs)
        return out + struct.pack(self.order + "HH", 0, 0)

    def section(self, pairs=(), length=-1):
        return self.block(0x0A0D0D0A, struct.pack(self.order + "IHHq", 0x1A2B3C4D, 1, 0, length) + self.options(pairs))

    def interface(self, link=ETHERNET, snaplen=262144, pairs=()):
        return self.block(1, struct.pack(self.order + "HHI", link, 0, snaplen) + self.options(pairs))

    def packet(self, data, ticks, interface=0, orig=None, pairs=()):
        orig = len(data) if orig is None else orig
        head = struct.pack(self.order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), orig)
        return self.block(6, head + padded(data) + self.options(pairs))

    def simple(self, data, orig=None):
        return self.block(3, struct.pack(self.order + "I", len(data) if orig is None else orig) + padded(data))

    def statistics(self, interface, received, dropped, ticks=T0 * 1_000_000):
        pairs = [(4, struct.pack(self.order + "Q", received)), (5, struct.pack(self.order + "Q", dropped))]
        head = struct.pack(self.order + "III", interface, ticks >> 32, ticks & 0xFFFFFFFF)
        return self.block(5, head + self.options(pairs))

    def names(self, entries):
        """Name resolution block, IPv4 entries only."""
        body = b""
        for raw, text in entries:
            value = raw + text.encode() + b"\0"
            body += struct.pack(self.order + "HH", 1, len(value)) + padded(value)
        return self.block(4, body + struct.pack(self.order + "HH", 0, 0))


def snoop(items, link=4, tail=0):
    """RFC 1761; always big-endian. `tail` adds bytes of padding beyond the rounding, which readers must step over."""
    out = b"snoop\0\0\0" + struct.pack("!II", 2, link)
    for packet in packets(items):
        data = padded(packet.data) + b"\0" * tail
        seconds, rest = divmod(packet.nanos, 1_000_000_000)
        out += struct.pack("!IIIIII", packet.wire_length, len(packet.data), 24 + len(data), packet.drops, seconds, rest // 1000) + data
    return out
