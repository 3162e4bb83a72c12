"""What tokens cost."""

import pytest

from billing.pricing import cost_micros

PRICE = {"input": "3", "output": "15", "cache_read": "0.30", "cache_write": "3.75"}


@pytest.mark.parametrize(
    ("usage", "micros"),
    [
        ({}, 0),
        ({"input_tokens": 0, "output_tokens": 0}, 0),
        ({"input_tokens": 1}, 3),
        ({"input_tokens": 1_000_000, "output_tokens": 1_000_000}, 18_000_000),
        ({"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 4}, 30 + 300 + 300 + 15),
        ({"output_tokens": None, "input_tokens": 2}, 6),
        ({"estimated": 1, "service_tier": "standard", "output_tokens": 2}, 30),
    ],
)
def test_every_kind_of_token_has_its_price_and_other_figures_cost_nothing(usage: dict[str, int], micros: int) -> None:
    assert cost_micros(usage, PRICE) == micros


def test_a_fraction_of_a_micro_dollar_is_rounded_up_once_for_the_whole_call() -> None:
    price = {"input": "0.10", "output": "0.4"}
    assert cost_micros({"input_tokens": 1}, price) == 1
    assert cost_micros({"input_tokens": 1, "output_tokens": 1}, price) == 1
    assert cost_micros({"input_tokens": 5, "output_tokens": 2}, price) == 2


def test_prices_are_exact_where_binary_fractions_would_not_be() -> None:
    assert cost_micros({"input_tokens": 3}, {"input": "0.1"}) == 1
    assert cost_micros({"input_tokens": 10**12}, {"input": "0.000001"}) == 10**6


def test_a_missing_price_is_an_error_and_never_free() -> None:
    with pytest.raises(KeyError):
        cost_micros({"cache_read_input_tokens": 5}, {"input": "3", "output": "15"})
