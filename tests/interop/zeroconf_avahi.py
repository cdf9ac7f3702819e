"""Avahi as a peer: JSON commands on stdin, JSON lines on stdout.

It runs a D-Bus daemon and an Avahi daemon of its own; /run/avahi-daemon is
hidden, which only shows in the mount namespace that `ip netns exec` makes.
"""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TYPE = "_platypush-redis._tcp"
folder = tempfile.mkdtemp()
bus = f"unix:path={folder}/bus"
with open(f"{folder}/dbus.conf", "w") as file:
    file.write(
        f"""<busconfig><type>system</type><listen>{bus}</listen>
        <auth>EXTERNAL</auth><policy context="default"><allow user="*"/>
        <allow own="*"/><allow send_type="method_call"/>
        <allow send_destination="*"/><allow receive_sender="*"/>
        </policy></busconfig>"""
    )
with open(f"{folder}/avahi.conf", "w") as file:
    file.write(
        f"[server]\nhost-name={sys.argv[1] if sys.argv[1:] else 'avahi-peer'}\nuse-ipv6=yes\n"
        "[publish]\npublish-hinfo=no\npublish-workstation=no\n"
    )
environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus}
os.makedirs("/run/avahi-daemon", exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/avahi-daemon"], check=True)
children = []


def end():
    for child in reversed(children):
        child.terminate()
        child.wait()
    shutil.rmtree(folder)


atexit.register(end)
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
lock = threading.Lock()


def start(*command, **options):
    child = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        **options,
    )
    children.append(child)
    return child


def say(**message):
    with lock:
        print(json.dumps(message), flush=True)


def plain(text):
    raw = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1])), text.replace("\\.", "."))
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


def host_name():
    """The name under which the daemon announces this host."""
    output = subprocess.run(
        ["dbus-send", "--system", "--print-reply=literal",
         "--dest=org.freedesktop.Avahi", "/", "org.freedesktop.Avahi.Server.GetHostName"],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout
    return output.strip()


def read(line, found):
    """Adds what a line of avahi-browse tells of a service; returns its name if it does."""
    parts = line.rstrip("\n").split(";", 9)
    if parts[0] != "=":
        return None
    name = f"{plain(parts[3])}.{TYPE}.local."
    service = found.setdefault(name, {"addresses": []})
    service["port"] = int(parts[8])
    service["addresses"].append(parts[7])
    # It gives the strings as they are; the first of equal keys counts.
    properties = service["properties"] = {}
    for part in re.findall(r'"([^"]*)"', parts[9]):
        key, _, value = part.partition("=")
        if key:
            properties.setdefault(key, value)
    return name


def list_services():
    """What is there now, by name; avahi-browse does not follow changes of TXT.

    None where it does not end, as when what it resolves is withdrawn meanwhile.
    """
    found = {}
    try:
        output = subprocess.run(
            ["avahi-browse", "-p", "-r", "-t", "-k", TYPE],
            env=environment,
            capture_output=True,
            text=True,
            timeout=3,
        ).stdout
    except subprocess.TimeoutExpired:
        return None
    for line in output.splitlines():
        read(line, found)
    return found


def follow():
    before = {}
    while True:
        now = list_services()
        if now is None:
            continue
        for name, service in now.items():
            if before.get(name) != service:
                event = "updated" if name in before else "added"
                say(event=event, name=name, **service)
        for name in before.keys() - now.keys():
            say(event="removed", name=name)
        before = now
        time.sleep(0.3)


def browse():
    # A browser that stays keeps the daemon asking.
    start("avahi-browse", "-p", "-k", TYPE, stdout=subprocess.DEVNULL)
    threading.Thread(target=follow, daemon=True).start()


def tell_added():
    """Tells of what a browser that stays finds, and of nothing else."""
    browser = start(
        "stdbuf", "-oL", "avahi-browse", "-p", "-r", "-k", TYPE, stdout=subprocess.PIPE
    )
    found = {}
    for line in browser.stdout:
        before = len(found)
        name = read(line, found)
        if len(found) > before:
            say(event="added", name=name, **found[name])


publisher = None


def publish(command):
    global publisher
    if publisher:
        publisher.terminate()
        publisher.wait()
    name = command["name"][: -len(f".{TYPE}.local.")]
    txt = [f"{key}={value}" for key, value in command.get("properties", {}).items()]
    publisher = start(
        "avahi-publish", "-s", name, TYPE, str(command["port"]), *txt,
        stdout=subprocess.DEVNULL,
    )


start("dbus-daemon", f"--config-file={folder}/dbus.conf", "--nofork", stdout=subprocess.DEVNULL)
while not os.path.exists(f"{folder}/bus"):
    time.sleep(0.05)
daemon = None
while subprocess.run(["avahi-daemon", "-c"], capture_output=True).returncode:
    # It gives up where the bus has its socket, but does not listen yet.
    if daemon is None or daemon.poll() is not None:
        daemon = start(
            "avahi-daemon", "-f", f"{folder}/avahi.conf", "--no-chroot",
            "--no-drop-root", "--no-rlimits", stdout=subprocess.DEVNULL,
        )
    time.sleep(0.05)
time.sleep(1)
for line in sys.stdin:
    command = json.loads(line)
    what = command["do"]
    if what == "browse":
        browse()
    elif what == "look":
        threading.Thread(target=tell_added, daemon=True).start()
    elif what in ("register", "update"):
        publish(command)
    elif what == "unregister":
        publisher.terminate()
        publisher.wait()
        publisher = None
    if what == "host name":
        say(done=what, name=host_name())
        continue
    say(done=what, name=command.get("name"))
