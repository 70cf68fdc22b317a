#!/usr/bin/env bash
# Records the captures of the corpus that come from live traffic: the kernel's own tunnels and Open vSwitch.
#
#     host A namespace                                         host B namespace
#     ul0 10.88.0.1 fd00:88::1  ---------- veth ----------     ul0 10.88.0.2 fd00:88::2
#      | vxlan device, or Open vSwitch in user space                 |
#     tenant A1, A2 namespaces                                 tenant B1, B2 namespaces
#     t0 10.0.0.1 2001:db8::1                                  t0 10.0.0.2 2001:db8::2
#
#     lab.sh                all sections (root; tcpdump, iproute2, ethtool, python3, openvswitch-switch)
#     lab.sh SECTION...     only these: kernel_vxlan kernel_odd kernel_gso ovs
#
# Times and kernel-chosen ports differ from run to run, so golden outputs must be renewed after it. Everything lives in
# namespaces named ovc<pid>-*, and is removed on every way out. A capture that cannot be made here is said and skipped.
# The lines `# capture FILE: TEXT` are the rows of captures/README.md; generate.py reads them from here.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
corpus=$(dirname "$here")
tag=ovc$$
work=$(mktemp -d /tmp/$tag.XXXXXX)
pids=()
skipped=0

say() { echo "lab: $*"; }

cleanup() {
    set +e
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    local ns
    for ns in $(ip netns list | awk '{print $1}' | grep "^$tag-"); do ip netns delete "$ns"; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

in_ns() { local ns=$1; shift; ip netns exec "$tag-$ns" "$@"; }

namespace() {
    ip netns add "$tag-$1"
    in_ns "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1 net.ipv6.conf.all.accept_ra=0
    ip -n "$tag-$1" link set lo up
}

# until_true SECONDS COMMAND...: polls, because nothing here may depend on a fixed sleep.
until_true() {
    local limit=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < limit)) || return 1
        sleep 0.05
    done
}

# start_record FILE NAMESPACE INTERFACE SNAPLEN FILTER...: tcpdump in the background, on its way before this returns.
start_record() {
    local file=$1 ns=$2 interface=$3 snaplen=$4; shift 4
    ip netns exec "$tag-$ns" tcpdump -Z root -n -U --immediate-mode -i "$interface" -s "$snaplen" -w "$work/$file" "$@" 2>"$work/tcpdump.err" &
    recorder=$!
    pids+=("$recorder")
    until_true 5 grep -q "listening on" "$work/tcpdump.err" || { cat "$work/tcpdump.err" >&2; return 1; }
}

# end_record FILE PACKETS: keeps the first PACKETS packets.
end_record() {
    sleep 0.3 # the last packets are still on their way to tcpdump; there is no event to wait for
    kill -INT "$recorder"
    wait "$recorder" 2>/dev/null || true
    local kept
    tcpdump -n -r "$work/$1" -c "$2" -w "$work/cut.pcap" 2>/dev/null
    kept=$(tcpdump -n --count -r "$work/cut.pcap" 2>/dev/null | awk '{print $1 + 0}')
    if ((kept == 0)); then say "SKIPPED $1: no packet seen"; skipped=$((skipped + 1)); return 0; fi
    cp "$work/cut.pcap" "$corpus/$1"
    say "wrote $1, $kept packets, $(stat -c %s "$corpus/$1") bytes"
}

serve() { # serve NAMESPACE ADDRESS PORT
    : >"$work/serve.out"
    ip netns exec "$tag-$1" python3 "$here/talk.py" serve "$2" "$3" >"$work/serve.out" &
    pids+=("$!")
    until_true 5 grep -q ready "$work/serve.out"
}

talk() { local ns=$1; shift; in_ns "$ns" python3 "$here/talk.py" "$@"; }

underlay() { # underlay: both hosts and their link
    namespace a
    namespace b
    ip -n $tag-a link add ul0 address 02:00:00:88:00:01 type veth peer name ul0 address 02:00:00:88:00:02 netns $tag-b
    local n=1 host
    for host in a b; do
        ip -n $tag-$host address add 10.88.0.$n/24 dev ul0
        ip -n $tag-$host address add fd00:88::$n/64 dev ul0 nodad
        ip -n $tag-$host link set ul0 up
        n=2
    done
}

tear_down() {
    local pid ns
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
    for ns in $(ip netns list | awk '{print $1}' | grep "^$tag-"); do ip netns delete "$ns"; done
}

