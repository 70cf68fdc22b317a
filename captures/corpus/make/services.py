"""Captures of what runs above UDP and TCP: DHCP, DHCPv6, DNS and SVP."""

import struct

from scene import *
from wire import *

ANY = ("0.0.0.0", "255.255.255.255")


def opt(code, value):
    return struct.pack("!BB", code, len(value)) + value


@capture(
    "dhcp.pcap",
    """DHCP discover, offer, request, acknowledgement (DORA) of a tenant inside VXLAN; an inform and a NAK; a relayed
    discover with option 82; option overload (52); an option beyond the packet (malformed).""",
)
def dhcp_dora():
    server = "10.0.0.254"

    def frame(op, kind, more=b"", **fields):
        message = dhcp(op, 0x3903F326, VM1, opt(53, bytes([kind])) + more, **fields)
        ends, ports = (ANY, (68, 67)) if op == 1 else ((server, fields.get("yiaddr", "255.255.255.255")), (67, 68))
        packet = ip(ends, UDP, udp(ends, *ports, message))
        return eth(VM1, BROADCAST, ETH_IPV4, packet) if op == 1 else eth(VM2, VM1, ETH_IPV4, packet)

    lease = (
        opt(54, addr(server))
        + opt(51, struct.pack("!I", 3600))
        + opt(1, addr("255.255.255.0"))
        + opt(3, addr(server))
        + opt(6, addr("10.0.0.53"))
        + opt(26, struct.pack("!H", 1450))
    )
    wish = opt(55, bytes([1, 3, 6, 15, 26, 121])) + opt(12, b"tenant-1")
    dora = [
        frame(1, 1, wish),
        frame(2, 2, lease, yiaddr="10.0.0.1"),
        frame(1, 3, opt(50, addr("10.0.0.1")) + opt(54, addr(server))),
        frame(2, 5, lease, yiaddr="10.0.0.1"),
    ]
    relay = ("10.0.1.254", server)
    relayed = dhcp(1, 0x3903F327, VM1, opt(53, b"\x01") + opt(82, opt(1, b"port-7") + opt(2, b"switch-1")), giaddr="10.0.1.254")
    overload = dhcp(2, 0x3903F328, VM1, opt(53, b"\x02") + opt(52, b"\x03"), yiaddr="10.0.0.1")
    overrun = dhcp(1, 0x3903F329, VM1, opt(53, b"\x01") + b"\x0c\xc8short")
    return [tunnel(vxlan(77, f)) for f in dora] + [
        frame(1, 8, ciaddr="10.0.0.1"),
        frame(2, 6, opt(54, addr(server)) + opt(56, b"no such lease")),
        vm(ip(relay, UDP, udp(relay, 67, 67, relayed))),
        vm(ip((server, "10.0.0.1"), UDP, udp((server, "10.0.0.1"), 67, 68, overload)), VM2, VM1),
        eth(VM1, BROADCAST, ETH_IPV4, ip(ANY, UDP, udp(ANY, 68, 67, overrun))),
    ]


