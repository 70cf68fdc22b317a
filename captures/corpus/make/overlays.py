"""Captures of VXLAN, VXLAN-GPE, NSH and Geneve, well-formed or with odd but readable fields. Hostile ones are in faults.py."""

import struct

from scene import *
from wire import *


# ---- VXLAN ----


@capture(
    "vxlan.pcap",
    """VXLAN over IPv4, VNI 77: inner ARP, TCP SYN, SYN-ACK, data, UDP, echo, neighbour solicitation, IPv6 TCP. No
    outer UDP checksum but in the last.""",
)
def vxlan_plain():
    who = eth(VM1, BROADCAST, ETH_ARP, arp(1, VM1, "10.0.0.1", ZERO, "10.0.0.2"))
    answer = ip(back(T4), TCP, tcp(back(T4), 443, 51000, SYN | ACK, seq=2000, ack=1001, options=SYN_OPTIONS))
    ask = ("2001:db8::1", "ff02::1:ff00:2")
    ns = ip6(ask, ICMPV6, icmp6(ask, 135, 0, bytes(4) + addr("2001:db8::2") + b"\x01\x01" + mac(VM1)), hops=255)
    frames = [who, vm(syn()), vm(answer, VM2, VM1), vm(data()), vm(hello()), vm(echo()), eth(VM1, "33:33:ff:00:00:02", ETH_IPV6, ns)]
    return [tunnel(vxlan(77, f)) for f in frames] + [tunnel(vxlan(77, vm(syn(T6))), csum=None)]


@capture(
    "vxlan-over-ipv6.pcap",
    """VXLAN over IPv6, VNI 77: with an outer UDP checksum, with checksum 0 (RFC 6935 allows it for
    tunnels; tshark calls it illegal), inner IPv4 and IPv6, outer DSCP/ECN and flow label set.""",
)
def vxlan_over_ipv6():
    marked = ip6(UL6, UDP, udp(UL6, 51234, 4789, vxlan(77, vm(echo(T6)))), tclass=0xB9, flow=0x12345)
    return [tunnel(vxlan(77, vm(syn())), ends=UL6), tunnel(vxlan(77, vm(syn(T6))), ends=UL6, csum=0), under(marked)]


@capture(
    "vxlan-gbp.pcap",
    """Group policy: G bit with group 1000, then D (do not learn), A (policy applied) and both; group 65535; D
    and A without G (reserved bits).""",
)
def vxlan_gbp():
    f = vm(syn())
    return [
        tunnel(vxlan(77, f, flags=0x88, group=g, gbp=b)) for g, b in ((1000, 0), (1000, 0x40), (1000, 0x08), (1000, 0x48), (65535, 0))
    ] + [tunnel(vxlan(77, f, flags=0x08, gbp=0x48))]


@capture(
    "vxlan-reserved-bits.pcap",
    """Reserved bits set: in the flags byte, in bytes 1 to 3, in the last byte, everywhere. RFC 7348
    says ignore; each must be shown. Neither tshark 4.0 nor tcpdump warns.""",
)
def vxlan_reserved():
    f = vm(syn())
    return [
        tunnel(vxlan(77, f, flags=0x48)),
        tunnel(vxlan(77, f, gbp=0x01, group=0x0203)),
        tunnel(vxlan(77, f, reserved=0xFF)),
        tunnel(vxlan(77, f, flags=0x7B, gbp=0xB7, group=0xFFFF, reserved=0xFF)),
    ]


@capture(
    "vxlan-no-i-bit.pcap",
    """The I bit is missing: flags 0x00, and 0x80 (G only). The VNI field is not valid (malformed by RFC
    7348). tshark shows VNI 77 all the same, tcpdump too, with `flags [invalid]`.""",
)
def vxlan_no_i():
    return [tunnel(vxlan(77, vm(syn()), flags=0)), tunnel(vxlan(77, vm(syn()), flags=0x80, group=9))]


@capture(
    "vxlan-port-8472.pcap",
    """VXLAN on Linux's old default port 8472 over IPv4 and IPv6. tcpdump prints OTV with `instance 88`;
    tshark 4.0 shows plain data, unless told -d udp.port==8472,vxlan.""",
)
def vxlan_8472():
    return [
        tunnel(vxlan(88, vm(syn())), dport=8472),
        tunnel(vxlan(88, vm(echo())), dport=8472),
        tunnel(vxlan(88, vm(echo(T6))), dport=8472, ends=UL6),
    ]


