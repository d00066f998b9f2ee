"""Google's discovery document (YouTube), which becomes an OpenAPI document in memory."""

import json

from openapi_core import OpenAPI

from log import LeftOut
from openapi import Logged, reasons

HOST = "https://youtube.googleapis.com"


def checks(specs):
    document = specs / "youtube/youtube-v3.discovery.trimmed.json"
    yield "youtube", "/youtube", document, lambda path: Discovery(json.loads(path.read_text())).check


def schema(found):
    """A schema of OpenAPI; objects take no other fields than theirs."""
    if "$ref" in found:
        return {"$ref": f"#/components/schemas/{found['$ref']}"}
    new = {key: found[key] for key in ("type", "enum", "minimum", "maximum", "pattern") if key in found}
    if new.get("type") == "any":
        del new["type"]
    new |= {key: int(new[key]) for key in ("minimum", "maximum") if key in new}
    if found.get("format") == "date-time":
        new["format"] = "date-time"
    if "items" in found:
        new["items"] = schema(found["items"])
    if "properties" in found:
        new["properties"] = {name: schema(inner) for name, inner in found["properties"].items()}
        new["additionalProperties"] = False
    if "additionalProperties" in found:
        new["additionalProperties"] = schema(found["additionalProperties"])
    return new


def parameter(name, found):
    of_one = schema({key: value for key, value in found.items() if key != "required"})
    many = {"type": "array", "items": of_one} if found.get("repeated") else of_one
    return {"name": name, "in": found["location"], "required": found.get("required", False), "schema": many,
            "explode": True}


def methods(resources):
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from methods(resource.get("resources", {}))


def openapi(document):
    """The document as OpenAPI, and the names of the query's parameters by operation."""
    paths, names = {}, {}
    for method in methods(document["resources"]):
        both = document["parameters"] | method.get("parameters", {})
        content = {"application/json": {"schema": schema(method["request"])}} if "request" in method else {}
        operation = {"summary": method["id"], "responses": {"200": {"description": ""}},
                     "parameters": [parameter(name, found) for name, found in both.items()]}
        names[method["id"]] = {name for name, found in both.items() if found["location"] == "query"}
        upload = method.get("mediaUpload")
        files = {kind: {} for kind in upload["accept"]} if upload else {}
        for path, taken in [(method["path"], content)] + [
            (protocol["path"], content | files) for protocol in (upload["protocols"].values() if upload else [])
        ]:
            whole = operation | ({"requestBody": {"content": taken, "required": True}} if taken else {})
            paths.setdefault("/" + path.lstrip("/"), {})[method["httpMethod"].lower()] = whole
    schemas = {name: schema(found) for name, found in document["schemas"].items()}
    return {"openapi": "3.1.0", "info": {"title": "", "version": ""}, "servers": [{"url": HOST}], "paths": paths,
            "components": {"schemas": schemas}}, names


class Discovery:
    def __init__(self, document):
        self.document, self.names = openapi(document)
        self.openapi = OpenAPI.from_dict(self.document)

    def check(self, request):
        operation = self.document["paths"].get(request.path, {}).get(request.method.lower())
        if not operation:
            raise LeftOut(f"{request.method} {request.path} is not in the document")
        where = operation["summary"]
        unknown = {name for name, _ in request.query} - self.names[where]
        yield from (f"{where}: `{name}` is unknown" for name in sorted(unknown))
        logged = Logged(request, HOST, "-" if request.is_unkept else request.text)
        for error in self.openapi.iter_request_errors(logged):
            yield from (f"{where}: {why}" for why in reasons(error))