@capture(
    "dhcpv6.pcap",
    """DHCPv6 solicit, advertise with IA_NA and address, request, reply, information request, relay-forward with the
    solicit inside; an option beyond the packet (malformed).""",
)
def dhcpv6():
    client, server, all_servers = "fe80::1", "fe80::fe", "ff02::1:2"
    duid1, duid2 = dhcp6_option(1, struct.pack("!HH", 3, 1) + mac(VM1)), dhcp6_option(2, struct.pack("!HH", 3, 1) + mac(VM2))
    address = dhcp6_option(5, addr("2001:db8::1") + struct.pack("!II", 3600, 7200))
    ia, granted = dhcp6_option(3, struct.pack("!III", 1, 0, 0)), dhcp6_option(3, struct.pack("!III", 1, 1800, 2880) + address)
    elapsed, oro, servers = dhcp6_option(8, b"\0\0"), dhcp6_option(6, struct.pack("!HH", 23, 24)), dhcp6_option(23, addr("2001:db8::53"))
    solicit = dhcp6(1, 0xABCDEF, duid1 + ia + elapsed + oro)

    def ask(message):
        ends = (client, all_servers)
        return eth(VM1, "33:33:00:01:00:02", ETH_IPV6, ip(ends, UDP, udp(ends, 546, 547, message), hops=1))

    def tell(message):
        ends = (server, client)
        return eth(VM2, VM1, ETH_IPV6, ip(ends, UDP, udp(ends, 547, 546, message)))

    relay = ("2001:db8::fe", "2001:db8::ff")
    forward = struct.pack("!BB", 12, 0) + addr("2001:db8::fe") + addr(client) + dhcp6_option(18, b"port-7") + dhcp6_option(9, solicit)
    return [
        ask(solicit),
        tell(dhcp6(2, 0xABCDEF, duid1 + duid2 + granted + servers)),
        ask(dhcp6(3, 0xABCDF0, duid1 + duid2 + granted + elapsed)),
        tell(dhcp6(7, 0xABCDF0, duid1 + duid2 + granted + servers)),
        ask(dhcp6(11, 0xABCDF1, duid1 + oro)),
        vm(ip(relay, UDP, udp(relay, 547, 547, forward))),
        ask(dhcp6(1, 0xABCDF2, struct.pack("!HH", 1, 4000) + b"short")),
    ]


def resolver(message, reply=False, sport=53000):
    ends = ("10.0.0.1", "10.0.0.53")
    packet = ip(back(ends), UDP, udp(back(ends), 53, sport, message)) if reply else ip(ends, UDP, udp(ends, sport, 53, message))
    return vm(packet, VM2, VM1) if reply else vm(packet)


@capture(
    "dns.pcap",
    """Query A with EDNS; answer with compression pointers (CNAME, A, AAAA, MX, NS, TXT); NXDOMAIN with SOA; SRV and
    PTR; HTTPS record; inside VXLAN. The name `www.tenant.example` is spelled by pointers to offset 12 and into the middle of it.""",
)
def dns_answers():
    www, at = name("www.tenant.example"), b"\xc0\x0c"
    tenant = b"\xc0\x10"  # offset 12 + 1 + 3: "tenant.example" inside the question
    edns = b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, 0)
    answers = [
        record(at, 5, b"\x04host" + tenant),
        record(b"\x04host" + tenant, 1, addr("10.0.0.80")),
        record(b"\x04host" + tenant, 28, addr("2001:db8::80")),
    ]
    more = [
        record(tenant, 15, struct.pack("!H", 10) + b"\x04mail" + tenant),
        record(tenant, 2, b"\x02ns" + tenant),
        record(tenant, 16, b"\x0bv=spf1 -all\x02ok"),
    ]
    soa = record(tenant, 6, b"\x02ns" + tenant + b"\x05admin" + tenant + struct.pack("!IIIII", 2026, 3600, 600, 86400, 60))
    srv = record(b"\xc0\x0c", 33, struct.pack("!HHH", 0, 5, 443) + name("host.tenant.example"))
    ptr = record(b"\xc0\x0c", 12, name("host.tenant.example"))
    https = record(b"\xc0\x0c", 65, struct.pack("!H", 1) + b"\0" + struct.pack("!HH", 1, 3) + b"\x02h2")
    query = dns(0x1234, 0x0100, [question(www, 1)], additional=[edns])
    return [
        resolver(query),
        resolver(dns(0x1234, 0x8180, [question(www, 1)], answers, more, [edns]), reply=True),
        resolver(dns(0x1235, 0x8183, [question(www, 1)], authority=[soa]), reply=True),
        resolver(dns(0x1236, 0x8580, [question(name("_https._tcp.tenant.example"), 33)], [srv]), reply=True),
        resolver(dns(0x1237, 0x8180, [question(name("80.0.0.10.in-addr.arpa"), 12)], [ptr]), reply=True),
        resolver(dns(0x1238, 0x8180, [question(www, 65)], [https]), reply=True),
        tunnel(vxlan(77, resolver(query))),
    ]


