// The page: choose folder and key, find a call, hear it, save it. Everything is written as text, never as HTML.

const find = (id) => document.getElementById(id);
const [STEP, SHOWN, SMALL] = [10, 200, 1 << 23]; // seconds; rows; bytes of a file that is checked before it is played
const CODECS = { ulaw: "G.711 µ-law", alaw: "G.711 A-law", pcm: "16-bit PCM", pcm8: "8-bit PCM", pcm24: "24-bit PCM", pcm32: "32-bit PCM", float32: "32-bit float", gsm: "GSM 06.10", mp3: "MP3" };
const DIRECTIONS = { inbound: "Inbound", outbound: "Outbound", internal: "Internal" };

let bundle = null;
let keys = new Map();
let found = [];
let shown = 0;
let current = null; // the call that is open: { call, recording, sound, verified }
let saved = null;

const lanes = document.querySelector(".lanes");
const wave = new Wave(document.querySelector("canvas"), find("player"));

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function check(text) {
  find("checked").textContent = text;
  find("checked").hidden = !text;
}

function clock(time, whole = Math.floor(time)) {
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function local(instant, form) {
  const date = new Date(instant);
  if (form === "day") return date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
  const two = (number) => String(number).padStart(2, "0");
  if (form === "time") return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function party(number, name) {
  return name && name !== number ? `${name} ${number}` : number;
}

function complain(error) {
  find("trouble").textContent = error ? error.message : "";
  find("trouble").hidden = !error;
  if (error && !(error instanceof Altered || error instanceof KeyRefused || error instanceof NoOutput)) console.error(error);
}

// Opening ---------------------------------------------------------------------------------------------

async function lockedKeys() {
  const texts = await Promise.all(Array.from(find("key").files, (file) => file.text()));
  find("phrase").hidden = !texts.some(isLocked);
  return texts;
}

async function openKeys() {
  const texts = await lockedKeys();
  const opened = new Map();
  for (const [index, text] of texts.entries()) {
    try {
      const { id, key } = await openKey(text, find("passphrase").value);
      opened.set(id, key);
    } catch (error) {
      if (error instanceof KeyRefused) error.message = `${find("key").files[index].name} ${error.message}`;
      throw error;
    }
  }
  return opened;
}

find("key").addEventListener("change", lockedKeys);

find("open").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  const say = (text) => { find("doing").textContent = text; };
  complain();
  find("wrong").textContent = "";
  button.disabled = true;
  try {
    say("Opening the key…");
    keys = await openKeys();
    say("Checking the folder…");
    bundle = await Bundle.open(find("folder").files, (count) => say(`Reading the list: ${count.toLocaleString("en")} calls…`));
    begin();
  } catch (error) {
    if (!(error instanceof KeyRefused)) complain(error);
    else if (find("phrase").hidden) complain(error);
    else {
      find("wrong").textContent = error.message;
      find("passphrase").focus();
    }
  }
  say("");
  button.disabled = false;
});

function begin() {
  const { company, made_at: made } = bundle.manifest;
  find("opening").hidden = true;
  find("passphrase").value = "";
  find("whose").textContent = company.label || company.name;
  find("signer").textContent = `Exported on ${local(made)}. Signed with key ${bundle.signer}: compare it with the one you were told.`;
  if (bundle.manifest.left_out.length) {
    complain(new Altered(`${bundle.manifest.left_out.length} calls are not in this export: see left_out in manifest.json.`));
  }
  find("searching").hidden = find("list").hidden = false;
  search();
  fromAddress();
  if (!current) find("words").focus();
}

// Finding ---------------------------------------------------------------------------------------------

function digits(text) {
  return text.replace(/[^0-9]/g, "");
}

function matches(call, words, number) {
  call.text ??= [call.caller, call.caller_name, call.callee, call.callee_name, local(call.start), call.direction, call.call_id]
    .join(" ").toLowerCase();
  if (number && (digits(call.caller).includes(number) || digits(call.callee).includes(number))) return true;
  return words.every((word) => call.text.includes(word));
}

function search() {
  const text = find("words").value.trim().toLowerCase();
  const number = /^[+0-9 ()/.-]+$/.test(text) ? digits(text) : "";
  const words = text.split(/\s+/).filter(Boolean);
  found = text ? bundle.calls.filter((call) => matches(call, words, number)) : bundle.calls;
  find("found").textContent = found.length === 1 ? "1 call" : `${found.length.toLocaleString("en")} calls`;
  find("rows").replaceChildren();
  shown = 0;
  more();
}

