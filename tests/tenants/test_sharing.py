"""Splits are exact to the cent, whatever the order."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import Conflict
from tenants.sharing import split, weigh

cents = st.integers(-(10**13), 10**13).map(lambda n: Decimal(n).scaleb(-2))
sirens = st.integers(1, 999).map(lambda n: f"{n:09}00015")
fractions = st.fractions(0, 10**6, max_denominator=10**6)
weights = st.dictionaries(sirens, fractions, min_size=1, max_size=40).filter(lambda w: sum(w.values()) > 0)


@settings(deadline=None)  # the machine may be busy
@given(cents, weights, st.randoms(use_true_random=False))
def test_split_is_exact_and_independent_of_order(
    total: Decimal, by: dict[str, Fraction], chance: random.Random
) -> None:
    shares = split(total, by)
    assert sum(share.amount for share in shares.values()) == total
    assert sum(share.exact for share in shares.values()) == Fraction(total)
    for who, share in shares.items():
        assert abs(Fraction(share.amount) - share.exact) < Fraction(1, 100)
        assert share.amount == 0 or by[who] > 0
        assert share.amount * total >= 0
    shuffled = list(by.items())
    chance.shuffle(shuffled)
    assert split(total, dict(shuffled)) == shares
    assert {who: -share.amount for who, share in split(-total, by).items()} == {
        who: share.amount for who, share in shares.items()
    }


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=4),
    st.lists(st.tuples(sirens, st.tuples(*[st.integers(0, 10**6)] * 4)), min_size=1, max_size=20),
)
def test_weights_sum_to_one(parts: list[int], values: list[tuple[str, tuple[int, ...]]]) -> None:
    names = ("population", "usage", "vcpu", "equal")[: len(parts)]
    # Two decimals each, the last takes what is left: declared weights sum to 1 exactly.
    weights = [Decimal(part * 100 // sum(parts)).scaleb(-2) for part in parts]
    weights[-1] = 1 - sum(weights[:-1])
    measures = {
        name: {who: Fraction(numbers[place] + 1) for who, numbers in values} for place, name in enumerate(names)
    }
    assert sum(weigh(dict(zip(names, weights, strict=True)), measures).values()) == 1


def amounts(total: str, by: dict[str, int]) -> list[str]:
    return [str(s.amount) for s in split(Decimal(total), {who: Fraction(w) for who, w in by.items()}).values()]


def test_ties_go_by_siren() -> None:
    assert amounts("100.00", {"3": 1, "1": 1, "2": 1}) == ["33.34", "33.33", "33.33"]
    assert amounts("-100.00", {"3": 1, "1": 1, "2": 1}) == ["-33.34", "-33.33", "-33.33"]
    assert amounts("0.01", {"1": 0, "2": 1, "3": 1}) == ["0.00", "0.01", "0.00"]


def test_key_weighs_each_criterion_apart() -> None:
    measures = {
        "population": {"1": Fraction(3000), "2": Fraction(1000)},
        "equal": {"1": Fraction(1), "2": Fraction(1)},
    }
    by = weigh({"population": Decimal("0.5"), "equal": Decimal("0.5")}, measures)
    assert by == {"1": Fraction(5, 8), "2": Fraction(3, 8)}


@pytest.mark.parametrize(
    "refused",
    [
        lambda: split(Decimal(1), {"1": Fraction(0)}),
        lambda: split(Decimal(1), {}),
        lambda: weigh({"usage": Decimal(1)}, {"usage": {"1": Fraction(0)}}),
    ],
)
def test_nothing_to_share_by(refused) -> None:
    with pytest.raises(Conflict) as error:
        refused()
    assert error.value.code == "nothing_to_share_by"
