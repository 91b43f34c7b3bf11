"""What lists share, things that look like techniques, general terms, other languages (§4.3)."""

from __future__ import annotations

import pytest

from mappings.linking import link, recognise


def ids(text: str) -> list[str]:
    return [one.id for one in link(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-ray absorption and emission spectroscopy", ["PaNET01196", "PaNET01200"]),
        ("wide-angle and small-angle X-ray scattering", ["PaNET01191", "PaNET01188"]),
        ("photoelectron and Auger electron spectroscopy", ["PaNET01202", "PaNET01201"]),
        ("in-situ and operando powder diffraction", ["PaNET01030"]),
        ("temperature and neutron diffraction", ["PaNET01217"]),
    ],
)
def test_what_stands_before_a_joint_may_share_the_end(text: str, expected: list[str]) -> None:
    assert ids(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-ray tomography and phase contrast imaging", ["PaNET01207", "PaNET01334"]),
        ("X-ray diffraction, powder diffraction", ["PaNET01216", "PaNET01030"]),
        ("Neutron imaging (radiography and tomography)", ["PaNET01248", "PaNET01129"]),
        ("ultrafast diffraction and tomography", ["PaNET01022", "PaNET01153"]),
        ("infrared microscopy and imaging", ["PaNET01178", "PaNET01106"]),
    ],
)
def test_the_beginning_is_shared_where_panet_has_the_two_together(
    text: str, expected: list[str]
) -> None:
    assert ids(text) == expected


def test_a_heading_counts_where_nothing_below_it_is_more_exact() -> None:
    assert ids("Nuclear resonance: NFS, NIS") == ["PaNET01270"]
    assert ids("Diffraction: XRR") == ["PaNET01022", "PaNET01149"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Small molecule single crystal diffraction", ["PaNET01171"]),
        ("long-wavelength macromolecular crystallography", ["PaNET01305"]),
        ("soft matter small angle X-ray scattering", ["PaNET01188"]),
        ("spin-echo wide-angle neutron scattering", ["PaNET01119"]),
        ("incoherent neutron scattering", ["PaNET01242"]),
        ("Fourier transform infrared absorption spectroscopy", ["PaNET01320"]),
        ("HERFD-XANES", ["PaNET01199"]),
    ],
)
def test_names_that_stand_inside_each_other_are_the_most_exact_one(
    text: str, expected: list[str]
) -> None:
    assert ids(text) == expected


@pytest.mark.parametrize(
    "text",
    ["SAXS detector", "TEM grid", "neutron scattering length", "X-ray absorption edge",
     "small angle X-ray scattering detector", "Raman effect", "EM field", "PES polymer",
     "Raman, C. V.", "C. V. Raman", "Rudolf Mössbauer", "Raman laser", "surface topography",
     "homography", "gas adsorption", "microscopic model"],
)  # fmt: skip
def test_a_thing_a_quantity_and_a_person_are_no_technique(text: str) -> None:
    assert ids(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FTIR microscopy of cells", ["PaNET01110"]),
        ("stroboscopic neutron imaging of fuel cells", ["PaNET01106"]),
        ("PES spectra", ["PaNET01202"]),
        ("SEM/EDX", ["PaNET01145", "PaNET01193"]),
        ("SEM-EDX", ["PaNET01145", "PaNET01193"]),
        ("S.A.X.S.", ["PaNET01188"]),
        ("molecular spectroscopy with neutrons", ["PaNET01245"]),
        ("SXAS", ["PaNET01196"]),
        ("Fe Mössbauer", ["PaNET01270"]),
        ("Tip-Enhanced Raman", ["PaNET01195"]),
        ("SINS", ["PaNET01175"]),
    ],
)
def test_what_only_looks_like_a_thing_is_a_technique(text: str, expected: list[str]) -> None:
    assert ids(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Röntgenphotoelektronenspektroskopie", "PaNET01204"),
        ("inelastische Neutronenstreuung", "PaNET01245"),
        ("Röntgenpulverbeugung", "PaNET01101"),
        ("dichroïsme circulaire magnétique", "PaNET01141"),
        ("imagerie par rayons X", "PaNET01285"),
        ("difracción de rayos X de polvo", "PaNET01101"),
        ("diffrazione di neutroni", "PaNET01217"),
    ],
)
def test_german_french_spanish_and_italian_names_are_read(text: str, expected: str) -> None:
    assert ids(text) == [expected]


