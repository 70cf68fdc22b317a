"""Captures of the other encapsulations (GRE and its family, MPLS, IP in IP, IPsec), and of tunnels in tunnels."""

import struct

from scene import *
from wire import *


# ---- GRE family ----


@capture(
    "nvgre.pcap",
    """NVGRE: VSID 5001 with FlowID 0x2a, the reserved VSIDs 0, 4095 and 16777215, inner VLAN tag (RFC 7637 forbids
    it), over IPv6. tcpdump and tshark print GRE with a key, and name neither VSID nor FlowID.""",
)
def nvgre_plain():
    f = vm(syn())
    return [
        in_gre(nvgre(5001, 0x2A, f)),
        in_gre(nvgre(0, 0, f)),
        in_gre(nvgre(4095, 1, f)),
        in_gre(nvgre(0xFFFFFF, 0xFF, f)),
        in_gre(nvgre(5001, 0, tagged(f, (0x8100, 10)))),
        in_gre(nvgre(5001, 0x2A, vm(syn(T6))), ends=UL6),
    ]


@capture(
    "gre.pcap",
    """GRE with bare IPv4 and IPv6; key; checksum (right, wrong); sequence number; all three; Ethernet without a key
    (0x6558, so not NVGRE); key + sequence + Ethernet (not NVGRE: RFC 7637 wants S clear); over IPv6; MPLS inside; keepalive (protocol
    0).""",
)
def gre_kinds():
    s, f = syn(), vm(syn())
    cases = [
        gre(ETH_IPV4, s),
        gre(ETH_IPV6, syn(T6)),
        gre(ETH_IPV4, s, key=0xDEADBEEF),
        gre(ETH_IPV4, s, csum=True),
        gre(ETH_IPV4, s, csum=True, bad_csum=True),
        gre(ETH_IPV4, s, seq=7),
        gre(ETH_IPV4, s, key=5, seq=8, csum=True),
        gre(ETH_TEB, f),
        gre(ETH_TEB, f, key=77, seq=9),
    ]
    return [in_gre(c) for c in cases] + [in_gre(gre(ETH_IPV4, s), ends=UL6), in_gre(gre(ETH_MPLS, mpls(1000) + s)), in_gre(gre(0, b""))]


@capture(
    "gre-routing.pcap",
    """GRE with the routing bit of RFC 1701 and a source route entry; then a route entry of length 255 that
    leaves the packet (malformed); recursion bits set.""",
)
def gre_routing():
    def sre(family, offset, length, body):
        return struct.pack("!HBB", family, offset, length) + body

    end = sre(0, 0, 0, b"")
    good = sre(ETH_IPV4, 0, 8, addr("10.88.0.9") + addr("10.88.0.2")) + end
    recursion = struct.pack("!HH", 0x0700, ETH_IPV4) + syn()
    return [
        in_gre(gre(ETH_IPV4, syn(), routing=good)),
        in_gre(gre(ETH_IPV4, syn(), csum=True, routing=good)),
        in_gre(gre(ETH_IPV4, syn(), routing=sre(ETH_IPV4, 0, 255, bytes(8)))),
        in_gre(recursion),
    ]


@capture(
    "gre-pptp.pcap",
    """Enhanced GRE, version 1 (PPTP, RFC 2637): data with sequence number, data with acknowledgement, a bare
    acknowledgement; then version 7 (unsupported).""",
)
def gre_pptp():
    ppp = b"\xff\x03\x00\x21" + syn()
    both = struct.pack("!HHHHII", 0x3081, ETH_PPP, len(ppp), 9, 1, 3) + ppp
    only = struct.pack("!HHHHI", 0x3001, ETH_PPP, len(ppp), 9, 2) + ppp
    bare = struct.pack("!HHHHI", 0x2081, ETH_PPP, 0, 9, 4)
    return [in_gre(only), in_gre(both), in_gre(bare), in_gre(struct.pack("!HH", 0x0007, ETH_IPV4) + syn())]


