//! How is it typed? What stands below the help of each command.

/// Of the program.
pub(crate) const EXAMPLES: &str = "\
Examples:
  overlay-replay edit --decap -w inner.pcap vxlan.pcap
  overlay-replay edit --anonymise -w public.pcap private.pcap
  overlay-replay engine --config host.json frames.pcap | jq -c .verdict
  overlay-replay send vxlan.pcap=eth0

Exit status:
  0  done
  1  it cannot be done, and no file was written
  2  the command line is wrong
  3  edit, send: done, but not for every packet, or not all of it; diff: they differ";

/// Of `edit`.
pub(crate) const EDIT: &str = "\
Order:
  --decap, --encap, --vni-map, --set, --map, --anonymise, --mtu, whatever the
  order on the command line.

Places:
  PACKET.FIELD[.END]
  PACKET  outer, inner (behind the last tunnel header), any, or a number: 1 is
          the outer packet, 2 the one behind the first tunnel header
  FIELD   mac, ip, port or vlan
  END     src or dst; --map takes both without one

  --map also changes ARP, neighbour discovery and the packets that ICMP errors
  quote. All --map are applied at once, the first that fits.

Checksums:
  A packet that was changed leaves with every length and checksum right, also
  those that were wrong before. --encap and --decap alone leave what is inside
  as it was. Where the capture cut a packet off, its checksums are carried over
  from the old bytes to the new ones.

Anonymous:
  Addresses keep their common prefixes; groups, loopback and the like stay.
  Everything behind the last header is zeros, and so are IP options, the data
  of Geneve options, and comments. Virtual networks, VLANs, ports and times stay.
  What cannot be made anonymous rightly is left out.

Examples:
  overlay-replay edit --encap vxlan --vni 77 --from 10.0.0.1 --to 10.0.0.2 \\
      -w tunnel.pcap frames.pcap
  overlay-replay edit --decap -w inner.pcap vxlan.pcap
  overlay-replay edit --vni-map 77=1077,78=1078 -w other.pcap vxlan.pcap
  overlay-replay edit --set outer.ip.src=10.9.0.1 --set outer.mac.dst=02:08:20:0a:00:01 \\
      -w here.pcap vxlan.pcap
  overlay-replay edit --map inner.ip=10.0.0.0/24=172.16.5.0/24 -w moved.pcap vxlan.pcap
  overlay-replay edit --anonymise -w - vxlan.pcap | overlay-snoop -r -";

/// Of `engine`.
pub(crate) const ENGINE: &str = "\
Packets:
  What goes to an address and port where an overlay listens is a datagram from
  the underlay. What comes from a VNIC's address is a frame that it sends. The
  rest is skipped, and it is said why. --as says otherwise.

Lines:
  A JSON object each, with a kind:
  packet    what became of a packet, in the words of overlayadm trace. One that
            waits for an answer is pending, and has a second line later
  skipped   a packet that came in nowhere, and why
  lookup, answer, state     with --trace
  counters  at the end: of everything, of each overlay, of each VNIC
  target    at the end: each entry of the target tables

Script:
  { \"version\": 1,
    \"lookups\": [
      { \"destination\": \"02:08:20:0a:00:01\", \"times\": 1, \"lose\": true },
      { \"overlay\": \"ov7\", \"delay_ns\": 50000000 },
      { \"answer\": { \"reach\": [\"10.0.0.9:4789\"] } } ],
    \"answerer\": [ { \"at_ns\": 1000000000, \"away\": \"varpd restarts\" },
                  { \"at_ns\": 2000000000 } ] }
  The first of lookups that fits is used; an answer is a reach or \"drop\".

Time:
  Is that of the capture. The same files give the same bytes.

Examples:
  overlay-replay engine --config host.json -o lines.json -w sent.pcapng frames.pcap
  overlay-replay engine --config host.json --mapping ov7=map.json --trace frames.pcap
  overlay-replay engine --config host.json --table table.json frames.pcap |
      jq -r 'select(.verdict == \"drop\") | .reason' | sort | uniq -c
  overlay-replay engine --config host.json --only 77 --save packet.pcap frames.pcap";

/// Of `diff`.
pub(crate) const DIFF: &str = "\
The first line that is not the same in both is told, and what is not the same in
it; then the exit status is 3.

Examples:
  overlay-replay engine --config host.json -o before.json frames.pcap
  overlay-replay engine --config host.json -o after.json frames.pcap
  overlay-replay diff before.json after.json";

/// Of `send`.
pub(crate) const SEND: &str = "\
Time:
  Each packet has a deadline of its own, in nanoseconds after the first one, so
  that one that is late makes no other late. Several captures are sent by one
  clock: the earliest packet of all is the first.

Report:
  On standard output: packets, time and rates; how far packets were behind their
  deadlines when the kernel had taken them; what the kernel refused and what it
  was not asked to take, with the numbers of the packets. A packet longer than
  the MTU is refused, the others are sent; then the exit status is 3.

  A file is read to its end before anything is sent: of one that is damaged
  nothing is. SIGINT ends it with a report.

Examples:
  overlay-replay send vxlan.pcap=eth0
  overlay-replay send --speed 10 client.pcap=veth0 server.pcap=veth1
  overlay-replay send --pps 100000 --loop 0 --duration 60 --json frames.pcap=eth0
  overlay-replay generate --encap vxlan -w - | overlay-replay send --topspeed /dev/stdin=eth0";

/// Of `generate`.
pub(crate) const GENERATE: &str = "\
Made are TCP, UDP, ICMP and ARP over IPv4 and IPv6 between the VNICs of a host
(one in each virtual network) and the targets of the networks. The same options
give the same bytes. --host writes the configuration of that host and a mapping
for each network, which engine and the daemons read.

Examples:
  overlay-replay generate --vnis 100 --targets 50 --host there -w frames.pcap
  overlay-replay engine --config there/host.json frames.pcap
  overlay-replay generate --encap vxlan --fault truncated=5 --vnis 100 --targets 50 -w - |
      overlay-replay engine --config there/host.json -";
