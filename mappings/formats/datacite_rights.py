"""What ``rights`` elements of DataCite say of access and licence (semantics 2).

Used by the readers of DataCite and of OpenAIRE, which is derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mappings.drafts import Draft
from mappings.formats.xml import Element, attribute, text_of
from mappings.rights import access_statement, evidence, is_licence_like, licence


def read_right(element: Element, draft: Draft) -> None:
    """One ``rights`` element: statements of access, else a licence, else unused."""
    words = (
        text_of(element),
        attribute(element, "rightsIdentifier"),
        attribute(element, "rightsURI"),
    )
    read = _rights_of(words, draft.context.is_public_is_constant)
    draft.evidence += read.evidence
    if read.licence is not None and draft.license is None:
        draft.license = read.licence
    if read.unused is not None:
        draft.notes.unused("resource/rightsList/rights", read.unused)


@dataclass(frozen=True, slots=True)
class _Rights:
    evidence: tuple[dict[str, str], ...] = ()
    licence: str | None = None
    unused: str | None = None


@lru_cache(maxsize=4096)
def _rights_of(words: tuple[str | None, ...], constant: bool) -> _Rights:
    """What the text, identifier and URI of a ``rights`` element say; few kinds in a harvest."""
    path = "resource/rightsList/rights"
    said = [word for word in words if word is not None]
    pieces = []
    for word in said:
        statement = access_statement(word)
        if statement is not None:
            says = "constant" if statement == "open" and constant else statement
            pieces.append(evidence(says, path, word))
    if pieces or not said:
        return _Rights(tuple(pieces))
    spdx = next((found for word in reversed(said) if (found := licence(word))), None)
    if spdx is not None or any(map(is_licence_like, said)):
        return _Rights((evidence("licence", path, said[0]),), spdx)
    return _Rights(unused=" ".join(said))
