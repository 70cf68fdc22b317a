//! How is it typed? What stands below the help of each command.

/// Of the program.
pub(crate) const EXAMPLES: &str = "\
Examples:
  overlay-replay edit --decap -w inner.pcap vxlan.pcap
  overlay-replay edit --anonymise -w public.pcap private.pcap

Exit status:
  0  done
  1  it cannot be done, and no file was written
  2  the command line is wrong
  3  done, but not for every packet, or not all of it: standard error says what";

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
