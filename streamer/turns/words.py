"""What the words of a turn tell: is the sentence complete, is it only a nod, is it an echo."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

__all__ = ["Completeness", "completeness", "is_backchannel", "is_echo", "words_of"]

Completeness = Literal["complete", "open", "incomplete"]

_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")

_NEVER_LAST = frozenset(
    "a an the my your our their its his this these and or but nor because if unless although "
    "though while whereas than very um uh er erm hmm would should could will "
    "i'd we'd i'll we'll i'm we're let's every another".split()
)
"""A sentence does not end with these, whatever the punctuation says."""

_LAST_OF_QUESTIONS = frozenset("to of from with for about like as at into onto".split())
"""These end a question ("Where are you from?") and hardly a statement."""

_PARTICLES = frozenset("on in off up out down by over under is are was were do does be".split())
"""These end a sentence only if the recogniser has heard an end ("Turn it on.")."""

_NODS = frozenset(
    "mm mhm mmhm mm-hm mm-hmm mmm hm hmm uh-huh uhuh huh ah oh aha eh yeah yep yes yup ok okay "
    "right sure good great nice cool fine wow really alright i see got it exactly absolutely "
    "uh um er".split()
)
_NODDING_PHRASES = frozenset({"i see", "got it", "all right", "of course", "go on", "that's right"})
_NOT_ALONE = frozenset("i it see got".split())
"""Words that nod only as part of a phrase."""

_ORDERS = frozenset(
    "stop wait no nope quiet silence enough cancel pause hey hello help what why who where when "
    "how again repeat next back louder quieter don't never sorry excuse".split()
)
"""Single words that are meant, however short they are spoken."""

_NOD_LENGTH = 3
_SHORT = 0.5
"""Seconds of voice in which hardly more than a nod is said."""
_ECHO_TAIL = 12
"""Words before the newest played one that an echo may consist of."""
_ECHO_LIKENESS = 0.75


def words_of(text: str) -> list[str]:
    """The words in lower case, without punctuation."""
    return [word.replace("’", "'").lower() for word in _WORD.findall(text)]


def completeness(text: str) -> Completeness:
    """Whether a person who pauses after ``text`` has probably finished.

    ``complete``: it ends like a sentence. ``incomplete``: more must follow ("turn on the").
    ``open``: neither can be told.
    """
    words, mark = words_of(text), text.rstrip()[-1:]
    if not words or words[-1] in _NEVER_LAST or text.rstrip().endswith(("...", "…", "-", ":")):
        return "incomplete"
    if words[-1] in _LAST_OF_QUESTIONS:
        return "complete" if mark == "?" else "incomplete"
    if words[-1] in _PARTICLES and mark not in ".!?":
        return "incomplete"
    return "complete" if mark and mark in ".!?" else "open"


def is_backchannel(text: str, voice: float | None = None) -> bool:
    """Whether ``text`` only says "I am listening": up to three words such as "mm-hm", "okay".

    ``voice`` seconds of speech since it was noticed, where known: a single word
    shorter than half a second that is no order such as "stop" counts too, for recognisers write
    all kinds of words for "mm-hm".
    """
    words = words_of(text)
    if not words or len(words) > _NOD_LENGTH:
        return False
    if len(words) == 1 and voice is not None and voice < _SHORT and words[0] not in _ORDERS:
        return True
    if " ".join(words) in _NODDING_PHRASES:
        return True
    return all(word in _NODS and word not in _NOT_ALONE for word in words)


def is_echo(heard: str, played: str) -> bool:
    """Whether ``heard`` are the assistant's own newest words, ``played`` up to now.

    One word is never taken for an echo: "stop" must work while "stop" is being said.
    """
    words, tail = words_of(heard), words_of(played)
    tail = tail[-max(_ECHO_TAIL, 2 * len(words)) :]
    if len(words) < 2 or not tail:
        return False
    matched = sum(block.size for block in SequenceMatcher(None, words, tail, False)
                  .get_matching_blocks())  # fmt: skip
    return matched >= _ECHO_LIKENESS * len(words)
