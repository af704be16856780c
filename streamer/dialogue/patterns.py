"""Sentence patterns with slots, matched on words.

    turn {state:on|off} [the] {room} (light|lamp)

``[...]`` may be missing, ``(a|b)`` is one of several, ``{name}`` takes one to four words,
``{name:a|b c}`` one of those named, ``{name:number}`` a number in words or digits. Capitals and
punctuation do not matter. A word of five letters or more may be wrong by one letter, in one place
of a sentence, since a recogniser errs; what matches without errors wins.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Match", "Pattern", "normalise"]

OPEN_SLOT = 4
"""The most words that ``{name}`` takes."""
FUZZY_FROM = 5
_TOKEN = re.compile(r"\{[^{}]*\}|[\[\]()|]|[^\s\[\](){}|]+")
_SLOT = re.compile(r"\{\s*([a-z_][a-z0-9_]*)\s*(?::([^{}]*))?\}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def normalise(text: str) -> list[str]:
    """Lower-case words without punctuation; ``7:30`` and ``3.5`` stay whole, ``don't`` too."""
    plain = unicodedata.normalize("NFKC", text).replace("’", "'").lower()
    return re.findall(r"\d+(?:[.:]\d+)+|\w+(?:'\w+)*", plain)


@dataclass(frozen=True, slots=True)
class Match:
    """``slots`` by name; ``errors`` letters forgiven; ``free`` words taken by open slots."""

    slots: Mapping[str, str]
    errors: int = 0
    free: int = 0


@dataclass(frozen=True, slots=True)
class _Word:
    text: str


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[tuple[_Node, ...], ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    options: tuple[tuple[str, ...], ...] = ()
    number: bool = False


_Node = _Word | _Choice | _Slot


@dataclass(slots=True)
class Pattern:
    """A compiled pattern. Raises ValueError that says what is wrong with ``source``."""

    source: str
    slots: frozenset[str] = frozenset()
    _nodes: tuple[_Node, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        parser = _Parser(self.source)
        self._nodes = parser.parse()
        self.slots = frozenset(parser.slots)

    def match(self, words: Sequence[str]) -> Match | None:
        """The best way in which all of ``words`` fit, or None."""
        best: Match | None = None
        for at, found in _match(self._nodes, words, 0, Match({})):
            if at == len(words) and (
                best is None or (found.errors, found.free) < (best.errors, best.free)
            ):
                best = found
        return best


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.slots: list[str] = []
        self._tokens = _TOKEN.findall(source)
        self._at = 0
        left = re.sub(r"\s", "", "".join(self._tokens)) != re.sub(r"\s", "", source)
        if left:
            raise ValueError(f"the pattern {source!r} has a brace that is not closed")

    def parse(self) -> tuple[_Node, ...]:
        options = self._options("")
        nodes = options[0] if len(options) == 1 else (_Choice(tuple(options)),)
        if not any(nodes):
            raise ValueError("a pattern needs a word")
        return nodes

    def _options(self, closing: str) -> list[tuple[_Node, ...]]:
        options: list[tuple[_Node, ...]] = []
        nodes: list[_Node] = []
        while True:
            token = self._tokens[self._at] if self._at < len(self._tokens) else ""
            self._at += 1
            if token == closing:
                return [*options, tuple(nodes)]
            if token in ("", ")", "]"):
                what = f"{closing!r} is missing" if not token else f"{token!r} was not opened"
                raise ValueError(f"in the pattern {self.source!r} {what}")
            if token == "|":
                options.append(tuple(nodes))
                nodes = []
            elif token == "(":
                nodes.append(_Choice(tuple(self._options(")"))))
            elif token == "[":
                nodes.append(_Choice((*self._options("]"), ())))
            elif token[0] == "{":
                nodes.append(self._slot(token))
            else:
                nodes += [_Word(word) for word in normalise(token)]

    def _slot(self, token: str) -> _Slot:
        found = _SLOT.fullmatch(token)
        if found is None:
            raise ValueError(
                f"{token} is no slot; write {{name}}, {{name:one|two}} or {{name:number}}"
            )
        name, kind = found[1], (found[2] or "").strip()
        if name in self.slots:
            raise ValueError(f"the slot {{{name}}} stands twice in {self.source!r}")
        self.slots.append(name)
        if kind == "number":
            return _Slot(name, number=True)
        return _Slot(name, tuple(tuple(normalise(o)) for o in kind.split("|")) if kind else ())


def _match(
    nodes: Sequence[_Node], words: Sequence[str], at: int, so_far: Match
) -> Iterator[tuple[int, Match]]:
    if not nodes:
        yield at, so_far
        return
    node, rest = nodes[0], nodes[1:]
    if isinstance(node, _Word):
        errors = _distance(node.text, words[at]) if at < len(words) else 2
        if so_far.errors + errors <= 1:
            found = Match(so_far.slots, so_far.errors + errors, so_far.free)
            yield from _match(rest, words, at + 1, found)
    elif isinstance(node, _Choice):
        for option in node.options:
            yield from _match((*option, *rest), words, at, so_far)
    else:
        for length, value, free in _fillings(node, words[at:]):
            slots = {**so_far.slots, node.name: value}
            found = Match(slots, so_far.errors, so_far.free + free)
            yield from _match(rest, words, at + length, found)


def _fillings(slot: _Slot, words: Sequence[str]) -> Iterator[tuple[int, str, int]]:
    """How many words the slot may take, its value, and whether they were free to choose."""
    if slot.number:
        for length in range(1, min(len(words), 2 * OPEN_SLOT) + 1):
            number = _number(words[:length])
            if number is not None:
                yield length, number, 0
    elif slot.options:
        for option in slot.options:
            if tuple(words[: len(option)]) == option:
                yield len(option), " ".join(option), 0
    else:
        for length in range(1, min(len(words), OPEN_SLOT) + 1):
            yield length, " ".join(words[:length]), length


def _number(words: Sequence[str]) -> str | None:
    """``("twenty", "one")`` is ``"21"``."""
    text = " ".join(words)
    if _NUMBER.fullmatch(text):
        return text
    from text_to_num import text2num

    try:
        return str(text2num(text, "en"))
    except ValueError:
        return None


def _distance(a: str, b: str) -> int:
    """0: the same; 1: one letter added, left out or changed in a long word; 2: another word."""
    if a == b:
        return 0
    if len(a) < FUZZY_FROM or abs(len(a) - len(b)) > 1:
        return 2
    short, long = sorted((a, b), key=len)
    i = 0
    while i < len(short) and short[i] == long[i]:
        i += 1
    same = short[i + 1 :] == long[i + 1 :] if len(a) == len(b) else short[i:] == long[i + 1 :]
    return 1 if same else 2