# tenant HOST INDEX VNI UNDERLAY OPTIONS...: a tenant namespace whose t0 is a vxlan device of the host.
tenant() {
    local host=$1 index=$2 vni=$3 family=$4; shift 4
    local n=1 peer=2
    [[ $host == b ]] && n=2 peer=1
    local remote=10.88.0.$peer
    [[ $family == 6 ]] && remote=fd00:88::$peer
    ip netns list | grep -q "^$tag-$host$index" || namespace $host$index
    ip -n $tag-$host link add t0 address 02:08:20:0a:00:0$n type vxlan id "$vni" remote $remote dev ul0 "$@"
    ip -n $tag-$host link set t0 netns $tag-$host$index
    ip -n $tag-$host$index address add 10.0.0.$n/24 dev t0
    # Without IPv6 there is no MLD report to push a wanted packet out of a short capture.
    [[ $family == 6 ]] && ip -n $tag-$host$index address add 2001:db8::$n/64 dev t0 nodad || in_ns $host$index sysctl -qw net.ipv6.conf.t0.disable_ipv6=1
    ip -n $tag-$host$index link set t0 up
}

untenant() { local t; for t in "$@"; do ip netns delete $tag-$t; done; until_true 3 not_there; }
not_there() { ! ip -n $tag-a link show t0 && ! ip -n $tag-b link show t0; }

section_kernel_vxlan() {
    # capture kernel-vxlan-ipv4.pcap: Linux VXLAN, VNI 77 over IPv4: inner ARP, ping, UDP echo, ICMP port unreachable, a small TCP connection. Inner TCP and UDP checksums are partial (offload on veth); the outer UDP checksum is partial too, or (around a partial inner one) the value that will be right once the inner one is filled in.
    # capture kernel-vxlan-any.pcap: One ping seen by `tcpdump -i any` (SLL2): each packet on ul0 only, because the vxlan device lives in another namespace.
    # capture kernel-vxlan-device.pcap: The same ping on the vxlan device itself: tenant frames without any tunnel header.
    underlay
    tenant a 1 77 4 dstport 4789
    tenant b 1 77 4 dstport 4789
    serve b1 0.0.0.0 80
    start_record kernel-vxlan-ipv4.pcap b ul0 400 udp port 4789
    talk a1 ping 10.0.0.2
    talk a1 udp 10.0.0.2 80 "hello overlay"
    talk a1 udp 10.0.0.2 9 "nobody listens"
    talk a1 tcp 10.0.0.2 80 200
    end_record kernel-vxlan-ipv4.pcap 18
    start_record kernel-vxlan-any.pcap b any 300 udp port 4789
    talk a1 ping 10.0.0.2
    end_record kernel-vxlan-any.pcap 4
    start_record kernel-vxlan-device.pcap a1 t0 300 icmp
    talk a1 ping 10.0.0.2
    end_record kernel-vxlan-device.pcap 2
    untenant a1 b1

    # capture kernel-vxlan-ipv6.pcap: Linux VXLAN, VNI 77 over IPv6 with outer UDP checksums: neighbour solicitation and advertisement, ping, UDP echo over inner IPv6; one or two MLD reports of the fresh device among them.
    tenant a 1 77 6 dstport 4789
    tenant b 1 77 6 dstport 4789
    serve b1 :: 80
    start_record kernel-vxlan-ipv6.pcap b ul0 300 ip6 and udp port 4789
    talk a1 ping 2001:db8::2
    talk a1 udp 2001:db8::2 80 "hello overlay"
    end_record kernel-vxlan-ipv6.pcap 10
    untenant a1 b1

    # capture kernel-vxlan-8472.pcap: Linux VXLAN on port 8472, the default of iproute2 without dstport (and of flannel): ping, VNI 88, noudpcsum (outer checksum 0). tcpdump calls it OTV.
    tenant a 1 88 4 dstport 8472 noudpcsum
    tenant b 1 88 4 dstport 8472 noudpcsum
    start_record kernel-vxlan-8472.pcap b ul0 300 udp port 8472
    talk a1 ping 10.0.0.2
    end_record kernel-vxlan-8472.pcap 6
    untenant a1 b1

    # capture kernel-vxlan-equal-tenants.pcap: Two VNIs (100, 200) with the same tenant MACs and addresses: a ping with the same id and a UDP datagram between the same ports in each.
    tenant a 1 100 4 dstport 4789
    tenant b 1 100 4 dstport 4789
    tenant a 2 200 4 dstport 4789
    tenant b 2 200 4 dstport 4789
    start_record kernel-vxlan-equal-tenants.pcap b ul0 300 udp port 4789
    talk a1 ping 10.0.0.2 >/dev/null
    talk a2 ping 10.0.0.2 >/dev/null
    end_record kernel-vxlan-equal-tenants.pcap 10
    tear_down
}

