from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.tts.plain import PlainText


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("This is **very** `good`.", "This is very good."),
        ("# Heading", "Heading"),
        ("- one", "one"),
        ("Read [the page](https://example.org/x) now.", "Read the page now."),
        ("See https://www.example.org/a/b?c=d.", "See example dot org."),
        ("Write to a.b@example.org!", "Write to a dot b at example dot org!"),
        ("Fine 👍🏽 then", "Fine then"),
        ("<b>Bold</b> move", "Bold move"),
        ("Café für 5 €", "Café für €5"),
        ("€5 £3, 1,250.50€ (3 £).", "€5 £3, €1,250.50 (£3)."),
        ("-3.2 or −5, not 10-20 or a-1", "minus 3.2 or minus 5, not 10-20 or a-1"),
        ("a@" * 40, "a@" * 20 + " " + "a@" * 20),
        ("No. " + "12" * 10, "No. " + "1 2 " * 9 + "1 2"),
        ("We are #1 in C#.", "We are number 1 in C#."),
        ("Call _my_ snake_case #tag", "Call my snake case tag"),
        ("你好", ""),
        ("👍", ""),
        ("...", ""),
        ("2 * 3 is 6", "2 * 3 is 6"),
    ],
)
def test_what_is_read(written: str, read: str) -> None:
    assert PlainText()(written) == read


def test_code_blocks_are_left_out_across_clauses() -> None:
    plain = PlainText()
    assert plain("Do this:\n```python\n") == "Do this:"
    assert plain("print(1)\n") == ""
    assert plain("```\nThen rest.") == "Then rest."


@given(st.text(max_size=300))
def test_any_text_gives_printable_latin(text: str) -> None:
    read = PlainText()(text)
    assert "\n" not in read and read == read.strip()
    assert all(c.isprintable() for c in read)
