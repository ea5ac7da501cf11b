"""The calls that a simulated PBX begins with."""

import random
from datetime import datetime, timedelta

from simulators.pbx.media import CODECS
from simulators.pbx.model import KEPT, USERS, Model

DEMO_CODECS = ["ulaw"] * 12 + ["alaw", "pcm", "stereo", "gsm", "mp3", "ulaw"]
SETTLED = 600  # seconds: a call that ended earlier is surely finished


def parties(chance: random.Random, company: str) -> tuple[str, str]:
    """Return a caller and a callee of a call of this company."""
    own = [ext for user in USERS if user.company == company for ext in user.extensions] or ["200"]
    inside = chance.choice(own)
    number = f"1632{960000 + chance.randrange(1000)}"
    kinds = ["0" + number] * 6 + ["+44" + number] * 4 + ["anonymous", "webrtc674"]
    other = chance.choice(kinds + [ext for ext in own if ext != inside])
    return (inside, other) if chance.random() < 0.5 else (other, inside)


def fill_small(model: Model) -> None:
    """A dozen short calls, two of every codec, and one that was not answered; for tests."""
    model.managed = ["default", "demonstration"]
    begin = int(model.now()) - 3 * 3600
    for number, codec in enumerate([*CODECS, *CODECS]):
        company = model.managed[(number + number // 6) % 2]
        caller, callee = parties(model.random, company)
        model.add(company, begin + 600 * number, 1 + number % 4, codec, caller, callee)
    model.add("default", begin + 60, 0, "pcm", "200", "01632960000")


def fill_demo(model: Model, count: int, born: float) -> None:
    """Three weeks of working days; most calls are µ-law of some minutes, one is of two hours.

    The same calls in each run that says the same time `born`, which is when the weeks end.
    """
    special = {0: (2.0, "ulaw"), 1: (7200.0, "ulaw"), 2: (400.0, "stereo")}
    for number in range(count):
        seconds = min(1500.0, 2 + model.random.expovariate(1 / 140))
        codec = DEMO_CODECS[number % len(DEMO_CODECS)]
        seconds, codec = special.get(number, (0.0 if number % 25 == 7 else seconds, codec))
        company = model.random.choice(["default"] * 3 + ["demonstration"] * 2 + ["company_c_540"])
        start = _office_hours(model, born, seconds)
        model.add(company, start, seconds, codec, *parties(model.random, company))


def _office_hours(model: Model, born: float, seconds: float) -> float:
    """Return when a call may have begun that is over, and is not too old for a day yet."""
    today = datetime.fromtimestamp(born, model.zone).replace(hour=0, minute=0, second=0)
    while True:
        day = today - timedelta(days=model.random.randrange(21))
        hour = model.random.triangular(8, 18, model.random.choice((10.5, 14.5)))
        start = day.timestamp() + hour * 3600
        begins = max(born - KEPT + 86400, start)
        if day.weekday() < 5 and begins == start and start + seconds < born - SETTLED:
            return start


def fill_bench(model: Model, count: int, mix: str) -> None:
    """One company; every call four minutes of µ-law, or a mix of lengths and codecs."""
    model.managed = ["default"]
    now = model.now()
    step = min(37, 19 * 86400 / max(count, 1))
    for number in range(count):
        seconds, codec = 240.0, "ulaw"
        if mix == "mixed":
            seconds = min(1200.0, 2 + model.random.expovariate(1 / 150))
            codec = model.random.choice(["ulaw"] * 18 + ["pcm", "alaw"])
        start = now - 86400 - number * step
        model.add("default", start, seconds, codec, "200", f"01632{960000 + number % 1000}")
