"""What each error code means, for ``streamer explain CODE`` and the documentation.

A test holds this list and the codes used in the source to be the same set.
"""

from __future__ import annotations

__all__ = ["EXPLANATIONS"]

EXPLANATIONS: dict[str, str] = {
    # -- node and graph at run time
    "node.failed": (
        "A node raised an error while it worked on a packet and its restart policy allows no "
        "further attempt. The message names the node and the media time of the packet."
    ),
    "edge.overflow": (
        "An edge with `when_full: error` was full. Its reader is too slow: give the edge a larger "
        "`max`, choose another policy, or make the reader faster."
    ),
    "edge.stalled": (
        "Data waited on an edge without anybody taking it. The message names the edge and the "
        "node that should have read it."
    ),
    # -- chat models
    "brain.chat.missing": "`brain.chat` needs more packages: pip install 'streamer[chat]'.",
    "brain.chat.unreachable": (
        "The server of the chat model does not answer. Start it, and look at `url`: it usually "
        "ends in /v1. `sorry` was said."
    ),
    "brain.chat.refused": (
        "The server of the chat model answered with an error; the message holds its reason. 401 "
        "is a wrong or missing key (see `key_env`), 404 often an unknown `model`, 429 a limit."
    ),
    "brain.chat.slow": (
        "The chat model wrote nothing for too long: `first` is the time until its first words, "
        "`between` that between two pieces. What had come is spoken."
    ),
    "brain.chat.broken": (
        "The answer of the chat model ended in the middle or was not in the protocol's form. "
        "What had come is spoken."
    ),
    "brain.chat.empty": "The chat model answered with no text and no tool call. `sorry` was said.",
    "brain.chat.endless": (
        "The answer of the chat model was longer than `longest` and was cut off there."
    ),
    # -- event detectors
    "events.dtmf.rate": "`events.dtmf` needs a sample rate of at least 8000 Hz.",
    "events.keyword.phrase": (
        "A phrase of `events.keywords` holds letters that the model has no token for. Write it as "
        "it is said: small letters, numbers as words."
    ),
    "events.sound.label": "`labels` of `events.sound` names a class that the model does not know.",
    "events.sound.model": (
        "The file is not a sound event model: it must be an .onnx file that tools/train_events.py "
        "wrote, with its metadata."
    ),
    "events.wake.missing": (
        "`events.wake_word` needs the package pyopen-wakeword: pip install 'streamer[wakeword]'. "
        "It has wheels for Linux with glibc 2.35 or newer, macOS and Windows."
    ),
    "events.wake.model": "The wake word model is neither one of the package nor a .tflite file.",
    # -- served sessions
    "session.no-client": (
        "The graph has a `source.session` or `sink.session` node and was started without the "
        "gateway. Run it with `streamer serve`."
    ),
    "session.slow-reader": (
        "A client of the gateway did not read its messages and too many were waiting. Partials "
        "are merged before this happens, so the connection is as good as dead."
    ),
    # -- the gateway
    "serve.full": "All sessions of the server are in use. Ask again after the time it names.",
    "serve.keys": "The file of API keys cannot be read, or a line of it is not `name sha256`.",
    "serve.audio": "The session has sent as much audio as the server allows one session.",
    "serve.bad-format": (
        "The audio is not what the client said it is, or its format is not served. A wrong sample "
        "rate or sample type is refused, since it would be transcribed as noise."
    ),
    "serve.bad-message": "A message is not JSON, nests too deep, or is not part of the protocol.",
    "serve.no-start": "The native protocol begins with a `start` message; none came.",
    "serve.no-session": "The session to resume has ended, or was dropped too long ago.",
    "serve.version": "The client speaks another version of the native protocol.",
    "serve.internal": (
        "The server itself made a mistake; its log holds the traceback. The session is lost, the "
        "others go on."
    ),
    "serve.idle": "The client sent nothing for longer than the server waits.",
    # -- sound that comes in
    "audio.not-found": "There is no file at the path that was given.",
    "audio.unreadable": (
        "The file exists but FFmpeg cannot read sound from it: it is not a media file, is empty, "
        "is damaged at its beginning, or you may not read it."
    ),
    "audio.no-sound": "The file is a video or another container without an audio track.",
    "audio.truncated": (
        "The file is shorter than its header says. Everything up to the cut was used. Only a "
        "warning. A cut Ogg file has no such header and ends without it."
    ),
    "audio.damaged": (
        "Some packets of the file could not be decoded and were left out; media time goes on as "
        "if they had been there. Only a warning."
    ),
    "audio.not-finite": (
        "The input had samples that were NaN or infinite. Each was replaced by 0. Only a warning."
    ),
    "audio.format-changed": (
        "The sample rate or the number of channels changed in the middle of a stream. Convert the "
        "input to one format first."
    ),
    # -- audio devices
    "device.no-portaudio": (
        "The PortAudio system library is not installed. Debian and Ubuntu: "
        "`apt install libportaudio2`. macOS: `brew install portaudio`."
    ),
    "device.not-found": (
        "No input device has that number or name. `streamer devices` lists what there is."
    ),
    "device.busy": (
        "The device exists but could not be opened: another program holds it, or it does not "
        "support the rate or the number of channels."
    ),
    "device.lost": (
        "The microphone was unplugged or its driver stopped. The node's restart policy decides "
        "whether the graph waits for it to come back."
    ),
    # -- graph files
    "yaml.syntax": "The file is not YAML 1.2. The message names the place.",
    "yaml.tab": "A tab stands where YAML wants spaces. Indent with spaces.",
    "yaml.duplicate-key": "The same name stands twice in one mapping. Rename one.",
    "graph.unreadable": "The file does not exist, may not be read, or is not UTF-8 text.",
    "graph.empty": "The file holds no nodes. A graph is a mapping with `version` and `nodes`.",
    "graph.unknown-kind": "No node of that kind is installed. `streamer graph nodes` lists them.",
    "graph.unknown-key": "The setting does not exist here. Often a typing mistake.",
    "graph.missing-key": "A setting that has no default is missing.",
    "graph.bad-value": "A value does not fit its setting; the message says what would.",
    "graph.bad-name": "Node names consist of letters, digits, `-` and `_`.",
    "graph.unknown-node": "An input names a node that the file does not have.",
    "graph.unknown-port": "The node has no input or output of that name.",
    "graph.missing-input": "A node has an input that must be connected and is not.",
    "graph.too-many-inputs": "Several edges end at an input that takes one only.",
    "graph.type-mismatch": "The output gives another type of packet than the input takes.",
    "graph.format-mismatch": "The input needs a format (such as a sample rate) nobody can make.",
    "graph.cycle": (
        "Nodes feed each other in a circle. If that is meant, mark the edge that closes it with "
        "`feedback: true`."
    ),
    "graph.unbounded": "An edge has no limit; `--strict` refuses that. Give it a `max`.",
    "graph.live-blocked": (
        "A live source such as a microphone cannot be held back, so its edges must drop: "
        "`when_full: drop_oldest`."
    ),
    "graph.unknown-variable": "A `${NAME}` has no value. Use --set, export it, or give a default.",
    "graph.broken-plugin": "An installed node kind cannot be imported. The message says why.",
    # -- models
    "model.unknown": "No manifest of that name is known. `streamer models` lists all.",
    "model.missing": "The model's files are not on this machine; the message says how to get them.",
    "model.checksum": (
        "A file of the model is not the published one: damaged, cut off, or another version. It is "
        "never used. Delete it and get it again."
    ),
    "model.damaged": "A model file cannot be read although its checksum may be right.",
    "model.unfit": "The model's task, sample rate or features do not fit where the graph uses it.",
    "model.bad-manifest": "A file `models/*.yaml` does not describe a model.",
    "model.unreachable": "A model file could not be fetched. The part that arrived is kept.",
    # -- MQTT
    "mqtt.unreachable": (
        "There is no connection to the MQTT broker. The graph goes on, keeps what must not be lost "
        "and tries again, at most 10 s apart. Only a warning."
    ),
    "mqtt.refused": (
        "The MQTT broker does not accept the user name, the password or the client id. It is "
        "asked again, at most 10 s apart."
    ),
    "mqtt.overflow": (
        "More messages wait for the MQTT broker than `buffer` allows. The oldest are dropped."
    ),
    "mqtt.lost": "The MQTT broker is back; the message says how many messages were dropped.",
    "mqtt.undelivered": (
        "The graph ended, and the MQTT broker had not acknowledged everything within `linger`."
    ),
    "mqtt.tls": "The file of certificates for the MQTT broker cannot be read.",
    "mqtt.not-installed": "The MQTT nodes need an extra: `pip install 'streamer[mqtt]'`.",
    "mqtt.bad-audio": (
        "A message on the audio topic does not hold a whole number of audio frames. Such messages "
        "are left out; the first of a row is reported."
    ),
    "mqtt.bad-format": "The announcement of the audio format on `<topic>/format` cannot be used.",
    "mqtt.no-format": "Audio came in over MQTT before its format was announced.",
    # -- streaming recognition
    "asr.no-slot": (
        "Every slot of the streaming recogniser is taken by a session. Close one, or give the "
        "`asr.transducer` nodes more `slots`."
    ),
    "asr.model.missing": "The model's folder lacks a file, or holds several of one kind.",
    "asr.model.damaged": "A model file is incomplete or not ONNX. Fetch it again.",
    "asr.model.metadata": (
        "A model file does not say what is needed to run it, or contradicts itself. Export it "
        "again with an exporter of the sherpa-onnx layout."
    ),
    "asr.model.layout": (
        "The model is of a kind that cannot be run: known are conformer, zipformer2 and NeMo "
        "cache-aware transducers with plain kaldi or NeMo features and a dynamic batch."
    ),
    "asr.model.vocabulary": (
        "tokens.txt and the networks disagree about the tokens. Take the file that came with "
        "the model."
    ),
    "asr.model.chunk": "The model does not serve that chunk size; the hint lists those it does.",
    "asr.model.ctc": "The model has no CTC head. Use the greedy or beam search.",
    "asr.torch.missing": "The torch engine was asked for and torch is not installed.",
    "asr.torch.no-cuda": "The torch engine was asked to use CUDA and there is no such device.",
    "asr.lm.missing": "The language model of the model was asked for, and it brings none.",
    "asr.lm.bad": (
        "The language model is not a whole ARPA file over the tokens of this recogniser. Make "
        "one with tools/train_lm.py."
    ),
    "asr.features.shape": "The recogniser was given sound that is not mono. Mix it down first.",
    "asr.features.finished": "Audio came after the stream had been flushed. Start a new stream.",
    "asr.checkpoint.bad": "The file is not a torch checkpoint of this model, or is damaged.",
    "asr.boost.phrase": "A phrase has a letter that none of the model's tokens can write.",
    # -- the command line
    "cli.unknown-code": "No error has that code. `streamer explain` lists them all.",
    "cli.unknown-template": "No graph of that name ships. `streamer init` lists them.",
    # -- results
    "output.unwritable": (
        "A file cannot be made or replaced: no permission, no such folder, or it exists already."
    ),
    "output.disk-full": (
        "The disk is full. What was written before is complete; free some space and run again."
    ),
    # -- dialogue
    "brain.action": (
        "What a rule was to do, a message or a call, failed; its `sorry` was said instead."
    ),
    # -- speech
    "tts.endpoint.broken": (
        "The speech endpoint broke off. What had arrived was spoken; the next clause tries again."
    ),
    "tts.endpoint.format": (
        "The speech endpoint sent a container (WAV, Ogg, FLAC, MP3) where plain PCM was asked for; "
        "use a server that knows `response_format: pcm`."
    ),
    "tts.endpoint.missing": "A speech endpoint needs an extra: `pip install 'streamer[http]'`.",
    "tts.endpoint.refused": (
        "The speech endpoint answered with an error; the message holds its reason. Check the "
        "model, the voice, and the key in the environment."
    ),
    "tts.endpoint.slow": "The speech endpoint sent nothing within `timeout`.",
    "tts.endpoint.unreachable": (
        "No server answers at the address of the speech endpoint. Start it, or mend the `url`."
    ),
    "aec.missing": (
        "Echo cancellation needs the package livekit: `pip install 'streamer[aec]'`. Without it "
        "use headphones, or leave `audio.echo_cancel` out of the graph."
    ),
    "tts.missing": "Speaking needs an extra: `pip install 'streamer[tts]'`.",
    "tts.voice.unknown": "No voice has that name; the hint lists those there are.",
    "tts.piper.missing": (
        "Piper voices need an extra: `pip install 'streamer[piper]'`. It brings piper-tts, which "
        "is under the GPL-3.0."
    ),
    "tts.voice.file": "A Piper voice is two files, NAME.onnx and NAME.onnx.json; one is missing.",
    "tts.voice.unfit": (
        "The file is no VITS voice with espeak-ng phonemes as Piper publishes them, or is damaged."
    ),
    "tts.voice.missing": (
        "That voice has to be fetched once and could not be. `heart` needs no network."
    ),
    # -- OpenTelemetry
    "otel.not-installed": "Sending spans needs an extra: `pip install 'streamer[otel]'`.",
    "otel.endpoint": (
        "The address of the collector, given by --otel or OTEL_EXPORTER_OTLP_ENDPOINT, is no "
        "http or https URL."
    ),
    # -- recording and replay
    "recording.exists": "Something is in the folder already. Record into a new one.",
    "recording.edge": "`--record-edges` names an edge that the graph does not have.",
    "recording.stopped": (
        "The recording ended before the run: it has reached its limit, or the disk is full or too "
        "slow. The run goes on, and the recording is whole up to there. Only a warning."
    ),
    "recording.bad": (
        "The folder is not a recording, or it is damaged, or was made by plug-ins that are not "
        "here. A recording that was cut off by a crash is no problem."
    ),
    "recording.differs": (
        "The replay did not give what was recorded. The message names the first packet that "
        "differs. Expected after a change of the code, or with other models or versions."
    ),
    # -- streamer top
    "top.not-installed": "`streamer top` needs an extra: `pip install 'streamer[metrics]'`.",
    "top.unreachable": "No service answers at that address, or it wants a key.",
    "top.not-metrics": "What answers at that address does not show Prometheus metrics.",
    "serve.certificate": "The TLS certificate or its key cannot be read or do not belong together.",
    "serve.processes": (
        "This system cannot hand connections from one process to another (Windows). "
        "Leave --processes out."
    ),
    "serve.process": (
        "A process of `streamer serve --processes` ended before it was ready. Its own message "
        "stands above; try without --processes."
    ),
    "output.closed": "The program that read standard output through a pipe has ended.",
}
