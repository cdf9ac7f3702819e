"""A cable between two interfaces that loses a part of the frames.

python3 zeroconf_wire.py PORT PORT LOSS
"""

import random
import select
import socket
import sys

ALL = 3  # ETH_P_ALL
OUTGOING = 4  # PACKET_OUTGOING: what the cable itself has put on a port



def finished(frame):
    """The frame with the UDP checksum that a network card would have added."""
    if frame[12:14] == b"\x08\x00" and frame[23] == 17:  # over IPv4 there may be none
        at = 14 + (frame[14] & 15) * 4 + 6
        return frame[:at] + b"\0\0" + frame[at + 2 :]
    if frame[12:14] == b"\x86\xdd" and frame[20] == 17:
        data = frame[54:60] + b"\0\0" + frame[62:]
        pseudo = frame[22:54] + len(data).to_bytes(4, "big") + b"\0\0\0\x11" + data
        if len(pseudo) % 2:
            pseudo += b"\0"
        total = sum(int.from_bytes(pseudo[i : i + 2], "big") for i in range(0, len(pseudo), 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return frame[:60] + ((~total & 0xFFFF) or 0xFFFF).to_bytes(2, "big") + frame[62:]
    return frame


first, second, loss = sys.argv[1], sys.argv[2], float(sys.argv[3])
dice = random.Random()
ports = []
for name in (first, second):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    port.bind((name, ALL))
    ports.append(port)
print("ready", flush=True)
while True:
    for port in select.select(ports, [], [])[0]:
        try:
            frame, address = port.recvfrom(65536)
            if address[2] == OUTGOING or dice.random() < loss:
                continue
            ports[1 - ports.index(port)].send(finished(frame))
        except OSError:
            pass  # a port that is down carries nothing
