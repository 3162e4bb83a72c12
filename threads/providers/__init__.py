"""Who answers: one adapter per vendor, and the catalogue of their models."""

from chatai.lib.piecemeal import read_piecemeal

read_piecemeal("anthropic", "openai")