section_kernel_odd() {
    # capture kernel-vxlan-vlan.pcap: Tagged frames sent through AF_PACKET into the tenant's device: 802.1Q id 10, and 802.1ad id 20 with 802.1Q id 10, in VNI 77.
    underlay
    tenant a 1 77 4 dstport 4789
    tenant b 1 77 4 dstport 4789
    # An IPv4 packet with a UDP datagram of one byte from 10.0.0.1:40000 to 10.0.0.2:7.
    local macs=0208200a00020208200a0001 packet=4500001d00014000401126cd0a0000010a0000029c4000070009d79178
    start_record kernel-vxlan-vlan.pcap b ul0 300 udp port 4789
    talk a1 frame t0 "${macs}8100000a0800$packet"
    talk a1 frame t0 "${macs}88a800148100000a0800$packet"
    end_record kernel-vxlan-vlan.pcap 2
    untenant a1 b1

    # capture kernel-vxlan-gbp.pcap: Linux VXLAN with gbp: ping with socket mark 1000 becomes group policy id 1000; the answer carries none.
    tenant a 1 77 4 dstport 4789 gbp
    tenant b 1 77 4 dstport 4789 gbp
    start_record kernel-vxlan-gbp.pcap b ul0 300 udp port 4789
    talk a1 ping 10.0.0.2 7 1000
    end_record kernel-vxlan-gbp.pcap 4
    untenant a1 b1

    # capture kernel-vxlan-gpe.pcap: Linux VXLAN-GPE device (port 4790) with lightweight tunnel routes: bare IPv4 and IPv6 inside, VNI 77, no inner Ethernet.
    local host n=1 peer=2
    for host in a b; do
        ip -n $tag-$host link add gpe0 type vxlan external gpe dstport 4790
        ip -n $tag-$host link set gpe0 up
        ip -n $tag-$host address add 10.0.0.$n/32 dev gpe0
        ip -n $tag-$host address add 2001:db8::$n/128 dev gpe0 nodad
        ip -n $tag-$host route add 10.0.0.$peer/32 encap ip id 77 dst 10.88.0.$peer dev gpe0 src 10.0.0.$n
        ip -n $tag-$host route add 2001:db8::$peer/128 encap ip id 77 dst 10.88.0.$peer dev gpe0 src 2001:db8::$n
        n=2 peer=1
    done
    start_record kernel-vxlan-gpe.pcap b ul0 300 udp port 4790
    talk a ping 10.0.0.2
    talk a ping 2001:db8::2
    end_record kernel-vxlan-gpe.pcap 6
    tear_down
}

section_kernel_gso() {
    # capture kernel-vxlan-gso.pcap: A TCP bulk send through Linux VXLAN with offloads on: super-frames far longer than the MTU of the underlay, whole, with honest lengths. Cut by a snaplen of 160.
    underlay
    tenant a 1 77 4 dstport 4789
    tenant b 1 77 4 dstport 4789
    serve b1 0.0.0.0 80
    start_record kernel-vxlan-gso.pcap b ul0 160 udp port 4789 and src 10.88.0.1 and greater 2000
    talk a1 tcp 10.0.0.2 80 400000
    end_record kernel-vxlan-gso.pcap 4
    start_record kernel-vxlan-gso-whole.pcap b ul0 5000 udp port 4789 and src 10.88.0.1 and greater 2500 and less 5000
    # capture kernel-vxlan-gso-whole.pcap: One such super-frame of two or three segments, kept whole: the inner TCP checksum is only the pseudo-header's sum.
    talk a1 tcp 10.0.0.2 80 4000
    end_record kernel-vxlan-gso-whole.pcap 1
    # capture kernel-bigtcp.pcap: BIG TCP over plain veth (GSO and GRO limits of 150,000 bytes): frames above 64 KiB with an IPv4 total length of 0, and IPv6 with a payload length of 0 and the jumbo option. Snaplen 128. tcpdump 4.99.3 prints `bad-len 0` for IPv4.
    local host
    for host in a b; do talk $host bigtcp ul0 150000; done
    serve b 10.88.0.2 81
    serve b fd00:88::2 82
    start_record kernel-bigtcp.pcap b ul0 128 greater 66000
    talk a tcp 10.88.0.2 81 2000000
    talk a tcp fd00:88::2 82 2000000
    sleep 0.3 # as in end_record
    kill -INT "$recorder"; wait "$recorder" 2>/dev/null || true
    # Two packets of each family: enough, and the file stays small.
    tcpdump -n -r "$work/kernel-bigtcp.pcap" -c 2 -w "$work/v4.pcap" ip 2>/dev/null
    tcpdump -n -r "$work/kernel-bigtcp.pcap" -c 2 -w "$work/v6.pcap" ip6 2>/dev/null
    { cat "$work/v4.pcap"; tail -c +25 "$work/v6.pcap"; } >"$corpus/kernel-bigtcp.pcap"
    say "wrote kernel-bigtcp.pcap, $(stat -c %s "$corpus/kernel-bigtcp.pcap") bytes"
    tear_down
}

