"""One table for the names of measured parameters (semantics 5.3), and the particle they speak of.

Facilities send ``wavelength``, ``photon_energy``, ``instrument.beam.energy``; the portal asks for
``incident_wavelength``, ``incident_photon_energy``. Either spelling finds the other; what is
displayed stays the name as sent. Names are compared without case, separators and a unit in
brackets. Nothing is guessed: a laser's wavelength or a detector's temperature is its own thing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mappings.errors import UnknownTechnique
from mappings.techniques import load_panet

WAVELENGTH = "incident_wavelength"
PHOTON_ENERGY = "incident_photon_energy"
NEUTRON_ENERGY = "incident_neutron_energy"
ENERGY = "incident_energy"
TEMPERATURE = "sample_temperature"
PRESSURE = "sample_pressure"
MAGNETIC_FIELD = "sample_magnetic_field"
FORMULA = "sample_chemical_formula"

DIMENSION_OF = {
    WAVELENGTH: "length",
    PHOTON_ENERGY: "energy",
    NEUTRON_ENERGY: "energy",
    ENERGY: "energy",
    TEMPERATURE: "temperature",
    PRESSURE: "pressure",
    MAGNETIC_FIELD: "magnetic flux density",
}
"""What a canonical name measures; a name not listed here may measure anything."""

BEAM_NAMES = frozenset({WAVELENGTH, PHOTON_ENERGY, NEUTRON_ENERGY, ENERGY})

ENERGY_OF_PARTICLE = {"photon": PHOTON_ENERGY, "neutron": NEUTRON_ENERGY}

# Spellings per canonical name, the portal's own first.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    WAVELENGTH: (
        "incident_wavelength", "wavelength", "wave_length", "Wavelength", "lambda",
        "incident_beam_wavelength", "beam_wavelength", "incoming_wavelength",
        "photon_wavelength", "incident_photon_wavelength", "xray_wavelength", "x_ray_wavelength",
        "neutron_wavelength", "incident_neutron_wavelength", "radiation_wavelength",
        "monochromator_wavelength", "mono_wavelength", "source_wavelength",
        "instrument_wavelength", "mean_wavelength", "central_wavelength", "beam.wavelength",
        "beam.incident_wavelength", "monochromator.wavelength", "instrument.wavelength",
        "instrument.beam.incident_wavelength", "instrument.monochromator.wavelength",
        "InstrumentMonochromator_wavelength",
    ),
    PHOTON_ENERGY: (
        "incident_photon_energy", "photon_energy", "photonEnergy", "PhotonEnergy",
        "Photon Energy", "photon energy", "xray_energy", "x_ray_energy", "X-ray energy",
        "x-ray energy", "incident_xray_energy", "incident_x_ray_energy", "beam_photon_energy",
        "photon_beam_energy", "beam.photon_energy", "source.photon_energy",
    ),
    NEUTRON_ENERGY: (
        "incident_neutron_energy", "neutron_energy", "incident_energy_neutron",
        "neutron_incident_energy", "Neutron Energy",
    ),
    ENERGY: (
        "incident_energy", "energy", "Energy", "beam_energy", "incident_beam_energy", "Ei",
        "incoming_energy", "mono_energy", "monochromator_energy", "beamline_energy",
        "dcm_energy", "beam.energy", "beam.incident_energy", "monochromator.energy",
        "instrument.energy", "instrument.beam.incident_energy", "instrument.monochromator.energy",
        "InstrumentMonochromator_energy",
    ),
    TEMPERATURE: (
        "sample_temperature", "temperature", "Temperature", "temp", "sampleTemperature",
        "sample_temp", "SampleTemperature", "sample temperature", "Sample Temperature",
        "sample.temperature", "temperature_sample", "cryostat_temperature",
        "cryo_temperature", "cryostream_temperature", "furnace_temperature", "oven_temperature",
        "sample_environment_temperature", "sample_environment.temperature",
        "environment.temperature", "instrument.sample.temperature", "measurement_temperature",
        "diffrn_ambient_temperature",
    ),
    PRESSURE: (
        "sample_pressure", "pressure", "Pressure", "samplePressure", "SamplePressure",
        "sample pressure", "Sample Pressure", "sample.pressure", "pressure_sample",
        "sample_environment_pressure", "sample_environment.pressure", "environment.pressure",
        "cell_pressure", "gas_pressure", "hydrostatic_pressure", "instrument.sample.pressure",
    ),
    MAGNETIC_FIELD: (
        "sample_magnetic_field", "magnetic_field", "magneticField", "MagneticField",
        "sample.magnetic_field", "applied_magnetic_field", "applied_field", "magnet_field",
        "field_magnetic", "b_field", "sample_environment.magnetic_field",
    ),
    FORMULA: (
        "sample_chemical_formula", "chemical_formula", "chemicalFormula", "ChemicalFormula",
        "formula", "sample_formula", "sample.chemical_formula", "sample.chemicalFormula",
        "chemical formula", "Chemical Formula", "molecular_formula", "sum_formula",
    ),
}  # fmt: skip

# The last part of a path speaks for itself only below one of these: a detector's energy threshold
# or a monochromator's temperature is its own thing.
_COMMON_GROUPS = frozenset(
    {"entry", "entry1", "measurement", "experiment", "scan", "parameters", "scientificmetadata"}
    | {"metadata", "conditions", "beamline", "endstation", "collection", "acquisition", "data"}
    | {"instrument"}
)
_BEAM_GROUPS = frozenset({"beam", "source", "monochromator", "mono", "dcm", "nxbeam", "xray"})
_SAMPLE_GROUPS = frozenset({"sample", "environment", "sampleenvironment", "cryostat", "furnace"})

_UNIT_IN_NAME = re.compile(r"^(.*\S)\s*[\[(]\s*([^\[\]()]{1,20})\s*[\])]\s*$")
_LIMIT = re.compile(r"^(?P<base>.*?)[\s_.-]*(?P<end>min(?:imum)?|max(?:imum)?)$", re.IGNORECASE)
_LIMIT_FIRST = re.compile(
    r"^(?P<end>min(?:imum)?|max(?:imum)?)[\s_.-]+(?P<base>.+)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A name of one end of an interval: ``sample_temperature_min`` is the ``low`` end."""

    base: str
    end: str


