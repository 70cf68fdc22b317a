#!/usr/bin/env python3
"""A varpd in Python: answers the lookups of overlayd from mapping files (docs/mapping.md), by the protocol of docs/lookup-protocol.md.

Start it with the path of the socket, and make an overlay with `-s python -p python/config=FILE`.
"""
import ipaddress, json, os, socket, struct, sys, time

HELLO, REACH, DROP, INJECT, STATE, VERIFIED, TARGET_FLUSH, PONG = 1, 2, 3, 4, 6, 7, 10, 13
WELCOME, REFUSED, INSTANCE, INSTANCE_REMOVED, LOOKUP, VERIFY, PING = 129, 130, 131, 132, 134, 136, 137
TTL_DEFAULT, PACKET_MAX, ARP = 2**64 - 1, 65536, 0x0806
PLUGIN = {"name": "python", "properties": [
    {"name": "python/config", "type": "text", "max": 255, "required": True, "doc": "The mapping file, in the format of files/config."}]}


def message(kind, body):
    return struct.pack("<IHH", 8 + len(body), kind, 0) + body


def told(kind, value):
    return message(kind, json.dumps(value).encode())


def messages(packet):
    while packet:
        length, kind = struct.unpack_from("<IH", packet)
        yield kind, packet[8:length]
        packet = packet[length:]


def destination(entry):
    ip = ipaddress.IPv6Address(entry["ip"] if ":" in entry["ip"] else "::ffff:" + entry["ip"])
    return struct.pack("<16sHH", ip.packed, entry.get("port", 0), 0)


class Mapping:
    """What a file says: inner addresses to destinations, and who has which IPv4 address."""

    def __init__(self, stations):
        self.places, self.arp = {}, {}
        for key, entry in stations.items():
            mac = b"\xff" * 6 if key == "broadcast" else bytes(int(part, 16) for part in key.split(":"))
            self.places[mac] = [destination(one) for one in entry.get("replicate", [entry])]
            addresses = entry.get("arp", [])
            for address in [addresses] if isinstance(addresses, str) else addresses:
                self.arp[ipaddress.ip_address(address).packed] = mac

    def answer(self, request, ethertype, source, target, frame):
        # RFC 826: hardware and protocol types and lengths, 1 a request; sender MAC and IP at 22 and 28, target IP at 38.
        request_header, sender, wanted = frame[14:22], frame[28:32], frame[38:42]
        if ethertype == ARP and request_header.hex() == "0001080006040001" and wanted in self.arp and wanted != sender:
            mac = self.arp[wanted]
            reply = source + mac + frame[12:20] + b"\0\2" + mac + wanted + source + sender
            return message(INJECT, struct.pack("<QII", request, len(reply), 0) + reply)
        if not (to := self.places.get(target)):
            return message(DROP, struct.pack("<QQ", request, TTL_DEFAULT))
        return message(REACH, struct.pack("<QQH6x", request, TTL_DEFAULT, len(to)) + b"".join(to))


def read(path):
    try:
        return Mapping(json.load(open(path))), None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return None, f"python: {error}"


class Instance:
    """An overlay's file, and the last mapping that could be read from it; an empty one, which drops everything, until one could."""

    def __init__(self, told_as, before):
        self.device, self.path, self.seen = told_as["device"], told_as["properties"]["python/config"], ()
        self.mapping, self.answered = before.mapping if before else Mapping({}), bool(before)

    def look(self):
        """What is said when the file is another one than at the last look. Pings come once a second, which is often enough."""
        seen = os.path.exists(self.path) and os.stat(self.path).st_mtime_ns
        if seen != self.seen:
            (new, problem), old = read(self.path), self.mapping
            yield told(STATE, {"device": self.device, "degraded": problem})
            # What was answered from another mapping does not hold any more.
            if new and self.answered and new.places != old.places:
                yield message(TARGET_FLUSH, struct.pack("<I", self.device))
            self.mapping, self.seen, self.answered = new or old, seen, True


def hear(packet, instances):
    """What is said to a packet: one message after the other."""
    for kind, body in messages(packet):
        if kind == LOOKUP:
            request, device, _vni, _len, ethertype, _vlan, source, target, size = struct.unpack_from("<QIIIHH6s6sI", body)
            if device in instances:
                yield instances[device].mapping.answer(request, ethertype, source, target, body[40:40 + size])
        elif kind == PING:
            yield message(PONG, body[:8])
            for instance in instances.values():
                yield from instance.look()
        elif kind == VERIFY:
            asked = json.loads(body)
            yield told(VERIFIED, {"token": asked["token"], "problem": read(asked["instance"]["properties"]["python/config"])[1]})
        elif kind == INSTANCE:
            told_as = json.loads(body)
            instances[told_as["device"]] = instance = Instance(told_as, instances.get(told_as["device"]))
            yield from instance.look()
        elif kind == INSTANCE_REMOVED:
            instances.pop(struct.unpack_from("<I", body)[0], None)
        elif kind in (WELCOME, REFUSED):
            print("attached" if kind == WELCOME else "refused: " + json.loads(body)["problem"], flush=True)


def serve(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.connect(path)
        channel.send(told(HELLO, {"versions": [1], "name": "lookup.py", "version": "1", "plugins": [PLUGIN]}))
        instances = {}
        while packet := channel.recv(PACKET_MAX):
            answers = b""
            for said in hear(packet, instances):
                if len(answers) + len(said) > PACKET_MAX:
                    channel.send(answers)
                    answers = b""
                answers += said
            if answers:
                channel.send(answers)


while True:
    try:
        serve(sys.argv[1] if len(sys.argv) > 1 else "/run/overlay/lookup.sock")
    except OSError as error:
        print(error, flush=True)
    time.sleep(0.2)
