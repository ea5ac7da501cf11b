// GSM 06.10 full rate as it stands in WAV files: blocks of 65 bytes with two frames of 160 samples.

const GSM_BLOCK = 65;
const GSM_SAMPLES = 320;

// [bits, scale, offset] of the eight log area ratios (GSM 06.10, 4.1, in the doubled scale of a 16-bit decoder)
const RATIOS = [
  [6, 13107, 32768], [6, 13107, 32768], [5, 13107, 20480], [5, 13107, 11264],
  [4, 19223, 8380], [4, 17476, 4608], [3, 31454, 3414], [3, 29708, 1808],
];
const GAINS = [3277, 11469, 21299, 32767];
const MANTISSAS = [18431, 20479, 22527, 24575, 26623, 28671, 30719, 32767];
const INTERPOLATED = [[13, 3, 1], [27, 2, 2], [40, 1, 3], [160, 0, 4]]; // up to this sample: quarters of old and new

function times(a, b) {
  return (Math.imul(a, b) + 16384) >> 15;
}

function clip16(value) {
  return value < -32768 ? -32768 : value > 32767 ? 32767 : value;
}

// Return the pulse heights for each of the 64 block maxima (4.2.16).
const PULSES = Array.from({ length: 64 }, (_, maximum) => {
  let exponent = maximum > 15 ? (maximum >> 3) - 1 : 0;
  let mantissa = maximum - (exponent << 3);
  if (mantissa === 0) [exponent, mantissa] = [-4, 7];
  else {
    while (mantissa <= 7) [mantissa, exponent] = [(mantissa << 1) | 1, exponent - 1];
    mantissa -= 8;
  }
  const shift = 6 - exponent;
  return Int16Array.from({ length: 8 }, (_, code) =>
    (times(MANTISSAS[mantissa], ((code << 1) - 7) << 12) + (1 << (shift - 1))) >> shift);
});

function reflection(ratio) {
  let size = Math.abs(ratio);
  if (size < 11059) size <<= 1;
  else if (size < 20070) size += 11059;
  else size = (size >> 2) + 26112;
  return ratio < 0 ? -size : size;
}

class Gsm {
  #excitation = new Int16Array(280); // 120 of the frame before, 160 of this one
  #filter = new Int32Array(9);
  #ratios = [new Int32Array(8), new Int32Array(8)];
  #last = 0;
  #bytes = null;
  #bit = 0;

  // Decode whole blocks. What is heard depends on the blocks before.
  decode(bytes) {
    const samples = new Int16Array((bytes.length / GSM_BLOCK) * GSM_SAMPLES);
    this.#bytes = bytes;
    this.#bit = 0;
    for (let at = 0; at < samples.length; at += 160) this.#frame(samples.subarray(at, at + 160));
    return samples;
  }

  #bits(count) {
    let value = 0;
    for (let n = 0; n < count; n += 1, this.#bit += 1) {
      value |= ((this.#bytes[this.#bit >> 3] >> (this.#bit & 7)) & 1) << n;
    }
    return value;
  }

  #frame(samples) {
    const [ratios] = this.#ratios;
    RATIOS.forEach(([bits, scale, offset], index) => {
      ratios[index] = times((this.#bits(bits) << 10) - offset, scale) * 2;
    });
    for (let at = 120; at < 280; at += 40) this.#excite(at);
    this.#synthesize(samples, this.#excitation.subarray(120));
    this.#excitation.copyWithin(0, 160);
    for (let index = 0; index < 160; index += 1) {
      this.#last = clip16(samples[index] + times(this.#last, 28180));
      samples[index] = clip16(this.#last * 2) & ~7;
    }
    this.#ratios.reverse();
  }

  // Long-term prediction and the regular pulses of 40 samples.
  #excite(at) {
    const signal = this.#excitation;
    const lag = Math.min(120, Math.max(40, this.#bits(7)));
    const gain = GAINS[this.#bits(2)];
    const offset = this.#bits(2);
    for (let n = at; n < at + 40; n += 1) signal[n] = times(gain, signal[n - lag]);
    const pulses = PULSES[this.#bits(6)];
    for (let n = 0; n < 13; n += 1) signal[at + offset + 3 * n] += pulses[this.#bits(3)];
  }

  #synthesize(samples, source) {
    const [now, before] = this.#ratios;
    const filter = this.#filter;
    const reflections = new Int32Array(8);
    let n = 0;
    for (const [end, old, fresh] of INTERPOLATED) {
      for (let index = 0; index < 8; index += 1) {
        reflections[index] = reflection(quarters(before[index], old) + quarters(now[index], fresh));
      }
      for (; n < end; n += 1) {
        let value = source[n];
        for (let index = 7; index >= 0; index -= 1) {
          value -= times(reflections[index], filter[index]);
          filter[index + 1] = filter[index] + times(reflections[index], value);
        }
        samples[n] = filter[0] = value;
      }
    }
  }
}

function quarters(value, count) {
  return [0, value >> 2, value >> 1, (value >> 2) + (value >> 1), value][count];
}
