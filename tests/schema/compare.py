#!/usr/bin/env python3
"""Compare proto/schema with the message definitions inside Kafka's client jar.

Every message, field, type, version range, null, tag, default and ignorable mark must be the same,
in the same order. Schemas of our own (private keys) have no counterpart and are left out.
"""
import json
import pathlib
import re
import sys
import zipfile

import kafka_jar

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "proto"))
import gen  # noqa: E402

PRIVATE_KEY_MIN = 20000


def definitions(jar):
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith("common/message/") and name.endswith(".json"):
                text = re.sub(r"^\s*//.*$", "", archive.read(name).decode(), flags=re.M)
                definition = json.loads(text)
                found[definition["name"]] = definition
    return found


def cut(text, within):
    """A range of Kafka's inside `within`; None for none or empty."""
    if text in (None, "none"):
        return None
    try:
        return gen.parse_versions(text, within)
    except gen.SchemaError:
        return None


def default_value(field_type, text):
    """Defaults in one form, those that are left out included."""
    if text is None or str(text) == "":
        text = None
    base = field_type if not field_type.startswith("[]") else "array"
    if base in ("string", "bytes", "array", "records", "uuid") or base[0].isupper() \
            or base == "struct":
        return "null" if text == "null" else ""
    if base == "bool":
        return str(text).lower() == "true"
    if base == "float64":
        return float(text or 0)
    return int(str(text), 0) if text is not None else 0


class Comparison:
    def __init__(self):
        self.problems = []
        self.fields = 0

    def equal(self, where, what, ours, theirs):
        if ours != theirs:
            self.problems.append(f"{where}: {what} is {ours}, in Kafka {theirs}")

    def fields_of(self, where, struct, theirs, common, within):
        theirs = [f for f in theirs if cut(f["versions"], within)]
        names = [f.name for f in struct.fields]
        self.equal(where, "fields", names, [gen.snake_case(f["name"]) for f in theirs])
        for ours, their in zip(struct.fields, theirs):
            self.field(f"{where}.{ours.name}", ours, their, common, within)

    def field(self, where, ours, their, common, within):
        self.fields += 1
        versions = cut(their["versions"], within)
        self.equal(where, "versions", ours.versions, versions)
        is_array = their["type"].startswith("[]")
        base = their["type"][2:] if is_array else their["type"]
        self.equal(where, "array", ours.is_array, is_array)
        self.equal(where, "nullable", ours.nullable, cut(their.get("nullableVersions"), versions))
        self.equal(where, "tag", ours.tag, their.get("tag"))
        self.equal(where, "ignorable", ours.ignorable, bool(their.get("ignorable")))
        if "taggedVersions" in their:
            self.equal(where, "tagged", ours.versions, cut(their["taggedVersions"], within))
        if ours.struct is None:
            self.equal(where, "type", ours.type, base)
            shape = f"[]{base}" if is_array else base
            self.equal(where, "default", default_value(shape, ours.default),
                       default_value(shape, their.get("default")))
            return
        self.equal(where, "struct", True, base[0].isupper())
        if not ours.is_pointer and not is_array:
            self.equal(where, "default", "", default_value(base, their.get("default")))
        within = versions if "fields" in their else ours.struct.versions
        self.fields_of(where, ours.struct, their.get("fields") or common[base], common, within)

    def message(self, api, kind, definition):
        where = f"{api.name} {kind}"
        self.equal(where, "key", api.key, definition["apiKey"])
        whole = (0, gen.VERSION_NONE)
        self.equal(where, "versions", api.versions, cut(definition["validVersions"], whole))
        flexible = cut(definition["flexibleVersions"], whole)
        self.equal(where, "flexible from", api.flexible_from,
                   flexible[0] if flexible else gen.VERSION_NONE)
        if kind == "request":
            self.equal(where, "unstable", api.unstable,
                       bool(definition.get("latestVersionUnstable")))
        common = {c["name"]: c["fields"] for c in definition.get("commonStructs", [])}
        self.fields_of(where, api.messages[kind].root, definition["fields"], common, api.versions)


def main():
    theirs = definitions(kafka_jar.clients())
    comparison = Comparison()
    apis = [api for api in gen.parse(sorted((ROOT / "proto/schema").glob("*.msg")))
            if api.key < PRIVATE_KEY_MIN]
    for api in apis:
        for kind in ("request", "response"):
            comparison.message(api, kind, theirs[api.name + kind.capitalize()])
    for problem in comparison.problems:
        print(problem)
    print(f"{len(apis)} APIs, {comparison.fields} fields, {len(comparison.problems)} differences "
          f"to Kafka {kafka_jar.VERSION}")
    sys.exit(1 if comparison.problems or comparison.fields < 100 else 0)


if __name__ == "__main__":
    main()