@capture(
    "vxlan-port-12345.pcap",
    """VXLAN on port 12345: plain UDP unless told --port; the strict guess may find packets 1 and 2.
    Packet 3 has a reserved bit, packet 4 an inner IPv4 checksum fault: no guess. Packet 5 is an honest UDP payload that starts with 08
    00 00 00.""",
)
def vxlan_12345():
    broken = ip4(T4, UDP, udp(T4, 40000, 7, b"x"), csum=0x1234)
    decoy = bytes.fromhex("0800000000004d00") + b"this is not a frame at all, only text"
    return [
        tunnel(p, dport=12345)
        for p in (vxlan(77, vm(syn())), vxlan(77, vm(syn(T6))), vxlan(77, vm(syn()), reserved=1), vxlan(77, vm(broken)), decoy)
    ]


@capture(
    "vxlan-source-port-49152.pcap",
    """VXLAN whose UDP source port is 49152, 5353, 53 or 6081, all legal hash results. They look at
    the source port first: tcpdump 4.99.3 prints BCM-LI-SHIM for 49152 and DNS for 53 and 5353, tshark 4.0 a malformed DNS for 53.""",
)
def vxlan_49152():
    return [tunnel(vxlan(77, vm(syn())), sport=p) for p in (49152, 5353, 53, 6081)]


@capture(
    "vxlan-source-port-4789.pcap",
    """Source port 4789: to 4789 (VXLAN), to 53000 with a plain text payload (not VXLAN; tshark,
    tcpdump and illumos snoop all say it is), to 53000 with a VXLAN header (only a guess), 4789 to 8472 (tcpdump: OTV).""",
)
def vxlan_from_4789():
    return [
        tunnel(vxlan(77, vm(syn())), sport=4789),
        tunnel(b"plain text, no tunnel", sport=4789, dport=53000),
        tunnel(vxlan(77, vm(syn())), sport=4789, dport=53000),
        tunnel(vxlan(77, vm(syn())), sport=4789, dport=8472),
    ]


@capture("vxlan-vni-edges.pcap", "VNI 0, 1, 16777214 and 16777215.")
def vxlan_edges():
    return [tunnel(vxlan(vni, vm(syn()))) for vni in (0, 1, 0xFFFFFE, 0xFFFFFF)]


@capture(
    "vxlan-equal-tenants.pcap",
    """Two tenants with the same MACs, addresses and ports in VNI 100 and 200, interleaved: SYN,
    SYN-ACK, data with different payloads. They are two flows; tshark joins them into one TCP stream and reports retransmissions.""",
)
def vxlan_equal_tenants():
    answer = ip(back(T4), TCP, tcp(back(T4), 80, 51000, SYN | ACK, seq=2000, ack=1001, options=SYN_OPTIONS))
    out = []
    for make in (lambda vni: vm(syn(dport=80)), lambda vni: vm(answer, VM2, VM1), lambda vni: vm(data(payload=b"tenant %d" % vni))):
        for vni in (100, 200):
            ends = UL4 if make(vni)[6:12] == mac(VM1) else back(UL4)
            out.append(tunnel(vxlan(vni, make(vni)), ends=ends))
    return out


@capture("vxlan-vlan.pcap", "VLAN tags: inside the tunnel (1 and 2 deep), outside, both.")
def vxlan_vlan():
    one, two = tagged(vm(syn()), (0x8100, 10)), tagged(vm(syn()), (0x88A8, 20), (0x8100, 10))
    return [
        tunnel(vxlan(77, one)),
        tunnel(vxlan(77, two)),
        tagged(tunnel(vxlan(77, vm(syn()))), (0x8100, 300)),
        tagged(tunnel(vxlan(77, one)), (0x8100, 300)),
    ]


@capture(
    "vxlan-outer-options.pcap",
    """VXLAN behind IPv4 options (router alert), behind IPv6 hop-by-hop and destination options; outer
    DSCP EF with ECN CE around an inner ECT(0); outer TTL 1 and don't fragment set.""",
)
def vxlan_outer_options():
    dgram, dgram6 = udp(UL4, 51234, 4789, vxlan(77, vm(syn())), csum=0), udp(UL6, 51234, 4789, vxlan(77, vm(syn())))
    ect = ip4(T4, UDP, udp(T4, 40000, 7, b"marked"), tos=0x02)
    chain = options6(DSTOPTS, b"\x05\x02\0\0") + options6(UDP, b"\x04\x01\x04") + dgram6
    marked = ip4(UL4, UDP, udp(UL4, 51234, 4789, vxlan(77, vm(ect)), csum=0), tos=0xBB)
    return [
        under(ip4(UL4, UDP, dgram, options=option(148, b"\0\0"))),
        under(ip6(UL6, HOPOPTS, chain)),
        under(marked),
        under(ip4(UL4, UDP, dgram, ttl=1, flags=2)),
    ]


