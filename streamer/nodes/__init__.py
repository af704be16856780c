"""Thin adapters that put the crafts into the graph; one file a node kind."""

from streamer.graph.registry import Registry

__all__ = ["KINDS", "registry"]

KINDS = {
    "asr.moonshine": "streamer.nodes.asr_moonshine:AsrMoonshine",
    "asr.transducer": "streamer.nodes.asr_transducer:AsrTransducer",
    "asr.two_pass": "streamer.nodes.asr_two_pass:AsrTwoPass",
    "audio.echo_cancel": "streamer.nodes.echo_cancel:AudioEchoCancel",
    "brain.chat": "streamer.nodes.brain_chat:BrainChat",
    "brain.rules": "streamer.nodes.brain_rules:BrainRules",
    "convert.audio": "streamer.nodes.convert_audio:ConvertAudio",
    "events.dtmf": "streamer.nodes.events_dtmf:EventsDtmf",
    "events.keywords": "streamer.nodes.events_keywords:EventsKeywords",
    "events.level": "streamer.nodes.events_level:EventsLevel",
    "events.sound": "streamer.nodes.events_sound:EventsSound",
    "events.wake_word": "streamer.nodes.events_wake_word:EventsWakeWord",
    "sink.jsonl": "streamer.nodes.sink_files:SinkJsonl",
    "sink.mqtt": "streamer.nodes.mqtt:SinkMqtt",
    "sink.session": "streamer.nodes.session:SinkSession",
    "sink.speaker": "streamer.nodes.sink_speaker:SinkSpeaker",
    "sink.srt": "streamer.nodes.sink_files:SinkSrt",
    "sink.terminal": "streamer.nodes.sink_terminal:SinkTerminal",
    "sink.text": "streamer.nodes.sink_files:SinkText",
    "sink.wav": "streamer.nodes.sink_wav:SinkWav",
    "sink.timeline": "streamer.nodes.sink_timeline:SinkTimeline",
    "sink.webvtt": "streamer.nodes.sink_files:SinkWebvtt",
    "source.file": "streamer.nodes.source_file:SourceFile",
    "source.mic": "streamer.nodes.source_mic:SourceMic",
    "source.mqtt": "streamer.nodes.mqtt:SourceMqtt",
    "source.session": "streamer.nodes.session:SourceSession",
    "source.stdin": "streamer.nodes.source_stdin:SourceStdin",
    "source.text": "streamer.nodes.source_text:SourceText",
    "text.dictation": "streamer.nodes.text_dictation:TextDictation",
    "tts.speak": "streamer.nodes.tts_speak:TtsSpeak",
    "turn.detector": "streamer.nodes.turn_detector:TurnDetectorNode",
    "turn.wake": "streamer.nodes.turn_wake:TurnWake",
    "vad.silero": "streamer.nodes.vad_silero:VadSilero",
}
"""Our own node kinds; those of plug-ins come from the entry-point group ``streamer.nodes``."""


def registry() -> Registry:
    """All node kinds there are on this machine."""
    return Registry(KINDS)
