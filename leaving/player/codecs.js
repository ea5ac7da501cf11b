// Telephone audio as 16-bit PCM, sample by sample what CallStash serves.

const WIDTHS = { ulaw: 1, alaw: 1, pcm: 2, pcm8: 1, pcm24: 3, pcm32: 4, float32: 4 };
const SEGMENT = 1500; // blocks of GSM that are decoded together, each segment by itself
const WARM_UP = 8; // blocks before a segment that only bring the decoder into its state

const ULAW = Int16Array.from({ length: 256 }, (_, octet) => { // ITU-T G.711, table 2a
  const code = ~octet & 0xff;
  const magnitude = ((((code & 0x0f) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84;
  return code & 0x80 ? -magnitude : magnitude;
});
const ALAW = Int16Array.from({ length: 256 }, (_, octet) => { // ITU-T G.711, table 1a
  const code = octet ^ 0x55;
  const [segment, step] = [(code & 0x70) >> 4, (code & 0x0f) << 4];
  const magnitude = segment ? (step + 0x108) << (segment - 1) : step + 8;
  return code & 0x80 ? magnitude : -magnitude;
});

function fromFloat(value) {
  const scaled = Math.max(-32768, Math.min(32767, (Number.isNaN(value) ? 0 : value) * 32768));
  const [floor, odd] = [Math.floor(scaled), Math.floor(scaled) & 1];
  const rest = scaled - floor;
  return rest > 0.5 || (rest === 0.5 && odd) ? floor + 1 : floor; // halves to the even one
}

function toPcm16(codec, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = WIDTHS[codec];
  const samples = new Int16Array(bytes.length / width);
  for (let n = 0; n < samples.length; n += 1) {
    if (codec === "ulaw") samples[n] = ULAW[bytes[n]];
    else if (codec === "alaw") samples[n] = ALAW[bytes[n]];
    else if (codec === "pcm8") samples[n] = (bytes[n] - 128) << 8;
    else if (codec === "float32") samples[n] = fromFloat(view.getFloat32(4 * n, true));
    else samples[n] = view.getInt16((n + 1) * width - 2, true); // the two most significant bytes
  }
  return samples;
}

// The samples of a recording, any of which can be had: frames of as many samples as there are channels.
class Pcm {
  constructor(recording) {
    const row = recording.row;
    this.recording = recording;
    this.codec = row.codec;
    this.channels = Number(row.channels);
    this.rate = Number(row.sample_rate);
    this.offset = Number(row.data_offset);
    this.size = Math.max(0, Math.min(this.offset + Number(row.data_bytes), recording.size) - this.offset);
    this.frame = WIDTHS[this.codec] * this.channels;
    this.frames = this.codec === "gsm" ? Math.floor(this.size / GSM_BLOCK) * GSM_SAMPLES : Math.floor(this.size / this.frame);
    this.seconds = this.frames / this.rate;
  }

  // Yield samples, interleaved, from frame `start` on. Raises Altered.
  async *read(start = 0) {
    if (this.codec === "gsm") return yield* this.#gsm(start);
    let rest = new Uint8Array();
    const end = this.offset + this.frames * this.frame;
    for await (const piece of this.recording.read(this.offset + start * this.frame, end)) {
      const bytes = rest.length ? joined(rest, piece) : piece;
      const whole = bytes.length - (bytes.length % this.frame);
      rest = bytes.slice(whole);
      yield toPcm16(this.codec, bytes.subarray(0, whole));
    }
  }

  async *#gsm(start) {
    const length = SEGMENT * GSM_SAMPLES;
    for (let segment = Math.floor(start / length); segment * length < this.frames; segment += 1) {
      const begin = segment * SEGMENT;
      const first = begin - Math.min(begin, WARM_UP);
      const last = Math.min(begin + SEGMENT, this.frames / GSM_SAMPLES);
      let skip = (begin - first) * GSM_SAMPLES + Math.max(0, start - segment * length);
      const decoder = new Gsm();
      let rest = new Uint8Array();
      for await (const piece of this.recording.read(this.offset + first * GSM_BLOCK, this.offset + last * GSM_BLOCK)) {
        const bytes = joined(rest, piece);
        const whole = bytes.length - (bytes.length % GSM_BLOCK);
        rest = bytes.slice(whole);
        const samples = decoder.decode(bytes.subarray(0, whole));
        const skipped = Math.min(skip, samples.length);
        skip -= skipped;
        if (skipped < samples.length) yield samples.subarray(skipped);
      }
    }
  }

  // Return the 44 bytes before so many frames.
  header(frames) {
    const size = frames * this.channels * 2;
    const [head, align, top] = [new DataView(new ArrayBuffer(44)), 2 * this.channels, 0xffffffff];
    for (const [at, word] of [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [36, "data"]]) {
      for (let n = 0; n < 4; n += 1) head.setUint8(at + n, word.charCodeAt(n));
    }
    for (const [at, number] of [[4, size + 36], [16, 16], [24, this.rate], [28, this.rate * align], [40, size]]) {
      head.setUint32(at, Math.min(number, top), true);
    }
    for (const [at, number] of [[20, 1], [22, this.channels], [32, align], [34, 16]]) head.setUint16(at, number, true);
    return head;
  }

  // Return some seconds as a WAV file. Raises Altered.
  part(start, length) {
    const first = Math.min(this.frames, Math.floor(start * this.rate));
    const count = Math.min(this.frames - first, Math.ceil(length * this.rate));
    return collect("audio/wav", cut(this.read(first), count * this.channels), this.header(count));
  }
}

async function* cut(pieces, count) {
  for await (const samples of pieces) {
    yield samples.subarray(0, count);
    count -= samples.length;
    if (count <= 0) return;
  }
}

// Return pieces as one file, which a browser may keep on the disk.
async function collect(type, pieces, ...first) {
  let [parts, held, all] = [first, 0, []];
  for await (const piece of pieces) {
    parts.push(piece);
    held += piece.byteLength;
    if (held > 1 << 23) [all, parts, held] = [[...all, new Blob(parts)], [], 0];
  }
  return new Blob([...all, ...parts], { type });
}
