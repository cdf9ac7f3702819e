"""A reflector as it should not be: says again, a little later and from its own
address, all that it hears on eth0, also to where it came from."""

import socket
import struct
import threading
import time

GROUP = "224.0.0.251"
index = socket.if_nametoindex("eth0")
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
own.bind((GROUP, 5353))
me = struct.pack("=4s4si", socket.inet_aton(GROUP), socket.inet_aton("0.0.0.0"), index)
own.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, me)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sender.bind(("192.168.77.3", 5353))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, me)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
print("ready", flush=True)
while True:
    packet, address = own.recvfrom(9000)
    if address[0] != "192.168.77.3":
        threading.Timer(0.06, sender.sendto, (packet, (GROUP, 5353))).start()
