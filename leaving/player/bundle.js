// The folder: is everything in it what CallStash signed, and which calls does it hold?

const PIECE = 1 << 22;

class Bundle {
  // Check a folder, a list of files with their paths. Raises Altered.
  static async open(files, progress) {
    const made = new Bundle();
    const paths = Array.from(files, (file) => [file.webkitRelativePath || file.name, file]);
    const manifests = paths.map(([path]) => path).filter((path) => /(^|\/)manifest\.json$/.test(path));
    const nearest = manifests.sort((one, other) => one.split("/").length - other.split("/").length)[0];
    if (nearest === undefined) throw new Altered("manifest.json: missing. Choose the folder that was exported.");
    const root = nearest.slice(0, -"manifest.json".length);
    made.files = new Map(paths.filter(([path]) => path.startsWith(root)).map(([path, file]) => [path.slice(root.length), file]));
    await made.#signed();
    for (const [name, digest] of Object.entries(made.manifest.sha256)) {
      if (name !== "calls.csv" && await made.#digest(name) !== digest) throw new Altered(`${name}: was altered`);
    }
    await made.#table(progress);
    return made;
  }

  #file(name) {
    const file = this.files.get(name);
    if (!file) throw new Altered(`${name}: missing`);
    return file;
  }

  async #signed() {
    const [text, signature, pemText] = await Promise.all(["manifest.json", "manifest.sig", "signer.pem"].map(
      async (name) => new Uint8Array(await this.#file(name).arrayBuffer())));
    const der = pem(new TextDecoder().decode(pemText))?.der ?? new Uint8Array();
    let good = false;
    try {
      const key = await crypto.subtle.importKey("spki", der, "Ed25519", true, ["verify"]);
      good = await crypto.subtle.verify("Ed25519", key, signature, text);
    } catch (error) {
      if (error.name === "NotSupportedError") throw new Error("This browser is too old to check the signature. Update it.");
    }
    if (!good) throw new Altered("manifest.json, manifest.sig or signer.pem: not what was signed");
    this.manifest = JSON.parse(new TextDecoder().decode(text));
    this.signer = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", der.subarray(-32))));
  }

  async *#pieces(name) {
    const file = this.#file(name);
    for (let at = 0; at < file.size; at += PIECE) {
      yield new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());
    }
  }

  async #digest(name) {
    const digest = new Sha256();
    for await (const piece of this.#pieces(name)) digest.update(piece);
    return digest.hex();
  }

  // Read the table; nothing of it counts before the hash of all of it is right.
  async #table(progress) {
    const [digest, decoder, lines] = [new Sha256(), new TextDecoder(), new Lines()];
    const calls = [];
    let columns = null;
    const take = (cells) => {
      if (!columns) columns = cells;
      else calls.push(Object.fromEntries(columns.map((name, index) => [name, plain(cells[index] ?? "")])));
    };
    for await (const piece of this.#pieces("calls.csv")) {
      digest.update(piece);
      lines.feed(decoder.decode(piece, { stream: true })).forEach(take);
      progress(calls.length);
    }
    if (digest.hex() !== this.manifest.sha256["calls.csv"]) throw new Altered("calls.csv: was altered");
    this.calls = calls.reverse(); // the newest first
  }
}

// A cell that a spreadsheet would take for a formula was written behind an apostrophe.
function plain(cell) {
  return /^'[=+\-@\t\r]/.test(cell) ? cell.slice(1) : cell;
}

// Comma-separated values (RFC 4180), cut anywhere.
class Lines {
  #rest = "";

  feed(text) {
    const [found, all] = [[], this.#rest + text];
    let [cells, cell, quoted, begin] = [[], "", false, 0];
    for (let at = 0; at < all.length; at += 1) {
      const letter = all[at];
      if (quoted) {
        if (letter !== '"') cell += letter;
        else if (all[at + 1] === '"') cell += all[(at += 1)];
        else quoted = false;
      } else if (letter === '"') quoted = true;
      else if (letter === ",") [cells, cell] = [[...cells, cell], ""];
      else if (letter === "\n") {
        found.push([...cells, cell]);
        [cells, cell, begin] = [[], "", at + 1];
      } else if (letter !== "\r") cell += letter;
    }
    this.#rest = all.slice(begin);
    return found;
  }
}