@capture(
    "erspan.pcap",
    """ERSPAN type I (GRE without sequence, no ERSPAN header), type II (session 100, index 5), type II with a VLAN,
    type III, type III with the platform sub-header, type II over IPv6, an unknown version 3 (unsupported). tcpdump 4.99.3 knows no
    ERSPAN (`gre-proto-0x88be`).""",
)
def erspan_kinds():
    f = vm(syn())
    sub = struct.pack("!II", 3 << 26 | 0x1234, 0x5678)
    return [
        in_gre(gre(ETH_ERSPAN, f)),
        in_gre(gre(ETH_ERSPAN, erspan2(100, 5, f), seq=1)),
        in_gre(gre(ETH_ERSPAN, erspan2(100, 5, f, tag=10), seq=2)),
        in_gre(gre(ETH_ERSPAN3, erspan3(100, 0x11223344, f, sgt=7), seq=3)),
        in_gre(gre(ETH_ERSPAN3, erspan3(100, 0x11223344, f, sub=sub), seq=4)),
        in_gre(gre(ETH_ERSPAN, erspan2(1023, 0xFFFFF, f), seq=5), ends=UL6),
        in_gre(gre(ETH_ERSPAN, erspan2(1, 0, f, version=3), seq=6)),
    ]


# ---- MPLS, IP in IP, IPsec ----


@capture(
    "mpls.pcap",
    """1 label, 3 labels with classes and TTLs, explicit null (0 and 2) over IPv4 and IPv6, EtherType 0x8848,
    pseudowire with control word and Ethernet, entropy label (7), in GRE, in UDP 6635 (RFC 7510), as IP protocol 137. tcpdump shows the
    pseudowire as bytes and 137 by number.""",
)
def mpls_kinds():
    def labelled(payload, kind=ETH_MPLS):
        return eth(HOST1, HOST2, kind, payload)

    three = mpls((16, 5, 255), (1000, 3, 64), (1048575, 0, 1))
    return [
        labelled(mpls(1000) + syn()),
        labelled(three + syn()),
        labelled(mpls(0) + syn()),
        labelled(mpls(2) + syn(T6)),
        labelled(mpls(1000) + syn(), 0x8848),
        labelled(mpls(1000, 2000) + bytes(4) + vm(syn())),
        labelled(mpls(1000, 7, 123456) + syn()),
        in_gre(gre(ETH_MPLS, three + syn())),
        tunnel(mpls(1000) + syn(), dport=6635),
        under(ip(UL4, MPLS_IN_IP, mpls(1000) + syn())),
    ]


@capture(
    "mpls-no-bottom.pcap",
    """A label stack without bottom of stack: it runs to the end of the frame (truncated header at the end),
    and 40 labels deep (depth limit).""",
)
def mpls_no_bottom():
    return [
        eth(HOST1, HOST2, ETH_MPLS, mpls(16, 17, 18, bottom=False)),
        eth(HOST1, HOST2, ETH_MPLS, mpls(16, bottom=False) + b"\x01\x02"),
        eth(HOST1, HOST2, ETH_MPLS, mpls(*range(16, 56)) + syn()),
    ]


@capture(
    "ipip.pcap",
    """4in4, 6in4, 4in6, 6in6; 6in6 behind a tunnel encapsulation limit option; three levels 4in4in6; an inner first
    nibble of 9 (malformed).""",
)
def ipip_kinds():
    limit = options6(IPV6, b"\x04\x01\x04")
    return [
        under(ip(UL4, IPIP, syn())),
        under(ip(UL4, IPV6, syn(T6))),
        under(ip(UL6, IPIP, syn())),
        under(ip(UL6, IPV6, syn(T6))),
        under(ip6(UL6, DSTOPTS, limit + syn(T6))),
        under(ip(UL6, IPIP, ip(UL4, IPIP, syn()))),
        under(ip(UL4, IPIP, b"\x95" + bytes(30))),
    ]


