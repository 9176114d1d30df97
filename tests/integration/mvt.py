"""A strict reader of Mapbox Vector Tiles 2.1.

It takes nothing that the specification forbids: unknown fields or types,
a missing version, indices out of range, commands that do not fit their
geometry.  test_mvt.py tries it on the fixtures of the format's authors.
"""

import struct
from collections import namedtuple

Layer = namedtuple("Layer", "name version extent features keys values")
Feature = namedtuple("Feature", "id type geometry tags")

POINT, LINE, POLYGON = 1, 2, 3
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Invalid(Exception):
    """The tile breaks a rule; the text says which."""


def check(condition, text):
    if not condition:
        raise Invalid(text)


def varint(data, at):
    n = shift = 0
    while True:
        check(at < len(data), "a number is cut off")
        check(shift < 64, "a number of more than ten bytes")
        byte = data[at]
        n |= (byte & 0x7f) << shift
        at += 1
        shift += 7
        if not byte & 0x80:
            check(n < 1 << 64, "a number of more than 64 bits")
            return n, at


def packed(data):
    out, at = [], 0
    while at < len(data):
        n, at = varint(data, at)
        out.append(n)
    return out


def fields(data):
    """(number, wire type, value) of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = varint(data, at)
        elif kind == BYTES:
            n, at = varint(data, at)
            check(n <= len(data) - at, "a field is cut off")
            value = data[at:at + n]
            at += n
        elif kind in (FIXED32, FIXED64):
            n = 4 if kind == FIXED32 else 8
            check(n <= len(data) - at, "a field is cut off")
            value = data[at:at + n]
            at += n
        else:
            raise Invalid(f"wire type {kind}")
        yield tag >> 3, kind, value


def signed(n):
    return n >> 1 ^ -(n & 1)


def text(data):
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise Invalid(f"no UTF-8: {e}") from e


def read_value(data):
    found = list(fields(data))
    check(len(found) == 1, f"a value of {len(found)} variants")
    number, kind, value = found[0]
    kinds = {1: BYTES, 2: FIXED32, 3: FIXED64, 4: VARINT, 5: VARINT,
             6: VARINT, 7: VARINT}
    check(kinds.get(number) == kind, f"value field {number} of type {kind}")
    if number == 1:
        return "string", text(value)
    if number == 2:
        return "float", struct.unpack("<f", value)[0]
    if number == 3:
        return "double", struct.unpack("<d", value)[0]
    if number == 4:
        return "int", value - (value >> 63 << 64)
    if number == 5:
        return "uint", value
    if number == 6:
        return "sint", signed(value)
    check(value <= 1, "a boolean that is neither")
    return "bool", bool(value)


def commands(numbers):
    """(command, [(dx, dy), ...] or count) of a geometry."""
    at = 0
    while at < len(numbers):
        command, count = numbers[at] & 7, numbers[at] >> 3
        at += 1
        if command == 7:
            yield command, count
            continue
        check(command in (1, 2), f"command {command}")
        check(len(numbers) - at >= 2 * count, "a command is cut off")
        check(count > 0, "a command for nothing")
        points = [(signed(numbers[i]), signed(numbers[i + 1]))
                  for i in range(at, at + 2 * count, 2)]
        at += 2 * count
        yield command, points


def read_geometry(kind, numbers):
    """Rings, lines or points, in the tile's units."""
    check(numbers, "a geometry of nothing")
    x = y = 0
    parts = []
    state = "start"
    for command, arg in commands(numbers):
        if command == 7:
            check(kind == POLYGON and state == "drawn", "ClosePath here")
            check(arg == 1, f"{arg} times ClosePath")
            state = "start"
            continue
        points = []
        for dx, dy in arg:
            check(command == 1 or (dx, dy) != (0, 0), "a line of no length")
            x, y = x + dx, y + dy
            points.append((x, y))
        if command == 1:
            if kind == POINT:
                check(state == "start", "MoveTo twice")
                state = "done"
                parts.append(points)
                continue
            check(state == "start" or (kind == LINE and state == "drawn"),
                  "MoveTo here")
            check(len(points) == 1, "MoveTo to many points")
            state = "begun"
            parts.append(points)
        else:
            check(state == "begun", "LineTo here")
            check(kind != POLYGON or len(points) > 1, "a ring of two points")
            state = "drawn"
            parts[-1].extend(points)
    check(state == {POINT: "done", LINE: "drawn", POLYGON: "start"}[kind],
          "a geometry that does not end")
    return parts


def read_feature(data, keys, values):
    one = {}
    kinds = {1: VARINT, 2: BYTES, 3: VARINT, 4: BYTES}
    for number, kind, value in fields(data):
        check(kinds.get(number) == kind,
              f"feature field {number} of type {kind}")
        check(number not in one, f"feature field {number} twice")
        one[number] = value
    check(3 in one, "a feature without a type")
    check(one[3] <= POLYGON, f"geometry type {one[3]}")
    check(4 in one, "a feature without a geometry")
    tags = packed(one.get(2, b""))
    check(len(tags) % 2 == 0, "a tag without a value")
    out = {}
    for k, v in zip(tags[::2], tags[1::2]):
        check(k < len(keys) and v < len(values), "a tag out of range")
        check(keys[k] not in out, f"{keys[k]!r} twice")
        out[keys[k]] = values[v]
    numbers = packed(one[4])
    geometry = read_geometry(one[3], numbers) if one[3] else numbers
    return Feature(one.get(1), one[3], geometry, out)


def read_layer(data):
    one = {}
    many = {2: [], 3: [], 4: []}
    kinds = {15: VARINT, 1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT}
    for number, kind, value in fields(data):
        check(kinds.get(number) == kind,
              f"layer field {number} of type {kind}")
        if number in many:
            many[number].append(value)
        else:
            check(number not in one, f"layer field {number} twice")
            one[number] = value
    check(15 in one, "a layer without a version")
    check(one[15] in (1, 2), f"version {one[15]}")
    check(one.get(1), "a layer without a name")
    keys = [text(k) for k in many[3]]
    values = [read_value(v) for v in many[4]]
    return Layer(text(one[1]), one[15], one.get(5, 4096),
                 [read_feature(f, keys, values) for f in many[2]], keys,
                 values)


def read(data):
    """The layers of a tile; Invalid if it is none."""
    layers = []
    for number, kind, value in fields(data):
        check((number, kind) == (3, BYTES),
              f"tile field {number} of type {kind}")
        layers.append(read_layer(value))
    names = [layer.name for layer in layers]
    check(len(set(names)) == len(names), "two layers of one name")
    return layers


def points(data, name):
    """The one layer of a tile of this map, which keeps stricter rules:
    version 2, points inside the tile, ids that doubles hold, no key or
    value that is there twice or for nothing."""
    layer, = read(data)
    assert (layer.name, layer.version, layer.extent) == (name, 2, 4096)
    assert len(set(layer.keys)) == len(layer.keys)
    assert len(set(layer.values)) == len(layer.values)
    used = set()
    for f in layer.features:
        assert f.type == POINT and len(f.geometry) == 1
        (x, y), = f.geometry[0]
        assert 0 <= x < 4096 and 0 <= y < 4096, (x, y)
        assert f.id is not None and f.id < 1 << 53
        used |= set(f.tags.values())
    assert used == set(layer.values)
    assert bool(layer.keys) == bool(layer.features)
    return layer.features