def fold_name(name: str) -> str:
    """A name without case, separators and a unit in brackets: what two spellings share."""
    bare, _unit = split_unit(name)
    return re.sub(r"[\W_]+", "", bare).casefold()


def split_unit(name: str) -> tuple[str, str | None]:
    """``Photon energy (keV)`` to ``Photon energy`` and ``keV``."""
    found = _UNIT_IN_NAME.match(name) if len(name) <= 200 else None
    return (found[1], found[2].strip()) if found else (name, None)


@functools.lru_cache(maxsize=8192)
def canonical_name(name: str) -> str | None:
    """The portal's name for the same thing, or ``None`` when the table does not have it."""
    table = _folded()
    whole = table.get(fold_name(name))
    if whole is not None or len(name) > 200:
        return whole
    groups = [group for group in re.split(r"[./:\\>]+", split_unit(name)[0]) if group.strip()]
    if len(groups) < 2:
        return None
    canonical = table.get(fold_name(groups[-1]))
    own = _BEAM_GROUPS if canonical in BEAM_NAMES else _SAMPLE_GROUPS
    known = all(_fold_group(group) in _COMMON_GROUPS | own for group in groups[:-1])
    return canonical if known else None


def parameter_names(name: str) -> tuple[str, ...]:
    """All spellings of the same thing, the asked one first: what a condition on ``name`` matches.

    A general name includes the particular ones (``energy`` finds photon and neutron energies); a
    particular one does not include the general, whose canonical form decides for each record.
    """
    canonical = canonical_name(name)
    if canonical is None:
        limit = limit_of(name)
        if limit is None or canonical_name(limit.base) is None:
            return (name,)
        return tuple(dict.fromkeys((name, *parameter_names(limit.base))))
    names = [name, *_SPELLINGS[canonical]]
    if canonical == ENERGY:
        names += [*_SPELLINGS[PHOTON_ENERGY], *_SPELLINGS[NEUTRON_ENERGY]]
    return tuple(dict.fromkeys(names))


def names_of_dimension(dimension: str) -> tuple[str, ...]:
    """The canonical names to which a quantity in free text applies (semantics 5.3)."""
    return tuple(name for name, measured in DIMENSION_OF.items() if measured == dimension)


def announced_dimension(name: str) -> str | None:
    """The dimension that a parameter's name announces, to read ``C``, ``F`` and ``A``."""
    limit = limit_of(name)
    canonical = canonical_name(limit.base if limit else name)
    if canonical is not None:
        return DIMENSION_OF.get(canonical)
    folded = fold_name(name)
    if "temperature" in folded or folded.endswith("temp") or folded.startswith("temp"):
        return "temperature"
    if "wavelength" in folded:
        return "length"
    return None


def limit_of(name: str) -> Limit | None:
    """What ``sample_temperature_min`` or ``max wavelength`` is an end of, else ``None``."""
    bare, _unit = split_unit(name)
    found = _LIMIT_FIRST.match(bare) or _LIMIT.match(bare) if len(bare) <= 200 else None
    if found is None or not found["base"]:
        return None
    return Limit(found["base"], "low" if found["end"].casefold().startswith("min") else "high")


def particle_for(
    name: str, panet_ids: Iterable[str] = (), probes: Sequence[str] = ()
) -> str | None:
    """Which particle a beam parameter is about (semantics 5.2), ``None`` when it is not known.

    First what the parameter's name says, then the techniques linked to the record, then the only
    probe of the facility or instrument.

    Args:
        name: the parameter's name as sent.
        panet_ids: ids of the linked techniques, short or as IRI; unknown ones are passed over.
        probes: of the facility or instrument: ``photon``, ``neutron``, ``muon`` …
    """
    said = _particles_in(name)
    if said:
        return said.pop() if len(said) == 1 else None
    panet = load_panet()
    linked: set[str] = set()
    for identifier in panet_ids:
        try:
            probe = panet.probe(identifier)
        except UnknownTechnique:
            continue
        if probe:
            linked.add(probe)
    if linked:
        return linked.pop() if len(linked) == 1 else None
    only = set(probes)
    return only.pop() if len(only) == 1 else None


def _particles_in(name: str) -> set[str]:
    folded = fold_name(name)
    said = {particle for particle in ("neutron", "muon", "positron") if particle in folded}
    if "photon" in folded or "xray" in folded:
        said.add("photon")
    if re.search(r"(?<!photo)electron", folded):
        said.add("electron")
    return said


def _fold_group(group: str) -> str:
    return re.sub(r"[\W_]+", "", group).casefold()


@functools.cache
def _folded() -> dict[str, str]:
    return {
        fold_name(spelling): canonical
        for canonical, spellings in _SPELLINGS.items()
        for spelling in spellings
    }
