import { drawGraph, milliseconds } from "./graph.js";
import { Microphone } from "./microphone.js";
import { Session, tokenQuery } from "./session.js";
import { srt, vtt } from "./subtitles.js";

const $ = (id) => document.getElementById(id);
const finals = [];
let offset = 0; // media seconds of earlier sessions of this page
let microphone, session, captureBegan, speechBegan, recent;

$("toggle").addEventListener("click", () => (session ? stop() : start()));
$("vtt").addEventListener("click", () => download(vtt(finals), "captions.vtt", "text/vtt"));
$("srt").addEventListener("click", () => download(srt(finals), "captions.srt", "application/x-subrip"));

async function start() {
  $("problem").hidden = true;
  $("toggle").disabled = true;
  say("Opening the microphone.");
  recent = { age: [], first: [], final: [], server: [] };
  captureBegan = Infinity;
  speechBegan = undefined;
  try {
    microphone = await Microphone.open(heard, () => stop());
  } catch (error) {
    $("toggle").disabled = false;
    return problem(error.message);
  }
  session = new Session(microphone.rate, {
    ready: () => say("Listening."),
    dropped: () => say("The connection dropped. Taking it up again; nothing that you say is lost."),
    message: received,
    problem: (text) => { finish(); problem(text); },
    done: () => { finish(); say("Stopped."); },
  });
  say("Connecting.");
  button("Stop captions", true);
}

function stop() {
  if (!session) return;
  microphone.close();
  session.end();
  $("toggle").disabled = true;
  say("Finishing the last words.");
}

function finish() {
  microphone.close();
  offset += session.seconds;
  session = undefined;
  showLive("", 0);
  button("Start captions", false);
}

function heard(frame) {
  if (!session) return;
  session.send(frame);
  // The quickest frame tells when the sound of media time 0 was captured; the creep of 5 µs in
  // 50 ms follows a sound card whose clock is slow.
  captureBegan = Math.min(captureBegan + 0.005, performance.now() - session.seconds * 1000);
}

function received(message) {
  const behind = (media) => performance.now() - captureBegan - media * 1000;
  if (message.type === "speech" && message.state === "start") {
    speechBegan = message.start;
  } else if (message.type === "partial") {
    if (speechBegan !== undefined && message.text) {
      measure("first", behind(speechBegan));
      speechBegan = undefined;
    }
    measure("age", behind(message.end));
    measure("server", message.latency_ms);
    showLive(message.text, message.stable_len);
  } else if (message.type === "final") {
    measure("final", behind(message.end));
    showLive("", 0);
    if (message.text) addFinal(message);
  }
}

function measure(name, value) {
  const values = recent[name];
  values.push(value);
  if (values.length > 20) values.shift();
  const median = values.toSorted((a, b) => a - b)[values.length >> 1];
  const small = document.createElement("small");
  small.textContent = ` (${milliseconds(median)})`;
  $(name).replaceChildren(milliseconds(value), small);
}

function showLive(text, stable) {
  const [solid, loose] = $("live").children;
  solid.textContent = text.slice(0, stable);
  loose.textContent = text.slice(stable);
  $("live").scrollTop = $("live").scrollHeight;
}

function addFinal(message) {
  const shift = (item) => ({ ...item, start: item.start + offset, end: item.end + offset });
  const final = { ...shift(message), words: message.words.map(shift) };
  finals.push(final);
  const time = document.createElement("time");
  const seconds = Math.floor(final.start);
  time.dateTime = `PT${seconds}S`;
  time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const text = document.createElement("span");
  text.textContent = final.text;
  const paragraph = document.createElement("p");
  paragraph.append(time, text);
  const box = $("finals");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  box.append(paragraph);
  if (atEnd) box.scrollTop = box.scrollHeight;
  $("vtt").disabled = $("srt").disabled = false;
}

function button(text, running) {
  $("toggle").textContent = text;
  $("toggle").classList.toggle("running", running);
  $("toggle").disabled = false;
}

function say(text) {
  $("status").textContent = text;
}

function problem(text) {
  say("Stopped.");
  $("problem").textContent = text;
  $("problem").hidden = false;
}

function download(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function watchGraph() {
  if (!document.hidden) {
    try {
      const answer = await fetch(`graph.json${tokenQuery()}`);
      if (answer.status === 401) {
        $("graph-note").textContent = "The graph is shown with a key: add ?token=KEY to the address of this page.";
        return;
      }
      drawGraph(await answer.json(), $("drawing"), $("rows"), $("graph-note"));
    } catch {
      $("graph-note").textContent = "The server cannot be reached.";
    }
  }
  setTimeout(watchGraph, 1000);
}

watchGraph();
