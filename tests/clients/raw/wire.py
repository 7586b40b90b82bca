"""A small Kafka protocol client with no library under it: it can send what no client would.

Writer and Reader handle both encodings (classic and flexible); Connection frames, numbers and
matches requests. The requests themselves are in api.py, record batches in records.py.
"""
import socket
import struct
import uuid

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 8, 9, 10
JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 11, 12, 13, 14
DESCRIBE_GROUPS, LIST_GROUPS, API_VERSIONS = 15, 16, 18
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS = 19, 20, 21
INIT_PRODUCER_ID, OFFSET_FOR_LEADER_EPOCH = 22, 23
DESCRIBE_CONFIGS, DELETE_GROUPS, OFFSET_DELETE, ALTER_CLIENT_QUOTAS = 32, 42, 47, 49
DESCRIBE_QUORUM, DESCRIBE_CLUSTER = 55, 60
CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_DESCRIBE = 68, 69

FLEXIBLE_FROM = {
    PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 6, METADATA: 9, OFFSET_COMMIT: 8, OFFSET_FETCH: 6,
    FIND_COORDINATOR: 3, JOIN_GROUP: 6, HEARTBEAT: 4, LEAVE_GROUP: 4, SYNC_GROUP: 4,
    DESCRIBE_GROUPS: 5, LIST_GROUPS: 3, API_VERSIONS: 3, CREATE_TOPICS: 5, DELETE_TOPICS: 4,
    INIT_PRODUCER_ID: 2, OFFSET_FOR_LEADER_EPOCH: 4, DESCRIBE_CONFIGS: 4, DESCRIBE_QUORUM: 0,
    DESCRIBE_CLUSTER: 0, CONSUMER_GROUP_HEARTBEAT: 0, CONSUMER_GROUP_DESCRIBE: 0,
}


def is_flexible(key, version):
    return version >= FLEXIBLE_FROM.get(key, 1 << 15)


class Closed(Exception):
    """The broker closed the connection instead of answering."""


class Writer:
    def __init__(self, flexible=False):
        self.flexible = flexible
        self.parts = []

    def raw(self, data):
        self.parts.append(bytes(data))
        return self

    def i8(self, value):
        return self.raw(struct.pack(">b", value))

    def i16(self, value):
        return self.raw(struct.pack(">h", value))

    def i32(self, value):
        return self.raw(struct.pack(">i", value))

    def i64(self, value):
        return self.raw(struct.pack(">q", value))

    def uuid(self, value):
        return self.raw(value.bytes)

    def uvarint(self, value):
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        return self.raw(out)

    def string(self, value):
        data = None if value is None else value.encode()
        if self.flexible:
            return self.uvarint(0) if data is None else self.uvarint(len(data) + 1).raw(data)
        return self.i16(-1) if data is None else self.i16(len(data)).raw(data)

    def bytes(self, data):
        if self.flexible:
            return self.uvarint(0) if data is None else self.uvarint(len(data) + 1).raw(data)
        return self.i32(-1) if data is None else self.i32(len(data)).raw(data)

    def array(self, items, write):
        """Write every item with `write(item)`, which closes structures with tags()."""
        count = -1 if items is None else len(items)
        if self.flexible:
            self.uvarint(count + 1)
        else:
            self.i32(count)
        for item in items or ():
            write(item)
        return self

    def tags(self):
        return self.uvarint(0) if self.flexible else self

    def done(self):
        return b"".join(self.parts)


class Reader:
    def __init__(self, data, flexible=False):
        self.data = data
        self.flexible = flexible
        self.position = 0

    def raw(self, size):
        if size < 0 or self.position + size > len(self.data):
            raise ValueError(f"answer too short: {size} bytes wanted at {self.position}, "
                             f"{len(self.data)} there")
        out = self.data[self.position:self.position + size]
        self.position += size
        return out

    def _unpack(self, form):
        return struct.unpack(form, self.raw(struct.calcsize(form)))[0]

    def i8(self):
        return self._unpack(">b")

    def i16(self):
        return self._unpack(">h")

    def i32(self):
        return self._unpack(">i")

    def i64(self):
        return self._unpack(">q")

    def boolean(self):
        return self.i8() != 0

    def uuid(self):
        return uuid.UUID(bytes=self.raw(16))

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.raw(1)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7

    def string(self):
        size = self.uvarint() - 1 if self.flexible else self.i16()
        return None if size < 0 else self.raw(size).decode()

    def bytes(self):
        size = self.uvarint() - 1 if self.flexible else self.i32()
        return None if size < 0 else self.raw(size)

    def array(self, read):
        count = self.uvarint() - 1 if self.flexible else self.i32()
        return None if count < 0 else [read() for _ in range(count)]

    def tags(self):
        """Read the tagged fields of a structure: {tag: bytes}; {} in the classic encoding."""
        out = {}
        if self.flexible:
            for _ in range(self.uvarint()):
                tag = self.uvarint()
                out[tag] = self.raw(self.uvarint())
        return out

    def at_end(self):
        return self.position == len(self.data)


def request_frame(key, version, correlation_id, client_id, body):
    header = struct.pack(">hhih", key, version, correlation_id, len(client_id))
    header += client_id.encode()
    return header + (b"\x00" if is_flexible(key, version) else b"") + body


class Connection:
    """One connection to one broker; requests can be sent ahead of their answers."""

    def __init__(self, address, client_id="raw", timeout_s=15):
        host, port = address.rsplit(":", 1)
        self.address = address
        self.client_id = client_id
        self.sock = socket.create_connection((host, int(port)), timeout=timeout_s)
        self.stream = self.sock.makefile("rb")
        self.next_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.sock.close()

    def send(self, key, version, body):
        """Send one request and return its correlation id without waiting."""
        self.next_id += 1
        self.send_frame(request_frame(key, version, self.next_id, self.client_id, body))
        return self.next_id

    def send_frame(self, frame):
        self.send_bytes(struct.pack(">i", len(frame)) + frame)

    def send_bytes(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass  # the read that follows tells

    def receive_frame(self):
        try:
            size = self.stream.read(4)
            data = self.stream.read(struct.unpack(">i", size)[0]) if len(size) == 4 else b""
        except ConnectionResetError as err:
            raise Closed() from err
        if len(size) < 4:
            raise Closed()
        return data

    def receive(self, key, version, correlation_id):
        """Wait for the next answer, which has to be this request's."""
        flexible = is_flexible(key, version)
        answer = Reader(self.receive_frame(), flexible)
        assert answer.i32() == correlation_id, "answers have left their order"
        if flexible and key != API_VERSIONS:
            answer.tags()
        return answer

    def call(self, key, version, body):
        return self.receive(key, version, self.send(key, version, body))

    def is_closed(self):
        """Whether the broker hangs up; waits for it, or for the timeout."""
        try:
            self.receive_frame()
        except Closed:
            return True
        except TimeoutError:
            return False
        return False
