"""Compares recorded requests with the networks' OpenAPI documents: path, parameters, content type and body.

check_wire.py FOLDER SPECS: FOLDER has one NDJSON file per network, as the stand-ins logged it; SPECS the documents.
Exits with 1 when a request does not fit, and when a network that has a document recorded none.
"""

import json
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


def compare(network, log, document, prefix):
    """How many requests were compared, and what does not fit."""
    content = json.loads(document.read_text())
    base = content["servers"][0]["url"].rstrip("/")
    host = "{0.scheme}://{0.netloc}".format(urlsplit(base))
    openapi = OpenAPI.from_dict(content)
    compared, wrong = 0, []
    for text in log.read_text().splitlines():
        line = json.loads(text)
        logged = Logged(line, prefix, host)
        if logged.content_type and line.get("body") is None:
            continue  # files are not kept in the log
        errors = list(openapi.iter_request_errors(logged))
        if any(isinstance(error, PathError) for error in errors):
            continue
        compared += 1
        wrong += [f"{network}: {line['method']} {logged.path}: {describe(error)}" for error in errors]
    return compared, wrong


def describe(error):
    """An error with its causes."""
    words = []
    while error is not None:
        words.append(str(error))
        for inner in getattr(error, "schema_errors", []):
            words.append(inner.message)
        error = error.__cause__
    return ": ".join(dict.fromkeys(words))[:600]


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
        compared, wrong = compare(network, log, document, prefix)
        print("\n".join(wrong) or f"{network}: {compared} requests fit")
        failed |= bool(wrong) or compared == 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
