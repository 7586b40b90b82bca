"""Record batches of magic 2: made by hand, with every field open to be wrong, and taken apart."""
import gzip
import struct
import time

from crc32c import crc32c

CREATE_TIME, LOG_APPEND_TIME = 0, 8
TRANSACTIONAL, CONTROL = 16, 32


def zigzag(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def unzigzag(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), position
        shift += 7


def _field(data):
    return zigzag(-1) if data is None else zigzag(len(data)) + data


def record(offset_delta, timestamp_delta, key, value, headers=()):
    body = b"\x00" + zigzag(timestamp_delta) + zigzag(offset_delta) + _field(key) + _field(value)
    body += zigzag(len(headers))
    for name, content in headers:
        body += _field(name) + _field(content)
    return zigzag(len(body)) + body


def now_ms():
    return int(time.time() * 1000)


def batch(values, *, timestamps=None, keys=None, headers=(), base_offset=0, magic=2, codec=0,
          attributes=0, producer=(-1, -1, -1), last_offset_delta=None, count=None, bad_crc=False):
    """One batch of `values`; codec 1 compresses with gzip, others only claim to."""
    timestamps = timestamps or [now_ms()] * len(values)
    keys = keys or [None] * len(values)
    first = timestamps[0] if timestamps else 0
    body = b"".join(record(i, t - first, k, v, headers)
                    for i, (t, k, v) in enumerate(zip(timestamps, keys, values)))
    if codec == 1:
        body = gzip.compress(body)
    delta = len(values) - 1 if last_offset_delta is None else last_offset_delta
    tail = struct.pack(">hiqqqhii", attributes | codec, delta, first, max(timestamps, default=0),
                       *producer, len(values) if count is None else count) + body
    crc = crc32c(tail) ^ (1 if bad_crc else 0)
    return struct.pack(">qiibI", base_offset, len(tail) + 9, -1, magic, crc) + tail


class Batch:
    """A batch as a broker returned it."""

    def __init__(self, data):
        self.data = data
        (self.base_offset, self.size, self.leader_epoch, self.magic, self.crc,
         self.attributes, self.last_offset_delta, self.first_timestamp, self.max_timestamp,
         self.producer_id, self.producer_epoch, self.sequence, self.count) = struct.unpack(
             ">qiibIhiqqqhii", data[:61])

    @property
    def crc_is_right(self):
        return crc32c(self.data[21:]) == self.crc

    def values(self):
        return [r[2] for r in self.records()]

    def records(self):
        """(offset, key, value, headers) of each record."""
        body = self.data[61:]
        if self.attributes & 7 == 1:
            body = gzip.decompress(body)
        position, out = 0, []
        for _ in range(self.count):
            _, position = unzigzag(body, position)
            position += 1
            _, position = unzigzag(body, position)
            delta, position = unzigzag(body, position)
            key, position = self._field(body, position)
            value, position = self._field(body, position)
            count, position = unzigzag(body, position)
            headers = []
            for _ in range(count):
                name, position = self._field(body, position)
                content, position = self._field(body, position)
                headers.append((name, content))
            out.append((self.base_offset + delta, key, value, headers))
        return out

    @staticmethod
    def _field(body, position):
        size, position = unzigzag(body, position)
        if size < 0:
            return None, position
        return body[position:position + size], position + size


def batches(data):
    """Every whole batch in the records of a Fetch answer; a cut one at the end is dropped."""
    out, position = [], 0
    while position + 61 <= len(data or b""):
        size = struct.unpack(">i", data[position + 8:position + 12])[0] + 12
        if position + size > len(data):
            break
        out.append(Batch(data[position:position + size]))
        position += size
    return out
