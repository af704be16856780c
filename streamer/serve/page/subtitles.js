// WebVTT and SubRip from final transcripts. Lines of at most 42 characters, two a cue.

const LINE = 42;

export function vtt(finals) {
  const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return "WEBVTT\n\n" + cues(finals)
    .map((cue) => `${clock(cue.start, ".")} --> ${clock(cue.end, ".")}\n${escape(cue.text)}\n\n`).join("");
}

export function srt(finals) {
  return cues(finals).map((cue, index) =>
    `${index + 1}\n${clock(cue.start, ",")} --> ${clock(cue.end, ",")}\n${cue.text.replaceAll("-->", "->")}\n\n`).join("");
}

function cues(finals) {
  return finals.flatMap((final) => {
    const found = [];
    let cue;
    for (const word of timedWords(final)) {
      const line = cue?.lines.at(-1);
      if (line !== undefined && line.length + 1 + word.text.length <= LINE) {
        cue.lines[cue.lines.length - 1] = `${line} ${word.text}`;
      } else if (cue?.lines.length === 1) {
        cue.lines.push(word.text);
      } else {
        cue = { start: word.start, lines: [word.text] };
        found.push(cue);
      }
      cue.end = word.end;
    }
    return found.map((c) => ({ start: c.start, end: Math.max(c.end, c.start + 0.001), text: c.lines.join("\n") }));
  });
}

// The words with the recogniser's times, or else with times in proportion to the letters.
function timedWords(final) {
  if (final.words.length) return final.words;
  const texts = final.text.split(/\s+/).filter(Boolean);
  const letters = texts.reduce((sum, text) => sum + text.length + 1, 0);
  const scale = (final.end - final.start) / letters;
  let at = final.start;
  return texts.map((text) => ({ text, start: at, end: (at += (text.length + 1) * scale) }));
}

function clock(seconds, point) {
  const total = Math.max(0, Math.round(seconds * 1000));
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const rest = String(total % 1000).padStart(3, "0");
  return `${two(total / 3600000)}:${two((total / 60000) % 60)}:${two((total / 1000) % 60)}${point}${rest}`;
}
