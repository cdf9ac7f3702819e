"""What Platypush and its clients do with a queue, in Python with redis-py.

redis_python.py PART REDIS_ARGS ARGUMENTS: see the functions at the end. What a
part has sent or received is on stdout, as JSON, one value a line.
"""

import base64
import json
import math
import sys
import uuid

import redis

QUEUE = "platypush/backend/redis"
WAIT = 20


def nested(depth):
    return {"deeper": nested(depth - 1), "list": [[depth]]} if depth else None


# Each of them is sent in each kind of message, in each way to write it.
VALUES = {
    "nothing": None,
    "truth": [True, False],
    "texts": ["", "it's", 'a "b"', "\\", "\n\r\t\0\x7f", "{'a': 1}", '{"a": 1}'],
    "unicode": ["grün", "日本語", "😀", "\u2028\u2029", "e\u0301", "\ufeff"],
    "lone surrogate": "a\ud800b",
    "unicode keys": {"schlüssel": 1, "😀": {"'": '"'}, "": 0, "constructor": 1},
    "integers": [0, -1, 2**31, 2**53, -(2**53), 2**53 + 1, 2**64, 10**30],
    "floats": [0.1, -0.0, 1e21, 1.5e-9, 5e-324, 1.7976931348623157e308, 3.0],
    "no numbers": [math.nan, math.inf, -math.inf],
    "tuples": ((), (1,), (1, (2, 3))),
    "empty": [[], {}, [[]], {"a": {}}],
    "nested": nested(60),
    "keys": {1: "one", None: "none", True: "true", 2.5: "float"},
}
# JSON has nothing for these.
ONLY_LITERALS = {
    "bytes": [b"", b"abc", b"\x00\xff'\""],
    "sets": [{1}, {"a"}, frozenset({None}), set()],
}
WRITERS = {
    "json": json.dumps,
    "json with unicode": lambda value: json.dumps(value, ensure_ascii=False),
    "literal": str,
}


def canonical(value):
    """The same value as it has to arrive: only what JSON has."""
    if isinstance(value, dict):
        return {canonical_key(k): canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [canonical(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def canonical_key(key):
    return key if isinstance(key, str) else json.dumps(key)


def message(kind, value):
    common = {
        "type": kind,
        "target": "livingroom",
        "origin": "python",
        "id": uuid.uuid4().hex,
        "_timestamp": 1795450970.25,
    }
    content = {
        "event": {"args": {"type": "custom.Python", "value": value}},
        "request": {
            "action": "custom.python",
            "args": {"value": value},
            "token": None,
        },
        "response": {"response": {"output": {"value": value}, "errors": [[value]]}},
    }
    return {**common, **content[kind]}


def say(value):
    print(json.dumps(value), flush=True)


def produce(server):
    """Pushes every value in every kind of message, written in every way."""
    for writer, write in WRITERS.items():
        values = VALUES if writer != "literal" else {**VALUES, **ONLY_LITERALS}
        for name, value in values.items():
            if writer == "json with unicode" and name == "lone surrogate":
                continue  # It cannot be UTF-8.
            for kind in ("event", "request", "response"):
                sent = message(kind, value)
                server.rpush(QUEUE, write(sent))
                say([f"{kind}, {writer}, {name}", canonical(sent)])


def consume(server, queue, count):
    """Pops messages, and says each as JSON and as a literal."""
    for _ in range(int(count)):
        popped = server.blpop(queue, timeout=WAIT)
        received = json.loads(popped[1])
        say([json.dumps(received), str(received)])


def decode(text):
    """What Platypush makes of a text in a response."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def ask(server, requests):
    """Sends requests one after the other, and waits for each response."""
    for request in json.loads(requests):
        sent = {"type": "request", "target": "livingroom", "origin": "python",
                "id": uuid.uuid4().hex, "_timestamp": 1795450970.25, **request}
        server.rpush(QUEUE, json.dumps(sent))
        key = f"platypush/responses/{sent['id']}"
        popped = server.blpop(key, timeout=WAIT)
        received = json.loads(popped[1])
        assert received["type"] == "response", received
        assert received["id"] == sent["id"], received
        assert received["target"] == "python", received
        # JSON has no ".0": on a full second it is an int.
        assert isinstance(received["_timestamp"], (int, float)), received
        response = received["response"]
        say([decode(response["output"]), [decode(e) for e in response["errors"]]])


def answer(server, queue, count):
    """Answers requests in the way that each one's action names."""
    for _ in range(int(count)):
        request = json.loads(server.blpop(queue, timeout=WAIT)[1])
        action, args = request["action"], request["args"]
        response = {
            "plain": {"output": args, "errors": []},
            "text": {"output": json.dumps(args), "errors": []},
            "literal": {"output": args, "errors": []},
            "short": {"success": True},
            "short failure": {"success": False},
            "failure": {"output": None, "errors": ["no\nlight", "Traceback"]},
        }[action]
        sent = {"type": "response", "target": request["origin"],
                "origin": request["target"], "id": request["id"],
                "_timestamp": request["_timestamp"] + 0.5, "response": response,
                "_logging_level": 20}
        key = f"platypush/responses/{request['id']}"
        server.rpush(key, (str if action == "literal" else json.dumps)(sent))
        server.expire(key, 60)


PARTS = {"produce": produce, "consume": consume, "ask": ask, "answer": answer}
part, redis_args, *arguments = sys.argv[1:]
PARTS[part](redis.Redis(**json.loads(redis_args)), *arguments)
