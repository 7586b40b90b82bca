#!/usr/bin/env python3
"""Write fill.h and fill.c: functions that fill any message with random values, from proto/schema.

    fill.py --out DIR schema/*.msg

Only fields that the version has are filled; the others keep their defaults, as after decoding.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "proto"))
import gen  # noqa: E402

HEADER = """/* Written by tests/schema/fill.py from proto/schema. */
#pragma once

#include "proto/messages.h"
#include "tests/schema/filler.h"

/* In the order of api_table. */
struct fill_functions {
    void (*request)(struct filler *f, int16_t version, void *out);
    void (*response)(struct filler *f, int16_t version, void *out);
};
extern const struct fill_functions fill_table[];
"""


def condition(field, struct):
    return gen.range_condition(field.versions, struct.versions) or "true"


def nullable(field):
    if field.nullable is None:
        return "false"
    return gen.range_condition(field.nullable, field.versions) or "true"


def element(field, target, records):
    if field.struct is not None:
        return f"{field.struct.name}_fill(f, version, {target});"
    target = target[1:] if target.startswith("&") else f"*{target}"
    if field.type in gen.LENGTH_PREFIXED:
        null = "false" if field.is_array else nullable(field)
        kind = "string" if field.type == "string" else "bytes"
        member = ".bytes" if records else ""
        return f"{target}{member} = filler_{kind}(f, {null});"
    suffix = gen.PRIMITIVES[field.type][1]
    return f"{target} = filler_{suffix}(f);"


def fill_function(message, struct):
    lines = [f"static void {struct.name}_fill(struct filler *f, int16_t version, "
             f"struct {struct.name} *out)", "{", f"    {struct.name}_init(out);",
             "    (void)f;", "    (void)version;"]
    for field in struct.fields:
        target = f"out->{field.name}"
        records = field.type == "records" and message.kind == "response"
        lines.append(f"    if ({condition(field, struct)}) {{")
        if field.is_array:
            lines += [f"        {target}_count = filler_count(f, {nullable(field)});",
                      f"        {target} = filler_array(f, {target}_count, sizeof(*{target}));",
                      f"        FOR_EACH (item, {target}, {target}_count)",
                      f"            {element(field, 'item', records)}"]
        elif field.is_pointer:
            lines += [f"        if (!({nullable(field)} && filler_null(f))) {{",
                      f"            {target} = filler_array(f, 1, sizeof(*{target}));",
                      f"            {field.struct.name}_fill(f, version, {target});", "        }"]
        else:
            lines.append(f"        {element(field, '&' + target, records)}" if field.struct is None
                         else f"        {field.struct.name}_fill(f, version, &{target});")
        lines.append("    }")
    lines.append("}")
    return lines


def source(apis):
    lines = ["/* Written by tests/schema/fill.py from proto/schema. */", '#include "fill.h"', ""]
    for api in apis:
        for message in api.messages.values():
            for struct in message.structs:
                lines += fill_function(message, struct) + [""]
            name = message.root.name
            lines += [f"static void {name}_fill_any(struct filler *f, int16_t version, void *out)",
                      "{", f"    {name}_fill(f, version, out);", "}", ""]
    lines.append("const struct fill_functions fill_table[] = {")
    for api in apis:
        lines.append(f"    {{{api.snake}_request_fill_any, {api.snake}_response_fill_any}},")
    lines.append("};")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description="functions that fill messages, from schemas")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("schemas", nargs="+")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "fill.h").write_text(HEADER)
    (args.out / "fill.c").write_text(source(gen.parse(args.schemas)))


if __name__ == "__main__":
    main()
