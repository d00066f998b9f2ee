"""Compares recorded requests with the networks' OpenAPI documents: path, parameters, content type and body. A parameter,
or a field of a JSON body, that the document does not name does not fit either.

check_wire.py FOLDER SPECS: FOLDER has one NDJSON file per network, as the stand-ins logged it; SPECS the documents.
Exits with 1 when a request does not fit, and when a network that has a document recorded none.
"""

import copy
import functools
import json
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError
from werkzeug.datastructures import Headers, ImmutableMultiDict

# Network: its document, and the prefix of its paths in the log. Paths that the document does not have (the browser's
# pages, upload hosts) are left out; at least one request of each network must be in the document.
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


class Logged:
    """A request of the log, as the validator asks for it."""

    def __init__(self, line, prefix, base):
        parts = urlsplit(line["path"])
        self.host_url = base
        self.path = parts.path.removeprefix(prefix)
        self.method = line["method"].lower()
        headers = {name: value for name, value in line["headers"].items() if name != "host"}
        headers["authorization"] = "Bearer token"  # the log shows none
        self.content_type = headers.get("content-type", "").split(";")[0]
        self._body = line.get("body")
        query = ImmutableMultiDict(parse_qsl(parts.query, keep_blank_values=True))
        self.parameters = RequestParameters(query=query, header=Headers(headers), cookie=ImmutableMultiDict())

    @property
    def body(self):
        if self._body is None:
            return None
        text = self._body if isinstance(self._body, str) else json.dumps(self._body)
        return text.encode()


class Document:
    """An OpenAPI document, closed: its objects take no other fields than theirs."""

    def __init__(self, path):
        self.content = json.loads(path.read_text())
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

    def compare(self, network, log, prefix):
        """How many requests were compared, and what does not fit."""
        compared, wrong = 0, []
        for text in log.read_text().splitlines():
            line = json.loads(text)
            logged = Logged(line, prefix, f"{self.base.scheme}://{self.base.netloc}")
            if logged.content_type and line.get("body") is None:
                continue  # files are not kept in the log
            errors = list(self.openapi.iter_request_errors(logged))
            if any(isinstance(error, PathError) for error in errors):
                continue
            compared += 1
            whys = [why for error in errors for why in reasons(error)]
            whys += [f"`{name}` is unknown" for name in self.unnamed(logged)]
            wrong += [f"{network}: {line['method']} {logged.path}: {why}" for why in whys]
        return compared, wrong


def reasons(error):
    """What the schema says is wrong and where, else the words of the error."""
    while error.__cause__ is not None:
        error = error.__cause__
    inner = list(getattr(error, "schema_errors", []))
    return [f"{wrong.json_path}: {wrong.message[:200]}" for wrong in inner] or [str(error)]


def main(folder, specs):
    failed = False
    for network, (name, prefix) in DOCUMENTS.items():
        log, document = Path(folder) / f"{network}.ndjson", Path(specs) / name
        if not document.exists():
            print(f"note: {document} is not there")
            continue
        if not log.exists():
            print(f"{network}: the tests recorded no request")
            failed = True
            continue
        compared, wrong = Document(document).compare(network, log, prefix)
        print("\n".join(wrong) or f"{network}: {compared} requests fit")
        failed |= bool(wrong) or compared == 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
