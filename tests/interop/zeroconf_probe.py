"""A host that says on the wire whatever it is told, and tells what it hears.

The argument is the version of IP that it speaks and hears, 4 or 6; both are
heard without one.

JSON lines on stdin: {"packet": hex, "source": address, "port": number, "to":
address, "ttl": number}; JSON lines on stdout in the same form, and with the
milliseconds "at" which it came, for every UDP packet from or to port 5353 that
comes to eth0.
"""

import json
import socket
import struct
import sys
import threading
import time

ALL = 3  # ETH_P_ALL
OUTGOING = 4  # PACKET_OUTGOING
GROUP = "224.0.0.251"
GROUP6 = "ff02::fb"
version = sys.argv[1] if len(sys.argv) > 1 else None
index = socket.if_nametoindex("eth0")
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
wire.bind(("eth0", ALL))
senders = {}


def listen():
    while True:
        frame, address = wire.recvfrom(65536)
        if address[2] == OUTGOING:
            continue
        if frame[12:14] == b"\x08\x00" and frame[23] == 17 and version != "6":
            at = 14 + (frame[14] & 15) * 4
            source, to = (socket.inet_ntop(socket.AF_INET, frame[i : i + 4]) for i in (26, 30))
            ttl = frame[22]
        elif frame[12:14] == b"\x86\xdd" and frame[20] == 17 and version != "4":
            at = 54
            source, to = (socket.inet_ntop(socket.AF_INET6, frame[i : i + 16]) for i in (22, 38))
            ttl = frame[21]
        else:
            continue
        port, to_port, size = struct.unpack(">HHH", frame[at : at + 6])
        if 5353 not in (port, to_port):
            continue
        packet = frame[at + 8 : at + size].hex()
        now = time.monotonic() * 1000
        line = {"packet": packet, "source": source, "port": port, "to": to, "ttl": ttl, "at": now}
        print(json.dumps(line), flush=True)


def sender(source, port):
    """A socket with this address, which is in the group, as hosts on the network are."""
    if (source, port) not in senders and ":" in source:
        one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((source, port, 0, index))
        me = socket.inet_pton(socket.AF_INET6, GROUP6) + struct.pack("=I", index)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, me)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        senders[source, port] = one
    elif (source, port) not in senders:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((source, port))
        me = struct.pack("=4s4si", socket.inet_aton(GROUP), socket.inet_aton("0.0.0.0"), index)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, me)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, me)
        senders[source, port] = one
    return senders[source, port]


print("ready", flush=True)
# Not before: two lines that are printed at once may run into each other.
threading.Thread(target=listen, daemon=True).start()
for line in sys.stdin:
    command = json.loads(line)
    one = sender(command["source"], command["port"])
    packet = bytes.fromhex(command["packet"])
    if ":" in command["source"]:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, command["ttl"])
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, command["ttl"])
        one.sendto(packet, (command["to"], 5353, 0, index))
        continue
    one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, command["ttl"])
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, command["ttl"])
    one.sendto(packet, (command["to"], 5353))
