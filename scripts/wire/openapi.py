"""OpenAPI documents (X, Pinterest, Discord, Mastodon): path, parameters, content type and body. A parameter, or a field
of a JSON body, that the document does not name does not fit either.
"""

import copy
import functools
import json
import re
from urllib.parse import urlsplit

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from log import LeftOut

# Network: its document, and the prefix of its paths in the log.
DOCUMENTS = {
    "x": ("x/openapi.trimmed.json", "/x"),
    "pinterest": ("pinterest/openapi-v5.trimmed.json", "/pinterest"),
    "discord": ("discord/openapi-v10.trimmed.json", "/discord"),
    # The community's (github.com/abraham/mastodon-openapi), for want of an official one. Its `oneOf` of kinds of statuses
    # refuses a text with media, which the network takes: it must read `anyOf`.
    "mastodon": ("mastodon/openapi.json", "/mastodon"),
}

# X's document says `post` where the network and everybody who calls it say `tweet`.
ALIASES = {"tweet.fields"}


def checks(specs):
    for network, (name, prefix) in DOCUMENTS.items():
        yield network, prefix, specs / name, lambda path: Document(json.loads(path.read_text())).check


class Logged:
    """A request of the log, as the validator asks for it."""

    def __init__(self, request, host, body):
        self.host_url, self.path, self.method = host, request.path, request.method.lower()
        self.content_type, self.body = request.content_type, body and body.encode()
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(request.query), header=Headers(headers), cookie=ImmutableMultiDict()
        )


class Document:
    """An OpenAPI document, closed: its objects take no other fields than theirs."""

    def __init__(self, content):
        self.content = content
        # What is put together of parts gets copies of them, which stay open.
        self.put_together(self.content)
        for schema in self.content["components"]["schemas"].values():
            self.close(schema)
        for item in self.content["paths"].values():
            for operation in item.values():
                if isinstance(operation, dict):
                    operation.pop("security", None)  # the log shows no secrets
        self.base = urlsplit(self.content["servers"][0]["url"].rstrip("/"))
        self.openapi = OpenAPI.from_dict(self.content)

    def put_together(self, value):
        if isinstance(value, dict) and "allOf" in value:
            value["allOf"] = [copy.deepcopy(self.resolved(part)) for part in value["allOf"]]
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            self.put_together(inner)

    def close(self, schema):
        if isinstance(schema.get("properties"), dict) and "allOf" not in schema:
            schema.setdefault("additionalProperties", False)
            for inner in schema["properties"].values():
                self.close(inner)
        if isinstance(schema.get("items"), dict):
            self.close(schema["items"])

    def unnamed(self, logged):
        """Parameters of the address that its operation does not name."""
        for template, item in self.content["paths"].items():
            whole = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(self.base.path + template))
            if re.fullmatch(whole, logged.path) and logged.method in item:
                named = item.get("parameters", []) + item[logged.method].get("parameters", [])
                named = {self.resolved(parameter)["name"] for parameter in named}
                return sorted(set(logged.parameters.query) - named - ALIASES)
        return []

    def resolved(self, value):
        """A parameter itself, where it is named by reference."""
        steps = value.get("$ref", "").split("/")[1:]
        return functools.reduce(dict.__getitem__, steps, self.content) if steps else value

    def check(self, request):
        if request.is_unkept:
            raise LeftOut("files are not kept in the log")
        logged = Logged(request, f"{self.base.scheme}://{self.base.netloc}", request.text)
        errors = list(self.openapi.iter_request_errors(logged))
        if any(isinstance(error, PathError) for error in errors):
            raise LeftOut(f"{request.method} {request.path} is not in the document")
        where = f"{request.method} {request.path}"
        yield from (f"{where}: {why}" for error in errors for why in reasons(error))
        yield from (f"{where}: `{name}` is unknown" for name in self.unnamed(logged))


def reasons(error):
    """What the schema says is wrong and where, else the words of the error."""
    while error.__cause__ is not None:
        error = error.__cause__
    inner = list(getattr(error, "schema_errors", []))
    return [f"{wrong.json_path}: {wrong.message[:200]}" for wrong in inner] or [str(error)]
