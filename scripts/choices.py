"""Kinds of option values that several commands take."""

import click

from core.faces.rule import FPIR_RANGE


class _Fpir(click.ParamType[float]):
    """A share of strangers that a threshold can be chosen for."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            share = float(str(value))
        except ValueError:
            share = -1.0
        if not FPIR_RANGE[0] <= share <= FPIR_RANGE[1]:  # NaN too
            low, high = FPIR_RANGE
            self.fail(f"{value} is no share of strangers from {low:g} to {high:g}. Write 1 % as 0.01.", param, ctx)
        return share


FPIR = _Fpir()
