"""python-zeroconf as a peer: JSON commands on stdin, JSON lines on stdout."""

import json
import sys
import threading

import ifaddr
from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, Zeroconf

TYPE = "_platypush-redis._tcp.local."
has_ipv4 = any(
    ip.is_IPv4 and ip.ip != "127.0.0.1"
    for adapter in ifaddr.get_adapters()
    for ip in adapter.ips
)
if "--both" in sys.argv:
    version = IPVersion.All
else:
    version = IPVersion.V4Only if has_ipv4 else IPVersion.V6Only
zeroconf = Zeroconf(ip_version=version)
lock = threading.Lock()


def say(**message):
    with lock:
        print(json.dumps(message), flush=True)


def show(event, name):
    info = zeroconf.get_service_info(TYPE, name, timeout=3000)
    if info is None:
        return
    say(
        event=event,
        name=name,
        port=info.port,
        addresses=info.parsed_addresses(),
        properties={
            key.decode(): (value or b"").decode()
            for key, value in info.properties.items()
        },
    )


class Listener:
    def add_service(self, _zeroconf, _type, name):
        threading.Thread(target=show, args=("added", name), daemon=True).start()

    def update_service(self, _zeroconf, _type, name):
        threading.Thread(target=show, args=("updated", name), daemon=True).start()
        # It remembers what was replaced until a second after the last
        # announcement, and has no event for the end of that.
        later = threading.Timer(6, show, ("updated", name))
        later.daemon = True
        later.start()

    def remove_service(self, _zeroconf, _type, name):
        say(event="removed", name=name)


def info_of(command):
    return ServiceInfo(
        TYPE,
        command["name"],
        port=command["port"],
        parsed_addresses=[command["address"]],
        properties=command.get("properties", {}),
        server="python-peer.local.",
    )


for line in sys.stdin:
    command = json.loads(line)
    what = command["do"]
    if what == "hello":
        say(done="hello")
    elif what in ("browse", "look"):
        ServiceBrowser(zeroconf, TYPE, Listener())
        say(done=what)
    elif what == "register":
        info = info_of(command)
        zeroconf.register_service(info, allow_name_change=True)
        say(done="register", name=info.name)
    elif what == "update":
        zeroconf.update_service(info_of(command))
        say(done="update", name=command["name"])
    elif what == "unregister":
        zeroconf.unregister_all_services()
        say(done="unregister")
zeroconf.close()
