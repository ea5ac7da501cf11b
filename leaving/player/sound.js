// Sound, begun anywhere at once: the first half minute is decrypted and played while all of it is made ready.

const WINDOW = 30; // seconds

class Sound {
  #audio = new Audio();
  #turn = 0; // of playing; what an earlier turn still does is ignored
  #from = 0; // seconds: where playing begins
  #base = 0; // seconds: where that which the element plays begins
  #whole = null; // its address, once it is there
  #part = null;
  #isSet = false; // does the element stand where this turn began?

  // `part(start, length)` makes a file of some seconds; `tell` hears of the end, and of what went wrong.
  constructor(seconds, part, tell) {
    this.seconds = seconds;
    this.part = part;
    this.tell = tell;
    this.playing = false;
    this.#audio.addEventListener("ended", () => this.#ended());
    this.#audio.addEventListener("error", () => this.#failed());
  }

  set whole(file) {
    this.#whole = URL.createObjectURL(file);
  }

  set speed(rate) {
    this.#audio.defaultPlaybackRate = this.#audio.playbackRate = rate;
  }

  get position() {
    if (!this.playing || !this.#isSet || !this.#audio.readyState) return this.#from;
    return Math.min(this.seconds, this.#base + this.#audio.currentTime);
  }

  async play() {
    const turn = (this.#turn += 1);
    this.playing = true;
    this.#isSet = false;
    try {
      if (!this.#whole) {
        const file = await this.part(this.#from, WINDOW);
        if (turn !== this.#turn) return;
        URL.revokeObjectURL(this.#part);
        this.#part = URL.createObjectURL(file);
      }
      const address = this.#whole ?? this.#part;
      this.#base = this.#whole ? 0 : this.#from;
      if (this.#audio.src !== address) this.#audio.src = address;
      this.#audio.currentTime = this.#from - this.#base;
      this.#isSet = true;
      await this.#audio.play();
    } catch (error) {
      if (turn !== this.#turn) return; // another one began, which ended this one
      this.#stop();
      this.tell(error);
    }
  }

  #stop() {
    this.#from = this.position;
    this.#turn += 1;
    this.playing = false;
    this.#audio.pause();
  }

  #ended() {
    if (!this.playing) return;
    this.#from = Math.min(this.seconds, this.#base + this.#audio.duration);
    if (this.#audio.src !== this.#whole && this.#from < this.seconds - 0.05) return this.play();
    this.#from = this.seconds;
    this.#turn += 1;
    this.playing = false;
    this.tell();
  }

  #failed() {
    const goesOn = !this.#audio.paused && this.#audio.readyState > 1; // Firefox does so without a loudspeaker
    if (goesOn) return this.tell(new NoOutput("It plays, but this device has no sound output that the browser can use."));
    this.#stop();
    this.tell(new Error("This browser can't play this recording. Save it and use another program."));
  }

  pause() {
    if (!this.playing) return;
    this.#stop();
    this.tell();
  }

  go(time) {
    const goesOn = this.playing;
    if (goesOn) this.#stop();
    this.#from = Math.min(this.seconds, Math.max(0, time));
    if (goesOn) this.play();
  }

  close() {
    this.pause();
    this.#audio.removeAttribute("src");
    for (const address of [this.#whole, this.#part]) URL.revokeObjectURL(address);
  }
}

class NoOutput extends Error {}

// Return the recording as MP3, however it was wrapped. Raises Altered.
function mp3(recording) {
  const { row, size } = recording;
  const bare = row.mime === "audio/mpeg";
  const begin = bare ? 0 : Number(row.data_offset);
  return collect("audio/mpeg", recording.read(begin, bare ? size : begin + Number(row.data_bytes)));
}
