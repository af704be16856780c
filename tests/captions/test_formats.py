"""Whatever is transcribed, the files parse and hold every word once."""

from __future__ import annotations

import json
from pathlib import Path

import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from streamer.captions.cues import LINE, LONGEST, CueMaker
from streamer.captions.formats import Format, JsonLines, PlainText, Srt, WebVtt
from streamer.packets import Transcript, Word

words = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="\ufeff"),
    min_size=1,
    max_size=60,
)
texts = st.lists(words, max_size=40)
times = st.floats(-5, 4000, allow_nan=False)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    parts = draw(texts)
    start, end = draw(times), draw(times)
    timed: tuple[Word, ...] = ()
    if draw(st.booleans()):
        timed = tuple(Word(part, draw(times), draw(times)) for part in parts)
    return Transcript(" ".join(parts), start, end, final=True, words=timed)


def write(form: Format, finals: list[Transcript]) -> str:
    return form.header + "".join(form.record(final, 0.1) for final in finals)


@given(st.lists(transcripts(), max_size=5))
def test_webvtt_parses_and_holds_every_word_in_order(finals: list[Transcript]) -> None:
    content = write(WebVtt(), finals)
    captions = webvtt.from_string(content).captions
    said = [word for final in finals for word in final.text.split()]
    shown = " ".join(c.raw_text for c in captions).split()
    unescaped = [w.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for w in shown]
    assert unescaped == said
    ends = 0.0
    for caption in captions:
        assert ends <= caption.start_in_seconds + 1 and caption.start < caption.end
        ends = caption.end_in_seconds


@given(st.lists(transcripts(), max_size=5))
def test_srt_parses_and_holds_every_word_in_order(finals: list[Transcript]) -> None:
    subtitles = list(srt.parse(write(Srt(), finals)))
    said = [word.replace("-->", "->") for final in finals for word in final.text.split()]
    assert " ".join(s.content for s in subtitles).split() == said
    assert [s.index for s in subtitles] == list(range(1, len(subtitles) + 1))
    assert all(s.start < s.end for s in subtitles)
    assert all(a.end <= b.start for a, b in zip(subtitles, subtitles[1:], strict=False))


@given(st.lists(transcripts(), max_size=3))
def test_every_prefix_of_the_records_is_a_valid_file(finals: list[Transcript]) -> None:
    for count in range(len(finals) + 1):
        webvtt.from_string(write(WebVtt(), finals[:count]))
        list(srt.parse(write(Srt(), finals[:count])))


@given(transcripts())
def test_text_and_json_are_a_line_each(final: Transcript) -> None:
    line = JsonLines().record(final, 0.25)
    assert line.count("\n") == 1
    record = json.loads(line)
    assert record["type"] == "final" and record["text"] == final.text
    assert record["age_ms"] == 250 and len(record["words"]) == len(final.words)
    text = PlainText().record(final, 0)
    assert text.count("\n") == (1 if final.text.split() else 0)


@given(st.lists(transcripts(), max_size=4))
def test_cues_are_readable(finals: list[Transcript]) -> None:
    maker = CueMaker()
    for final in finals:
        for cue in maker.cues(final):
            assert 1 <= len(cue.lines) <= 2 or any(len(line) > LINE for line in cue.lines)
            assert all(len(line) <= LINE or " " not in line for line in cue.lines)


def test_a_long_sentence_becomes_cues_of_two_lines_at_its_word_times() -> None:
    spoken = tuple(Word(f"word{n}", n * 0.5, n * 0.5 + 0.4) for n in range(30))
    text = " ".join(word.text for word in spoken)
    cues = CueMaker().cues(Transcript(text, 0, 15, final=True, words=spoken))
    assert len(cues) > 2
    assert all(cue.end - cue.start <= LONGEST + 0.01 for cue in cues)
    starts = {word.start for word in spoken}
    assert all(cue.start in starts for cue in cues)


def test_golden_webvtt(tmp_path: Path) -> None:
    final = Transcript("Fish & chips -> good", 61.5, 63.25, final=True)
    assert write(WebVtt(), [final]) == (
        "WEBVTT\n\n00:01:01.500 --> 00:01:03.250\nFish &amp; chips -&gt; good\n\n"
    )