function more() {
  const before = shown ? local(found[shown - 1].start, "day") : "";
  found.slice(shown, shown + SHOWN).reduce((day, call) => {
    const own = local(call.start, "day");
    if (own !== day) {
      const row = element("tr", "", { class: "day" });
      row.append(element("th", own, { colspan: "5", scope: "rowgroup" }));
      find("rows").append(row);
    }
    find("rows").append(line(call));
    return own;
  }, before);
  shown = Math.min(found.length, shown + SHOWN);
  find("more").hidden = shown === found.length;
}

function line(call) {
  const row = element("tr");
  const lead = element("td", "", { class: "lead" });
  lead.append(element("a", local(call.start, "time"), { href: `#${encodeURIComponent(call.call_id)}`, class: "play" }));
  const way = element("td", "", { class: "way" });
  way.append(element("span", "", { class: `arrow ${call.direction in DIRECTIONS ? call.direction : ""}`, "aria-hidden": "true" }));
  way.append(element("span", DIRECTIONS[call.direction] ?? "Unknown", { class: "hidden" }));
  row.append(lead, way, element("td", party(call.caller, call.caller_name) || "withheld", { "data-label": "From" }),
    element("td", party(call.callee, call.callee_name) || "unknown", { "data-label": "To" }),
    element("td", clock(Number(call.seconds)), { class: "number", "data-label": "Length" }));
  return row;
}

find("words").addEventListener("input", search);
find("more").addEventListener("click", more);

// One call --------------------------------------------------------------------------------------------

function fromAddress() {
  if (!bundle || location.hash === "#main") return;
  const id = decodeURIComponent(location.hash.slice(1));
  const call = bundle.calls.find((one) => one.call_id === id);
  current?.sound?.close();
  current = null;
  complain();
  find("call").hidden = !call;
  find("searching").hidden = find("list").hidden = find("title").hidden = Boolean(call);
  document.title = call ? `${call.caller} to ${call.callee} · CallStash` : "Recordings · CallStash";
  if (call) show({ call });
}

async function show(opened) {
  const { call } = opened;
  current = opened;
  describe(call);
  for (const id of ["play", "back", "forward", "seek", "save", "original"]) find(id).disabled = true;
  check("Checking the file…");
  try {
    opened.recording = await Recording.open(call, bundle.files.get(call.file), keys, bundle.manifest.company.id);
    opened.verified = opened.recording.verify();
    opened.verified.catch(() => {}); // whoever waits for it hears of it
    if (opened.recording.size < SMALL || call.codec === "mp3") await opened.verified;
    if (current !== opened) return;
    await ready(opened);
    await opened.verified;
    if (current === opened) check("Unchanged: signature, SHA-256 and every part of the file are right.");
  } catch (error) {
    refuse(opened, error);
  }
}

async function ready(opened) {
  const { call, recording } = opened;
  const isWanted = () => current === opened;
  const tell = (error) => {
    if (!isWanted()) return;
    if (error instanceof NoOutput) complain(error);
    else if (error) refuse(opened, error);
    else stopped();
  };
  if (call.codec in WIDTHS || call.codec === "gsm") {
    const pcm = new Pcm(recording);
    opened.sound = new Sound(pcm.seconds, (start, length) => pcm.part(start, length), tell);
    opened.file = collect("audio/wav", wave.scan(pcm, isWanted), pcm.header(pcm.frames));
    opened.file.then((file) => isWanted() && (opened.sound.whole = file), (error) => refuse(opened, error));
  } else if (call.codec === "mp3") {
    opened.sound = new Sound(Number(call.seconds), null, tell);
    opened.file = mp3(recording);
    opened.sound.whole = await opened.file;
  }
  find("original").disabled = false;
  find("save").disabled = !opened.file;
  find("save").textContent = call.codec === "mp3" ? "Save as MP3" : "Save as WAV";
  find("player").hidden = !opened.sound?.seconds;
  if (find("player").hidden) return;
  opened.sound.speed = Number(document.querySelector("[name=speed]:checked").value);
  for (const id of ["play", "back", "forward", "seek"]) find(id).disabled = false;
  find("seek").max = String(opened.sound.seconds);
  find("length").textContent = clock(opened.sound.seconds);
  follow();
}

