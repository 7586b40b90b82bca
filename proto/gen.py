#!/usr/bin/env python3
"""Write messages.h and messages.c from the schemas (README.md, "The notation").

    gen.py --out DIR schema/*.msg

The model is read by parse() into Api -> Message -> Struct -> Field; CWriter turns it into C. Tests
import this file for its model.
"""
import argparse
import pathlib
import re
import sys

# type: (C type, suffix of the wire functions, fewest bytes on the wire)
PRIMITIVES = {
    "bool": ("bool", "bool", 1),
    "int8": ("int8_t", "i8", 1),
    "int16": ("int16_t", "i16", 2),
    "uint16": ("uint16_t", "u16", 2),
    "int32": ("int32_t", "i32", 4),
    "uint32": ("uint32_t", "u32", 4),
    "int64": ("int64_t", "i64", 8),
    "float64": ("double", "f64", 8),
    "uuid": ("struct uuid", "uuid", 16),
    "string": ("struct slice", "string", (2, 1)),  # (fixed, compact)
    "bytes": ("struct slice", "bytes", (4, 1)),
    "records": ("struct slice", "bytes", (4, 1)),
}
LENGTH_PREFIXED = ("string", "bytes", "records")
VERSION_NONE = 32767  # flexible_from of an API that never is


class SchemaError(Exception):
    pass


class Field:
    def __init__(self, name, type_name, is_array, versions):
        self.name = name
        self.type = type_name  # of the element, if an array; "struct": fields follow
        self.is_array = is_array
        self.versions = versions  # (first, last), cut to those where the parent exists
        self.nullable = None  # (first, last) or None
        self.tag = None
        self.default = None  # text as in the schema, or None
        self.ignorable = False
        self.struct = None  # Struct, unless primitive

    @property
    def is_pointer(self):
        """A struct that can be null is a pointer; others are embedded."""
        return self.struct is not None and not self.is_array and self.nullable is not None


class Struct:
    def __init__(self, name, versions):
        self.name = name  # C name without "struct "
        self.versions = versions
        self.fields = []

    def own_fields(self):
        return [f for f in self.fields if f.struct is not None]


class Message:
    def __init__(self, api, kind):
        self.api = api
        self.kind = kind  # request or response
        self.root = Struct(f"{api.snake}_{kind}", api.versions)
        self.structs = []  # each after those that it contains
        self.shared = {}

    def order_structs(self):
        done = []

        def visit(struct):
            for field in struct.own_fields():
                visit(field.struct)
            if struct not in done:
                done.append(struct)

        visit(self.root)
        self.structs = done


class Api:
    def __init__(self, key, name):
        self.key = key
        self.name = name
        self.snake = snake_case(name)
        self.versions = None
        self.flexible_from = VERSION_NONE
        self.unstable = False  # the last version
        self.messages = {}

    def flexible(self, version):
        return version >= self.flexible_from


def snake_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def singular(name):
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def parse_versions(text, within):
    match = re.fullmatch(r"(\d+)(\+|-(\d+))?", text)
    if not match:
        raise SchemaError(f"not a version range: {text}")
    first = int(match[1])
    last = first if match[2] is None else int(match[3]) if match[3] else within[1]
    first, last = max(first, within[0]), min(last, within[1])
    if first > last:
        raise SchemaError(f"versions {text} lie outside {within[0]}-{within[1]}")
    return first, last


