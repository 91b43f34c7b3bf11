"""What documents show in a terminal: their fenced blocks, as the words of each command."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PAIR = re.compile(r'"(\w+)": ("[^"]*"|\d+)')
PLACEHOLDERS = {"RUN": "12", "FILE": "README.md", "NAME": "datacite", "SOURCE": "xfel-oai"}
"""What stands for the reader's own, and something that may stand there."""


@dataclass(frozen=True, slots=True)
class Written:
    """One command of a document; ``answer`` is what is shown below it, spaces as one."""

    words: tuple[str, ...]
    answer: str = ""


def commands_in(document: Path) -> list[Written]:
    """The commands of all blocks that hold any, in their order; what they are piped into is left
    out, and so are comments."""
    found: list[Written] = []
    for block in _BLOCK.findall(document.read_text(encoding="utf-8")):
        lines = block.replace("\\\n", " ").splitlines()
        if lines[0].startswith("$ "):
            found.append(Written(_words(lines[0][2:]), " ".join(" ".join(lines[1:]).split())))
        elif _words(lines[0])[:1] in (("make",), ("export",), ("pan-commons",), ("curl",)):
            found += [Written(words) for line in lines if (words := _words(line))]
    return found


def inline_commands(document: Path) -> list[tuple[str, ...]]:
    """Commands of ours that are named within a sentence, placeholders filled in."""
    text = document.read_text(encoding="utf-8")
    spans = re.findall(r"`pan-commons ([^`]+)`", text)
    return [tuple(PLACEHOLDERS.get(word, word) for word in shlex.split(span)) for span in spans]


def _words(line: str) -> tuple[str, ...]:
    words = shlex.split(line, comments=True)
    return tuple(words[: words.index("|")] if "|" in words else words)


def pairs_told(answer: str) -> set[tuple[str, str]]:
    """The names with texts or numbers in an answer that a document shows in part."""
    return {(name, value.strip('"')) for name, value in _PAIR.findall(answer)}


def pairs_in(value: Any) -> set[tuple[str, str]]:
    """All of them in a whole answer."""
    if isinstance(value, dict):
        own = {(str(k), " ".join(str(v).split())) for k, v in value.items()}
        return own.union(*map(pairs_in, value.values()))
    return set().union(*map(pairs_in, value)) if isinstance(value, list) else set()