@capture(
    "dns-tcp.pcap",
    """DNS over TCP: query, answer, two messages in one segment, a message of which the segment holds only a part
    (length prefix 200).""",
)
def dns_tcp():
    www = name("www.tenant.example")
    ask = dns(0x2001, 0x0100, [question(www, 1)])
    tell = dns(0x2001, 0x8180, [question(www, 1)], [record(b"\xc0\x0c", 1, addr("10.0.0.80"))])
    ends = ("10.0.0.1", "10.0.0.53")

    def framed(message, length=None):
        return struct.pack("!H", len(message) if length is None else length) + message

    sent = [1, 1]  # next sequence number of each side

    def segment(payload, reply=False):
        there, ports = (back(ends), (53, 52001)) if reply else (ends, (52001, 53))
        packet = ip(there, TCP, tcp(there, *ports, PSH | ACK, payload, seq=sent[reply], ack=sent[not reply]))
        sent[reply] += len(payload)
        return vm(packet, VM2, VM1) if reply else vm(packet)

    return [segment(framed(ask)), segment(framed(tell), True), segment(framed(ask) * 2), segment(framed(tell, 200), True)]


@capture(
    "dns-mdns.pcap",
    """mDNS to 224.0.0.251 and ff02::fb port 5353: a PTR query with the unicast-response bit, an answer with PTR,
    SRV, TXT and A with the cache-flush bit.""",
)
def dns_mdns():
    service = name("_http._tcp.local")
    ask = dns(0, 0, [question(service, 12, cls=0x8001)])
    box = b"\x03box\xc0\x0c"
    tell = dns(
        0,
        0x8400,
        [],
        [
            record(service, 12, box),
            record(box, 33, struct.pack("!HHH", 0, 0, 80) + name("box.local"), cls=0x8001, ttl=120),
            record(box, 16, b"\x06path=/", cls=0x8001),
            record(name("box.local"), 1, addr("10.0.0.9"), cls=0x8001, ttl=120),
        ],
    )
    v4, v6 = ("10.0.0.1", "224.0.0.251"), ("fe80::1", "ff02::fb")
    return [
        eth(VM1, "01:00:5e:00:00:fb", ETH_IPV4, ip(v4, UDP, udp(v4, 5353, 5353, ask), ttl=255)),
        eth(VM1, "01:00:5e:00:00:fb", ETH_IPV4, ip(v4, UDP, udp(v4, 5353, 5353, tell), ttl=255)),
        eth(VM1, "33:33:00:00:00:fb", ETH_IPV6, ip(v6, UDP, udp(v6, 5353, 5353, ask), hops=255)),
    ]


@capture(
    "dns-faults.pcap",
    """A name pointer to itself, two pointers in a loop, a forward pointer, a pointer beyond the message, label
    type 0x40, a label of 63 bytes beyond the end, 65535 answers announced and none there, 11 of 12 header bytes, an rdata length beyond
    the message. All malformed; none may hang. tshark shows packets 1, 2, 3 and 5 without a complaint.""",
)
def dns_faults():
    head = struct.pack("!HHHHHH", 0x3001, 0x0100, 1, 0, 0, 0)
    tail = struct.pack("!HH", 1, 1)
    bodies = [
        head + b"\xc0\x0c" + tail,
        head + b"\x01a\xc0\x10\x01b\xc0\x0c" + tail,
        head + b"\xc0\x12" + tail + name("later.example"),
        head + b"\xff\xff" + tail,
        head + b"\x41\x03abc\0" + tail,
        head + b"\x3fshort",
        struct.pack("!HHHHHH", 0x3002, 0x8180, 0, 65535, 0, 0),
        head[:11],
        struct.pack("!HHHHHH", 0x3003, 0x8180, 0, 1, 0, 0) + name("x.example") + struct.pack("!HHIH", 16, 1, 60, 500) + b"\x04data",
    ]
    return [resolver(b, reply=b[2] & 0x80 != 0) for b in bodies]