class Parser:
    """One .msg file: header lines, then `request` and `response`, fields indented by two spaces."""

    def __init__(self, path):
        self.path = path
        self.api = None
        self.message = None
        self.stack = []  # (indent of the fields, Struct)

    def parse(self):
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            text = line.split("#")[0].rstrip()
            if not text:
                continue
            try:
                self.line(len(text) - len(text.lstrip()), text.split())
            except (SchemaError, ValueError, KeyError, IndexError) as err:
                raise SchemaError(f"{self.path}:{number}: {err}") from err
        for message in self.api.messages.values():
            message.order_structs()
        if sorted(self.api.messages) != ["request", "response"]:
            raise SchemaError(f"{self.path}: needs a request and a response")
        return self.api

    def line(self, indent, words):
        if indent > 0:
            self.field_line(indent, words)
        elif words[0] == "api":
            self.api = Api(int(words[1]), words[2])
        elif words[0] == "versions":
            self.api.versions = parse_versions(words[1], (0, VERSION_NONE))
            self.api.unstable = words[2:] == ["unstable"]
        elif words[0] == "flexible":
            self.api.flexible_from = int(words[1].rstrip("+"))
        elif words[0] in ("request", "response"):
            self.message = Message(self.api, words[0])
            self.api.messages[words[0]] = self.message
            self.stack = [(2, self.message.root)]
        else:
            raise SchemaError(f"unknown word {words[0]}")

    def field_line(self, indent, words):
        while self.stack[-1][0] > indent:
            self.stack.pop()
        if self.stack[-1][0] != indent:
            raise SchemaError("fields are indented by two spaces under their struct")
        if words[0] == "shared":  # a struct that several fields of this message use
            struct = Struct(f"{self.message.root.name}_{words[1]}", self.api.versions)
            self.message.shared[words[1]] = struct
            self.stack.append((indent + 2, struct))
            return
        parent = self.stack[-1][1]
        field = self.parse_field(parent, words)
        parent.fields.append(field)
        if field.type == "struct":
            self.stack.append((indent + 2, field.struct))

    def parse_field(self, parent, words):
        name, type_name, *rest = words
        is_array = type_name.startswith("[]")
        type_name = type_name[2:] if is_array else type_name
        versions = parent.versions
        if rest and rest[0][0].isdigit():
            versions = parse_versions(rest.pop(0), parent.versions)
        field = Field(name, type_name, is_array, versions)
        for word in rest:
            self.attribute(field, *word.partition("=")[::2])
        if type_name == "struct":
            part = singular(name) if is_array else name
            field.struct = Struct(f"{parent.name}_{part}", versions)
        elif type_name not in PRIMITIVES:
            field.struct = self.message.shared[type_name]
        if field.is_pointer and field.tag is not None:
            raise SchemaError("a tagged struct cannot be null")
        if field.tag is not None and field.nullable and field.default != "null":
            raise SchemaError("a tagged field that can be null must be null by default")
        return field

    @staticmethod
    def attribute(field, name, value):
        if name == "nullable":
            field.nullable = parse_versions(value, field.versions) if value else field.versions
        elif name == "tag":
            field.tag = int(value)
        elif name == "default":
            field.default = value
        elif name == "ignorable":
            field.ignorable = True
        else:
            raise SchemaError(f"unknown attribute {name}")


def parse(paths):
    apis = sorted((Parser(pathlib.Path(p)).parse() for p in paths), key=lambda api: api.key)
    for before, after in zip(apis, apis[1:]):
        if before.key == after.key:
            raise SchemaError(f"{before.name} and {after.name} share the key {after.key}")
    return apis


def field_wire_size_min(api, field, version):
    if field.is_array:
        return 1 if api.flexible(version) else 4
    if field.struct is not None:
        return 1 if field.is_pointer else struct_wire_size_min_in(api, field.struct, version)
    size = PRIMITIVES[field.type][2]
    return size if isinstance(size, int) else size[1 if api.flexible(version) else 0]


def struct_wire_size_min_in(api, struct, version):
    present = [f for f in struct.fields
               if f.tag is None and f.versions[0] <= version <= f.versions[1]]
    size = sum(field_wire_size_min(api, f, version) for f in present)
    return size + (1 if api.flexible(version) else 0)


def struct_wire_size_min(api, struct):
    first, last = struct.versions
    return min(struct_wire_size_min_in(api, struct, v) for v in range(first, last + 1))


def element_wire_size_min(api, field):
    if field.struct is not None:
        return max(1, struct_wire_size_min(api, field.struct))
    size = PRIMITIVES[field.type][2]
    return size if isinstance(size, int) else min(size)


def range_condition(versions, within):
    """A C condition on `version`, or None if it always holds."""
    parts = []
    if versions[0] > within[0]:
        parts.append(f"version >= {versions[0]}")
    if versions[1] < within[1]:
        parts.append(f"version <= {versions[1]}")
    return " && ".join(parts) or None


