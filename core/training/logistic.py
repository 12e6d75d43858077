"""Fits a probability to two features by penalised logistic regression. Knows nothing of faces."""

import numpy as np
from numpy.typing import NDArray


def fit_logistic(
    features: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64], *, ridge: float
) -> tuple[float, float, float]:
    """Fit P(right) by penalised maximum likelihood; a higher feature never lowers it.

    Args:
        features (float64 [N, 2]): finite.
        right (bool [N]): some of either kind.
        weights (float64 [N]): what each row counts, >= 0.
        ridge: penalty of a squared slope, for each unit of weight; keeps the fit finite where right and wrong do not
            overlap.

    Returns:
        The intercept and the two slopes, each slope >= 0.
    """
    columns = [0, 1]
    while True:
        design = np.column_stack([np.ones(len(features)), features[:, columns]])
        fitted = _newton(design, right.astype(np.float64), weights, ridge)
        if (fitted[1:] >= 0.0).all():
            break
        del columns[int(fitted[1:].argmin())]
    slopes = dict(zip(columns, fitted[1:].tolist(), strict=True))
    return float(fitted[0]), slopes.get(0, 0.0), slopes.get(1, 0.0)


def _newton(
    design: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Minimise the logistic loss plus a ridge on the slopes; each step is halved until the loss falls."""
    penalty = np.diag([0.0] + [ridge * float(weights.sum())] * (design.shape[1] - 1))
    fitted = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-design @ fitted))
        gradient = design.T @ (weights * (p - target)) + penalty @ fitted
        curvature = (design.T * (weights * p * (1.0 - p))) @ design + penalty + 1e-9 * np.eye(len(fitted))
        step = np.linalg.solve(curvature, gradient)
        before = _loss(design, target, weights, penalty, fitted)
        scale = 1.0
        while scale > 1e-4 and _loss(design, target, weights, penalty, fitted - scale * step) > before:
            scale /= 2.0
        fitted = fitted - scale * step
        if np.abs(step).max() < 1e-8:
            break
    return fitted


def _loss(
    design: NDArray[np.float64],
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    penalty: NDArray[np.float64],
    fitted: NDArray[np.float64],
) -> float:
    score = design @ fitted
    return float((weights * (np.logaddexp(0.0, score) - target * score)).sum() + 0.5 * fitted @ penalty @ fitted)
