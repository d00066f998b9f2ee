"""The Bot API (Telegram): method, fields, their types, and which must be there."""

import json

from log import LeftOut

PLAIN = {"Integer": int, "Float": (int, float), "String": str, "Boolean": bool, "True": bool}


def checks(specs):
    document = specs / "telegram/bot-api.trimmed.json"
    yield "telegram", "/telegram", document, lambda path: BotApi(json.loads(path.read_text())).check


class BotApi:
    """Methods and types of the document."""

    def __init__(self, document):
        self.methods, self.types = document["methods"], document["types"]

    def check(self, request):
        method = request.path.rsplit("/", 1)[-1]
        if method not in self.methods:
            raise LeftOut(f"{method} is not in the document")
        sent = dict(request.query) | (request.body or {})
        # In a form everything is text; what is not plain is JSON in it.
        texts = request.content_type != "application/json"
        return self.fields(self.methods[method], sent, method, texts, some=request.is_unkept)

    def fields(self, holder, sent, where, texts=False, some=False):
        known = {field["name"]: field for field in holder.get("fields", [])}
        for name in sent.keys() - known.keys():
            yield f"{where}: `{name}` is unknown"
        for name, field in known.items():
            if name in sent:
                value = parsed(sent[name], field["types"]) if texts else sent[name]
                yield from self.value(field["types"], value, f"{where}.{name}")
            elif field["required"] and not some:
                yield f"{where}: `{name}` is missing"

    def value(self, types, value, where):
        """The misfits of the type that fits best."""
        return min((list(self.one(kind, value, where)) for kind in types), key=len)

    def one(self, kind, value, where):
        if kind in PLAIN:
            is_it = isinstance(value, PLAIN[kind]) and (kind in ("Boolean", "True")) == isinstance(value, bool)
            if not is_it:
                yield f"{where}: {value!r:.60} is no {kind}"
        elif kind.startswith("Array of "):
            if not isinstance(value, list):
                yield f"{where}: {value!r:.60} is no {kind}"
                return
            for item in value:
                yield from self.one(kind.removeprefix("Array of "), item, f"{where}[]")
        elif kind not in self.types:
            yield f"{where}: the document lacks the type {kind}"
        elif kind == "InputFile" or not isinstance(value, dict):
            yield f"{where}: {value!r:.60} is no {kind}"
        else:
            yield from self.fields(self.types[kind], value, f"{where}({kind})")


def parsed(text, types):
    try:
        return text if "String" in types else json.loads(text)
    except json.JSONDecodeError:
        return text
