//! How is it typed? What stands below the help of each command.

/// Of the program.
pub(crate) const EXAMPLES: &str = "\
Examples:
  overlayadm create-overlay -e vxlan -s direct -v 7 -p vxlan/listen_ip=10.0.0.1 \\
      -p direct/dest_ip=10.0.0.2 -p direct/dest_port=4789 ov7
  overlayadm create-vnic -l ov7 -n blue vnic0
  overlayadm show-overlay ov7
  overlayadm trace ov7 --dst 02:08:20:0a:00:01
  overlayadm show-overlay -t -p -o target,ul3 ov7

Exit status:
  0  done
  1  overlayd refused, and nothing has changed; or it cannot be asked
  2  the command line is wrong";

/// Of `create-overlay`.
pub(crate) const CREATE_OVERLAY: &str = "\
Examples:
  overlayadm create-overlay -e vxlan -s direct -v 7 -p vxlan/listen_ip=10.0.0.1 \\
      -p direct/dest_ip=10.0.0.2 -p direct/dest_port=4789 ov7
  overlayadm create-overlay -e nvgre -s direct -v 4097 -p nvgre/listen_ip=fd00::1 \\
      -p direct/dest_ip=fd00::2 ov8";

/// Of `delete-overlay`.
pub(crate) const DELETE_OVERLAY: &str = "\
Examples:
  overlayadm delete-overlay ov7";

/// Of `modify-overlay`.
pub(crate) const MODIFY_OVERLAY: &str = "\
Examples:
  overlayadm modify-overlay -s 02:08:20:0a:00:01=10.0.0.2:4789 ov7
  overlayadm modify-overlay -s 02:08:20:0a:00:01=[fd00::2]:4789 ov7
  overlayadm modify-overlay -s ff:ff:ff:ff:ff:ff=10.0.0.2:4789,10.0.0.3:4789 ov7
  overlayadm modify-overlay -s 02:08:20:0a:00:01=drop ov7
  overlayadm modify-overlay -d 02:08:20:0a:00:01 ov7
  overlayadm modify-overlay -f ov7";

/// Of `show-overlay`.
pub(crate) const SHOW_OVERLAY: &str = "\
Fields:
  properties  link, property, perm, req, value, default, possible;
              on request set, type, doc
  -t          link, target, ul3, state, age, hits, bytes, source;
              on request pending, idle, expires
  -f          link, status, details; on request since, encap, search, vnetid,
              mtu, listen, vnics, targets, pending, lookups, persistent

  PERM is r- (shown only), rc (set at creation) or rw (changes live). -- is
  nothing; with -p the field is empty. An overlay that is direct has one target,
  *:*:*:*:*:*. With -p, and in JSON, times are whole: seconds with nine decimals
  in fields, nanoseconds in JSON.

Examples:
  overlayadm show-overlay
  overlayadm show-overlay -t ov7
  overlayadm show-overlay -f -o link,status,since,details
  overlayadm show-overlay -t -p -o target,ul3 ov7
  overlayadm show-overlay -t --json ov7 | jq .hits";

/// Of `create-vnic`.
pub(crate) const CREATE_VNIC: &str = "\
Examples:
  overlayadm create-vnic -l ov7 vnic0
  overlayadm create-vnic -l ov7 -m 02:08:20:0a:00:01 -n blue -p mtu=1300 vnic1";

/// Of `delete-vnic`.
pub(crate) const DELETE_VNIC: &str = "\
Examples:
  overlayadm delete-vnic vnic0";

/// Of `show-vnic`.
pub(crate) const SHOW_VNIC: &str = "\
Fields:
  link, over, macaddress, mtu, netns, state; on request details, persistent,
  frames_in, frames_in_bytes, frames_out, frames_out_bytes, drops

  In frames are those that the VNIC's owner sends, out frames those that it gets.

Examples:
  overlayadm show-vnic
  overlayadm show-vnic -l ov7
  overlayadm show-vnic -p -o macaddress vnic0";

/// Of `set-prop`.
pub(crate) const SET_PROP: &str = "\
Examples:
  overlayadm set-prop -p mtu=1500 ov7
  overlayadm set-prop -p direct/dest_ip=10.0.0.3 ov7
  overlayadm set-prop -p mtu=1300 vnic0";

/// Of `reset-prop`.
pub(crate) const RESET_PROP: &str = "\
Examples:
  overlayadm reset-prop -p mtu ov7";

/// Of `show-prop`.
pub(crate) const SHOW_PROP: &str = "\
Fields:
  link, property, perm, req, value, default, possible; on request set, type, doc

Examples:
  overlayadm show-prop ov7
  overlayadm show-prop -p mtu
  overlayadm show-prop -p mtu,vnetid -c -o link,value ov7
  overlayadm show-prop -o property,doc ov7";

/// Of `ping`.
pub(crate) const PING: &str = "\
Pings are frames of the virtual network that overlayd sends and the overlayd at
the other end answers; a tenant sees nothing of them. An address that is no
overlayd's never answers. Sizes are of the inner packet, as an MTU is. Times are
taken where packets are sent and received. What follows is said at the end: what
may drop them, and which MTU the way has. A MAC that nobody knows yet is asked
for as a frame asks for it, by a frame that its owner may see.

Exit status:
  0  at least one was answered
  1  none was
  2  it could not be tried: no such overlay, it is down, overlayd is away

Examples:
  overlayadm ping ov7
  overlayadm ping ov7 --to 10.0.0.2 --size 1400 --count 3 --interval 0.2
  overlayadm ping ov7 --to [fd00::2]:4789
  overlayadm ping ov7 --to 02:08:20:0a:00:01
  overlayadm ping ov7 --json | jq 'select(.event == \"end\").findings[]'";

/// Of `doctor`.
pub(crate) const DOCTOR: &str = "\
It changes nothing, and needs no overlayd: the kernel's own VXLAN, Geneve and GRE
devices are looked at in the same way. As root it sees all; others are told what
could not be looked at.

Looked at: overlayd and varpd (away, degraded, other versions, capabilities,
/dev/net/tun, the folder of plugins), underlay addresses and links, MTUs, UDP
ports that two want, empty forwarding databases, strict reverse path filters,
rules that drop the packets, full receive buffers.

Exit status:
  0  nothing is wrong, as far as could be seen
  1  there are errors or warnings
  2  it could not be looked at all

Examples:
  overlayadm doctor
  overlayadm doctor --all-netns
  overlayadm doctor --json | jq -r 'select(.severity == \"error\").repair'";

/// Of `trace`.
pub(crate) const TRACE: &str = "\
Each decision is a line, and what becomes of the frame the last one. With --pcap
a frame is a line: number, addresses, verdict, and what decided. Nothing is sent,
asked or changed. It is the way of a frame that a VNIC sends; of a frame that was
encapsulated already it is said, and its outer frame is traced.

Examples:
  overlayadm trace ov7 --dst 02:08:20:0a:00:01
  overlayadm trace ov7 --vnic vnic0 --dst ff:ff:ff:ff:ff:ff --ethertype arp --size 28
  overlayadm trace ov7 --vnic vnic0 --pcap frames.pcap
  overlayadm trace ov7 --pcap frames.pcap --json | jq -r .verdict | sort | uniq -c
  overlayadm trace ov7 --frame '02 08 20 0a 00 01 02 08 20 0a 00 02 08 00'";
