"""What the comparisons share: reading a log, and telling what was found."""

import json
from collections import Counter
from urllib.parse import parse_qsl, urlsplit


class Request:
    """A line of a log."""

    def __init__(self, text, prefix):
        line = json.loads(text)
        parts = urlsplit(line["path"])
        self.method, self.path = line["method"], parts.path.removeprefix(prefix)
        self.query = parse_qsl(parts.query, keep_blank_values=True)
        self.headers = line["headers"]
        self.content_type = self.headers.get("content-type", "").split(";")[0]
        body = line.get("body")
        is_form = isinstance(body, str)
        self.text = body if is_form or body is None else json.dumps(body)
        self.body = dict(parse_qsl(body, keep_blank_values=True)) if is_form else body
        # Files and forms with files are not kept in the log.
        self.is_unkept = bool(self.content_type) and body is None


class LeftOut(Exception):
    """A request that the document is not about."""


def run(network, log, prefix, check):
    """Compares every request of a network and prints what does not fit; whether all fits. `check` gives the misfits."""
    if not log.exists():
        print(f"{network}: the tests recorded no request")
        return False
    compared, left_out, wrong = 0, Counter(), Counter()
    for text in log.read_text().splitlines():
        try:
            wrong.update(check(Request(text, prefix)))
            compared += 1
        except LeftOut as why:
            left_out[str(why)] += 1
    print(f"{network}: {compared} requests compared, {left_out.total()} left out, {len(wrong)} misfits")
    for what, times in wrong.items():
        print(f"  {times} times: {what}")
    return not wrong and compared > 0
