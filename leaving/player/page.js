// The page: choose folder and key, find a call. Everything is written as text, never as HTML.

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
