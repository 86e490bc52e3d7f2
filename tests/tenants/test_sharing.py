"""Splits are exact to the cent, whatever the order."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.errors import Conflict
from tenants.sharing import Share, split, weigh

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


@settings(deadline=None)
@given(cents, st.sets(sirens, min_size=1, max_size=40), fractions.filter(bool))
def test_equal_weights_leave_the_cents_to_the_first_sirens(total: Decimal, who: set[str], weight: Fraction) -> None:
    shares = split(total, dict.fromkeys(who, weight))
    least, left = divmod(abs(int(total * 100)), len(who))
    taken = [abs(int(shares[siren].amount * 100)) - least for siren in sorted(who)]
    assert taken == [1] * left + [0] * (len(who) - left)


@pytest.mark.slow
@settings(deadline=None)
@given(cents, weights, sirens)
def test_who_weighs_nothing_changes_nothing(total: Decimal, by: dict[str, Fraction], nobody: str) -> None:
    others = {who: weight for who, weight in by.items() if who != nobody}
    assume(any(others.values()))
    assert split(total, {**others, nobody: Fraction(0)}) == {
        **split(total, others), nobody: Share(Fraction(0), Decimal("0.00")),
    }  # fmt: skip


MEASURES = st.dictionaries(
    sirens, st.tuples(*[st.fractions(0, 10**6, max_denominator=100)] * 3), min_size=1, max_size=12
)


@pytest.mark.slow
@settings(deadline=None)
@given(MEASURES, st.permutations(["population", "usage", "vcpu"]), st.randoms(use_true_random=False))
def test_a_key_weighs_the_same_in_any_order_or_refuses(
    measured: dict[str, tuple[Fraction, ...]], order: list[str], chance: random.Random
) -> None:
    key = {"population": Decimal("0.5"), "usage": Decimal("0.2"), "vcpu": Decimal("0.3")}
    measures = {name: {who: held[place] for who, held in measured.items()} for place, name in enumerate(key)}
    sirets = list(measured)
    chance.shuffle(sirets)
    other = {name: {who: measures[name][who] for who in sirets} for name in order}
    if not all(sum(measure.values()) for measure in measures.values()):
        for asked in (measures, other):
            with pytest.raises(Conflict, check=lambda error: error.code == "nothing_to_share_by"):
                weigh(key, asked)
        return
    found = weigh(key, measures)
    assert sum(found.values()) == 1
    assert weigh({name: key[name] for name in order}, other) == found


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
