"""Words that generated records are made of: beamlines, samples, people, places.

All names of facilities and people are invented; techniques are PaNET terms by identifier, so that
labels come from the ontology. Samples and energies are what such instruments are used for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """A parameter that datasets of the beamline have: drawn between the ends, in ``unit``."""

    name: str
    low: float
    high: float
    unit: str
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Beamline:
    """An instrument: its techniques (PaNET identifiers), parameters and topics (keys of TOPICS)."""

    name: str
    techniques: tuple[str, ...]
    parameters: tuple[Range, ...]
    topics: tuple[str, ...]


TEMPERATURE = Range("sample_temperature", 1.5, 320.0, "K", 1)
WARM = Range("temperature", -40.0, 900.0, "celsius", 0)
PRESSURE = Range("sample_pressure", 0.5, 900.0, "bar", 1)

NEUTRON_BEAMLINES = (
    Beamline("HEIDE", ("PaNET01189",), (Range("wavelength", 4, 12, "angstrom"),), ("soft", "life")),
    Beamline(
        "KÜSTE", ("PaNET01239", "PaNET01243"), (Range("wavelength", 2, 9, "Å"),), ("films", "soft")
    ),
    Beamline(
        "ZIRKEL",
        ("PaNET01100", "PaNET01234"),
        (Range("wavelength", 1.1, 2.6, "angstrom"), TEMPERATURE),
        ("energy", "magnets"),
    ),
    Beamline(
        "FJORD",
        ("PaNET01245", "PaNET01246"),
        (Range("incident_energy", 1, 120, "meV", 1), TEMPERATURE),
        ("magnets", "energy"),
    ),
    Beamline(
        "LUPE", ("PaNET01249", "PaNET01250"), (Range("exposure_time", 1, 90, "s", 0),), ("culture",)
    ),
    Beamline(
        "ECHO",
        ("PaNET01120",),
        (Range("wavelength", 5, 14, "angstrom"), TEMPERATURE),
        ("soft", "life"),
    ),
    Beamline(
        "POLARIS-N",
        ("PaNET01236",),
        (Range("wavelength", 0.8, 2.4, "angstrom"), TEMPERATURE, PRESSURE),
        ("magnets",),
    ),
)

SYNCHROTRON_BEAMLINES = (
    Beamline(
        "LR02 Saxum",
        ("PaNET01188", "PaNET01191"),
        (Range("photon_energy", 8, 18, "keV"),),
        ("soft", "life"),
    ),
    Beamline(
        "LR05 Pulver",
        ("PaNET01101",),
        (Range("photon_energy", 15, 60, "keV"), WARM),
        ("energy", "magnets"),
    ),
    Beamline(
        "LR07 Kante",
        ("PaNET01198", "PaNET01199"),
        (Range("photon_energy", 4, 25, "keV"), WARM),
        ("energy", "culture"),
    ),
    Beamline(
        "LR09 Turm",
        ("PaNET01207", "PaNET01208"),
        (Range("photon_energy", 12, 90, "keV"),),
        ("culture", "life"),
    ),
    Beamline(
        "LR11 Punkt",
        ("PaNET01177", "PaNET01254"),
        (Range("photon_energy", 7, 20, "keV"),),
        ("culture", "life"),
    ),
    Beamline(
        "LR13 Serie", ("PaNET01169",), (Range("wavelength", 0.07, 0.12, "nm", 4),), ("proteins",)
    ),
    Beamline(
        "LR16 Winkel",
        ("PaNET01089",),
        (Range("photon_energy", 20, 1200, "eV", 1), TEMPERATURE),
        ("films",),
    ),
    Beamline(
        "LR18 Spiegel",
        ("PaNET01149", "PaNET01162"),
        (Range("photon_energy", 8, 15, "keV"),),
        ("films", "soft"),
    ),
    Beamline(
        "LR21 Ptycho",
        ("PaNET01212", "PaNET01219"),
        (Range("photon_energy", 250, 2000, "eV", 0),),
        ("films", "life"),
    ),
    Beamline(
        "LR23 Kreis",
        ("PaNET01137", "PaNET01183"),
        (Range("photon_energy", 400, 1500, "eV", 1), TEMPERATURE),
        ("magnets", "films"),
    ),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured: as the scientist writes it, and its formula when it has one."""

    name: str
    formula: str | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """A field of work: its samples and what one asks of them."""

    samples: tuple[Sample, ...]
    questions: tuple[str, ...]
    keywords: tuple[str, ...]