@capture("esp.pcap", "ESP over IPv4 and IPv6, behind a VXLAN tunnel, in UDP 4500 with a keepalive and a non-ESP marker (IKE).")
def esp_kinds():
    sealed = esp(0xC0FFEE01, 17, bytes((n * 37) & 0xFF for n in range(48)))
    return [
        under(ip(UL4, ESP, sealed)),
        under(ip(UL6, ESP, sealed)),
        tunnel(vxlan(77, vm(ip(T4, ESP, sealed)))),
        tunnel(sealed, sport=4500, dport=4500),
        tunnel(b"\xff", sport=4500, dport=4500),
        tunnel(bytes(4) + bytes(range(28)), sport=4500, dport=4500),
    ]


@capture(
    "ah.pcap",
    """AH over IPv4 with TCP and over IPv6 with UDP; tunnel mode (IPv4 inside); AH behind hop-by-hop; a VXLAN packet
    protected by AH; AH length 0 (malformed).""",
)
def ah_kinds():
    seg, dgram = tcp(T4, 51000, 443, SYN, options=SYN_OPTIONS), udp(T6, 40000, 7, b"authenticated")
    icv6 = b"\x5a" * 12
    vx = udp(UL4, 51234, 4789, vxlan(77, vm(syn())), csum=0)
    return [
        vm(ip(T4, AH, ah(TCP, 0x100, 1) + seg)),
        vm(ip(T6, AH, ah(UDP, 0x100, 2, icv6) + dgram)),
        under(ip(UL4, AH, ah(IPIP, 0x101, 3) + syn())),
        vm(ip6(T6, HOPOPTS, options6(AH, b"\x05\x02\0\0") + ah(UDP, 0x100, 4) + dgram)),
        under(ip(UL4, AH, ah(UDP, 0x102, 5) + vx)),
        vm(ip(T4, AH, b"\x06\x00" + ah(TCP, 0x100, 6)[2:] + seg)),
    ]


# ---- nesting ----


@capture(
    "nested-2.pcap",
    """Two tunnels deep: VXLAN in VXLAN, Geneve in VXLAN, VXLAN in NVGRE, GRE in Geneve (bare IP), IPv6 underlay
    inside an IPv4 one.""",
)
def nested_2():
    def again(vni):
        return tunnel(vxlan(vni, vm(syn())), ends=("10.99.0.1", "10.99.0.2"))

    return [
        tunnel(vxlan(1, again(2))),
        tunnel(vxlan(1, tunnel(geneve(2, vm(syn())), dport=6081))),
        in_gre(nvgre(1, 0, again(2))),
        tunnel(geneve(1, in_gre(gre(ETH_IPV4, syn()))[14:], protocol=ETH_IPV4), dport=6081),
        tunnel(vxlan(1, tunnel(vxlan(2, vm(syn(T6))), ends=UL6))),
    ]


@capture(
    "nested-3.pcap",
    """Three tunnels deep, a different kind on each level: VXLAN, Geneve with an option, NVGRE, then a tenant's
    echo; and VXLAN, GPE, MPLS in UDP.""",
)
def nested_3():
    core = in_gre(nvgre(3, 0, vm(echo())))
    middle = tunnel(geneve(2, core, options=geneve_option(0x0101, 1, b"nest")), dport=6081)
    other = tunnel(gpe(2, 1, tunnel(mpls(30) + syn(), dport=6635)[14:]), dport=4790)
    return [tunnel(vxlan(1, middle)), tunnel(vxlan(1, other))]


@capture(
    "nested-12.pcap",
    """VXLAN twelve deep (VNI 1 outermost to 12): beyond what a decoder need follow, so the walk stops with
    `depth`; and 12 times IPv4 in IPv4.""",
)
def nested_12():
    frame, packet = vm(echo()), echo()
    for vni in range(12, 0, -1):
        frame = tunnel(vxlan(vni, frame))
        packet = ip(UL4, IPIP, packet)
    return [frame, under(packet)]
