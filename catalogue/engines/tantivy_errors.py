"""What the library raises, as errors of ours: it may be that there is no room, that the index is
damaged, or neither. Seen with tantivy 0.27: a query that it cannot do may panic, and
``PanicException`` is no ``Exception``; ``guarded`` catches it.
"""

from __future__ import annotations

import re
from types import TracebackType

from catalogue.errors import EngineDamaged, EngineError


class guarded:  # noqa: N801 (read as a word behind "with")
    """Translate whatever Tantivy raises, panics included: ``with guarded("searching"):``.

    Raises:
        EngineDamaged: files are missing, cut short or not what they should be.
        EngineError: anything else that the library could not do.
    """

    __slots__ = ("doing",)

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # PanicException derives from BaseException and belongs to no importable module.
        panicked = kind is not None and kind.__name__ == "PanicException"
        if error is None or not (panicked or isinstance(error, ValueError | OSError)):
            return
        text = str(error)
        if not _has_no_room(text) and (panicked or _looks_damaged(text)):
            raise EngineDamaged(
                f"The search index cannot be read while {self.doing}: {text}"
            ) from error
        raise EngineError(f"The search index failed while {self.doing}: {text}") from error


def _has_no_room(text: str) -> bool:
    """Full, read-only or forbidden: nothing is wrong with the index (fault H09)."""
    return bool(_NO_ROOM.search(text))


_NO_ROOM = re.compile(r"\(os error (?:13|27|28|30|122)\)|No space left|Read-only file system")


def _looks_damaged(text: str) -> bool:
    signs = (
        "orrupt", "does not exist", "DoesNotExist", "Failed to open", "meta", "crc", "footer",
        "InvalidData", "UnexpectedEof", "truncated", "IncompatibleIndex",
    )  # fmt: skip
    return any(sign in text for sign in signs)
