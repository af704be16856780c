"""What a language model is told of the dialogue."""

from __future__ import annotations

from typing import Any

from streamer.dialogue.memory import Memory, tokens_of


def said(memory: Memory) -> list[tuple[str, Any]]:
    return [(m["role"], m["content"]) for m in memory.messages]


def test_the_oldest_turns_go_first_and_the_system_prompt_stays() -> None:
    memory = Memory("Be brief.", budget=60)
    for turn in range(10):
        memory.ask(turn, f"question {turn} " + "x" * 30)
        memory.add(turn, {"role": "assistant", "content": f"answer {turn}"})
    messages = memory.messages
    assert messages[0] == {"role": "system", "content": "Be brief."}
    assert messages[-1]["content"] == "answer 9" and messages[1]["role"] == "user"
    assert sum(map(tokens_of, messages)) <= 60 and len(messages) == 5


def test_the_newest_turn_stays_however_long_it_is() -> None:
    memory = Memory("", budget=10)
    memory.ask(0, "short")
    memory.ask(1, "x" * 1000)
    assert said(memory) == [("user", "x" * 1000)]


def test_a_call_and_its_result_go_together() -> None:
    memory = Memory("", budget=40)
    memory.ask(0, "weather?")
    call = {"id": "a", "type": "function", "function": {"name": "w", "arguments": "{}"}}
    memory.add(0, {"role": "assistant", "content": None, "tool_calls": [call]})
    memory.add(0, {"role": "tool", "tool_call_id": "a", "content": "sunny " * 10})
    memory.ask(1, "x" * 60)
    assert [m["role"] for m in memory.messages] == ["user"]


def test_of_an_interrupted_answer_only_the_heard_words_stay() -> None:
    memory = Memory("", budget=1000)
    memory.ask(3, "Tell me all.")
    memory.add(3, {"role": "assistant", "content": "Once upon a time there was a king."})
    memory.heard(3, "Once upon a")
    assert said(memory) == [("user", "Tell me all."), ("assistant", "Once upon a")]
    memory.ask(4, "And?")
    memory.add(4, {"role": "assistant", "content": "He died."})
    memory.heard(4, "")
    memory.heard(99, "nobody asked")
    assert said(memory)[2:] == [("user", "And?")]
