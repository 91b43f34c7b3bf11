"""Kinds, data levels, file formats."""

from __future__ import annotations

import pytest

from mappings.kinds import (
    data_level,
    document_type,
    file_formats,
    format_named,
    format_of_name,
    kind_of,
)


@pytest.mark.parametrize(
    ("general", "specific", "kind"),
    [
        ("Dataset", "Experiment Session", "data"),
        ("Other", "Investigation", "data"),
        ("Other", None, "other"),
        ("Text", "Poster", "poster"),
        ("JournalArticle", None, "publication"),
        ("Software", "Dataset", "software"),
        ("Collection", None, "collection"),
        (None, "Proposal", "data"),
        (None, None, "data"),
        (None, "odd", "other"),
        ("http://purl.org/dc/dcmitype/Dataset", None, "data"),
    ],
)
def test_kinds(general: str | None, specific: str | None, kind: str) -> None:
    """§1.7."""
    assert kind_of(general, specific) == kind


def test_what_datacite_calls_a_session_is_a_proposal() -> None:
    assert document_type("Experiment Session") == "proposal"
    assert document_type("Datacollection") == "publication"
    assert document_type("Poster") is None
    assert document_type(None) is None


def test_data_levels() -> None:
    assert data_level("Raw") == "raw"
    assert data_level("derived") == "processed"
    assert data_level("reduced data") == "reduced"
    assert data_level("Dataset") is None


def test_formats_from_statements_and_names() -> None:
    assert file_formats("application/x-hdf5") == ("HDF5",)
    assert file_formats("NeXus (nxs), text/plain") == ("HDF5", "NeXus", "text")
    assert file_formats("h5, HDF5") == ("HDF5",)
    assert file_formats("x" * 300) == ()
    assert format_of_name("scan_1.nxs") == ("HDF5", "NeXus")
    assert format_of_name("scan_1.H5") == ("HDF5",)
    assert format_of_name(".h5") == format_of_name("README") == format_of_name("a.odd") == ()


def test_a_format_that_is_asked_for_is_the_one_that_is_kept() -> None:
    asked = ["nexus", ".NXS", "NeXus", "hdf5", "h5", "tif", "unheard of"]
    kept = ["NeXus", "NeXus", "NeXus", "HDF5", "HDF5", "TIFF", "unheard of"]
    assert [format_named(text) for text in asked] == kept
