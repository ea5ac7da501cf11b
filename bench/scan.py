"""What the scanner costs: processor time for a 4-minute call of each codec, and memory."""

import resource
import subprocess
import time

from daemons.archiver.audio import Scanner

SECONDS = 240
PIECE = 65536
CODECS = {
    "ulaw": ["-c:a", "pcm_mulaw"],
    "alaw": ["-c:a", "pcm_alaw"],
    "pcm": ["-c:a", "pcm_s16le"],
    "pcm stereo": ["-c:a", "pcm_s16le", "-ac", "2"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "32k"],
}
FORMATS = {"mp3": "mp3"}
TURNS = {"mp3": 2}


def recording(codec: str) -> bytes:
    """Return noise of a telephone's loudness and band."""
    noise = f"anoisesrc=r=8000:d={SECONDS}:a=0.3:seed=1"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", noise, *CODECS[codec]]
    command += ["-bitexact", "-f", FORMATS.get(codec, "wav"), "pipe:1"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def scan(data: bytes) -> None:
    """Scan a recording as a download delivers it."""
    with Scanner() as scanner:
        for at in range(0, len(data), PIECE):
            scanner.feed(data[at : at + PIECE])
        scanner.finish()


def main() -> None:
    """Print the best of several runs for each codec, and the highest memory of all."""
    for codec in CODECS:
        data = recording(codec)
        costs = []
        for _ in range(TURNS.get(codec, 50)):
            own, children = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
            scan(data)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            child = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
            costs.append(time.process_time() - own + child)
        print(f"scan {codec}: {len(data)} bytes, {min(costs) * 1000:.2f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"scan memory {peak >> 10} MiB")


if __name__ == "__main__":
    main()
