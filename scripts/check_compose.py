"""Checks what the compose schema cannot: that every name leads somewhere and that every container is sealed.

Prints each problem with the service it is in, and exits 1 when there is one.
"""

import sys

import yaml

# The services in call order: a service may call only those before it.
CALL_ORDER = ["auth", "media", "publisher", "analytics", "scheduler", "gateway"]
SECRET_WORDS = ("PASSWORD", "SECRET", "ACCESS_KEY", "TOKEN")


def dangling_names(file, name, service):
    for other in service.get("depends_on", {}):
        if other not in file["services"]:
            yield f"depends on {other}, which is not there"
    for network in service.get("networks", []):
        if network not in file["networks"]:
            yield f"joins network {network}, which is not there"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if not source.startswith((".", "/")) and source not in file["volumes"]:
            yield f"mounts volume {source}, which is not there"
    for config in service.get("configs", []):
        if config["source"] not in file["configs"]:
            yield f"uses config {config['source']}, which is not there"


def gaps_in_the_seal(name, service):
    if service.get("read_only") is not True:
        yield "its root file system can be written (read_only)"
    if "ALL" not in service.get("cap_drop", []):
        yield "it keeps capabilities (cap_drop: [ALL])"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "it may gain privileges (no-new-privileges:true)"
    if service.get("privileged") or service.get("network_mode") == "host" or service.get("pid") == "host":
        yield "it shares the host"
    user = service.get("user", "0").split(":")[0]
    if user == "0" and service.get("network_mode") != "none":
        yield "it runs as root with a network"
    tag = service["image"].rsplit(":", 1)
    if len(tag) < 2 or tag[1].rstrip("}") == "latest":
        yield f"its image {service['image']} has no fixed tag"
    if "ports" in service and name != "gateway":
        yield "it publishes a port; only the gateway may"


def secrets_in_the_open(service):
    for key, value in (service.get("environment") or {}).items():
        if any(word in key for word in SECRET_WORDS) and ":?" not in str(value):
            yield f"{key} must come from the environment, without a default"
        if "://" in str(value) and "@" in str(value) and ":?" not in str(value):
            yield f"{key} holds a password"


def calls(name, service):
    environment = service.get("environment") or {}
    for other in CALL_ORDER:
        if f"POSTMESH_MESH__{other.upper()}" not in environment:
            continue
        if CALL_ORDER.index(other) >= CALL_ORDER.index(name):
            yield f"calls {other}, which is not before it in the call order"
        if environment[f"POSTMESH_MESH__{other.upper()}"] != f"https://{other}:7000":
            yield f"calls {other} at an unexpected address"
    if service["command"] != ["run", name]:
        yield f"does not run {name}"


def problems(file):
    for name, service in file["services"].items():
        yield from ((name, text) for text in dangling_names(file, name, service))
        yield from ((name, text) for text in gaps_in_the_seal(name, service))
        yield from ((name, text) for text in secrets_in_the_open(service))
    for name in CALL_ORDER:
        if name not in file["services"]:
            yield name, "is missing"
        else:
            yield from ((name, text) for text in calls(name, file["services"][name]))


found = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as text:
        found += [f"{path}: {name}: {problem}" for name, problem in problems(yaml.safe_load(text))]
print("\n".join(found), end="\n" if found else "")
sys.exit(1 if found else 0)
