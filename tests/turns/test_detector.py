"""The rules of turns, told what happened and when."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.packets import Played, SpeechSpan, Transcript, Word
from streamer.turns.detector import Decision, TurnDetector


class Talk:
    """Plays what is said against the rules; media time and clock time are the same."""

    def __init__(self) -> None:
        self.rules = TurnDetector()
        self.now = 0.0
        self.segment = -1
        self.made: list[tuple[float, Decision]] = []
        self.turns = -1

    def take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            self.made.append((self.now, decision))
            self.turns += decision.kind == "turn"

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (deadline := self.rules.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.take(self.rules.tick(self.now))
        self.now = until

    def begin(self) -> None:
        self.segment += 1
        self.began = self.now
        self.take(self.rules.speech(SpeechSpan("start", self.segment, self.now), self.now, 0))

    def end(self) -> None:
        """The VAD says so 0.2 s after the voice stopped."""
        span = SpeechSpan("end", self.segment, self.began, self.now, self.now - 0.2)
        self.take(self.rules.speech(span, self.now, self.now - 0.2))

    def text(self, text: str, final: bool = True, confidence: float = 0.9) -> None:
        words = tuple(Word(w, self.began, self.now, confidence) for w in text.split())
        heard = Transcript(text, self.began, self.now, self.segment, final=final, words=words)
        self.take(self.rules.transcript(heard, self.now))

    def say(self, text: str, decoding: float = 0.1) -> None:
        """One second of voice, its silence, its final."""
        self.begin()
        self.wait(1.2)
        self.end()
        span_end = self.now
        self.wait(decoding)
        heard = Transcript(text, self.began, span_end, self.segment, final=True)
        self.take(self.rules.transcript(heard, self.now))

    def play(self, state: str, text: str = "") -> None:
        self.take(self.rules.played(Played(self.turns, text, 1.0, state), self.turns, self.now))  # type: ignore[arg-type]

    def kinds(self) -> list[tuple[str, str]]:
        return [(d.kind, d.reason) for _, d in self.made]


def answered() -> Talk:
    """A question has been asked and is being answered."""
    talk = Talk()
    talk.say("What time is it?")
    talk.play("start")
    talk.play("playing", "It is half past")
    talk.made.clear()
    return talk


def test_a_complete_sentence_needs_little_silence() -> None:
    talk = Talk()
    talk.say("What time is it?", decoding=0.02)
    talk.wait(2)
    ((when, decision),) = talk.made
    assert (decision.kind, decision.reason) == ("turn", "complete sentence")
    assert decision.text == "What time is it?"
    assert when == decision.since + 0.25


def test_a_late_final_decides_at_once() -> None:
    talk = Talk()
    talk.say("What time is it?", decoding=0.5)
    ((when, decision),) = talk.made
    assert when == talk.now and decision.kind == "turn"


def test_an_unfinished_sentence_waits_and_is_joined() -> None:
    talk = Talk()
    talk.say("Turn on the")
    talk.wait(0.8)
    assert not talk.made
    talk.say("light in the kitchen.")
    talk.wait(3)
    ((_, decision),) = talk.made
    assert decision.text == "Turn on the light in the kitchen."
    assert decision.start == 0.0


def test_an_unfinished_sentence_is_a_turn_in_the_end() -> None:
    talk = Talk()
    talk.say("Turn on the")
    talk.wait(3)
    ((when, decision),) = talk.made
    assert decision.reason == "incomplete sentence"
    assert abs(when - decision.since - 1.5) < 1e-6


def test_no_turn_while_a_final_is_awaited() -> None:
    talk = Talk()
    talk.say("One two three.", decoding=0.02)
    talk.begin()
    talk.wait(0.6)
    talk.end()
    talk.wait(2.0)
    assert not talk.made
    talk.text("Four five.")
    assert [d.text for _, d in talk.made] == ["One two three. Four five."]


def test_words_pause_at_once_and_interrupt_when_heard() -> None:
    talk = answered()
    talk.begin()
    assert talk.kinds() == [("pause", "speech")]
    talk.wait(0.7)
    talk.text("No stop", final=False)
    assert talk.kinds() == [("pause", "speech")]
    talk.text("No stop that", final=False)
    assert talk.kinds()[1:] == [("interrupt", "words")]
    talk.wait(0.3)
    talk.end()
    talk.text("No, stop that.")
    talk.wait(2)
    assert talk.kinds()[2:] == [("turn", "complete sentence")]
    assert talk.made[-1][1].text == "No, stop that."


def test_words_too_fast_for_a_person_do_not_interrupt() -> None:
    talk = answered()
    talk.begin()
    talk.wait(0.5)
    talk.text("if her if her if", final=False)
    talk.end()
    talk.text("Aha!")
    assert talk.kinds() == [("pause", "speech"), ("resume", "back-channel")]


def test_a_nod_does_not_interrupt() -> None:
    talk = answered()
    talk.begin()
    talk.wait(0.4)
    talk.text("Mm-hm", final=False)
    talk.wait(0.2)
    talk.end()
    talk.text("Mm-hm.")
    talk.wait(3)
    assert talk.kinds() == [("pause", "speech"), ("resume", "back-channel")]


def test_a_nod_in_silence_is_a_turn() -> None:
    talk = answered()
    talk.play("done", "It is half past nine.")
    talk.say("Okay.")
    talk.wait(1)
    assert talk.kinds() == [("turn", "complete sentence")]


def test_the_own_echo_does_not_interrupt() -> None:
    talk = answered()
    talk.begin()
    talk.wait(0.6)
    talk.text("is half past", final=False)
    talk.end()
    talk.text("It is half past.")
    assert talk.kinds() == [("pause", "speech"), ("resume", "echo")]


def test_a_noise_lets_the_answer_go_on() -> None:
    talk = answered()
    talk.begin()
    talk.wait(0.4)
    talk.end()
    began = talk.now
    talk.wait(3)
    assert talk.kinds() == [("pause", "speech"), ("resume", "no words")]
    assert abs(talk.made[-1][0] - began - 0.6) < 1e-6
    talk.text("you", confidence=0.2)
    assert len(talk.made) == 2


def test_an_endless_noise_lets_the_answer_go_on_and_words_in_it_still_interrupt() -> None:
    talk = answered()
    talk.begin()
    talk.wait(5)
    assert talk.kinds() == [("pause", "speech"), ("resume", "no words")]
    talk.text("please stop that", final=False)
    assert talk.kinds()[-1] == ("interrupt", "words")


def test_speech_before_the_answer_has_begun_cancels_it() -> None:
    talk = Talk()
    talk.say("Turn on the light.")
    talk.wait(0.4)
    talk.say("In the kitchen.")
    talk.wait(1)
    assert [kind for kind, _ in talk.kinds()] == ["turn", "pause", "interrupt", "turn"]
    assert talk.made[-1][1].text == "In the kitchen."


def test_an_answer_that_ends_under_speech_leaves_nothing_paused() -> None:
    talk = answered()
    talk.begin()
    talk.play("done", "It is half past nine")
    talk.wait(0.5)
    talk.end()
    talk.text("And tomorrow?")
    talk.wait(1)
    assert talk.kinds() == [
        ("pause", "speech"),
        ("resume", "answer over"),
        ("turn", "complete sentence"),
    ]


def test_an_answer_that_never_begins_is_not_waited_for_for_ever() -> None:
    talk = Talk()
    talk.say("What time is it?")
    talk.wait(20)
    talk.say("Okay.")
    talk.wait(1)
    assert [kind for kind, _ in talk.kinds()] == ["turn", "turn"]


def test_the_end_of_the_stream_ends_the_turn() -> None:
    talk = Talk()
    talk.say("Turn on the")
    talk.take(talk.rules.close("end of stream", talk.now))
    assert talk.kinds() == [("turn", "end of stream")]
    assert talk.rules.close("again", talk.now) == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "end", "partial", "final", "start", "done", "wait"]),
        st.sampled_from(["One thing.", "the", "okay", "stop now", ""]),
        st.floats(0.0, 3.0),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_happens(steps: list[tuple[str, str, float]]) -> None:
    """Every final is in one turn at most; a pause always ends; nothing waits for ever."""
    talk, finals, speaking = Talk(), 0, False
    for step, text, seconds in steps:
        talk.wait(seconds)
        if step == "begin" and not speaking:
            talk.begin()
            speaking = True
        elif step == "end" and speaking:
            talk.end()
            speaking = False
        elif step in ("partial", "final") and talk.segment >= 0:
            unique = f"{text} w{finals}x."
            finals += step == "final"
            talk.text(unique, final=step == "final")
        elif step in ("start", "done"):
            talk.play(step)
    if speaking:
        talk.end()
    talk.wait(30)
    assert talk.rules.deadline is None
    said = [word for _, d in talk.made if d.kind == "turn" for word in d.text.split()]
    marks = [word for word in said if word.startswith("w")]
    assert len(marks) == len(set(marks))
    paused = False
    for _, decision in talk.made:
        if decision.kind == "pause":
            assert not paused
            paused = True
        elif decision.kind in ("resume", "interrupt"):
            paused = False
    assert not paused
