"""Any message of proto/schema to bytes and back: dicts by field name, defaults for the rest."""
import pathlib
import struct
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "proto"))

import gen  # noqa: E402
from raw.wire import FLEXIBLE_FROM, Reader, Writer  # noqa: E402

APIS = {api.name: api for api in gen.parse(sorted((ROOT / "proto/schema").glob("*.msg")))}
FLEXIBLE_FROM.update({api.key: api.flexible_from for api in APIS.values()})
NUMBERS = {"bool": ">b", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i",
           "uint32": ">I", "int64": ">q", "float64": ">d"}
ZERO_UUID = uuid.UUID(int=0)


def has(field, version):
    return field.versions[0] <= version <= field.versions[1]


def can_be_null(field, version):
    return field.nullable is not None and field.nullable[0] <= version <= field.nullable[1]


def default(field):
    if field.default == "null" or (field.is_pointer and field.default is None):
        return None
    if field.is_array:
        return []
    if field.struct is not None:
        return {}
    if field.type in ("string", "bytes", "records"):
        return (field.default or "") if field.type == "string" else b""
    if field.type == "uuid":
        return ZERO_UUID
    if field.type == "bool":
        return str(field.default).lower() == "true"
    return float(field.default or 0) if field.type == "float64" else int(field.default or 0)


class Encoder:
    def __init__(self, api, version):
        self.version = version
        self.w = Writer(api.flexible(version))

    def struct(self, struct_, values):
        unknown = set(values) - {f.name for f in struct_.fields}
        assert not unknown, f"{struct_.name} has no {unknown}"
        tagged = []
        for field in struct_.fields:
            if not has(field, self.version):
                continue
            value = values.get(field.name, default(field))
            if field.tag is None:
                self.field(field, value)
            elif value != default(field):
                tagged.append((field, value))
        if self.w.flexible:
            self.w.uvarint(len(tagged))
            for field, value in sorted(tagged, key=lambda pair: pair[0].tag):
                inner = Encoder.__new__(Encoder)
                inner.version, inner.w = self.version, Writer(True)
                inner.field(field, value)
                data = inner.w.done()
                self.w.uvarint(field.tag).uvarint(len(data)).raw(data)
        return self

    def field(self, field, value):
        if field.is_array:
            self.w.array(value, lambda item: self.element(field, item))
            return
        if field.is_pointer:
            self.w.i8(-1 if value is None else 1)
            if value is None:
                return
        self.element(field, value)

    def element(self, field, value):
        if field.struct is not None:
            self.struct(field.struct, value)
        elif field.type == "string":
            self.w.string(value)
        elif field.type in ("bytes", "records"):
            self.w.bytes(value)
        elif field.type == "uuid":
            self.w.uuid(value)
        else:
            self.w.raw(struct.pack(NUMBERS[field.type], value))


class Decoder:
    def __init__(self, api, version, data):
        self.version = version
        self.r = Reader(data, api.flexible(version))

    def struct(self, struct_):
        out = {}
        for field in struct_.fields:
            if has(field, self.version) and field.tag is None:
                out[field.name] = self.field(field)
        if self.r.flexible:
            self.tagged(struct_, out)
        return out

    def tagged(self, struct_, out):
        known = {f.tag: f for f in struct_.fields if f.tag is not None and has(f, self.version)}
        for field in known.values():
            out[field.name] = default(field)
        for _ in range(self.r.uvarint()):
            tag, size = self.r.uvarint(), self.r.uvarint()
            end = self.r.position + size
            if tag in known:
                out[known[tag].name] = self.field(known[tag])
            self.r.position = end

    def field(self, field):
        if field.is_array:
            return self.r.array(lambda: self.element(field))
        if field.is_pointer and self.r.i8() < 0:
            return None
        return self.element(field)

    def element(self, field):
        if field.struct is not None:
            return self.struct(field.struct)
        if field.type == "string":
            return self.r.string()
        if field.type in ("bytes", "records"):
            return self.r.bytes()
        if field.type == "uuid":
            return self.r.uuid()
        if field.type == "bool":
            return self.r.boolean()
        form = NUMBERS[field.type]
        return struct.unpack(form, self.r.raw(struct.calcsize(form)))[0]


def encode(name, version, values):
    api = APIS[name]
    return Encoder(api, version).struct(api.messages["request"].root, values).w.done()


def decode(name, version, data):
    """A whole answer without its header; a ValueError when bytes are missing or left."""
    api = APIS[name]
    decoder = Decoder(api, version, data)
    out = decoder.struct(api.messages["response"].root)
    if decoder.r.position != len(decoder.r.data):
        raise ValueError(f"{name} {version}: bytes left")
    return out
