"""Unrelated services on a busy network: questions and answers of televisions and
speakers, so many packets a second.

python3 zeroconf_noise.py PACKETS_PER_SECOND
"""

import random
import socket
import struct
import sys
import time

GROUP = ("224.0.0.251", 5353)
index = socket.if_nametoindex("eth0")
host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
host.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
host.bind(("192.168.77.2", 5353))
me = struct.pack("=4s4si", socket.inet_aton(GROUP[0]), socket.inet_aton("0.0.0.0"), index)
host.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, me)
host.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
dice = random.Random(1)


def name(text):
    labels = text.encode().split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(owner, kind, klass, ttl, data):
    return name(owner) + struct.pack(">HHIH", kind, klass, ttl, len(data)) + data


def question():
    types = ["_airplay._tcp.local", "_googlecast._tcp.local", "_hap._tcp.local"]
    asked = types[: dice.randint(1, 3)]
    return struct.pack(">6H", 0, 0, len(asked), 0, 0, 0) + b"".join(
        name(each) + struct.pack(">HH", 12, 1) for each in asked
    )


def answer():
    number = dice.randint(0, 40)
    kind = "_googlecast._tcp.local"
    instance, target = f"Speaker-{number}.{kind}", f"speaker-{number}.local"
    texts = [b"id=%032x" % dice.getrandbits(128), b"md=Speaker", b"fn=Room %d" % number]
    txt = b"".join(bytes([len(text)]) + text for text in texts)
    srv = struct.pack(">HHH", 0, 0, 8009) + name(target)
    return (
        struct.pack(">6H", 0, 0x8400, 0, 1, 0, 3)
        + record(kind, 12, 1, 120, name(instance))
        + record(instance, 33, 0x8001, 120, srv)
        + record(instance, 16, 0x8001, 4500, txt)
        + record(target, 1, 0x8001, 120, bytes([192, 168, 77, 100 + number]))
    )


pause = 1 / float(sys.argv[1])
print("ready", flush=True)
due = time.time()
while True:
    host.sendto(question() if dice.random() < 0.4 else answer(), GROUP)
    due += pause
    time.sleep(max(0, due - time.time()))
