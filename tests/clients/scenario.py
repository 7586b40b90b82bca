"""What every client does alike: the records it sends, and how two sides of a comparison look."""
import os
import random
import time

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BIG = 1_000_000


def sample_records(seed, count=40, big=False):
    """(key, value, headers, timestamp_ms) of each; keys and values also empty and null."""
    rng = random.Random(seed)
    base = int(time.time() * 1000) - 1000
    out = []
    for index in range(count):
        key = (None, b"", b"key-%d" % (index % 7))[min(index % 5, 2)]
        value = (b"", b"v" * rng.randrange(2000), rng.randbytes(rng.randrange(1, 500)))[index % 3]
        if index % 11 == 10:
            value = None
        headers = [("h", b"%d" % index), ("h", b"again"), ("none", None)][:index % 4]
        out.append((key, value, headers, base + index))
    if big:
        out.append((b"big", os.urandom(BIG // 2) + b"z" * (BIG // 2), [], base + count))
    return out
