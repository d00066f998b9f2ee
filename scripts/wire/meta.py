"""Meta's own API specs (Facebook, Instagram): nodes and edges, their parameters, and the fields asked for."""

import json
import re
from datetime import datetime

from log import LeftOut

# Network: its folder of specs, its prefix in the log, the node that posts, and the nodes that its ids may name.
NETWORKS = {
    "facebook": ("facebook", "/facebook", "Page", ["PagePost", "Photo", "AdVideo", "Stories"]),
    "instagram": (
        "instagram",
        "/instagram",
        "IGUserForIGOnlyAPI",
        ["ShadowIGMediaBuilder", "IGMediaForIGOnlyAPI", "IGComment"],
    ),
    "instagram_facebook": (
        "instagram",
        "/instagram",
        "IGUser",
        ["ShadowIGMediaBuilder", "IGMedia", "IGComment"],
    ),
}
# Taken by every call.
COMMON = {"access_token", "appsecret_proof", "fields", "limit", "after", "before", "date_format", "format", "locale"}
# What the answers of the Instagram login are called in it, and where they are described.
ALIASES = {"Media": "IGMediaForIGOnlyAPI"}
# Where the documentation differs: the Instagram login's edge is `media_publish` in the publishing guide, and phases are
# written small in the guides of reels and of video stories.
KNOWN_EDGES = {("IGUserForIGOnlyAPI", "media_publish"): "mediapublish"}
# Fields of a Page that the specs lack, and the reference of `me/accounts` has.
KNOWN_FIELDS = {"tasks"}
KNOWN_VALUES = {
    "pagevideo_reels_upload_phase_enum_param": ["start", "finish"],
    "pagevideo_stories_upload_phase_enum_param": ["start", "finish"],
}


def checks(specs):
    for network, (folder, prefix, owner, nodes) in NETWORKS.items():
        yield network, prefix, specs / folder, lambda path, owner=owner, nodes=nodes: Specs(path, owner, nodes).check


class Specs:
    """What one network is described by."""

    def __init__(self, folder, owner, nodes):
        self.owner, self.nodes = owner, nodes
        # Who signs in is a user of Facebook for both.
        paths = [*folder.glob("*.json"), *folder.parent.glob("facebook/User.*.json")]
        self.files = {path.stem.split(".")[0]: json.loads(path.read_text()) for path in paths}
        self.enums = {enum["name"]: enum["values"] for enum in self.files.pop("enums")}

    def call(self, node, method, edge):
        """A call of a node, or of one of its edges."""
        for api in self.files[node].get("apis", []):
            if api["method"] == method and ("endpoint" in api) == bool(edge) and api.get("endpoint", "") == edge:
                return api
        return None

    def check(self, request):
        path = re.fullmatch(r"/v\d+\.0/(me|\d[\d_]*)(?:/(\w+))?", request.path)
        if not path:
            raise LeftOut(f"{request.method} {re.sub(r'[0-9]{6,}|:.*', '…', request.path)}: no node of these specs")
        edge = KNOWN_EDGES.get((self.owner, path[2]), path[2] or "")
        sent = dict(request.query) | (request.body or {})
        method = {"GET": "#get", "POST": "#update", "DELETE": "#delete"}[request.method] if not edge else edge
        # The log does not say what an id names: the node that fits best is it.
        found = [
            list(self.misfits(node, request, edge, sent))
            for node in [self.owner, *self.nodes, *(["User"] if path[1] == "me" else [])]
            if self.call(node, request.method, edge)
        ]
        yield from min(found, key=len, default=[f"{request.method} {method}: no node has it"])

    def misfits(self, node, request, edge, sent):
        api = self.call(node, request.method, edge)
        where = f"{request.method} {node}/{edge}".rstrip("/")
        known = {param["name"]: param for param in api["params"]}
        yield from (f"{where}: `{name}` is unknown" for name in sorted(sent.keys() - known.keys() - COMMON))
        for name, param in known.items():
            if name in sent:
                if why := self.wrong(param["type"], sent[name]):
                    yield f"{where}: `{name}` {why}"
            elif param["required"] and not request.is_unkept:
                yield f"{where}: `{name}` is missing"
        shown = node if not edge else ALIASES.get(api["return"], api["return"])
        if "fields" in sent and shown in self.files:
            yield from self.unknown_fields(shown, sent["fields"], where)

    def unknown_fields(self, node, fields, where):
        """What is asked for is a field of the node, or one of its edges."""
        spec = self.files[node]
        known = {field["name"] for field in spec["fields"]} | {api.get("endpoint") for api in spec.get("apis", [])}
        known |= KNOWN_FIELDS if node == "Page" else set()
        while (outer := re.sub(r"\{[^{}]*\}|\.\w+\([^()]*\)", "", fields)) != fields:
            fields = outer
        yield from (f"{where}: {node} has no field `{name}`" for name in fields.split(",") if name not in known)

    def wrong(self, kind, value):
        """Why a value is not of that type; a text stands for any type, as in a form."""
        if inner := re.fullmatch(r"list(?:<(.+)>)?", kind):
            if isinstance(value, str):
                value = json.loads(value) if value.startswith("[") else value.split(",")
            if not isinstance(value, list):
                return f"{value!r:.60} is no list"
            return next((why for item in value if (why := self.wrong(inner[1] or "any", item))), None)
        if kind in self.enums:
            values = self.enums[kind] + KNOWN_VALUES.get(kind, [])
            return None if value in values else f"{value!r:.60} is none of {', '.join(values)}"
        fits = {
            "bool": lambda: isinstance(value, bool) or value in ("true", "false", "0", "1"),
            "int": lambda: isinstance(value, int) or re.fullmatch(r"-?\d+", value),
            "unsigned int": lambda: not isinstance(value, bool) and re.fullmatch(r"\d+", str(value)),
            "float": lambda: float(value) is not None,
            "string": lambda: isinstance(value, str),
            "datetime": lambda: str(value).isdigit() or datetime.fromisoformat(value),
            "Object": lambda: isinstance(value, dict) or isinstance(value, str),
            "map": lambda: isinstance(value, dict) or isinstance(json.loads(value), dict),
            "any": lambda: True,
        }
        try:
            return None if fits[kind]() else f"{value!r:.60} is no {kind}"
        except KeyError:
            return f"has the type {kind}, which the check does not know"
        except (ValueError, TypeError):
            return f"{value!r:.60} is no {kind}"