class CWriter:
    """The C code of all messages: header() and source()."""

    def __init__(self, apis):
        self.apis = apis
        self.api = None
        self.message = None
        self.lines = []

    def put(self, text="", depth=0):
        self.lines.append("    " * depth + text if text else "")

    def take(self):
        text = "\n".join(self.lines) + "\n"
        self.lines = []
        return text

    def each_message(self):
        for self.api in self.apis:
            for kind in ("request", "response"):
                self.message = self.api.messages[kind]
                yield self.message

    # The header

    def header(self):
        self.put("/* Written by proto/gen.py from proto/schema. */")
        self.put("#pragma once")
        self.put()
        self.put('#include "proto/api.h"')
        self.put('#include "proto/base/arena.h"')
        self.put('#include "proto/wire.h"')
        self.put()
        self.put("enum api_key {")
        for api in self.apis:
            self.put(f"API_{api.snake.upper()} = {api.key},", 1)
        self.put("};")
        for message in self.each_message():
            self.put()
            api = self.api
            self.put(f"/* {api.name} ({api.key}) {message.kind}, versions "
                     f"{api.versions[0]}-{api.versions[1]} */")
            for struct in message.structs:
                self.struct_definition(struct)
            self.prototypes(message)
        return self.take()

    def c_type(self, field):
        if field.struct is not None:
            return f"struct {field.struct.name}"
        if field.type == "records" and self.message.kind == "response":
            return "struct records"
        return PRIMITIVES[field.type][0]

    def struct_definition(self, struct):
        self.put(f"struct {struct.name} {{")
        if not struct.fields:
            self.put("char unused;", 1)
        for field in struct.fields:
            star = "*" if field.is_array or field.is_pointer else ""
            notes = []
            if field.versions != struct.versions:
                notes.append(f"{field.versions[0]}-{field.versions[1]}"
                             if field.versions[1] < struct.versions[1] else f"{field.versions[0]}+")
            if field.nullable:
                notes.append("nullable" if field.nullable == field.versions
                             else f"nullable {field.nullable[0]}-{field.nullable[1]}")
            note = f" /* {', '.join(notes)} */" if notes else ""
            self.put(f"{self.c_type(field)} {star}{field.name};{note}", 1)
            if field.is_array:
                self.put(f"int32_t {field.name}_count;", 1)
        self.put("};")

    def prototypes(self, message):
        for struct in message.structs:
            name = struct.name
            self.put(f"void {name}_init(struct {name} *out);")
            if struct is not message.root:
                self.put(f"struct {name} *{name}_array(struct arena *arena, int32_t count);")
        name = message.root.name
        self.put(f"int {name}_decode(struct wire_reader *r, int16_t version, "
                 f"struct {name} *out) MUST_CHECK;")
        self.put(f"void {name}_encode(struct wire_writer *w, int16_t version, "
                 f"const struct {name} *in);")

    # Defaults

    def default_value(self, field):
        """The C value of a field that is absent; None where it is all zero."""
        text = field.default
        if field.is_array:
            return None
        if field.struct is not None or field.type == "records":
            return None
        if field.type in LENGTH_PREFIXED:
            return None if field.nullable else 'SLICE("")'
        if text is None or field.type == "uuid":
            return None
        if field.type == "bool":
            return "true" if text == "true" else None
        value = int(text, 0)
        if value == 0:
            return None
        if field.type == "int64":
            return f"INT64_C({value})"
        return "INT32_MIN" if value == -(1 << 31) else str(value)

    def init_functions(self, struct):
        name = struct.name
        values = []
        for field in struct.fields:
            value = self.default_value(field)
            if value is not None:
                values.append(f".{field.name} = {value},")
            elif field.is_array and field.default == "null":
                values.append(f".{field.name}_count = -1,")
        self.put()
        self.put(f"void {name}_init(struct {name} *out)")
        self.put("{")
        if values:
            self.put(f"*out = (struct {name}){{", 1)
            for value in values:
                self.put(value, 2)
            self.put("};", 1)
        else:
            self.put(f"*out = (struct {name}){{0}};", 1)
        for field in struct.own_fields():
            if not field.is_array and not field.is_pointer:
                self.put(f"{field.struct.name}_init(&out->{field.name});", 1)
        self.put("}")
        if struct is not self.message.root:
            self.array_function(name)

    def array_function(self, name):
        self.put()
        self.put(f"struct {name} *{name}_array(struct arena *arena, int32_t count)")
        self.put("{")
        self.put("if (count <= 0)", 1)
        self.put("return NULL;", 2)
        self.put(f"struct {name} *items = arena_need(arena, (size_t)count * sizeof(*items));", 1)
        self.put("FOR_EACH (item, items, count)", 1)
        self.put(f"{name}_init(item);", 2)
        self.put("return items;", 1)
        self.put("}")

    # Decoders

    def flexible_value(self, struct):
        if self.api.flexible_from <= struct.versions[0]:
            return "true"
        if self.api.flexible_from > struct.versions[1]:
            return "false"
        return f"version >= {self.api.flexible_from}"

    def nullable_value(self, field):
        if field.nullable is None:
            return "false"
        return range_condition(field.nullable, field.versions) or "true"

    def get_value(self, field):
        """A C expression that reads one element of a primitive type."""
        suffix = PRIMITIVES[field.type][1]
        if field.type not in LENGTH_PREFIXED:
            return f"wire_get_{suffix}(r)"
        nullable = "false" if field.is_array else self.nullable_value(field)
        if self.c_type(field) == "struct records":
            suffix = "records"
        flexible = "true" if field.tag is not None else "flexible"
        return f"wire_get_{suffix}(r, {flexible}, {nullable})"

    def decode_value(self, field, depth):
        target = f"out->{field.name}"
        flexible = "true" if field.tag is not None else "flexible"
        if field.is_array:
            size = element_wire_size_min(self.api, field)
            self.put(f"{target} = wire_get_array(r, {flexible}, {self.nullable_value(field)}, "
                     f"(struct wire_item){{{size}, sizeof(*{target})}}, &{target}_count);", depth)
            self.put(f"FOR_EACH (item, {target}, {target}_count)", depth)
            if field.struct is not None:
                self.put(f"{field.struct.name}_read(r, version, item);", depth + 1)
            else:
                self.put(f"*item = {self.get_value(field)};", depth + 1)
        elif field.is_pointer:
            self.put(f"{target} = wire_get_presence(r, sizeof(*{target}));", depth)
            self.put(f"if ({target} != NULL)", depth)
            self.put(f"{field.struct.name}_read(r, version, {target});", depth + 1)
        elif field.struct is not None:
            self.put(f"{field.struct.name}_read(r, version, &{target});", depth)
        else:
            self.put(f"{target} = {self.get_value(field)};", depth)

    def uses_flexible(self, struct):
        return any(f.tag is None and (f.is_array or f.type in LENGTH_PREFIXED)
                   for f in struct.fields)

    def put_guarded(self, field, struct, write_value):
        condition = range_condition(field.versions, struct.versions)
        if condition:
            self.put(f"if ({condition}) {{", 1)
            write_value(field, 2)
            self.put("}", 1)
        else:
            write_value(field, 1)

    def read_function(self, struct):
        flexible = self.flexible_value(struct)
        self.put()
        self.put(f"static void {struct.name}_read(struct wire_reader *r, int16_t version, "
                 f"struct {struct.name} *out)")
        self.put("{")
        self.put(f"{struct.name}_init(out);", 1)
        self.put("(void)version;", 1)
        self.put("if (r->err != 0)", 1)
        self.put("return;", 2)
        if self.uses_flexible(struct):
            self.put(f"const bool flexible = {flexible};", 1)
        for field in struct.fields:
            if field.tag is None:
                self.put_guarded(field, struct, self.decode_value)
        self.read_tags(struct, flexible)
        self.put("}")

    def read_tags(self, struct, flexible):
        if flexible == "false":
            return
        if flexible != "true":
            self.put(f"if (!({flexible}))", 1)
            self.put("return;", 2)
        tagged = [f for f in struct.fields if f.tag is not None]
        if not tagged:
            self.put("wire_skip_tags(r);", 1)
            return
        self.put("for (uint32_t left = wire_get_tag_count(r); left > 0 && r->err == 0; "
                 "left--) {", 1)
        self.put("struct wire_tag tag = wire_tag_open(r);", 2)
        keyword = "if"
        for field in tagged:
            within = (max(struct.versions[0], self.api.flexible_from), struct.versions[1])
            condition = range_condition(field.versions, within)
            extra = f" && {condition}" if condition else ""
            self.put(f"{keyword} (tag.id == {field.tag}{extra}) {{", 2)
            self.decode_value(field, 3)
            keyword = "} else if"
        self.put("} else {", 2)
        self.put("wire_tag_skip(r);", 3)
        self.put("}", 2)
        self.put("wire_tag_close(r, tag);", 2)
        self.put("}", 1)

    # Encoders

    def put_value(self, field, value, depth):
        if field.struct is not None:
            self.put(f"{field.struct.name}_write(w, version, {value});", depth)
            return
        suffix = PRIMITIVES[field.type][1]
        if field.type not in LENGTH_PREFIXED:
            self.put(f"wire_put_{suffix}(w, {value});", depth)
            return
        nullable = "false" if field.is_array else self.nullable_value(field)
        if self.c_type(field) == "struct records":
            suffix = "records"
        flexible = "true" if field.tag is not None else "flexible"
        self.put(f"wire_put_{suffix}(w, {flexible}, {nullable}, {value});", depth)

    def encode_value(self, field, depth):
        source = f"in->{field.name}"
        flexible = "true" if field.tag is not None else "flexible"
        if field.is_array:
            self.put(f"wire_put_count(w, {flexible}, {self.nullable_value(field)}, "
                     f"{source}_count);", depth)
            self.put(f"FOR_EACH (item, {source}, {source}_count)", depth)
            self.put_value(field, "item" if field.struct is not None else "*item", depth + 1)
        elif field.is_pointer:
            self.put(f"wire_put_presence(w, {source} != NULL);", depth)
            self.put(f"if ({source} != NULL)", depth)
            self.put_value(field, source, depth + 1)
        else:
            self.put_value(field, f"&{source}" if field.struct is not None else source, depth)

    def write_function(self, struct):
        flexible = self.flexible_value(struct)
        self.put()
        self.put(f"static void {struct.name}_write(struct wire_writer *w, int16_t version, "
                 f"const struct {struct.name} *in)")
        self.put("{")
        self.put("(void)version;", 1)
        self.put("(void)in;", 1)
        self.put("(void)w;", 1)
        if self.uses_flexible(struct):
            self.put(f"const bool flexible = {flexible};", 1)
        for field in struct.fields:
            if field.tag is None:
                self.put_guarded(field, struct, self.encode_value)
        self.write_tags(struct, flexible)
        self.put("}")

    def write_tags(self, struct, flexible):
        if flexible == "false":
            return
        if flexible != "true":
            self.put(f"if (!({flexible}))", 1)
            self.put("return;", 2)
        tagged = sorted((f for f in struct.fields if f.tag is not None), key=lambda f: f.tag)
        if not tagged:
            self.put("wire_put_uvarint(w, 0);", 1)
            return
        within = (max(struct.versions[0], self.api.flexible_from), struct.versions[1])
        for field in tagged:
            condition = range_condition(field.versions, within)
            differs = self.differs(field)
            self.put(f"bool tag_{field.tag} = "
                     f"{condition + ' && ' if condition else ''}{differs};", 1)
        self.put(f"wire_put_uvarint(w, {' + '.join(f'(uint32_t)tag_{f.tag}' for f in tagged)});", 1)
        for field in tagged:
            self.put(f"if (tag_{field.tag}) {{", 1)
            self.put(f"size_t begin = wire_tag_begin(w, {field.tag});", 2)
            self.encode_value(field, 2)
            self.put("wire_tag_end(w, begin);", 2)
            self.put("}", 1)

    def differs(self, field):
        """A C condition: the field is not its default, so that its tag must be written."""
        source = f"in->{field.name}"
        if field.is_array:
            return f"{source}_count {'>= 0' if field.default == 'null' else '!= 0'}"
        if field.struct is not None:
            return f"!{field.struct.name}_is_default(&{source})"
        if field.type in LENGTH_PREFIXED:
            return f"{source}.data != NULL" if field.nullable else f"{source}.size != 0"
        if field.type == "uuid":
            return f"!uuid_is_zero({source})"
        return f"{source} != {self.default_value(field) or '0'}"

    def default_function(self, struct):
        self.put()
        self.put(f"static bool {struct.name}_is_default(const struct {struct.name} *in)")
        self.put("{")
        self.put("return !(" + " || ".join(self.differs(f) for f in struct.fields) + ");", 1)
        self.put("}")

    # The source

    def tagged_structs(self, message):
        found = []
        for struct in message.structs:
            for field in struct.own_fields():
                if field.tag is not None and not field.is_array and field.struct not in found:
                    found.append(field.struct)
        return found

    def message_functions(self, message):
        name = message.root.name
        tagged = self.tagged_structs(message)
        for struct in message.structs:
            self.init_functions(struct)
            if struct in tagged:
                self.default_function(struct)
            self.read_function(struct)
            self.write_function(struct)
        first, last = self.api.versions
        self.put()
        self.put(f"int {name}_decode(struct wire_reader *r, int16_t version, struct {name} *out)")
        self.put("{")
        self.put(f"if (version < {first} || version > {last})", 1)
        self.put("wire_fail(r, -EBADMSG);", 2)
        self.put(f"{name}_read(r, version, out);", 1)
        self.put("return r->err;", 1)
        self.put("}")
        self.put()
        self.put(f"void {name}_encode(struct wire_writer *w, int16_t version, "
                 f"const struct {name} *in)")
        self.put("{")
        self.put(f"CHECK(version >= {first} && version <= {last});", 1)
        self.put(f"{name}_write(w, version, in);", 1)
        self.put("}")
        self.put()
        self.put(f"ANY({name})")

    def growth(self, message):
        """README.md, "What a frame may cost": memory over wire bytes, the worst of its structs."""
        terms = ["GROWTH_MIN"]
        for struct in message.structs:
            arrays = sum(1 for f in struct.fields if f.tag is None and (f.is_array or f.is_pointer))
            memory = "0" if struct is message.root else f"sizeof(struct {struct.name})"
            size = max(1, struct_wire_size_min(self.api, struct))
            terms.append(f"GROWTH({memory}, {arrays}, {size})")
        while len(terms) > 1:
            terms = [f"MAX({', '.join(terms[i:i + 2])})" if i + 1 < len(terms) else terms[i]
                     for i in range(0, len(terms), 2)]
        return terms[0]

    def source(self):
        self.put("/* Written by proto/gen.py from proto/schema. */")
        self.put('#include "proto/messages.h"')
        self.put()
        for line in SOURCE_MACROS.strip("\n").split("\n"):
            self.put(line)
        for message in self.each_message():
            self.message_functions(message)
        self.put()
        self.put("const struct api_info api_table[] = {")
        for api in self.apis:
            self.api = api
            self.put("{", 1)
            self.put(f'.name = "{api.name}",', 2)
            self.put(f".key = {api.key},", 2)
            self.put(f".version_min = {api.versions[0]},", 2)
            self.put(f".version_max = {api.versions[1] - (1 if api.unstable else 0)},", 2)
            self.put(f".version_codec_max = {api.versions[1]},", 2)
            self.put(f".flexible_from = {api.flexible_from},", 2)
            for kind in ("request", "response"):
                message = api.messages[kind]
                self.put(f".{kind} = MESSAGE({message.root.name}, {self.growth(message)}),", 2)
            self.put("},", 1)
        self.put("};")
        self.put(f"const size_t api_table_count = {len(self.apis)};")
        return self.take()


