// One recording: an archive file of version 1, any part of which is decrypted without what comes before it.

const CHUNK = 16384;
const CELL = CHUNK + 16; // with its tag
const TOGETHER = 16; // chunks read and decrypted at a time
const INFO = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const CONTEXT = "callstash/recording/v1\0";

function joined(...parts) {
  const bytes = parts.map((part) => (typeof part === "string" ? new TextEncoder().encode(part) : new Uint8Array(part)));
  const all = new Uint8Array(bytes.reduce((sum, part) => sum + part.length, 0));
  bytes.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

// HKDF-Expand with SHA-512 (RFC 5869), which WebCrypto has only together with Extract.
async function expand(secret, info, length) {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-512" }, false, ["sign"]);
  let [last, all] = [new Uint8Array(), new Uint8Array()];
  for (let number = 1; all.length < length; number += 1) {
    last = new Uint8Array(await crypto.subtle.sign("HMAC", key, joined(last, info, [number])));
    all = joined(all, last);
  }
  return all.slice(0, length);
}

class Recording {
  // Open the file of a row of the table. Raises Altered.
  static async open(row, file, keys, company) {
    const made = new Recording();
    made.row = row;
    made.file = file;
    if (!file) throw new Altered(`${row.file}: missing`);
    const key = keys.get(row.key_id);
    if (!key) throw new KeyRefused(`${row.file} is for the key ${row.key_id}. Choose that one, too.`);
    if (file.size !== Number(row.file_bytes)) throw made.altered();
    const head = await made.bytes(0, 4096 + 66);
    const end = 10 + head[8] * 256 + head[9];
    const header = made.header(head.subarray(10, end));
    if (header.rec !== row.call_id || header.co !== company) throw made.altered("is another call");
    let secret;
    try {
      secret = await crypto.subtle.decrypt(OAEP, key, fromBase64(row.ecek));
    } catch {
      throw made.altered("its key does not open");
    }
    const digest = await crypto.subtle.digest("SHA-256", head.subarray(0, end));
    const derived = await expand(secret, joined(INFO, head.subarray(end, end + 24), CONTEXT, digest), 76);
    if (hex(derived.subarray(44)) !== hex(head.subarray(end + 24, end + 56))) throw made.altered("its key is another one");
    made.key = await crypto.subtle.importKey("raw", derived.subarray(0, 32), "AES-GCM", false, ["decrypt"]);
    made.nonce = derived.slice(32, 44);
    made.begin = end + 56;
    made.whole = Math.floor((file.size - made.begin) / CELL);
    const last = await made.chunk(made.whole, await made.bytes(made.begin + made.whole * CELL, file.size));
    made.size = made.whole * CHUNK + last.length;
    if (made.size !== Number(row.audio_bytes)) throw made.altered();
    return made;
  }

  altered(why = "was altered") {
    return new Altered(`${this.row.file}: ${why}`);
  }

  header(bytes) {
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      throw this.altered();
    }
  }

  async bytes(start, stop) {
    try {
      return new Uint8Array(await this.file.slice(start, stop).arrayBuffer());
    } catch {
      throw this.altered("can't be read any more");
    }
  }

  async chunk(number, cell) {
    const iv = this.nonce.slice();
    const view = new DataView(iv.buffer);
    view.setUint32(4, view.getUint32(4) ^ Math.floor(number / 2 ** 32));
    view.setUint32(8, view.getUint32(8) ^ number);
    try {
      return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, this.key, cell));
    } catch {
      throw this.altered();
    }
  }

  // Yield the audio from `start` up to `stop` in pieces, each of them authentic. Raises Altered.
  async *read(start, stop) {
    stop = Math.min(stop, this.size);
    for (let first = Math.floor(start / CHUNK); first * CHUNK < stop; first += TOGETHER) {
      const count = Math.min(TOGETHER, Math.ceil(stop / CHUNK) - first);
      const cells = await this.bytes(this.begin + first * CELL, this.begin + (first + count) * CELL);
      const chunks = await Promise.all(Array.from({ length: count }, (_, n) =>
        this.chunk(first + n, cells.subarray(n * CELL, (n + 1) * CELL))));
      const piece = joined(...chunks);
      yield piece.subarray(Math.max(0, start - first * CHUNK), stop - first * CHUNK);
    }
  }

  // Compare the whole file with the table. Raises Altered.
  async verify() {
    const digest = new Sha256();
    for (let at = 0; at < this.file.size; at += TOGETHER * CELL) {
      digest.update(await this.bytes(at, Math.min(this.file.size, at + TOGETHER * CELL)));
    }
    if (digest.hex() !== this.row.file_sha256) throw this.altered();
  }
}