@capture(
    "vxlan-inner-mix.pcap",
    """What else tenants send, in VNI 77: an STP BPDU in an 802.3 frame, LLDP, an IGMP report, SCTP, MPLS,
    ESP, DHCPv6, mDNS, an unknown EtherType, an IPv6 fragment.""",
)
def vxlan_inner_mix():
    join, solicit, ask = ("10.0.0.1", "239.1.1.1"), ("fe80::1", "ff02::1:2"), ("10.0.0.1", "224.0.0.251")
    bpdu = struct.pack("!HBBB", 0, 0, 0, 0) + bytes(30)
    frames = [
        dot3(VM1, "01:80:c2:00:00:00", llc(0x42, 0x42, 3, bpdu)),
        eth(VM1, "01:80:c2:00:00:0e", ETH_LLDP, b"\x02\x07\x04" + mac(VM1) + b"\x04\x03\x05t0" + b"\x06\x02\0\x78\0\0"),
        eth(VM1, "01:00:5e:01:01:01", ETH_IPV4, ip4(join, IGMP, igmp(0x16, 0, addr("239.1.1.1")), ttl=1, options=option(148, b"\0\0"))),
        vm(ip(T4, SCTP, sctp(5000, 5001, chunk(1, 0, struct.pack("!IIHHI", 0x11111111, 65535, 10, 10, 1)), tag=0))),
        eth(VM1, VM2, ETH_MPLS, mpls(1000) + syn()),
        vm(ip(T4, ESP, esp(0xC0FFEE01, 17, bytes(range(32))))),
        eth(
            VM1,
            "33:33:00:01:00:02",
            ETH_IPV6,
            ip(solicit, UDP, udp(solicit, 546, 547, dhcp6(1, 0xABCDEF, dhcp6_option(8, b"\0\0"))), hops=1),
        ),
        eth(VM1, "01:00:5e:00:00:fb", ETH_IPV4, ip(ask, UDP, udp(ask, 5353, 5353, dns(0, 0, [question(name("box.local"), 1)])), ttl=255)),
        eth(VM1, VM2, 0x88B5, bytes(range(46))),
        vm(ip6(T6, FRAGMENT, fragment6(UDP, 0, 1, 4) + udp(T6, 40000, 7, bytes(64))[:40])),
    ]
    return [tunnel(vxlan(77, f)) for f in frames]


@capture("vxlan-multicast.pcap", "Outer multicast (239.1.1.1 and ff05::100), as learning VXLAN floods an inner broadcast and multicast.")
def vxlan_multicast():
    who = eth(VM1, BROADCAST, ETH_ARP, arp(1, VM1, "10.0.0.1", ZERO, "10.0.0.2"))
    v4, v6 = ("10.88.0.1", "239.1.1.1"), ("fd00:88::1", "ff05::100")
    return [
        eth(HOST1, "01:00:5e:01:01:01", ETH_IPV4, ip4(v4, UDP, udp(v4, 51234, 4789, vxlan(77, who), csum=0), ttl=1)),
        eth(HOST1, "33:33:00:00:01:00", ETH_IPV6, ip6(v6, UDP, udp(v6, 51234, 4789, vxlan(77, who)), hops=1)),
    ]


# ---- VXLAN-GPE and NSH ----


@capture(
    "vxlan-gpe.pcap",
    """Port 4790: inner IPv4, IPv6, Ethernet, NSH and MPLS (next protocol 1 to 5); OAM bit; BUM bit; no P bit
    (the next protocol is then not valid: Ethernet); version 1; an unknown next protocol 0x7f. tcpdump does not know MPLS here; neither
    it nor tshark reads packet 8.""",
)
def vxlan_gpe():
    chain = nsh(42, 255, 3, vm(syn()))
    cases = [
        gpe(77, 1, syn()),
        gpe(77, 2, syn(T6)),
        gpe(77, 3, vm(syn())),
        gpe(77, 4, chain),
        gpe(77, 5, mpls(1000) + syn()),
        gpe(77, 3, vm(syn()), flags=0x0D),
        gpe(77, 3, vm(syn()), flags=0x0E),
        gpe(77, 0, vm(syn()), flags=0x08),
        gpe(77, 3, vm(syn()), flags=0x1C),
        gpe(77, 0x7F, bytes(20)),
    ]
    return [tunnel(c, dport=4790) for c in cases]