function describe(call) {
  find("heading").replaceChildren(element("span", party(call.caller, call.caller_name) || "withheld"),
    element("span", " → ", { class: "to", "aria-label": "to" }), element("span", party(call.callee, call.callee_name) || "unknown"));
  find("when").textContent = `${local(call.start, "day")}, ${local(call.start, "time")} · ${DIRECTIONS[call.direction] ?? "Unknown direction"}`;
  const stereo = Number(call.channels) === 2;
  if (stereo) document.querySelector(".wave").before(lanes);
  else lanes.remove();
  const facts = {
    "As sent": `${CODECS[call.codec] ?? call.codec}, ${stereo ? "stereo" : "mono"}, ${Number(call.sample_rate) / 1000} kHz`,
    Started: `${local(call.start)}, ${local(call.start, "time")}`, File: call.file, "SHA-256": call.file_sha256,
    "SHA-256 of the audio": call.audio_sha256, Key: call.key_id, Id: call.call_id,
  };
  find("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  find("player").hidden = false;
  find("now").textContent = find("length").textContent = clock(0);
  [wave.lanes, wave.reached, wave.near] = [[], 0, 0];
  stopped();
  find("heading").focus();
}

function refuse(opened, error) {
  if (current !== opened) return;
  opened.sound?.close();
  current = { call: opened.call };
  find("player").hidden = true;
  for (const id of ["save", "original"]) find(id).disabled = true;
  check("");
  complain(error);
}

// Playing ---------------------------------------------------------------------------------------------

function stopped() {
  find("play").setAttribute("aria-label", "Play");
  find("play").classList.remove("playing");
  follow();
}

function follow() {
  const sound = current?.sound;
  if (!sound) return wave.draw();
  const { position, seconds } = sound;
  find("now").textContent = clock(position);
  find("seek").value = String(position);
  find("seek").setAttribute("aria-valuetext", `${clock(position)} of ${clock(seconds)}`);
  wave.reached = position / seconds;
  wave.draw();
  if (sound.playing) requestAnimationFrame(follow);
}

async function toggle() {
  const sound = current?.sound;
  if (!sound) return;
  if (sound.playing) return sound.pause();
  if (sound.position >= sound.seconds - 0.05) sound.go(0);
  const begun = sound.play();
  find("play").setAttribute("aria-label", "Pause");
  find("play").classList.add("playing");
  follow();
  await begun;
}

function go(time) {
  current?.sound?.go(time);
  follow();
}

find("play").addEventListener("click", toggle);
find("back").addEventListener("click", () => go(current.sound.position - STEP));
find("forward").addEventListener("click", () => go(current.sound.position + STEP));
for (const choice of document.querySelectorAll("[name=speed]")) {
  choice.addEventListener("change", () => current?.sound && (current.sound.speed = Number(choice.value)));
}
find("seek").addEventListener("input", () => go(Number(find("seek").value)));
find("seek").addEventListener("pointermove", (event) => {
  const box = find("seek").getBoundingClientRect();
  const tip = document.querySelector(".tip");
  wave.near = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  tip.textContent = clock(wave.near * (current?.sound?.seconds ?? 0));
  tip.hidden = false;
  tip.style.left = `${Math.min(box.width - 24, Math.max(24, wave.near * box.width))}px`;
  wave.draw();
});
find("seek").addEventListener("pointerleave", () => {
  document.querySelector(".tip").hidden = true;
  wave.near = 0;
  wave.draw();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !current?.sound) return;
  const [target, seek, { position, seconds }] = [event.target, find("seek"), current.sound];
  const other = target !== seek && target.closest("a, button, input");
  const steps = { ArrowLeft: -STEP, ArrowRight: STEP };
  if (event.key === " " && !other) toggle();
  else if (event.key in steps && !target.closest("input:not(#seek)")) go(position + steps[event.key]);
  else if (event.key === "Home" && target === seek) go(0);
  else if (event.key === "End" && target === seek) go(seconds);
  else return;
  event.preventDefault();
});

// Saving ----------------------------------------------------------------------------------------------

// Save what `make` returns, once the whole file was compared with the table.
async function save(ending, make) {
  const opened = current;
  try {
    await opened.verified;
    const file = await make(opened);
    if (current !== opened) return;
    if (saved) URL.revokeObjectURL(saved);
    saved = URL.createObjectURL(file);
    const { start, caller, callee } = opened.call;
    const name = `${local(start)} ${local(start, "time").replaceAll(":", "-")} ${caller} to ${callee}`;
    const harmless = name.replace(/[^\p{L}\p{N}_.+ -]/gu, "_").replace(/^[ .]+|[ .]+$/g, "").slice(0, 150);
    element("a", "", { href: saved, download: `${harmless}.${ending}` }).click();
  } catch (error) {
    refuse(opened, error);
  }
}

find("save").addEventListener("click", () => save(current.call.codec === "mp3" ? "mp3" : "wav", ({ file }) => file));
find("original").addEventListener("click", () => save(current.call.mime === "audio/mpeg" ? "mp3" : "wav",
  ({ recording, call }) => collect(call.mime, recording.read(0, recording.size))));

new ResizeObserver(() => wave.draw()).observe(wave.canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => wave.draw());
window.addEventListener("hashchange", fromAddress);
