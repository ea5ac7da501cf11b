"""What somebody means by the words in the search box."""

from datetime import date

import pytest

from webui.search_words import Meant, meant

TODAY = date(2026, 11, 24)  # a Tuesday


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ("", ()),
        ("   ", ()),
        ("Archer", ("Archer",)),
        ("alice archer", ("alice", "archer")),
        ("0163", ("0163",)),
        ("200 202", ("200", "202")),
        ("01632 960 123", ("632960123",)),
        ("+44 1632 960123", ("632960123",)),
        ("+44 (0)1632 960-123", ("632960123",)),
        ("0044.1632.960123", ("632960123",)),
        ("(01632) 960123 archer", ("632960123", "archer")),
        ("960123", ("960123",)),
        ("webrtc674", ("webrtc674",)),
        ("400_company_c_540", ("400_company_c_540",)),
        ("100%", ("100%",)),
        ("o'neill", ("o'neill",)),
    ],
)
def test_texts(words: str, texts: tuple[str, ...]) -> None:
    assert meant(words, TODAY) == Meant(texts)


@pytest.mark.parametrize(
    ("words", "since", "until"),
    [
        ("2026-03", date(2026, 3, 1), date(2026, 4, 1)),
        ("2026-12", date(2026, 12, 1), date(2027, 1, 1)),
        ("2026-3", date(2026, 3, 1), date(2026, 4, 1)),
        ("2026-03-14", date(2026, 3, 14), date(2026, 3, 15)),
        ("14/3/2026", date(2026, 3, 14), date(2026, 3, 15)),
        ("14.03.2026", date(2026, 3, 14), date(2026, 3, 15)),
        ("March 2026", date(2026, 3, 1), date(2026, 4, 1)),
        ("feb 2028", date(2028, 2, 1), date(2028, 3, 1)),
        ("14 March 2026", date(2026, 3, 14), date(2026, 3, 15)),
        ("today", date(2026, 11, 24), date(2026, 11, 25)),
        ("Yesterday", date(2026, 11, 23), date(2026, 11, 24)),
        ("last Tuesday", date(2026, 11, 17), date(2026, 11, 18)),
        ("monday", date(2026, 11, 23), date(2026, 11, 24)),
        ("2026-11 2026-11-05", date(2026, 11, 5), date(2026, 11, 6)),
    ],
)
def test_days(words: str, since: date, until: date) -> None:
    assert meant(words, TODAY) == Meant((), since, until)


def test_texts_and_days_together() -> None:
    assert meant("archer 2026-03 960123", TODAY) == Meant(
        ("archer", "960123"), date(2026, 3, 1), date(2026, 4, 1)
    )


@pytest.mark.parametrize("words", ["march", "2026", "5 monday morning"])
def test_what_may_be_a_name_or_a_number_is_no_day(words: str) -> None:
    found = meant(words, TODAY)
    assert words.split()[0] in (found.texts or (found.problem[1:2],))


@pytest.mark.parametrize("words", ["2026-13", "2026-02-30", "31/4/2026", "9999-12", "0000-01"])
def test_days_that_do_not_exist_are_said(words: str) -> None:
    assert f"“{words}” is not a day" in meant(words, TODAY).problem


@pytest.mark.parametrize("words", ["ab", "12", "archer 7"])
def test_too_short_is_said(words: str) -> None:
    assert "too short" in meant(words, TODAY).problem
