"""What kind of thing a record is, how far its data are processed, and in what format they are.

Kinds are kept apart (semantics 1.7): publications, posters and software are not data.
"""

from __future__ import annotations

import re
from functools import lru_cache

# DataCite resourceTypeGeneral 4.6, DCMI types and PaNOSC types, lower case, without blanks.
_KINDS = {
    "dataset": "data", "datasets": "data", "data": "data", "investigation": "data",
    "experimentsession": "data", "experiment": "data", "datacollection": "data",
    "proposal": "data", "image": "data", "stillimage": "data", "movingimage": "data",
    "raw": "data", "reduced": "data", "processed": "data", "derived": "data",
    "collection": "collection", "project": "collection", "award": "other",
    "journalarticle": "publication", "text": "publication", "article": "publication",
    "conferencepaper": "publication", "conferenceproceeding": "publication", "book": "publication",
    "bookchapter": "publication", "dissertation": "publication", "thesis": "publication",
    "report": "publication", "preprint": "publication", "datapaper": "publication",
    "journal": "publication", "peerreview": "publication", "publication": "publication",
    "presentation": "poster", "poster": "poster", "conferenceposter": "poster",
    "software": "software", "computationalnotebook": "software", "workflow": "software",
    "model": "other", "audiovisual": "other", "event": "other", "instrument": "other",
    "interactiveresource": "other", "outputmanagementplan": "other", "physicalobject": "other",
    "service": "other", "sound": "other", "standard": "other", "studyregistration": "other",
}  # fmt: skip
_PROPOSALS = {"experimentsession", "investigation", "experiment", "proposal"}
_PUBLICATIONS = {"datacollection", "dataset"}


@lru_cache(maxsize=1024)
def _squeezed(text: str) -> str:
    word = text.strip().lower().rsplit("/", 1)[-1]
    return re.sub(r"[\s_-]+", "", word)


@lru_cache(maxsize=1024)
def kind_of(general: str | None, specific: str | None = None) -> str:
    """The kind of a record from its general type (DataCite, DCMI) and its free type.

    ``Other`` and a missing type are decided by the free type (HZB: ``Other`` + Investigation).
    A poster may be ``Text`` with "Poster" as its free type.
    """
    free = _KINDS.get(_squeezed(specific)) if specific else None
    if general:
        found = _KINDS.get(_squeezed(general))
        if found == "publication" and free == "poster":
            return "poster"
        if found is not None:
            return found
    if free is not None:
        return free
    return "other" if general or specific else "data"


@lru_cache(maxsize=1024)
def document_type(specific: str | None) -> str | None:
    """``proposal`` or ``publication`` from the free resource type of DataCite, if it tells."""
    if not specific:
        return None
    word = _squeezed(specific)
    if word in _PROPOSALS:
        return "proposal"
    return "publication" if word in _PUBLICATIONS else None


_LEVELS = {
    "raw": "raw", "raw data": "raw", "rawdata": "raw", "acquisition": "raw",
    "reduced": "reduced", "reduced data": "reduced", "calibrated": "reduced",
    "processed": "processed", "processed data": "processed", "derived": "processed",
    "derived data": "processed", "analysed": "processed", "analyzed": "processed",
}  # fmt: skip


@lru_cache(maxsize=1024)
def data_level(text: str) -> str | None:
    """``raw``, ``reduced`` or ``processed`` where a type says so, else ``None``."""
    return _LEVELS.get(text.strip().lower())


_ENDINGS = {
    "h5": "HDF5", "hdf5": "HDF5", "hdf": "HDF5", "he5": "HDF5", "nxs": "NeXus", "nx5": "NeXus",
    "nexus": "NeXus", "cbf": "CBF", "cif": "CIF", "tif": "TIFF", "tiff": "TIFF", "edf": "EDF",
    "csv": "CSV", "txt": "text", "dat": "text", "json": "JSON", "spec": "SPEC", "fio": "FIO",
    "mrc": "MRC", "mtz": "MTZ", "pdb": "PDB", "zip": "ZIP", "xml": "XML", "ccp4": "CCP4",
    "raw": "raw binary", "img": "raw binary",
}  # fmt: skip
_WORDS = {
    "hdf5": "HDF5", "hdf": "HDF5", "h5": "HDF5", "x-hdf5": "HDF5", "x-hdf": "HDF5",
    "vnd.hdf5": "HDF5", "nexus": "NeXus", "x-nexus": "NeXus", "nxs": "NeXus", "cbf": "CBF",
    "x-cbf": "CBF", "cif": "CIF", "tiff": "TIFF", "tif": "TIFF", "edf": "EDF", "csv": "CSV",
    "json": "JSON", "zip": "ZIP", "xml": "XML", "plain": "text",
}  # fmt: skip


def format_named(text: str) -> str:
    """The format that somebody asks for, as it is kept: "nexus" and ".nxs" are "NeXus"."""
    word = text.strip().lstrip(".*").lower()
    return _WORDS.get(word) or _ENDINGS.get(word) or text


@lru_cache(maxsize=4096)
def file_formats(text: str) -> tuple[str, ...]:
    """Formats that a format statement names: ``application/x-hdf5``, ``NeXus/HDF5``, ``.h5``."""
    if len(text) > 200:
        return ()
    found = []
    for word in re.split(r"[\s,;/()]+", text.lower()):
        name = _WORDS.get(word.lstrip(".*"))
        if name is not None and name not in found:
            found.append(name)
    if "NeXus" in found and "HDF5" not in found:
        found.insert(0, "HDF5")
    return tuple(found)


def format_of_name(name: str) -> tuple[str, ...]:
    """Formats that a file name's ending tells; a NeXus file is HDF5 as well."""
    stem, dot, ending = name.rpartition(".")
    found = _ENDINGS.get(ending.lower()) if dot and stem else None
    if found == "NeXus":
        return ("HDF5", "NeXus")
    return (found,) if found else ()
