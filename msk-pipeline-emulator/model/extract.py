#!/usr/bin/env python3
"""Writes the tables `<service>.json` from the service models inside a botocore wheel.

    python3 extract.py botocore-1.44.5-py3-none-any.whl     (the wheel, or a folder that it was unpacked to)

The tables hold facts of the wire only (shapes, names, patterns, enums, URIs, error codes), one shape or operation a line, and
nothing of the documentation. Which operations are taken is listed in `operations.txt`; of all others only the name and the
route are kept, so that a request for one can be answered with its name. Keys, in the order of their use:

    service:   metadata, operations, others, shapes
    operation: m method, u uri, c response code, i input shape, o output shape, w result wrapper, e error shapes,
               rq required query-string names, rh required header names (i, o, w, e not for `others`)
    shape:     t type, m members, r required, p payload member, l list member, k map key, v map value, f flattened, e enum,
               x pattern, lo min, hi max, ts timestamp format, err [wire code or null, status or null]
    member:    s shape, n location name, l location, q query name, f flattened, a XML attribute, ts timestamp format,
               st streaming, ns XML namespace
"""
import gzip
import json
import pathlib
import sys
import zipfile

HERE = pathlib.Path(__file__).parent


def reader(source):
    source = pathlib.Path(source)
    if source.is_dir():
        return lambda path: (source / path).read_bytes() if (source / path).exists() else None
    archive = zipfile.ZipFile(source)
    names = set(archive.namelist())
    return lambda path: archive.read(path) if path in names else None


def model(read, service, version):
    base = f"botocore/data/{service}/{version}/service-2.json"
    packed = read(base + ".gz")
    return json.loads(gzip.decompress(packed) if packed else read(base))


def chosen():
    service = None
    for line in (HERE / "operations.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            service = line.strip("[]").split()
            yield service, []
        elif line:
            yield service, line.split()


def pick(source, keys):
    out = {}
    for short, long in keys.items():
        value = source.get(long)
        if value not in (None, False):
            out[short] = 1 if value is True else value
    return out


def reference(ref):
    out = pick(ref, {"s": "shape", "n": "locationName", "l": "location", "q": "queryName", "f": "flattened",
                     "a": "xmlAttribute", "ts": "timestampFormat", "st": "streaming"})
    if "xmlNamespace" in ref:
        out["ns"] = ref["xmlNamespace"]["uri"] if isinstance(ref["xmlNamespace"], dict) else ref["xmlNamespace"]
    return out


def shape(source):
    out = pick(source, {"t": "type", "r": "required", "p": "payload", "f": "flattened", "e": "enum", "x": "pattern",
                        "lo": "min", "hi": "max", "ts": "timestampFormat"})
    if source["type"] == "structure":
        out["m"] = {name: reference(ref) for name, ref in source["members"].items()}
    elif source["type"] == "list":
        out["l"] = reference(source["member"])
    elif source["type"] == "map":
        out["k"], out["v"] = reference(source["key"]), reference(source["value"])
    if source.get("exception"):
        error = source.get("error", {})
        out["err"] = [error.get("code"), error.get("httpStatusCode")]
    return out


def route(source, operation):
    out = {"m": operation["http"]["method"], "u": operation["http"]["requestUri"]}
    given = source["shapes"].get(operation.get("input", {}).get("shape"), {"members": {}})
    for key, location in (("rq", "querystring"), ("rh", "header")):
        names = [given["members"][m]["locationName"] for m in given.get("required", [])
                 if given["members"][m].get("location") == location]
        if names:
            out[key] = names
    return out


def table(source, wanted):
    names = sorted(source["operations"]) if wanted == ["*"] else wanted
    unknown = [n for n in names if n not in source["operations"]]
    if unknown:
        sys.exit(f"not in the model: {unknown}")
    operations, todo, shapes = {}, [], {}
    for name in sorted(names):
        op = source["operations"][name]
        out = route(source, op)
        if op["http"].get("responseCode", 200) != 200:
            out["c"] = op["http"]["responseCode"]
        if "input" in op:
            out["i"] = op["input"]["shape"]
        if "output" in op:
            out["o"] = op["output"]["shape"]
            if "resultWrapper" in op["output"]:
                out["w"] = op["output"]["resultWrapper"]
        if op.get("errors"):
            out["e"] = [e["shape"] for e in op["errors"]]
        todo += [out.get("i"), out.get("o"), *out.get("e", [])]
        operations[name] = out
    while todo:
        name = todo.pop()
        if name is None or name in shapes:
            continue
        found = shape(source["shapes"][name])
        shapes[name] = found
        todo += [ref["s"] for ref in found.get("m", {}).values()]
        todo += [found[k]["s"] for k in ("l", "k", "v") if k in found]
    rest = source["metadata"]["protocol"].startswith("rest")
    others = {n: route(source, op) if rest else {} for n, op in sorted(source["operations"].items()) if n not in operations}
    meta = source["metadata"]
    metadata = {k: meta[k] for k in ("protocol", "apiVersion", "xmlNamespace", "targetPrefix", "jsonVersion", "signingName")
                if k in meta}
    return metadata, operations, others, shapes


def line(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def block(values):
    return "{\n" + ",\n".join(f"{line(k)}:{line(values[k])}" for k in sorted(values)) + "\n}"


def main():
    read = reader(sys.argv[1])
    wanted = {}
    for service, names in chosen():
        wanted.setdefault(tuple(service), []).extend(names)
    for (service, version), names in wanted.items():
        metadata, operations, others, shapes = table(model(read, service, version), names)
        text = (f'{{\n"metadata":{line(metadata)},\n"operations":{block(operations)},\n'
                f'"others":{block(others) if service == "s3" or service.startswith("kafka") else line(others)},\n'
                f'"shapes":{block(shapes)}\n}}\n')
        (HERE / f"{service}.json").write_text(text)
        print(f"{service}: {len(operations)} operations, {len(shapes)} shapes, {len(text)} bytes")


main()
