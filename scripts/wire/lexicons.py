"""AT Protocol lexicons (Bluesky): parameters, inputs, and records with all that they hold."""

import json
import re
import unicodedata
from fnmatch import fnmatch

from log import LeftOut

DID = r"did:[a-z]+:[\w.:%-]+"
HANDLE = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?"
NSID = r"[a-zA-Z][a-zA-Z0-9-]*(\.[a-zA-Z0-9-]+)+\.[a-zA-Z][a-zA-Z0-9]*"
FORMATS = {
    "at-identifier": f"{DID}|{HANDLE}",
    "at-uri": rf"at://({DID}|{HANDLE})(/{NSID}(/[\w.~:-]+)?)?",
    "cid": r"[a-zA-Z0-9+=]{8,256}",
    "datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "did": DID,
    "handle": HANDLE,
    "language": r"i|[a-z]{2,3}(-[A-Za-z0-9]{1,8})*",
    "nsid": NSID,
    "record-key": r"(?!\.\.?$)[\w.~:-]{1,512}",
    "tid": r"[2-7a-j][2-7a-z]{12}",
    "uri": r"[a-z][a-z.-]*:\S{1,8191}",
}
RECORDS = {"createRecord", "putRecord"}
# Parameters that a lexicon lacks and its tutorial asks for (docs.bsky.app/docs/tutorials/video).
TAKEN = {"app.bsky.video.uploadVideo": {"did": {"type": "string", "format": "did"}, "name": {"type": "string"}}}


def checks(specs):
    yield "bluesky", "/bluesky", specs / "bluesky/lexicons", lambda folder: Lexicons(folder).check


