"""Takes messages with redis-py, acknowledged one by one, as bench/link.ts does.

Arguments: port, queue, number of messages. Prints the seconds that it took, and
after how many the last message was there.
"""

import sys
import time

import redis

port, queue, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = redis.Redis(port=port, socket_timeout=60)
client.ping()
print("ready", flush=True)
sys.stdin.readline()
start = time.perf_counter()
for _ in range(count):
    client.blpop(queue, 0)
print(time.perf_counter() - start, flush=True)
