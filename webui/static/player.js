"use strict";
// The player of one recording. The waveform is drawn as soon as it is here; no sound is asked for before
// somebody presses play. The position is a range input over the waveform, so that mouse, touch, keyboard
// and screen readers all work as they do elsewhere.

(() => {
  const player = document.getElementById("player");
  if (!player) return;
  const find = (selector) => player.querySelector(selector);
  const audio = find("#audio");
  const seek = find("#seek");
  const canvas = find("canvas");
  const tip = find(".tip");
  const trouble = find("#trouble");
  const button = find("#play");
  const seconds = Number(player.dataset.seconds);
  const skip = find("#skip");
  const notes = player.dataset.notes.split(" ").filter(Boolean).map(Number);
  const STEP = 10;
  const SILENT = 6; // of 255: what a line without speech still has
  const PAUSE = 2; // seconds of silence that are skipped, but for a little at each end
  const REST = 0.4;
  let position = 0; // seconds; kept by us, because an element that has loaded nothing keeps none
  let ready = false; // has the element been told our position? Before that, its own means nothing
  let hovered = null;
  let lanes = [];
  let silences = [];

  function clock(time) {
    const whole = Math.floor(time);
    const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const two = (number) => String(number).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  }

  // Drawing ---------------------------------------------------------------------------------------

  function color(name) {
    return getComputedStyle(player).getPropertyValue(name).trim();
  }

  function resample(lane, bars) {
    return Array.from({ length: bars }, (_, bar) => {
      const from = Math.floor((bar * lane.length) / bars);
      const to = Math.max(from + 1, Math.floor(((bar + 1) * lane.length) / bars));
      return lane.slice(from, to).reduce((sum, peak) => sum + peak, 0) / (to - from);
    });
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const [rest, played, pointed] = [color("--wave"), color("--accent"), color("--wave-near")];
    const bars = Math.max(1, Math.floor(width / 4));
    const room = height / Math.max(1, lanes.length);
    const reached = (position / seconds) * width;
    const near = hovered === null ? 0 : (hovered / seconds) * width;
    lanes.forEach((lane, number) => {
      const heights = resample(lane, bars);
      const loudest = Math.max(16, ...heights);
      const middle = room * (number + 0.5);
      heights.forEach((peak, bar) => {
        const x = (bar * width) / bars;
        const tall = Math.max(2, Math.pow(peak / loudest, 0.8) * (room - 10));
        context.fillStyle = x < reached ? played : x < near ? pointed : rest;
        context.beginPath();
        if (context.roundRect) context.roundRect(x + 0.75, middle - tall / 2, 2.5, tall, 1.25);
        else context.rect(x + 0.75, middle - tall / 2, 2.5, tall);
        context.fill();
      });
    });
    context.fillStyle = color("--warn");
    for (const note of notes) context.fillRect(Math.min(width - 3, (note / seconds) * width), 0, 3, 9);
    context.fillStyle = played;
    context.fillRect(Math.min(width - 2, Math.max(0, reached - 1)), 0, 2, height);
  }

  async function loadPeaks() {
    lanes = [[0]];
    if (!player.dataset.peaks) return;
    const answer = await fetch(player.dataset.peaks);
    if (!answer.ok) return explain(answer.status);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const channels = bytes[1];
    if (bytes[0] !== 1 || bytes.length < 2 + channels) return;
    const values = [...bytes.slice(2)];
    lanes = Array.from({ length: channels }, (_, lane) =>
      values.filter((_, index) => index % channels === lane));
    silences = findSilences();
  }

  function findSilences() {
    const windows = lanes[0].length;
    const length = seconds / windows;
    const found = [];
    let begin = null;
    for (let index = 0; index <= windows; index += 1) {
      const quiet = index < windows && lanes.every((lane) => lane[index] <= SILENT);
      if (quiet && begin === null) begin = index;
      if (quiet || begin === null) continue;
      if ((index - begin) * length >= PAUSE) found.push([begin * length + REST, index * length - REST]);
      begin = null;
    }
    return found;
  }

  // Position --------------------------------------------------------------------------------------

  function show() {
    find("#now").textContent = clock(position);
    seek.value = String(position);
    seek.setAttribute("aria-valuetext", `${clock(position)} of ${clock(seconds)}`);
    draw();
  }

  function remember() {
    history.replaceState(null, "", `#t=${Math.floor(position)}`);
  }

  function go(time) {
    position = Math.min(seconds, Math.max(0, time));
    if (ready) audio.currentTime = position;
    show();
    remember();
  }

  function fromAddress() {
    const match = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash);
    if (match) go(Number(match[1]));
  }

  function follow() {
    if (!audio.paused && !audio.seeking && ready) {
      position = Math.min(seconds, audio.currentTime);
      const silence = skip?.checked && silences.find(([from, to]) => from <= position && position < to);
      if (silence) audio.currentTime = position = silence[1];
      show();
    }
    if (!audio.paused) requestAnimationFrame(follow);
  }

  // Playing ---------------------------------------------------------------------------------------

  function explain(status) {
    const words = {
      401: "Your session has ended. Log in again to hear this recording.",
      403: "Your account may not hear this recording.",
      404: "This recording is no longer in the archive.",
      502: "This recording can't be played: its file in the archive is missing or was altered.",
    };
    trouble.textContent = words[status] || "This recording can't be played at the moment. Try again soon.";
    trouble.hidden = false;
  }

  function toggle() {
    if (!audio.paused) return audio.pause();
    trouble.hidden = true;
    if (position >= seconds - 0.05) go(0);
    audio.play().catch((error) => {
      if (error.name === "NotAllowedError") show();
    });
  }

  audio.addEventListener("loadedmetadata", () => {
    if (position > 0) audio.currentTime = position;
    ready = true;
  });
  audio.addEventListener("emptied", () => {
    ready = false;
  });
  audio.addEventListener("play", () => {
    button.setAttribute("aria-label", "Pause");
    button.classList.add("playing");
    follow();
  });
  for (const name of ["pause", "ended"]) {
    audio.addEventListener(name, () => {
      button.setAttribute("aria-label", "Play");
      button.classList.remove("playing");
      if (name === "ended") position = seconds;
      show();
      remember();
    });
  }
  audio.addEventListener("seeked", show);
  audio.addEventListener("error", async () => {
    const answer = await fetch(audio.currentSrc, { method: "HEAD" }).catch(() => null);
    if (answer?.ok && !audio.paused && audio.readyState > 1) { // Firefox goes on without a loudspeaker
      trouble.textContent = "It plays, but this device has no sound output that the browser can use.";
      trouble.hidden = false;
      return;
    }
    button.classList.remove("playing");
    explain(answer ? answer.status : 0);
    audio.load();
  });

  // Hands -----------------------------------------------------------------------------------------

  button.addEventListener("click", toggle);
  find("#back").addEventListener("click", () => go(position - STEP));
  find("#forward").addEventListener("click", () => go(position + STEP));
  seek.addEventListener("input", () => go(Number(seek.value)));
  for (const choice of player.querySelectorAll("[name=speed]")) {
    choice.addEventListener("change", () => {
      audio.defaultPlaybackRate = audio.playbackRate = Number(choice.value);
    });
  }

  seek.addEventListener("pointermove", (event) => {
    const box = seek.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    hovered = share * seconds;
    tip.textContent = clock(hovered);
    tip.hidden = false;
    tip.style.left = `${Math.min(box.width - 24, Math.max(24, share * box.width))}px`;
    draw();
  });
  seek.addEventListener("pointerleave", () => {
    hovered = null;
    tip.hidden = true;
    draw();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.target;
    const other = target !== seek && target.closest("a, button, input, select, textarea, summary");
    const steps = { ArrowLeft: -STEP, ArrowRight: STEP };
    if (event.key === " " && !other) toggle();
    else if (event.key in steps && !target.closest("input:not(#seek), select, textarea")) go(position + steps[event.key]);
    else if (event.key === "Home" && target === seek) go(0);
    else if (event.key === "End" && target === seek) go(seconds);
    else return;
    event.preventDefault();
  });

  const at = document.getElementById("at");
  const body = document.getElementById("body");
  let chosen = at?.getAttribute("aria-invalid") === "true";
  at?.addEventListener("input", () => {
    chosen = true;
  });
  body?.addEventListener("focus", () => {
    if (!chosen && !body.value) at.value = clock(position);
  });

  // Beginning -------------------------------------------------------------------------------------

  audio.controls = false;
  find(".controls").hidden = false;
  seek.disabled = false;
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("hashchange", fromAddress);
  show();
  fromAddress();
  loadPeaks().then(draw, () => explain(0));
})();
