"""Compares recorded requests with the networks' own documents.

python scripts/wire FOLDER SPECS: FOLDER has one NDJSON file per network, as the stand-ins logged it, SPECS the
documents.
Exits with 1 when a request does not fit, and when a network that has a document recorded none that could be compared.
"""

import sys
import warnings
from pathlib import Path

import discovery
import lexicons
import meta
import openapi
import telegram
from log import run


def main(folder, specs):
    warnings.simplefilter("ignore")
    fits = True
    for kind in (openapi, discovery, meta, lexicons, telegram):
        for network, prefix, document, check in kind.checks(Path(specs)):
            if document.exists():
                fits &= run(network, Path(folder) / f"{network}.ndjson", prefix, check(document))
            else:
                print(f"note: {document} is not there")
    return int(not fits)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