TOPICS = {
    "soft": Topic(
        (
            Sample("polystyrene-b-poly(2-vinylpyridine) micelles"),
            Sample("sodium dodecyl sulfate, 2 % in D2O", "C12H25NaO4S"),
            Sample("β-lactoglobulin gel"),
            Sample("casein micelles"),
            Sample("Pluronic F127 solution"),
            Sample("silica colloids", "SiO2"),
        ),
        (
            "gelation kinetics",
            "micelle shape",
            "shear alignment",
            "self-assembly",
            "phase behaviour",
        ),
        ("soft matter", "colloids", "polymers"),
    ),
    "life": Topic(
        (
            Sample("bovine serum albumin"),
            Sample("haemoglobin in D2O"),
            Sample("DOPC membranes with α-synuclein"),
            Sample("mouse femur"),
            Sample("wheat roots in soil"),
            Sample("ferritin", "FeOOH"),
        ),
        (
            "conformational changes",
            "hydration water dynamics",
            "structure in solution",
            "mineralisation",
        ),
        ("biology", "membranes", "bone"),
    ),
    "proteins": Topic(
        (
            Sample("proteinase K"),
            Sample("hen egg-white lysozyme"),
            Sample("thaumatin"),
            Sample("photosystem II"),
            Sample("bacteriorhodopsin"),
            Sample("β-lactamase CTX-M-14"),
        ),
        (
            "room-temperature structure",
            "ligand binding",
            "time-resolved structure",
            "radiation damage",
        ),
        ("structural biology", "protein crystallography"),
    ),
    "energy": Topic(
        (
            Sample("LiFePO₄ cathode", "LiFePO4"),
            Sample("Li(Ni,Mn,Co)O₂ electrode", "LiNi0.8Mn0.1Co0.1O2"),
            Sample("Cu/ZnO/Al2O3 catalyst", "CuZnO"),
            Sample("CeO₂ nanoparticles", "CeO2"),
            Sample("MAPbI₃ perovskite", "CH3NH3PbI3"),
            Sample("NaAlH₄ hydrogen store", "NaAlH4"),
            Sample("zeolite ZSM-5"),
        ),
        (
            "operando cycling",
            "reduction under hydrogen",
            "ion mobility",
            "degradation",
            "phase transitions",
        ),
        ("batteries", "catalysis", "operando"),
    ),
    "magnets": Topic(
        (
            Sample("α-RuCl₃ single crystal", "RuCl3"),
            Sample("BiFeO₃", "BiFeO3"),
            Sample("Nd₂Fe₁₄B magnet", "Nd2Fe14B"),
            Sample("YBa₂Cu₃O₇₋δ", "YBa2Cu3O7"),
            Sample("CrI₃ flakes", "CrI3"),
            Sample("SrCu₂(BO₃)₂", "SrCu2B2O6"),
            Sample("solid copper cylinder", "Cu"),
        ),
        (
            "spin waves",
            "magnetic structure",
            "frustration",
            "superconductivity",
            "multiferroic coupling",
        ),
        ("magnetism", "quantum materials"),
    ),
    "films": Topic(
        (
            Sample("Fe/MgO multilayer", "Fe"),
            Sample("graphene on SiC", "C"),
            Sample("P3HT:PCBM blend"),
            Sample("TiSe₂", "TiSe2"),
            Sample("La₀.₇Sr₀.₃MnO₃ film", "La0.7Sr0.3MnO3"),
            Sample("gold nanorods on silicon", "Au"),
        ),
        ("interface roughness", "band structure", "domain walls", "growth", "charge order"),
        ("thin films", "surfaces", "nanomagnetism"),
    ),
    "culture": Topic(
        (
            Sample("Roman bronze fibula", "CuSn"),
            Sample("fresco fragment with Egyptian blue", "CaCuSi4O10"),
            Sample("ammonite from the Jura"),
            Sample("parchment of the 9th century"),
            Sample("Naïve painting, lead white", "PbCO3"),
            Sample("meteorite NWA 869"),
            Sample("turbine blade, nickel alloy", "Ni3Al"),
        ),
        (
            "provenance",
            "corrosion layers",
            "inner structure",
            "pigment chemistry",
            "residual stress",
        ),
        ("cultural heritage", "palaeontology", "engineering"),
    ),
}

FIRST_NAMES = (
    "Anneke", "Björn", "Chloé", "Dörte", "Elżbieta", "Fatima", "Gökçe", "Håkon", "Ioanna",
    "Jürgen", "Katarína", "Lucía", "Mehmet", "Noémie", "Ólafur", "Paweł", "Quentin", "Renée",
    "Søren", "Tuğba", "Uwe", "Věra", "Wei", "Ximena", "Yuki", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Ahlström", "Bäcker", "Çelik", "Dvořák", "Ekström", "Fernández", "Grünwald", "Hørlyck", "Işık",
    "Jørgensen", "Kowalczyk", "Lefèvre", "Müllner", "Nuñez", "Östberg", "Pérez-Rubio", "Quispe",
    "Řezníček", "Sjögren", "Tanaka-Weiß", "Üstün", "Vägen", "Wójcik", "Yılmaz", "Zeller",
)  # fmt: skip
AFFILIATIONS = (
    ("University of Nordhafen", "Hafenstraße 3", "Nordhafen", "Germany"),
    ("Institut des Poudres", "12 rue de l'Étoile", "Montclair", "France"),
    ("Åsvik University", "Fjordvägen 7", "Åsvik", "Sweden"),
    ("Universidad de Altavista", "Calle del Sol 4", "Altavista", "Spain"),
    ("Politechnika Górska", "ul. Jasna 9", "Górsko", "Poland"),
    ("Demo Lab", "1 Main Street", "Lund", "Sweden"),
)