SOURCE_MACROS = """
#define GROWTH_MIN 16 /* a string, or the rounding of an array, for a byte */
#define GROWTH(memory, arrays, wire_size)                                                        \\
    (((memory) + 16 * ((arrays) + 1) + (wire_size) - 1) / (wire_size))

/* The functions of a message behind pointers of one type. */
#define ANY(name)                                                                                \\
    static void name##_init_any(void *message)                                                   \\
    {                                                                                            \\
        name##_init(message);                                                                    \\
    }                                                                                            \\
    static int name##_decode_any(struct wire_reader *r, int16_t version, void *message)          \\
    {                                                                                            \\
        return name##_decode(r, version, message);                                               \\
    }                                                                                            \\
    static void name##_encode_any(struct wire_writer *w, int16_t version, const void *message)   \\
    {                                                                                            \\
        name##_encode(w, version, message);                                                      \\
    }
#define MESSAGE(name, growth)                                                                    \\
    {sizeof(struct name), growth, name##_init_any, name##_decode_any, name##_encode_any}
"""


def main():
    parser = argparse.ArgumentParser(description="messages.h and messages.c from schemas")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("schemas", nargs="+")
    args = parser.parse_args()
    try:
        writer = CWriter(parse(args.schemas))
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "messages.h").write_text(writer.header())
        (args.out / "messages.c").write_text(writer.source())
    except SchemaError as err:
        sys.exit(f"gen.py: {err}")


if __name__ == "__main__":
    main()