@pytest.mark.parametrize(
    ("sentence", "taken", "expected"),
    [
        ("X-ray PEEM on cobalt", "X-ray PEEM", "PaNET01294"),
        ("photoemision spectroscopy of gold", "photoemision spectroscopy", "PaNET01093"),
    ],
)
def test_a_sentence_is_read_with_its_probes_and_typing_errors(
    sentence: str, taken: str, expected: str
) -> None:
    (found,) = recognise(sentence)
    assert found.text == taken
    assert [one.id for one in found.links] == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maskless lithography", "PaNET01223"),
        ("photolithography", "PaNET01223"),
        ("radioluminescence", "PaNET01111"),
        ("tissue imaging", "PaNET01106"),
        ("momentum microscopy", "PaNET01069"),
    ],
)
def test_a_general_term_stands_for_what_panet_has_no_closer_one_for(
    text: str, expected: str
) -> None:
    """§4.3, as PaNET's curators map the terms of glossaries; with little confidence."""
    (found,) = link(text)
    assert found.id == expected
    assert (found.rule, found.confidence) == ("a kind of", 0.7)
    assert ids(f"no {text}") == []


@pytest.mark.parametrize(
    "text",
    ["ultrasound imaging", "NMR spectroscopy", "impedance spectroscopy", "thermal imaging",
     "optical coherence tomography", "introduction to spectroscopy", "Journal of Microscopy",
     "laser diffraction", "reaction microscope", "atom probe tomography", "luminescent paint"],
)  # fmt: skip
def test_what_has_another_probe_or_is_no_name_is_no_kind_of_technique(text: str) -> None:
    assert ids(text) == []


def test_a_kind_is_too_uncertain_to_stand_against_an_id() -> None:
    (found,) = link("PaNET01188 tissue imaging")
    assert found.id == "PaNET01188"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Imaging/X-ray tomography", ["PaNET01207"]),
        ("Emission or Reflection/Micro XRF", ["PaNET01113"]),
        ("Absorption/THz spectroscopy", ["PaNET01006"]),
        ("Diffraction/Crystallography (biological macromolecules)", ["PaNET01164"]),
        ("Photoelectron emission/Angular Resolved PES", ["PaNET01089"]),
        ("Diffraction > Laue", ["PaNET01029"]),
        ("neutron > diffraction > powder", ["PaNET01100"]),
        ("Diffraction/Imaging", ["PaNET01022", "PaNET01106"]),
        ("SAXS/WAXS", ["PaNET01188", "PaNET01191"]),
    ],
)
def test_what_stands_below_a_portals_heading_is_meant(text: str, expected: list[str]) -> None:
    assert ids(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nd", []),
        ("ND", ["PaNET01217"]),
        ("Nd:YAG laser", []),
        ("SAXS-USAXS", ["PaNET01188", "PaNET01241"]),
        ("crystallographic information file", []),
        ("X-ray holographic nano-tomography", ["PaNET01154"]),
        ("diffraction angle", []),
    ],
)
def test_symbols_adjectives_and_angles_are_told_apart(text: str, expected: list[str]) -> None:
    assert ids(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("time_resolved_xrd", ["PaNET01216"]),
        ("in_situ_tem", []),
        ("EnvironmentalScanningElectronMicroscopy", ["PaNET01145"]),
        ("ScatteringAndDiffraction", ["PaNET00200", "PaNET01022"]),
        ("SwissFEL", []),
        ("SRXRF", ["PaNET01177"]),
        ("HRXPS", ["PaNET01297"]),
        ("GIANT", []),
    ],
)
def test_names_as_programs_write_them_are_read(text: str, expected: list[str]) -> None:
    assert ids(text) == expected


def test_a_confidence_has_two_digits() -> None:
    (found,) = link("in-situ XRD at high pressure")
    assert str(found.confidence) == "0.91"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CI/CD", []),
        ("HTML, PDF, DOCX", []),
        ("report.pdf", []),
        ("PDF, glass", ["PaNET01181"]),
        ("SAD/MAD", ["PaNET01170", "PaNET01165"]),
        ("CD, SAXS", ["PaNET01192", "PaNET01188"]),
        ("emission", []),
        ("missions", []),
    ],
)
def test_an_acronym_of_other_things_needs_a_technique_beside_it_in_a_list(
    text: str, expected: list[str]
) -> None:
    assert ids(text) == expected


def test_a_sentence_of_another_science_has_no_technique() -> None:
    assert recognise("the time-dependent hydromagnetic free convection equations") == ()
