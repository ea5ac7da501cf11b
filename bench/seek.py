"""What seeking costs: the first byte of a range at the end of a 2-hour call.

`ratio seek_vs_start`: the time to get there by decrypting from the start, over the time that the
reader needs.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from common.archive import Encryptor, Header, Reader

SECONDS = 2 * 60 * 60
RATE = 8000  # bytes a second: µ-law
ROUNDS = 7


def main() -> None:
    """Print both times and their ratio."""
    header, cek = Header(uuid4(), uuid4(), uuid4(), "0" * 16, "audio/wav"), os.urandom(32)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "long.csrec"
        with path.open("wb") as file:
            encryptor = Encryptor(header, cek)
            file.write(encryptor.prefix)
            for _ in range(SECONDS):
                file.writelines(encryptor.update(os.urandom(RATE)))
            file.write(encryptor.finish())
        target = (SECONDS - 10) * RATE

        def first_byte(begin: int) -> float:
            began = time.perf_counter()
            with path.open("rb", buffering=0) as file:
                reader = Reader(file, cek, recording=header.rec, company=header.co)
                at = begin
                for piece in reader.read_range(begin, target + 1):
                    at += len(piece)
            assert at == target + 1
            return time.perf_counter() - began

        contenders: dict[str, Callable[[], float]] = {
            "seek": lambda: first_byte(target),
            "start": lambda: first_byte(0),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                seconds[name].append(run())
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"seek: {middle['seek'] * 1e3:.2f} ms, from the start: {middle['start'] * 1e3:.0f} ms")
    print(f"ratio seek_vs_start {middle['start'] / middle['seek']:.0f}")


if __name__ == "__main__":
    main()