vsctl() { local host=$1; shift; in_ns $host ovs-vsctl --db=unix:$work/$host/db.sock "$@"; }
ofctl() { local host=$1; shift; OVS_RUNDIR=$work/$host in_ns $host ovs-ofctl -O OpenFlow13 "$@"; }

start_ovs() { # start_ovs HOST N: an Open vSwitch of its own, in user space, in the host's namespace
    local host=$1 n=$2 dir=$work/$1
    mkdir -p "$dir"
    ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
    OVS_RUNDIR=$dir ip netns exec $tag-$host ovsdb-server "$dir/conf.db" --remote=punix:"$dir/db.sock" --unixctl="$dir/db.ctl" -vconsole:off >/dev/null 2>&1 &
    pids+=("$!")
    until_true 5 test -S "$dir/db.sock"
    vsctl $host --no-wait init
    OVS_RUNDIR=$dir ip netns exec $tag-$host ovs-vswitchd "unix:$dir/db.sock" --unixctl="$dir/vs.ctl" -vconsole:off >/dev/null 2>&1 &
    pids+=("$!")
    until_true 10 test -S "$dir/vs.ctl"
    # The underlay's address moves to the bridge's own interface: that is how the user-space datapath finds its route.
    in_ns $host ethtool -K ul0 tx off gso off tso off >/dev/null
    ip -n $tag-$host address flush dev ul0
    vsctl $host add-br br-ul -- set bridge br-ul datapath_type=netdev other-config:hwaddr=02:00:00:88:00:0$n -- add-port br-ul ul0
    vsctl $host add-br br-t -- set bridge br-t datapath_type=netdev other-config:hwaddr=02:08:20:0a:00:0$n
    until_true 5 ip -n $tag-$host link show br-t
    ip -n $tag-$host address add 10.88.0.$n/24 dev br-ul
    ip -n $tag-$host address add fd00:88::$n/64 dev br-ul nodad
    ip -n $tag-$host address add 10.0.0.$n/24 dev br-t
    in_ns $host sysctl -qw net.ipv6.conf.br-t.disable_ipv6=1 # no MLD reports among the pings
    ip -n $tag-$host link set br-ul up
    ip -n $tag-$host link set br-t up
}

# ovs_tunnel TYPE OPTIONS...: the port tun0 on both hosts. `%` in an option is the other host's number.
ovs_tunnel() {
    local kind=$1; shift
    local host peer=2 option options
    for host in a b; do
        options=()
        for option in "$@"; do options+=("options:${option//%/$peer}"); done
        vsctl $host --timeout=5 --if-exists del-port tun0 -- add-port br-t tun0 -- set interface tun0 type=$kind "${options[@]}"
        vsctl $host get interface tun0 error | grep -q '^\[\]$' || { say "$kind: $(vsctl $host get interface tun0 error)"; return 1; }
        peer=1
    done
}

# ovs_record FILE FILTER: a ping through tun0, with its ARP, as the wire has it.
ovs_record() {
    local host
    for host in a b; do ip -n $tag-$host neighbour flush dev br-t; done
    talk a ping 10.0.0.2 || true # the first resolves the underlay's addresses; its tunnel packet may be lost
    start_record "$1" b ul0 300 "$2"
    talk a ping 10.0.0.2 || say "$1: no answer to ping (the capture shows what was sent)"
    end_record "$1" "${3:-6}"
}

