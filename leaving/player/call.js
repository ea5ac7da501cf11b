// One call: shown, heard, saved, or refused and named.

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
