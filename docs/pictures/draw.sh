#!/bin/sh
# Draws the pictures of overlay-top: two hosts with an overlay between them, a real terminal (tmux's), and what it shows.
# As root, from the root of the repository: docs/pictures/draw.sh [PROGRAMS] [OUT]. PROGRAMS is target/release otherwise, OUT docs/pictures.
# Needs tmux, and Python with Pillow and the font DejaVu Sans Mono. Only this script's own namespaces, processes and files are touched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${OVERLAY_PICTURES:-}" != inside ]; then
    OVERLAY_PICTURES=inside exec unshare --net --mount --pid --fork --kill-child --mount-proc -- "$0" "$(realpath "${1:-target/release}")" "$(realpath "${2:-$here}")"
fi
export PATH="$1:$PATH" TZ=UTC LC_ALL=C.UTF-8
mkdir -p "$2"
out=$2
work=$(mktemp -d)
# Namespaces of this run alone: nobody else sees them, and they end with it.
mount -t tmpfs none /run
mkdir -p /run/netns
trap 'tmux -L pictures-$$ kill-server 2>/dev/null || true; umount -l /run; rm -rf "$work"' EXIT
cd "$work"
ip link set lo up
for n in 1 2; do
    ip address add 10.88.0.$n/32 dev lo
    ip netns add tenant$n
    overlayd --root host$n 2>host$n.log &
done
sleep 1
for n in 1 2; do
    cat >map$n.json <<J
{ "02:08:20:0a:00:01": {"ip": "10.88.0.1", "port": 4789, "arp": "10.0.0.1"},
  "02:08:20:0a:00:02": {"ip": "10.88.0.2", "port": 4789, "arp": "10.0.0.2"},
  "02:08:20:0a:00:09": {"ip": "10.88.0.9", "port": 4789, "arp": "10.0.0.9"} }
J
    varpd --root host$n 2>varpd$n.log &
done
sleep 1
for n in 1 2; do
    for v in 7 8 1000; do
        overlayadm --root host$n create-overlay -e vxlan -s files -v $v -p vxlan/listen_ip=10.88.0.$n -p files/config="$work/map$n.json" ov$v
    done
    overlayadm --root host$n create-vnic -l ov7 -m 02:08:20:0a:00:0$n -n tenant$n vnic$n
    ip -n tenant$n address add 10.0.0.$n/24 dev vnic$n
    ip -n tenant$n link set vnic$n up
done
# Now more, now less, so that the graphs have something to show.
while :; do
    for every in 0.02 0.01 0.05 0.015 0.1 0.03; do timeout 2 ip netns exec tenant1 ping -q -i $every 10.0.0.2 || true; done
done >ping2.log 2>&1 &
ip netns exec tenant1 ping -q -i 0.2 10.0.0.9 >ping9.log &
# Datagrams of a network that nobody has: a drop with an example.
python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.88.0.2", 0))
while True:
    s.sendto(bytes([8, 0, 0, 0, 0, 0, 99, 0]) + bytes.fromhex("020000000001020000000002") + b"\x08\x00" + bytes(46), ("10.88.0.1", 4789)); time.sleep(0.4)
' &
draw() {
    tmux -L pictures-$$ new-session -d -x "$1" -y "$2" -s s "exec overlay-top --root $work/host1"
    sleep 12
    for screen in 1 2 3 4 5 6; do
        tmux -L pictures-$$ send-keys -t s $screen
        sleep 2
        take "$screen-$1x$2"
    done
    tmux -L pictures-$$ send-keys -t s 1 Down
    tmux -L pictures-$$ send-keys -t s Enter
    sleep 2
    take "details-$1x$2"
    tmux -L pictures-$$ send-keys -t s 5
    sleep 2
    take "drops-details-$1x$2"
    tmux -L pictures-$$ kill-server
    sleep 1
}
take() {
    tmux -L pictures-$$ capture-pane -e -p -t s >"$1.ansi"
    tmux -L pictures-$$ capture-pane -p -t s >"$out/$1.txt"
    python3 "$here/ansi2png.py" "$1.ansi" "$out/$1.png" "${1##*-}"
}
draw 80 24
draw 100 28
draw 120 40
