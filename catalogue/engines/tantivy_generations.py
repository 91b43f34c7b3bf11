"""The generations of an embedded index: folders beside each other, of which a pointer names the one
in use, and each of which says up to which change it is complete."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

from catalogue.engines.tantivy_files import JsonFile, write_json
from catalogue.errors import EngineDamaged
from catalogue.fingerprint import fingerprint, next_generation

POINTER = "current.json"
POSITION = "position.json"


class Generations:
    """Those of one index folder.

    Args:
        root: the index folder.
        store: identity of the record store that is indexed, when known.
    """

    def __init__(self, root: Path, store: str | None) -> None:
        self.root = root
        self._store = store
        self._pointer_file = JsonFile()
        self._position_file = JsonFile()

    def current(self) -> str | None:
        """The one in use.

        Raises:
            EngineDamaged: the pointer cannot be read.
        """
        path = self.root / POINTER
        try:
            pointer = self._pointer_file.read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EngineDamaged(f"{path} cannot be read: {error}") from error
        except ValueError as error:
            raise EngineDamaged(f"{path} is no JSON: {error}") from error
        return cast(str, pointer["generation"])

    def use(self, generation: str) -> None:
        """Make it the one in use."""
        write_json(self.root / POINTER, {"generation": generation, "fingerprint": fingerprint()})

    def next(self) -> str:
        """What one made now is to be called."""
        return next_generation(path.name for path in self._folders())

    def remove(self, generation: str) -> None:
        """Remove its files, as far as they are there."""
        shutil.rmtree(self.root / generation, ignore_errors=True)

    def remove_others(self, generation: str) -> None:
        """Remove all but this one."""
        for path in self._folders():
            if path.name != generation:
                self.remove(path.name)

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self.root.iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []

    def position(self, generation: str) -> int:
        """The change number up to which it is complete; 0 if it is of another record store."""
        written = self._written(generation)
        try:
            return 0 if self._is_another_store_s(written) else int(written["position"])
        except (ValueError, KeyError, TypeError):
            # Written by rename, so this is disk damage: begin again, which is harmless.
            return 0

    def reached(self, generation: str, position: int) -> None:
        """Note the change number up to which it is complete."""
        of = {} if self._store is None else {"store": self._store}
        write_json(self.root / generation / POSITION, {"position": position, **of})

    def is_of_another_store(self, generation: str) -> bool:
        """Whether it was made of another record store than the one that is there now."""
        return self._is_another_store_s(self._written(generation))

    def _written(self, generation: str) -> dict[str, Any]:
        try:
            read = self._position_file.read(self.root / generation / POSITION)
        except (FileNotFoundError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def _is_another_store_s(self, written: dict[str, Any]) -> bool:
        return self._store is not None and written.get("store", self._store) != self._store