def svp_connection(messages):
    """One TCP connection; `messages` are (bytes, from the server?)."""
    ends, sent, out = ("10.88.0.1", "10.88.0.100"), [1, 1], []
    for payload, reply in messages:
        there, ports = (back(ends), (1296, 50001)) if reply else (ends, (50001, 1296))
        packet = ip(there, TCP, tcp(there, *ports, PSH | ACK, payload, seq=sent[reply], ack=sent[not reply]))
        sent[reply] += len(payload)
        out.append(under(packet, HOST2, HOST1) if reply else under(packet))
    return out


def mapped(text):
    return bytes(10) + b"\xff\xff" + addr(text)


UUID = bytes.fromhex("11111111222243338444555555555555")


@capture(
    "svp.pcap",
    """SVP, TCP port 1296, every operation 1 to 13: ping, pong, VL2 request and answer, VL3 request (IPv4, IPv6) and
    answer, bulk, log request, log answer with one VL2 and one VL3 entry, log removal and its answer, shootdown; an answer with status
    NOTFOUND; two messages in one segment. tshark and tcpdump know no SVP.""",
)
def svp_operations():
    vl2 = mac(VM2) + bytes(2) + struct.pack("!I", 77)
    entries = (
        struct.pack("!I", 1)
        + UUID
        + mac(VM2)
        + bytes(2)
        + struct.pack("!I", 77)
        + struct.pack("!I", 2)
        + UUID
        + mapped("10.0.0.2")
        + struct.pack("!HHI", 0, 10, 77)
    )
    vl3 = [mapped("10.0.0.2") + struct.pack("!II", 1, 77), addr("2001:db8::2") + struct.pack("!II", 2, 77)]
    steps = [
        (1, b"", 0),
        (2, b"", 1),
        (3, vl2, 0),
        (4, struct.pack("!HH", 0, 4789) + mapped("10.88.0.2"), 1),
        (5, vl3[0], 0),
        (5, vl3[1], 0),
        (6, struct.pack("!I", 0) + mac(VM2) + struct.pack("!H", 4789) + mapped("10.88.0.2"), 1),
        (7, struct.pack("!I", 1), 0),
        (8, struct.pack("!II", 4, 1), 1),
        (9, struct.pack("!I", 1024) + mapped("10.88.0.1"), 0),
        (10, struct.pack("!I", 0) + entries, 1),
        (11, struct.pack("!I", 2) + UUID + UUID[::-1], 0),
        (12, struct.pack("!I", 0), 1),
        (13, vl2, 0),
        (4, struct.pack("!HH", 2, 0) + bytes(16), 1),
    ]
    messages = [(svp(op, body, ident=n + 1), bool(reply)) for n, (op, body, reply) in enumerate(steps)]
    return svp_connection(messages + [(svp(1, ident=20) + svp(3, vl2, ident=21), False)])


@capture(
    "svp-faults.pcap",
    """SVP with a bad CRC, version 2, operation 99, a payload size that is wrong for the operation, size larger
    than the segment, a runt of 15 bytes, a log answer with an unknown entry type, a log removal whose count exceeds its UUIDs, trailing
    bytes.""",
)
def svp_faults():
    vl2 = mac(VM2) + bytes(2) + struct.pack("!I", 77)
    client = [svp(3, vl2, crc=0xBAD0BAD0), svp(3, vl2, version=2), svp(99, b"what"), svp(3, vl2[:8]), svp(3, vl2, size=1200), svp(1)[:15]]
    later = [
        (svp(10, struct.pack("!II", 0, 9) + bytes(28)), True),
        (svp(11, struct.pack("!I", 1000) + UUID), False),
        (svp(1) + b"xyz", False),
    ]
    return svp_connection([(message, False) for message in client] + later)
