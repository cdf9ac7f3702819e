"""A hub with the main bus of Platypush, as processes see it.

    platypush_hub.py channel|list PORT DEVICE_ID [SECONDS] [cluster]

With `channel` it takes messages as Platypush has since 1.1.3, with `list` as
before; SECONDS pass before it listens. With `cluster` PORT is that of a node. A request for `test.echo` is answered
with its arguments. Each line on stdin is an event's `args`, and passes on the
bus. It says on stdout what it has taken.
"""
import json
import sys
import threading
import time
import uuid

import redis

BUS = "platypush/bus"
kind, port, device_id = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = redis.Redis(port=port)
# What has a key belongs to one node, and channels are on all of them.
keys = client
if "cluster" in sys.argv[5:]:
    keys = redis.RedisCluster(host="127.0.0.1", port=port)


def post(message):
    text = json.dumps(message)
    if kind == "channel":
        client.publish(BUS, text)
    else:
        keys.rpush(BUS, text)


def event(args):
    return {
        "type": "event",
        "target": device_id,
        "origin": device_id,
        "id": uuid.uuid4().hex,
        "_timestamp": time.time(),
        "args": args,
    }


def on_message(text):
    message = json.loads(text)
    # The bus of Platypush 0.50.3 passes over what is older than a minute.
    if kind == "list" and time.time() - message["_timestamp"] > 60:
        return
    if message["target"] != device_id:
        return
    print(json.dumps({"kind": message["type"], "id": message["id"]}), flush=True)
    if message["type"] == "request":
        key = "platypush/responses/" + message["id"]
        response = {
            "type": "response",
            "target": message["origin"],
            "origin": device_id,
            "id": message["id"],
            "_timestamp": time.time(),
            "response": {"output": message["args"], "errors": []},
        }
        keys.rpush(key, json.dumps(response))
        keys.expire(key, 60)


def read_events():
    for line in sys.stdin:
        post(event(json.loads(line)))


time.sleep(float(sys.argv[4]) if len(sys.argv) > 4 else 0)
threading.Thread(target=read_events, daemon=True).start()
if kind == "channel":
    pubsub = client.pubsub()
    pubsub.subscribe(BUS)
    while not pubsub.subscribed or pubsub.get_message(timeout=1) is None:
        pass
    print("listens", flush=True)
    for item in pubsub.listen():
        if item["type"] == "message":
            on_message(item["data"])
else:
    print("listens", flush=True)
    while True:
        item = keys.blpop([BUS], timeout=1)
        if item:
            on_message(item[1])
