"""The facilities of the demonstration, and the configuration that names them as sources."""

from __future__ import annotations

from simulator.demo import european_xfel, sites
from simulator.errors import UnknownFacility
from simulator.facility import FacilitySpec

FIRST_PORT = 8091


def facilities(first_port: int = FIRST_PORT) -> tuple[FacilitySpec, ...]:
    """All demo facilities, on ports that follow each other."""
    return (
        european_xfel.facility(first_port),
        sites.neutron_source(first_port + 1),
        sites.synchrotron(first_port + 2),
    )


def facility(name: str, first_port: int = FIRST_PORT) -> FacilitySpec:
    """The demo facility of that short name, compared without case; raises UnknownFacility."""
    found = {spec.name.casefold(): spec for spec in facilities(first_port)}
    if name.casefold() not in found:
        known = ", ".join(spec.name for spec in found.values())
        raise UnknownFacility(f"No demo facility is called {name!r}; there are {known}.")
    return found[name.casefold()]


def configuration(first_port: int = FIRST_PORT, host: str = "127.0.0.1") -> str:
    """TOML for ``--config`` that names the demo facilities as they listen."""
    xfel, neutrons, light = (f"http://{host}:{first_port + place}" for place in range(3))
    return INTRODUCTION + _european_xfel(xfel) + _neutron_source(neutrons) + _synchrotron(light)


INTRODUCTION = """# Written by the demo: facilities on this machine, nothing real.

"""


def _european_xfel(xfel: str) -> str:
    """The copy of a real one, harvested over OAI-PMH."""
    return f'''[facilities.EuXFEL]
title = "European XFEL (demo copy)"
provider = "{xfel}{european_xfel.API_PATH}"
country = "DE"
home = "https://www.xfel.eu"
time_zone = "Europe/Berlin"
probes = ["photon"]
lists_only_open = true
document_type = "proposal"
demo = true

[[facilities.EuXFEL.services]]
name = "Landing page"
template = "https://in.xfel.eu/metadata/doi/{{doi}}"

[sources.xfel-oai]
facility = "EuXFEL"
protocol = "oai-pmh"
url = "{xfel}{european_xfel.OAI_PATH}"
format = "panosc"
set = "openaire_data"
internal = true
demo = true
schedule = "every 1m"

'''


def _neutron_source(neutrons: str) -> str:
    """An invented one, harvested over its Search API."""
    return f'''[facilities.FNS]
title = "{sites.NEUTRONS.title}"
provider = "{neutrons}{sites.API_PATH}"
country = "SE"
time_zone = "{sites.NEUTRONS.time_zone}"
probes = ["neutron"]
document_type = "proposal"
demo = true

[[facilities.FNS.services]]
name = "Landing page"
template = "{neutrons}/records/{{doi}}"

[sources.fns-api]
facility = "FNS"
protocol = "panosc"
url = "{neutrons}{sites.API_PATH}"
internal = true
demo = true
trust = 50
schedule = "every 1m"

'''


def _synchrotron(light: str) -> str:
    """An invented one, harvested over both."""
    return f'''[facilities.LRL]
title = "{sites.SYNCHROTRON.title}"
provider = "{light}{sites.API_PATH}"
country = "DE"
time_zone = "{sites.SYNCHROTRON.time_zone}"
probes = ["photon"]
releases_automatically = true
document_type = "proposal"
demo = true

[[facilities.LRL.services]]
name = "Landing page"
template = "{light}/records/{{doi}}"

[sources.lrl-oai]
facility = "LRL"
protocol = "oai-pmh"
url = "{light}{sites.OAI_PATH}"
format = "oai_datacite"
internal = true
demo = true
trust = 100
schedule = "every 1m"

[sources.lrl-api]
facility = "LRL"
protocol = "panosc"
url = "{light}{sites.API_PATH}"
internal = true
demo = true
trust = 60
schedule = "every 1m"
'''
