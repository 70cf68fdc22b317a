"""Who talks to whom? The hosts and tenants of all generated captures, and the register of captures.

host 1  10.88.0.1  fd00:88::1  02:00:00:88:00:01  ===underlay===  10.88.0.2  fd00:88::2  02:00:00:88:00:02  host 2
tenant  10.0.0.1   2001:db8::1 02:08:20:0a:00:01  ...overlay....  10.0.0.2   2001:db8::2 02:08:20:0a:00:02  tenant
"""

import struct

import files
from wire import (
    ACK,
    ICMP,
    ICMPV6,
    PSH,
    SYN,
    SYN_OPTIONS,
    TCP,
    UDP,
    eth,
    ethertype_of,
    icmp,
    icmp6,
    ip,
    option,
    tcp,
    udp,
    vlan,
)

HOST1, HOST2 = "02:00:00:88:00:01", "02:00:00:88:00:02"
VM1, VM2 = "02:08:20:0a:00:01", "02:08:20:0a:00:02"
BROADCAST, ZERO = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
UL4, UL6 = ("10.88.0.1", "10.88.0.2"), ("fd00:88::1", "fd00:88::2")
T4, T6 = ("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")
HTTP = b"GET / HTTP/1.0\r\nHost: tenant.example\r\n\r\n"
STAMPS = b"\x01\x01" + option(8, struct.pack("!II", 2000, 1000))

CAPTURES = []


def capture(filename, note, link=files.ETHERNET, **how):
    """Registers a function that returns packets (written as pcap), or a whole file as bytes."""

    def register(function):
        def make():
            made = function()
            return made if isinstance(made, bytes) else files.pcap(made, link=link, **how)

        CAPTURES.append((filename, function, make, " ".join(note.split())))
        return function

    return register


def back(ends):
    return ends[1], ends[0]


def under(packet, src=HOST1, dst=HOST2):
    """An IP packet of the underlay in its frame."""
    return eth(src, dst, ethertype_of(packet), packet)


def vm(packet, src=VM1, dst=VM2):
    """An IP packet of a tenant in its frame."""
    return eth(src, dst, ethertype_of(packet), packet)


def tunnel(payload, dport=4789, sport=51234, ends=UL4, **more):
    """Outer frame + IP + UDP around a tunnel header. IPv4 sends no outer checksum, as VXLAN does."""
    more.setdefault("csum", 0 if "." in ends[0] else None)
    return under(ip(ends, UDP, udp(ends, sport, dport, payload, **more)))


def in_gre(payload, ends=UL4):
    return under(ip(ends, 47, payload))


def syn(ends=T4, sport=51000, dport=443, **more):
    return ip(ends, TCP, tcp(ends, sport, dport, SYN, options=SYN_OPTIONS, **more))


def data(ends=T4, sport=51000, dport=80, payload=HTTP, **more):
    return ip(ends, TCP, tcp(ends, sport, dport, PSH | ACK, payload, seq=1001, ack=2001, options=STAMPS, **more))


def hello(ends=T4, sport=40000, dport=7, payload=b"hello overlay", **more):
    return ip(ends, UDP, udp(ends, sport, dport, payload, **more))


def echo(ends=T4, reply=False, seq=1):
    body = bytes(range(16))
    if ":" in ends[0]:
        return ip(ends, ICMPV6, icmp6(ends, 129 if reply else 128, 0, struct.pack("!HH", 7, seq) + body))
    return ip(ends, ICMP, icmp(0 if reply else 8, 0, 7 << 16 | seq, body))


def tagged(frame, *tags):
    """Puts tags (ethertype, id) behind the addresses of a frame, outermost first."""
    for kind, tag_id in reversed(tags):
        frame = frame[:12] + struct.pack("!H", kind) + vlan(tag_id, struct.unpack("!H", frame[12:14])[0], frame[14:])
    return frame


__all__ = [n for n in dir() if not n.startswith("_")]
