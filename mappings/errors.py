"""What can go wrong while mapping.

MappingsError
├── MappingError      one record cannot be mapped (goes to quarantine, the run goes on)
├── UnknownFormat     nobody maps this format (a configuration mistake)
├── UnknownTechnique    an id that PaNET does not have
└── UnreadableOntology  a file that is no PaNET
"""

from __future__ import annotations


class MappingsError(Exception):
    """Base of everything that ``mappings`` raises on purpose."""


class MappingError(MappingsError):
    """A raw record cannot become entities.

    Args:
        path: where in the payload, e.g. ``resource/identifier`` or ``$.title``.
        value: what was found there, shortened for display; ``None`` when it is missing.
        expected: what would have been right, in words.
    """

    def __init__(self, path: str, value: object, expected: str) -> None:
        self.path = path
        self.value = None if value is None else str(value)[:200]
        self.expected = expected
        found = "nothing" if self.value is None else repr(self.value)
        super().__init__(f"{path}: found {found}, expected {expected}")

    def __reduce__(self) -> tuple[type[MappingError], tuple[str, str | None, str]]:
        """Travels between processes: crosswalks may run in one of their own."""
        return type(self), (self.path, self.value, self.expected)


class UnknownFormat(MappingsError):
    """No crosswalk has this name."""


class UnknownTechnique(MappingsError):
    """PaNET has no term with this id."""


class UnreadableOntology(MappingsError):
    """A file given as PaNET cannot be read as one: not OWL, or not an acyclic graph of terms."""
