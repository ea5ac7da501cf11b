// SHA-256 (FIPS 180-4) of what comes in pieces, which WebCrypto can't do: memory does not grow with the file.

class Altered extends Error {} // a file is not what was exported; the text names it

const ROUNDS = (() => {
  const primes = [];
  for (let number = 2; primes.length < 64; number += 1) {
    if (primes.every((prime) => number % prime)) primes.push(number);
  }
  const fraction = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32);
  return {
    constants: Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime))),
    begin: Uint32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime))),
  };
})();

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Sha256 {
  #state = Int32Array.from(ROUNDS.begin);
  #words = new Int32Array(64);
  #rest = new Uint8Array(64);
  #held = 0;
  #size = 0;

  update(bytes) {
    this.#size += bytes.length;
    let at = 0;
    if (this.#held) {
      at = Math.min(64 - this.#held, bytes.length);
      this.#rest.set(bytes.subarray(0, at), this.#held);
      this.#held += at;
      if (this.#held < 64) return this;
      this.#blocks(this.#rest);
    }
    const whole = at + ((bytes.length - at) & ~63);
    this.#blocks(bytes.subarray(at, whole));
    this.#rest.set(bytes.subarray(whole));
    this.#held = bytes.length - whole;
    return this;
  }

  hex() {
    const end = new Uint8Array(this.#held < 56 ? 64 : 128);
    end.set(this.#rest.subarray(0, this.#held));
    end[this.#held] = 0x80;
    new DataView(end.buffer).setBigUint64(end.length - 8, BigInt(this.#size) * 8n);
    this.#blocks(end);
    const digest = new DataView(new ArrayBuffer(32));
    this.#state.forEach((word, index) => digest.setInt32(4 * index, word));
    return hex(new Uint8Array(digest.buffer));
  }

  #blocks(bytes) {
    const [words, state, constants] = [this.#words, this.#state, ROUNDS.constants];
    for (let at = 0; at < bytes.length; at += 64) {
      for (let n = 0; n < 16; n += 1) {
        const place = at + 4 * n;
        words[n] = (bytes[place] << 24) | (bytes[place + 1] << 16) | (bytes[place + 2] << 8) | bytes[place + 3];
      }
      for (let n = 16; n < 64; n += 1) {
        const [x, y] = [words[n - 15], words[n - 2]];
        const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        words[n] = (words[n - 16] + low + words[n - 7] + high) | 0;
      }
      let a = state[0], b = state[1], c = state[2], d = state[3];
      let e = state[4], f = state[5], g = state[6], h = state[7];
      for (let n = 0; n < 64; n += 1) {
        const high = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const one = (h + high + ((e & f) ^ (~e & g)) + constants[n] + words[n]) | 0;
        const low = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + one) | 0;
        d = c; c = b; b = a; a = (one + two) | 0;
      }
      state[0] += a; state[1] += b; state[2] += c; state[3] += d;
      state[4] += e; state[5] += f; state[6] += g; state[7] += h;
    }
  }
}