@capture(
    "nsh.pcap",
    """NSH by EtherType 0x894f: MD type 1 with IPv4, IPv6 and Ethernet inside; MD type 2 without and with TLVs; OAM
    bit; TTL 0, index 0; inside Ethernet in VXLAN; last: length 1 (malformed: below 2 words) and MD type 2 TLV beyond the header
    (malformed). tshark and tcpdump read past the bad TLV without a word, tshark past the bad length too.""",
)
def nsh_kinds():
    def on_wire(payload):
        return eth(HOST1, HOST2, ETH_NSH, payload)

    tlvs = nsh_tlv(0x0103, 1, b"tenant") + nsh_tlv(0xFFF6, 0x81, b"")
    return [
        on_wire(nsh(42, 255, 1, syn())),
        on_wire(nsh(42, 254, 2, syn(T6))),
        on_wire(nsh(42, 253, 3, vm(syn()))),
        on_wire(nsh(42, 255, 1, syn(), context=b"", md=2)),
        on_wire(nsh(42, 255, 1, syn(), context=tlvs, md=2)),
        on_wire(nsh(42, 255, 1, syn(), oam=1)),
        on_wire(nsh(42, 0, 1, syn(), ttl=0)),
        tunnel(vxlan(77, on_wire(nsh(42, 255, 1, syn())))),
        on_wire(nsh(42, 255, 1, syn(), length=1)),
        on_wire(nsh(42, 255, 1, syn(), context=b"\x01\x03\x01\x40abcd", md=2)),
    ]


# ---- Geneve ----


@capture(
    "geneve.pcap",
    """Geneve without options over IPv4 and IPv6, inner Ethernet; VNI 0 and 16777215; bare IPv4 and IPv6 inside
    (protocol type 0x0800 and 0x86dd); an unknown protocol type; version 1; NSH and MPLS inside.""",
)
def geneve_plain():
    return [
        tunnel(p, dport=6081, **more)
        for p, more in (
            (geneve(77, vm(syn())), {}),
            (geneve(77, vm(syn(T6))), {"ends": UL6}),
            (geneve(0, vm(echo())), {}),
            (geneve(0xFFFFFF, vm(echo())), {}),
            (geneve(77, syn(), protocol=ETH_IPV4), {}),
            (geneve(77, syn(T6), protocol=ETH_IPV6), {}),
            (geneve(77, bytes(20), protocol=0x88B5), {}),
            (geneve(77, vm(syn()), version=1), {}),
            (geneve(77, nsh(42, 255, 1, syn()), protocol=ETH_NSH), {}),
            (geneve(77, mpls(1000) + syn(), protocol=ETH_MPLS), {}),
        )
    ]


@capture(
    "geneve-options.pcap",
    """Options: the Open vSwitch class 0x0101, OVN's class 0x0102 type 0x80 (logical ports 5 and 6), Linux
    class 0x0100, an option without data, several at once, 120 bytes in one, class 0xff00 (experimental), a critical option with and
    without the C bit, the OAM bit.""",
)
def geneve_options():
    ovn = geneve_option(0x0102, 0x80, struct.pack("!I", 5 << 16 | 6))
    linux, ovs, empty, own = (
        geneve_option(0x0100, 1, b"linx"),
        geneve_option(0x0101, 2, b"openvswi"),
        geneve_option(0xFF00, 3),
        geneve_option(0xFF00, 0x42, bytes(range(120))),
    )
    f = vm(syn())
    cases = [
        geneve(77, f, options=ovs),
        geneve(77, f, options=ovn, critical=1),
        geneve(77, f, options=linux),
        geneve(77, f, options=empty),
        geneve(77, f, options=ovs + ovn + linux + empty, critical=1),
        geneve(77, f, options=own),
        geneve(77, f, options=ovn),
        geneve(77, f, critical=1),
        geneve(77, f, oam=1),
        geneve(77, syn(), protocol=ETH_IPV4, options=ovs),
    ]
    return [tunnel(c, dport=6081) for c in cases]
