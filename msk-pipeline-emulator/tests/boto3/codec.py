"""Compares the protocol layer with botocore, for every operation in use, without any service behind it.

For each operation botocore serialises an input with every member set; the decoded input has to be the same. Then an output with
every member set is encoded here and parsed by botocore; it has to come back. Usage: codec.py <path of the example `codec`>.
"""
import base64
import datetime
import json
import pathlib
import subprocess
import sys
import urllib.parse

import botocore.parsers
import botocore.serialize
import botocore.session
from botocore.compat import HTTPHeaders

TABLES = pathlib.Path(__file__).parents[2] / "model"
# Not of AWS: what is in databases, on the wire of its JSON services, written by hand.
OWN = {"database"}
WHEN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
# Not compared: checksums are verified against the body; SourceRegion is botocore's own, for presigned URLs; Expires is text in
# the model and a time in botocore.
APART = {"ContentMD5", "ChecksumCRC32", "ChecksumSHA256", "SourceRegion", "Expires"}


def sample(shape, seen=(), plain=False):
    """A value with every member set; recursion is cut where a structure would hold itself."""
    kind = shape.type_name
    if kind == "structure":
        if shape.name in seen:
            return None
        values = {}
        for name, member in shape.members.items():
            if name in APART or member.serialization.get("location") == "statusCode":
                continue
            in_header = member.serialization.get("location") in ("header", "headers")
            value = sample(member, (*seen, shape.name), plain or in_header)
            if value not in (None, {}, []):
                values[name] = value
        return values
    if kind == "list":
        value = sample(shape.member, seen, plain)
        return None if value in (None, {}, []) else [value, value]
    if kind == "map":
        value = sample(shape.value, seen, plain)
        key = shape.key.enum[0] if getattr(shape.key, "enum", None) else "k-1"
        return None if value is None else {key: value}
    if kind == "string":
        if getattr(shape, "enum", None):
            return shape.enum[0]
        return "v-1" if plain else "a &<b>\"+%/é=\u2603"
    return {"integer": 7, "long": 2**40, "double": 1.5, "float": 0.5, "boolean": True, "timestamp": WHEN,
            "blob": b"\x00\xff<&", "character": "c"}[kind]


def inside(value):
    """The value as services see it."""
    if isinstance(value, dict):
        return {k: inside(v) for k, v in value.items()}
    if isinstance(value, list):
        return [inside(v) for v in value]
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def differences(expected, found, path=""):
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            yield from differences(expected.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, (e, f) in enumerate(zip(expected, found)):
            yield from differences(e, f, f"{path}[{i}]")
    elif expected != found:
        yield f"{path}: {expected!r} became {found!r}"


class Codec:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def exchange(codec, service, model, operation):
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"], include_validation=False)
    given = sample(operation.input_shape) if operation.input_shape else {}
    if service == "s3" and "Key" in given:
        given["Key"] = "folder/a b+c%.zip"
    request = serializer.serialize_to_request(given, operation)
    path, _, fixed = request["url_path"].partition("?")
    query = request["query_string"]
    pairs = list(query.items()) if isinstance(query, dict) else list(query)
    pairs = [(k, w) for k, v in pairs for w in (v if isinstance(v, list) else [v])]
    encoded = "&".join(filter(None, [fixed, urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)]))
    body = request["body"]
    if isinstance(body, dict):
        body = urllib.parse.urlencode(body, quote_via=urllib.parse.quote)
    body = body if isinstance(body, bytes) else body.encode()
    scope = f"AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/{service}/aws4_request, Signature=0"
    headers = [[k.lower(), str(v)] for k, v in request["headers"].items()] + [["authorization", scope]]

    output = operation.output_shape
    reply, raw = (sample(output) if output else {}), None
    streaming = output.serialization.get("payload") if output is not None else None
    if streaming and output.members[streaming].type_name == "blob":
        reply.pop(streaming)
        raw = b"content"
        if "ContentLength" in reply:
            reply["ContentLength"] = len(raw)
    answer = codec.ask({"method": request["method"], "path": path, "query": encoded, "headers": headers,
                        "body": base64.b64encode(body).decode(), "reply": inside(reply),
                        "reply_body": base64.b64encode(raw).decode() if raw is not None else None})
    if "problem" in answer:
        yield f"refused: {answer}"
        return
    if answer["operation"] != operation.name:
        yield f"routed to {answer['operation']}"
        return
    payload = operation.input_shape.serialization.get("payload") if operation.input_shape else None
    if payload and operation.input_shape.members[payload].type_name == "blob":
        if base64.b64decode(answer["input_body"]) != given.pop(payload):
            yield "the payload changed"
    for difference in differences(inside(given), answer["input"]):
        yield "input" + difference
    yield from (f"input is said to lack or mistype {p}" for p in answer["problems"])
    yield from (f"output is not the model's: {f}" for f in answer["foreign"])
    parser = botocore.parsers.create_parser(model.metadata["protocol"])
    parsed = parser.parse({"headers": HTTPHeaders.from_pairs(answer["headers"]), "status_code": answer["status"],
                           "body": base64.b64decode(answer["body"])}, output)
    parsed.pop("ResponseMetadata", None)
    if operation.name == "GetBucketLocation":
        return  # its root is its member, which botocore reads in a handler of its own
    if raw is not None and parsed.pop(streaming) != raw.decode():
        yield "the returned payload changed"
    for difference in differences(reply, parsed):
        yield "output" + difference


def main():
    codec = Codec(sys.argv[1])
    session = botocore.session.get_session()
    count = failed = 0
    for table in sorted(TABLES.glob("*.json")):
        service = table.stem
        if service in OWN:
            continue
        model = session.get_service_model(service)
        for name in json.loads(table.read_text())["operations"]:
            count += 1
            for problem in exchange(codec, service, model, model.operation_model(name)):
                failed += 1
                print(f"{service} {name} {problem}")
    print(f"{count} operations, {failed} differences")
    sys.exit(1 if failed else 0)


main()
