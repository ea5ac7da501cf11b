// Private keys: PKCS#8 in PEM, in clear or under a passphrase (PBES2 with PBKDF2 and AES-CBC, RFC 8018).

class KeyRefused extends Error {}

const PRFS = { "2a864886f70d0207": "SHA-1", "2a864886f70d0209": "SHA-256", "2a864886f70d020a": "SHA-384", "2a864886f70d020b": "SHA-512" };
const CIPHERS = { "60864801650304012a": 256, "608648016503040116": 192, "608648016503040102": 128 };
const OAEP = { name: "RSA-OAEP", hash: "SHA-256" };

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Return the elements of a DER sequence, each with its tag and its content.
function elements(der) {
  const found = [];
  for (let at = 0; at < der.length; ) {
    const tag = der[at];
    let size = der[at + 1];
    at += 2;
    if (size & 0x80) {
      const more = size & 0x7f;
      size = 0;
      for (let n = 0; n < more; n += 1) size = size * 256 + der[at + n];
      at += more;
    }
    found.push({ tag, content: der.subarray(at, at + size) });
    at += size;
  }
  return found;
}

function pem(text) {
  const match = /-----BEGIN ([A-Z ]+)-----([\sA-Za-z0-9+/=]+)-----END \1-----/.exec(text);
  return match && { label: match[1], der: fromBase64(match[2].replace(/\s/g, "")) };
}

async function decryptKey(der, passphrase) {
  const [algorithm, sealed] = elements(elements(der)[0].content);
  const [kdf, cipher] = elements(elements(algorithm.content)[1].content);
  const [salt, rounds, ...rest] = elements(elements(kdf.content)[1].content);
  const prf = rest.find((one) => one.tag === 0x30);
  const hash = prf ? PRFS[hex(elements(prf.content)[0].content)] : "SHA-1";
  const [name, iv] = elements(cipher.content);
  const length = CIPHERS[hex(name.content)];
  if (!hash || !length) throw new KeyRefused("is encrypted in a way that browsers don't know. Use the key as CallStash wrote it.");
  const secret = await crypto.subtle.importKey("raw", new TextEncoder().encode(passphrase), "PBKDF2", false, ["deriveKey"]);
  const iterations = rounds.content.reduce((sum, byte) => sum * 256 + byte, 0);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash, salt: salt.content, iterations }, secret, { name: "AES-CBC", length }, false, ["decrypt"]);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv: iv.content }, key, sealed.content));
  } catch {
    return null;
  }
}

async function keyId(key) {
  const { kty, n, e } = await crypto.subtle.exportKey("jwk", key);
  const half = await crypto.subtle.importKey("jwk", { kty, n, e }, OAEP, true, ["encrypt"]);
  const spki = await crypto.subtle.exportKey("spki", half);
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", spki)).subarray(0, 8));
}

function isLocked(text) {
  return pem(text)?.label === "ENCRYPTED PRIVATE KEY";
}

// Return a private key and its id. Raises KeyRefused.
async function openKey(text, passphrase) {
  const found = pem(text);
  if (found?.label === "RSA PRIVATE KEY") throw new KeyRefused("is in an old format. Convert it: openssl pkcs8 -topk8 -in OLD -out NEW");
  if (!found?.label.endsWith("PRIVATE KEY")) throw new KeyRefused("is not a private key.");
  try {
    const der = isLocked(text) ? await decryptKey(found.der, passphrase) : found.der;
    const key = der && await crypto.subtle.importKey("pkcs8", der, OAEP, true, ["decrypt"]);
    if (key) return { key, id: await keyId(key) };
  } catch (error) {
    if (error instanceof KeyRefused) throw error;
  }
  throw new KeyRefused(isLocked(text) ? "does not open with this passphrase." : "can't be read.");
}
