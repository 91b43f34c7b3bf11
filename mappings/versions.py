"""The versions that made a normalised record (semantics 1.6): a change of one is a reason to remap.

``crosswalk`` is raised by hand with every change of what a crosswalk yields; ``panet`` and
``units`` come from the term table and the unit code.
"""

from __future__ import annotations

from typing import Final

from mappings.quantities import UNITS_VERSION
from mappings.techniques import panet_version

CROSSWALK_VERSION: Final = "5"

VERSIONS: Final[dict[str, str]] = {
    "crosswalk": CROSSWALK_VERSION,
    "panet": panet_version(),
    "units": UNITS_VERSION,
}
