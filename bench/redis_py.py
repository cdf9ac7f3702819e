"""What bench/redis.ts compares with: BLPOP and json.loads in a loop.

Arguments: the Unix socket, the queue, the number of messages. Prints the seconds.
"""

import json
import sys
import time

import redis

path, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = redis.Redis(unix_socket_path=path)
client.ping()
start = time.perf_counter()
for _ in range(count):
    json.loads(client.blpop(queue)[1])
print(time.perf_counter() - start)
