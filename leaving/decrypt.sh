#!/bin/sh
# Opens one recording of a CallStash export with openssl 3 alone:
#   sh decrypt.sh CALL_ID PRIVATE.KEY > audio      (run it where calls.csv lies)
# The command line of openssl can't check AES-GCM's tags. What is checked instead: the signature of
# the manifest, with it the table, with it the SHA-256 of the file and of the audio, and the key
# commitment. Keys stand on command lines meanwhile: use a machine that nobody else uses.
set -eu
id=$1 private=$2
hex() { od -An -v -tx1 | tr -d ' \n'; }
sha256() { openssl dgst -sha256 -r "$1" | cut -c 1-64; }
refuse() { echo "$1" >&2; exit 1; }

openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in manifest.json \
  -sigfile manifest.sig > /dev/null 2>&1 || refuse \
  'manifest.json, manifest.sig or signer.pem: missing, or not what was signed'
grep -q "\"calls.csv\": \"$(sha256 calls.csv)\"" manifest.json || refuse 'calls.csv: was altered'
line=$(grep "^$id," calls.csv) || refuse "$id: not in calls.csv"
cell() { printf %s "$line" | head -n 1 | cut -d, -f "$1"; }
file=$(cell 2)
[ -f "$file" ] || refuse "$file: missing"
[ "$(sha256 "$file")" = "$(cell 6)" ] || refuse "$file: was altered"

bytes() { tail -c +$(($1 + 1)) "$file" | head -c "$2"; } # bytes OFFSET COUNT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cell 5 | tr -d "'" | base64 -d > "$work/ecek"
cek=$(openssl pkeyutl -decrypt -inkey "$private" -in "$work/ecek" -pkeyopt rsa_padding_mode:oaep \
  -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 | hex)
[ ${#cek} -eq 64 ] || refuse "$file: is for another key, or the passphrase is wrong"
end=$((10 + 0x$(bytes 8 2 | hex)))
info=$(printf 'c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\000' | hex)$(bytes $end 24 | hex)
info=$info$(printf 'callstash/recording/v1\000' | hex)
info=$info$(bytes 0 $end | openssl dgst -sha256 -binary | hex)
derived=$(openssl kdf -keylen 76 -binary -kdfopt digest:SHA2-512 -kdfopt mode:EXPAND_ONLY \
  -kdfopt hexkey:"$cek" -kdfopt hexinfo:"$info" HKDF | hex)
cut_hex() { printf %s "$derived" | cut -c "$1"; }
[ "$(cut_hex 89-152)" = "$(bytes $((end + 24)) 32 | hex)" ] || refuse "$file: was altered"

size=$(wc -c < "$file") n=0 at=$((end + 56))
while [ "$at" -lt "$size" ]; do
  count=$((size - at < 16400 ? size - at - 16 : 16384)) # without the tag
  counter=$(printf %s%012x00000002 "$(cut_hex 65-76)" $((0x$(cut_hex 77-88) ^ n)))
  bytes $at $count | openssl enc -d -aes-256-ctr -K "$(cut_hex 1-64)" -iv "$counter"
  n=$((n + 1)) at=$((at + 16400))
done > "$work/audio"
[ "$(sha256 "$work/audio")" = "$(cell 7)" ] || refuse "$file: holds other audio"
cat "$work/audio"