section_ovs() {
    command -v ovs-vswitchd >/dev/null || { say "SKIPPED section ovs: openvswitch-switch is not installed"; skipped=$((skipped + 1)); return 0; }
    underlay
    start_ovs a 1
    start_ovs b 2
    # capture ovs-gre-key.pcap: Open vSwitch (user space) GRE with key 5001 and Ethernet inside: the bits on the wire are those of NVGRE with VSID 19, FlowID 137. Ping.
    ovs_tunnel gre remote_ip=10.88.0.% key=5001 && ovs_record ovs-gre-key.pcap "ip proto 47"
    # capture ovs-gre-csum-seq.pcap: Open vSwitch 3.1 GRE with checksum and sequence number, no key, Ethernet inside. The checksum is wrong by exactly the sequence number (it is computed before the number is written), so the peer drops the packet: a fault in the wild.
    ovs_tunnel gre remote_ip=10.88.0.% csum=true seq=true && ovs_record ovs-gre-csum-seq.pcap "ip proto 47"
    # capture ovs-geneve.pcap: Open vSwitch Geneve, VNI 77, no options. Ping.
    ovs_tunnel geneve remote_ip=10.88.0.% key=77 && ovs_record ovs-geneve.pcap "udp port 6081"
    # capture ovs-geneve-options.pcap: Open vSwitch Geneve with tunnel metadata: class 0x0102 type 0x80 (critical) 4 bytes and class 0xffff type 1 8 bytes from host 1, nothing from host 2.
    local host
    for host in a b; do ofctl $host add-tlv-map br-t "{class=0x0102,type=0x80,len=4}->tun_metadata0,{class=0xffff,type=0x1,len=8}->tun_metadata1"; done
    ofctl a add-flow br-t "priority=10,in_port=LOCAL,actions=set_field:0x50006->tun_metadata0,set_field:0x1122334455667788->tun_metadata1,output:tun0"
    ovs_record ovs-geneve-options.pcap "udp port 6081"
    ofctl a del-flows br-t in_port=LOCAL
    for host in a b; do ofctl $host del-tlv-map br-t; done
    # capture ovs-geneve-ipv6.pcap: Open vSwitch Geneve over IPv6 with an outer checksum.
    ovs_tunnel geneve remote_ip=fd00:88::% key=77 csum=true && ovs_record ovs-geneve-ipv6.pcap "ip6 and udp port 6081"
    # capture ovs-vxlan-gpe.pcap: Open vSwitch VXLAN with the GPE extension on port 4789 (not 4790): Ethernet inside, flags 0x0c, next protocol 3.
    ovs_tunnel vxlan remote_ip=10.88.0.% key=77 exts=gpe && ovs_record ovs-vxlan-gpe.pcap "udp port 4789"
    # capture ovs-nsh.pcap: Open vSwitch NSH, MD type 1 (path 42, index 255) and MD type 2 without TLVs, around an Ethernet frame with an IPv4 ping, in VXLAN, VNI 77. Only sent, not answered.
    ovs_tunnel vxlan remote_ip=10.88.0.% key=77
    local push="set_field:42->nsh_spi,set_field:255->nsh_si,encap(ethernet),set_field:02:08:20:0a:00:02->eth_dst,set_field:02:08:20:0a:00:01->eth_src,output:tun0"
    ofctl a add-flow br-t "priority=10,in_port=LOCAL,ip,actions=encap(nsh(md_type=1)),$push"
    ip -n $tag-a neighbour replace 10.0.0.2 lladdr 02:08:20:0a:00:02 dev br-t nud permanent # no ARP in between
    talk a ping 10.0.0.2 || true
    start_record ovs-nsh.pcap b ul0 300 "src 10.88.0.1 and udp port 4789 and udp[28:2] = 0x894f" # the inner EtherType: no ARP
    talk a ping 10.0.0.2 || true
    ofctl a mod-flows br-t "priority=10,in_port=LOCAL,ip,actions=encap(nsh(md_type=2)),$push"
    talk a ping 10.0.0.2 || true
    end_record ovs-nsh.pcap 2
    ofctl a del-flows br-t in_port=LOCAL
    ip -n $tag-a neighbour delete 10.0.0.2 dev br-t
    # capture ovs-erspan2.pcap: Open vSwitch ERSPAN type II, session 100, index 5, with sequence numbers.
    ovs_tunnel erspan remote_ip=10.88.0.% key=100 erspan_ver=1 erspan_idx=5 && ovs_record ovs-erspan2.pcap "ip proto 47"
    # capture ovs-erspan3.pcap: Open vSwitch ERSPAN type III, session 100, direction egress, hardware id 4.
    ovs_tunnel erspan remote_ip=10.88.0.% key=100 erspan_ver=2 erspan_dir=1 erspan_hwid=4 && ovs_record ovs-erspan3.pcap "ip proto 47"
    tear_down
}

sections=("$@")
((${#sections[@]})) || sections=(kernel_vxlan kernel_odd kernel_gso ovs)
for section in "${sections[@]}"; do
    declare -F "section_$section" >/dev/null || { echo "lab: $section: no such section; the head of this file lists them" >&2; exit 2; }
done
[[ $(id -u) == 0 ]] || { echo "lab: must be root (network namespaces)" >&2; exit 2; }
for section in "${sections[@]}"; do
    say "section $section"
    "section_$section"
done
say "done, $skipped skipped; now run make/generate.py to renew captures/README.md"
