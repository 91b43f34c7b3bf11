"""What an index was made with (semantics 6.3)."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

from catalogue.analysis import ANALYSIS_VERSION
from catalogue.engine_fields import FACET_FIELDS
from catalogue.fields import FIELDS
from catalogue.parameter_terms import COARSE_DIGITS, CODING_VERSION
from mappings.techniques import panet_version

MAPPING_VERSION = 9


@cache
def fingerprint() -> str:
    """Twelve hexadecimal digits over mapping, analysis (Unicode and Snowball versions), PaNET and
    parameter coding: indices made with another one hold other terms."""
    parts = {
        "mapping": MAPPING_VERSION,
        "fields": {name: dict(fields) for name, fields in FIELDS.items()},
        "facets": FACET_FIELDS,
        "analysis": ANALYSIS_VERSION,
        "unicode": unicodedata.unidata_version,
        "snowball": version("PyStemmer"),
        "panet": panet_version(),
        "parameters": [CODING_VERSION, *COARSE_DIGITS],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def next_generation(names: Iterable[str]) -> str:
    """What an index made now is to be called, ``<fingerprint>-<n>``, where ``names`` of those that
    there are end in their numbers, too."""
    tails = [name.rpartition("-")[2] for name in names]
    return f"{fingerprint()}-{max((int(tail) for tail in tails if tail.isdigit()), default=0) + 1}"
