#!/usr/bin/env python3
"""A few packets from one lab host to another, for lab.sh: nothing but python3, so that ids and sizes are ours.

talk.py ping ADDRESS [IDENT [MARK]]   one echo request, one answer within a second, else exit 1; MARK is the socket's mark
talk.py serve ADDRESS PORT            one TCP connection: answer `pong`, read to the end; also echoes UDP; says `ready` first
talk.py tcp ADDRESS PORT BYTES        connect, send BYTES at once, read the answer, close
talk.py udp ADDRESS PORT TEXT         one datagram, wait for its echo (or an ICMP error)
talk.py frame INTERFACE HEX           one raw frame through AF_PACKET
talk.py bigtcp INTERFACE BYTES        the GSO and GRO limits of an interface, by netlink: iproute2 before 6.3 lacks those of IPv4
"""

import selectors
import socket
import struct
import sys
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ping(address, ident="7", mark="0"):
    six = ":" in address
    kind, answer = (128, 129) if six else (8, 0)
    with socket.socket(family(address), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as raw:
        if mark != "0":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(mark))
        message = struct.pack("!BBHHH", kind, 0, 0, int(ident), 1) + bytes(range(32))
        total = sum(struct.unpack("!20H", message))
        total = (total & 0xFFFF) + (total >> 16)
        message = message[:2] + struct.pack("!H", total ^ 0xFFFF) + message[4:]  # ICMPv6: the kernel computes its own
        raw.sendto(message, (address, 0))
        until = time.monotonic() + 1
        while (left := until - time.monotonic()) > 0:
            raw.settimeout(left)
            try:
                data = raw.recv(2048)
            except TimeoutError:
                break
            if (data if six else data[20:])[:1] == bytes([answer]):
                return
    sys.exit(1)


def serve(address, port):
    where = (address, int(port))
    listener = socket.create_server(where, family=family(address))
    datagrams = socket.socket(family(address), socket.SOCK_DGRAM)
    datagrams.bind(where)
    print("ready", flush=True)
    poll = selectors.DefaultSelector()
    poll.register(listener, selectors.EVENT_READ)
    poll.register(datagrams, selectors.EVENT_READ)
    while True:  # lab.sh ends it
        for key, _ in poll.select():
            if key.fileobj is datagrams:
                text, peer = datagrams.recvfrom(2048)
                datagrams.sendto(text, peer)
                continue
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"pong\n")
                while connection.recv(1 << 20):
                    pass


def tcp(address, port, size):
    with socket.create_connection((address, int(port)), timeout=5) as connection:
        connection.recv(16)
        connection.sendall(b"A" * int(size))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


def udp(address, port, text):
    with socket.socket(family(address), socket.SOCK_DGRAM) as sender:
        sender.settimeout(2)
        sender.connect((address, int(port)))
        sender.send(text.encode())
        try:
            sender.recv(2048)
        except ConnectionRefusedError:
            print("refused")


def frame(interface, text):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        raw.send(bytes.fromhex(text))


def bigtcp(interface, size):
    # linux/if_link.h: IFLA_GRO_MAX_SIZE 58, IFLA_GSO_MAX_SIZE 41, IFLA_GSO_IPV4_MAX_SIZE 63, IFLA_GRO_IPV4_MAX_SIZE 64
    attributes = b"".join(struct.pack("=HHI", 8, kind, int(size)) for kind in (41, 58, 63, 64))
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(interface), 0, 0) + attributes
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(struct.pack("=IHHII", 16 + len(body), 19, 5, 1, 0) + body)  # RTM_NEWLINK + 3 = RTM_SETLINK; request and acknowledge
        error = struct.unpack_from("=i", route.recv(4096), 16)[0]
    if error:
        sys.exit(f"{interface}: cannot set the GSO limits: error {-error}")


if __name__ == "__main__":
    {"ping": ping, "serve": serve, "tcp": tcp, "udp": udp, "frame": frame, "bigtcp": bigtcp}[sys.argv[1]](*sys.argv[2:])