class Lexicons:
    """Definitions by document."""

    def __init__(self, folder):
        documents = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
        self.known = {document["id"]: document["defs"] for document in documents}

    def find(self, ref, base):
        """A definition, and the document that it stands in."""
        name, _, inner = ref.partition("#")
        base = name or base
        return self.known.get(base, {}).get(inner or "main"), base

    def check(self, request):
        if not request.path.startswith("/xrpc/"):
            raise LeftOut(f"{request.path} is no XRPC")
        nsid = request.path.removeprefix("/xrpc/")
        main, _ = self.find(nsid, nsid)
        if main is None:
            raise LeftOut(f"{nsid} has no lexicon here")
        if (request.method == "GET") != (main["type"] == "query"):
            yield f"{nsid}: {request.method} of a {main['type']}"
        yield from self.parameters(main.get("parameters", {}), request.query, nsid)
        taken = main.get("input")
        if taken and not fnmatch(request.content_type, taken["encoding"]):
            yield f"{nsid}: the body is {request.content_type}, not {taken['encoding']}"
        if not taken and request.content_type:
            yield f"{nsid}: there is a body, and none is asked for"
        if taken and "schema" in taken:
            yield from self.value(taken["schema"], request.body, nsid, nsid)
            if isinstance(request.body, dict):
                yield from self.records(nsid, request.body)

    def parameters(self, schema, query, where):
        known, sent = schema.get("properties", {}) | TAKEN.get(where, {}), {}
        for name, text in query:
            kind = known.get(name, {}).get("type")
            item = known[name]["items"]["type"] if kind == "array" else kind
            value = text
            if item == "integer" and re.fullmatch(r"-?\d+", text):
                value = int(text)
            elif item == "boolean":
                value = {"true": True, "false": False}.get(text, text)
            sent[name] = [*sent.get(name, []), value] if kind == "array" else value
        yield from self.value(schema | {"type": "object", "properties": known}, sent, where, f"{where}?")

    def records(self, nsid, body):
        """The records that a call writes: their kind, their key, and what they hold."""
        writes = [body] if nsid.rsplit(".", 1)[-1] in RECORDS else body.get("writes", [])
        for write in writes:
            collection, record = write.get("collection"), write.get("record", write.get("value"))
            if record is None:
                continue  # it is deleted
            main, base = self.find(str(collection), "")
            if main is None or main["type"] != "record":
                yield f"{nsid}: {collection} is no record that is known here"
                continue
            if record.get("$type") != collection:
                yield f"{collection}: its `$type` is {record.get('$type')}"
            key = main["key"].removeprefix("literal:")
            if write.get("rkey") and not re.fullmatch(FORMATS.get(key, FORMATS["record-key"]), write["rkey"]):
                yield f"{collection}: {write['rkey']!r} is no {key}"
            yield from self.value(main["record"], record, base, collection)

    def value(self, schema, value, base, where):
        kind = schema["type"]
        if kind == "ref":
            found, base = self.find(schema["ref"], base)
            if found is None:
                yield f"{where}: {schema['ref']} is not here"
            else:
                yield from self.value(found, value, base, where)
        elif kind == "union":
            yield from self.union(schema, value, base, where)
        elif kind in ("object", "array", "string", "integer", "boolean", "blob"):
            yield from getattr(self, f"as_{kind}")(schema, value, base, where)
        elif kind != "unknown":
            yield f"{where}: the check knows no {kind}"

    def union(self, schema, value, base, where):
        chosen = value.get("$type") if isinstance(value, dict) else None
        if chosen is None:
            yield f"{where}: no `$type` says which it is"
            return
        refs = {"#".join((ref.partition("#")[0] or base, ref.partition("#")[2])).rstrip("#") for ref in schema["refs"]}
        if chosen not in refs and chosen.removesuffix("#main") not in refs:
            yield f"{where}: {chosen} is none of {', '.join(sorted(refs))}"
            return
        yield from self.value({"type": "ref", "ref": chosen}, value, base, f"{where}({chosen})")

    def as_object(self, schema, value, base, where):
        if not isinstance(value, dict):
            yield f"{where}: {value!r:.60} is no object"
            return
        known, nullable = schema.get("properties", {}), schema.get("nullable", [])
        yield from (f"{where}: `{name}` is missing" for name in schema.get("required", []) if name not in value)
        for name, inner in value.items():
            if name in known and not (inner is None and name in nullable):
                yield from self.value(known[name], inner, base, f"{where}.{name}".replace("?.", "?"))
            elif name not in known and name != "$type":
                yield f"{where}: `{name}` is unknown"

    def as_array(self, schema, value, base, where):
        if not isinstance(value, list):
            yield f"{where}: {value!r:.60} is no array"
            return
        yield from bounded(schema, "Length", len(value), where)
        for item in value:
            yield from self.value(schema["items"], item, base, f"{where}[]")

    def as_string(self, schema, value, _base, where):
        if not isinstance(value, str):
            yield f"{where}: {value!r:.60} is no string"
            return
        yield from bounded(schema, "Length", len(value.encode()), where)
        yield from bounded(schema, "Graphemes", graphemes(value), where)
        if value not in schema.get("enum", [value]) or value != schema.get("const", value):
            yield f"{where}: {value!r:.60} is not allowed"
        if "format" in schema and not re.fullmatch(FORMATS[schema["format"]], value):
            yield f"{where}: {value!r:.60} is no {schema['format']}"

    def as_integer(self, schema, value, _base, where):
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{where}: {value!r:.60} is no integer"
        elif not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{where}: {value} is out of bounds"

    def as_boolean(self, _schema, value, _base, where):
        if not isinstance(value, bool):
            yield f"{where}: {value!r:.60} is no boolean"

    def as_blob(self, schema, value, base, where):
        """A reference to what was uploaded."""
        link = {"type": "object", "required": ["$link"], "properties": {"$link": {"type": "string", "format": "cid"}}}
        size = {"type": "integer", "minimum": 1, "maximum": schema.get("maxSize", 1 << 62)}
        parts = {"ref": link, "mimeType": {"type": "string"}, "size": size}
        yield from self.as_object({"required": list(parts), "properties": parts}, value, base, where)
        if isinstance(value, dict):
            if value.get("$type") != "blob":
                yield f"{where}: its `$type` is {value.get('$type')}"
            if not any(fnmatch(str(value.get("mimeType")), kind) for kind in schema.get("accept", ["*"])):
                yield f"{where}: {value.get('mimeType')} is none of {schema['accept']}"


def bounded(schema, what, size, where):
    low, high = schema.get(f"min{what}", 0), schema.get(f"max{what}", size)
    if not low <= size <= high:
        yield f"{where}: {what} {size} is not between {low} and {high}"


def graphemes(text):
    """Close to UAX 29: marks, joiners and skin tones belong to what stands before them, flags are pairs."""
    count, before, flag = 0, "", False
    for char in text:
        is_flag = "\U0001f1e6" <= char <= "\U0001f1ff"
        is_mark = unicodedata.category(char) in ("Mn", "Me", "Mc")
        extends = is_mark or char == "\u200d" or "\U0001f3fb" <= char <= "\U0001f3ff"
        joined = extends or before == "\u200d" or (before, char) == ("\r", "\n") or (is_flag and flag)
        count += not joined or not before
        before, flag = char, is_flag and not (flag and joined)
    return count
