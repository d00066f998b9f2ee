"""Checks what the Kubernetes schemas cannot: that a rendered overlay is sealed, whole, and calls only leftwards.

    check_k8s.py OVERLAY RENDERED.yaml

The network policies are evaluated, not compared: for every pair of services the question is whether a connection to
the mesh port would pass both the caller's egress and the callee's ingress. Prints each problem and exits 1 when there
is one.
"""

import sys

import yaml

# The services in call order, each with those it calls. This is the map of the design, said a second time on purpose.
CALLS = {
    "auth": set(),
    "media": {"auth"},
    "publisher": {"auth", "media"},
    "analytics": {"auth", "publisher"},
    "scheduler": {"auth", "media", "publisher", "analytics"},
    "gateway": {"auth", "media", "publisher", "analytics", "scheduler"},
}
INTERNET = {"auth", "publisher"}
WORKLOADS = {"Deployment", "StatefulSet", "Job"}


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in (selector or {}).get("matchLabels", {}).items())


class Rendered:
    def __init__(self, objects):
        self.objects = objects
        self.workloads = {o["metadata"]["name"]: o for o in objects if o["kind"] in WORKLOADS}
        self.policies = self.of_kind("NetworkPolicy")

    def of_kind(self, kind):
        return [o for o in self.objects if o["kind"] == kind]

    def named(self, kind, name):
        return next((o for o in self.of_kind(kind) if o["metadata"]["name"] == name), None)

    def labels(self, name):
        return self.workloads[name]["spec"]["template"]["metadata"]["labels"]

    def ports(self, name):
        """The named container ports of a workload, and their numbers as names of themselves."""
        found = {}
        for container in self.workloads[name]["spec"]["template"]["spec"]["containers"]:
            for port in container.get("ports", []):
                found[port["name"]] = found[port["containerPort"]] = port["containerPort"]
        return found

    def passes(self, direction, this, other, port):
        """Does a policy on `this` let a connection with `other` (None: anyone) to the callee's `port` pass?"""
        callee = this if direction == "ingress" else other
        numbers = self.ports(callee)
        peer = {"ingress": "from", "egress": "to"}[direction]
        for policy in self.policies:
            spec = policy["spec"]
            if not matches(spec["podSelector"], self.labels(this)):
                continue
            for rule in spec.get(direction, []):
                if "ports" in rule and numbers[port] not in [numbers.get(p["port"]) for p in rule["ports"]]:
                    continue
                if peer not in rule:
                    return True
                for side in rule[peer]:
                    if set(side) == {"podSelector"} and other and matches(side["podSelector"], self.labels(other)):
                        return True
        return False

    def connects(self, caller, callee, port):
        return self.passes("egress", caller, callee, port) and self.passes("ingress", callee, caller, port)


def gaps_in_the_seal(name, workload):
    pod = workload["spec"]["template"]["spec"]
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) == 0:
        yield name, "may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield name, "has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield name, "is given a token of the cluster"
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield name, "shares the host"
    if any("hostPath" in volume for volume in pod.get("volumes", [])):
        yield name, "mounts a folder of the host"
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield name, "may gain privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield name, "may write to its root file system"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield name, "keeps capabilities"
        if not {"cpu", "memory"} <= set(container.get("resources", {}).get("requests", {})):
            yield name, "requests no cpu or memory"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield name, "has no memory limit"
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            yield name, f"runs {container['image']}, which has no fixed tag"


def missing_parts(rendered, name):
    workload = rendered.workloads.get(name)
    if workload is None:
        yield name, "is missing"
        return
    spec = workload["spec"]["template"]["spec"]
    container = spec["containers"][0]
    if container.get("args") != ["run", name]:
        yield name, "does not run itself"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if container.get(probe, {}).get("httpGet", {}).get("port") != "admin":
            yield name, f"has no {probe} on the admin port"
    if spec.get("serviceAccountName") != name or not rendered.named("ServiceAccount", name):
        yield name, "has no service account of its own"
    service = rendered.named("Service", name)
    if not service or not matches({"matchLabels": service["spec"]["selector"]}, rendered.labels(name)):
        yield name, "is not reached by a Service of its name"
    elif "mesh" not in [port["name"] for port in service["spec"]["ports"]]:
        yield name, "has a Service without the mesh port"
    budget = rendered.named("PodDisruptionBudget", name)
    if not budget or not matches(budget["spec"]["selector"], rendered.labels(name)):
        yield name, "has no disruption budget"
    if {"secret": {"secretName": f"mesh-{name}", "defaultMode": 0o400}, "name": "tls"} not in spec["volumes"]:
        yield name, "does not mount its own certificate"


def wrong_connections(rendered):
    for caller, allowed in CALLS.items():
        for callee in CALLS:
            passes = rendered.connects(caller, callee, "mesh")
            if passes and callee not in allowed:
                yield caller, f"can call {callee}, which it must not"
            if not passes and callee in allowed:
                yield caller, f"cannot call {callee}"
        outward = rendered.labels(caller).get("postmesh.dev/internet") == "true"
        if outward != (caller in INTERNET):
            yield caller, "can reach the internet" if outward else "cannot reach the internet"
    for name in CALLS:
        if rendered.passes("ingress", name, None, "admin"):
            yield name, "opens its admin port to anyone"
        public = "public" in rendered.ports(name) and rendered.passes("ingress", name, None, "public")
        if public != (name == "gateway"):
            yield name, "is open to anyone" if public else "is not open to anyone"
    for store, label in (("postgres", "database"), ("redis", "cache"), ("s3", "blobs")):
        if store not in rendered.workloads:
            continue
        for name in rendered.workloads:
            uses = rendered.labels(name).get(f"postmesh.dev/uses-{label}") == "true"
            if uses != rendered.connects(name, store, store):
                yield name, f"{'cannot' if uses else 'can'} reach {store}"


def secrets_without_use(name, workload):
    """Whoever is given the password of a store is also let through to it, and nobody else."""
    template = workload["spec"]["template"]
    sources = template["spec"]["containers"][0].get("envFrom", [])
    given = {source["secretRef"]["name"] for source in sources if "secretRef" in source}
    for store in ("database", "cache", "blobs"):
        uses = template["metadata"]["labels"].get(f"postmesh.dev/uses-{store}") == "true"
        if uses != (store in given):
            yield name, f"{'uses' if uses else 'does not use'} {store} but is {'not ' if uses else ''}given its secret"


def problems(rendered):
    for name, workload in rendered.workloads.items():
        yield from gaps_in_the_seal(name, workload)
        yield from secrets_without_use(name, workload)
    for name in CALLS:
        yield from missing_parts(rendered, name)
    if set(CALLS) <= set(rendered.workloads):
        yield from wrong_connections(rendered)
    deny = rendered.named("NetworkPolicy", "default-deny")
    if not deny or deny["spec"] != {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
        yield "network", "everything is allowed: the default-deny policy is missing or not whole"
    for item in rendered.objects:
        name = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Secret":
            yield name, "a secret is committed"
        if item["kind"] == "Namespace":
            if item["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
                yield name, "does not enforce the restricted pod security standard"
        elif item["metadata"].get("namespace") != "postmesh":
            yield name, "is outside the namespace postmesh"


overlay, path = sys.argv[1:]
with open(path, encoding="utf-8") as text:
    found = [f"{overlay}: {name} {problem}" for name, problem in problems(Rendered(list(yaml.safe_load_all(text))))]
print("\n".join(found), end="\n" if found else "")
sys.exit(1 if found else 0)
