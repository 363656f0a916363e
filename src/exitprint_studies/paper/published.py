"""What Dong et al. printed: tables 1 to 11, to be shown beside what is measured here."""

from __future__ import annotations

from collections.abc import Mapping

FAMILIES = ("resnet", "vgg", "mobilenet")
DATA = ("cifar10", "cifar100", "tiny-imagenet")
Cells = Mapping[tuple[str, str], float]


def _row(*numbers: float) -> Cells:
    keys = [(family, data) for family in FAMILIES for data in DATA]
    return dict(zip(keys, numbers, strict=True))


def _by_data(*rows: tuple[float, float, float]) -> Cells:
    return {(f, d): n for d, row in zip(DATA, rows, strict=True) for f, n in zip(FAMILIES, row, strict=True)}


PUBLISHED: Mapping[tuple[str, int], Cells] = {
    ("T_f", 5): _by_data((0.006, 0.204, 0.388), (0.023, 0.040, 0.403), (0.011, 0.013, 0.097)),
    ("T_f", 15): _by_data((0.076, 0.449, 0.644), (0.130, 0.176, 0.566), (0.063, 0.024, 0.244)),
    ("independents verified", 5): _row(0.50, 0.07, 0.01, 0.02, 0.03, 0.00, 0.02, 0.00, 0.02),
    ("stolen verified", 5): _row(0.60, 0.93, 0.98, 0.98, 0.97, 0.99, 0.98, 1.00, 0.94),
    ("independents verified", 15): _row(0.00, 0.01, 0.03, 0.01, 0.02, 0.06, 0.01, 0.00, 0.01),
    ("stolen verified", 15): _row(0.82, 0.98, 0.99, 0.99, 0.98, 0.94, 0.99, 1.00, 0.98),
    ("ROC AUC, baseline", 5): _row(0.72, 0.84, 0.94, 0.75, 0.94, 0.92, 0.97, 0.94, 0.91),
    ("ROC AUC", 5): _row(0.56, 0.99, 1.00, 0.99, 0.99, 1.00, 1.00, 0.99, 1.00),
    ("ROC AUC, baseline", 15): _row(0.73, 0.82, 0.93, 0.78, 0.90, 0.92, 0.64, 0.94, 0.98),
    ("ROC AUC", 15): _row(0.90, 1.00, 1.00, 0.99, 1.00, 1.00, 0.99, 1.00, 1.00),
    ("ICs retrained", 5): _row(0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.02, 0.01, 0.03),
    ("ICs retrained", 15): _row(0.01, 0.01, 0.01, 0.01, 0.01, 0.02, 0.14, 0.10, 0.05),
    ("8-bit", 5): _row(0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.02, 0.06),
    ("8-bit", 15): _row(0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.01, 0.04, 0.06),
    ("L2, baseline", 0): _row(0.005, 0.014, 0.009, 0.005, 0.020, 0.044, 0.005, 0.010, 0.013),
    ("L2", 0): _row(0.019, 0.008, 0.023, 0.033, 0.056, 0.034, 0.005, 0.009, 0.018),
    ("benign", 5): _row(0.03, 0.26, 0.25, 0.77, 0.72, 0.35, 0.84, 0.89, 0.65),
    ("benign", 15): _row(0.55, 0.52, 0.49, 0.91, 0.86, 0.60, 0.95, 0.95, 0.82),
    ("ICs retrained, pruned 0.2", 5): _row(0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.05, 0.06, 0.07),
    ("ICs retrained, pruned 0.2", 15): _row(0.00, 0.01, 0.00, 0.00, 0.00, 0.00, 0.26, 0.21, 0.10),
    ("ICs retrained, pruned 0.4", 5): _row(0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.08, 0.11, 0.09),
    ("ICs retrained, pruned 0.4", 15): _row(0.01, 0.06, 0.02, 0.05, 0.00, 0.00, 0.38, 0.33, 0.12),
    ("ICs retrained, 8-bit", 5): _row(0.02, 0.02, 0.02, 0.00, 0.00, 0.01, 0.09, 0.14, 0.14),
    ("ICs retrained, 8-bit", 15): _row(0.02, 0.03, 0.02, 0.00, 0.01, 0.02, 0.33, 0.32, 0.17),
}
"""By what was measured and RAD (0 where it does not matter), then by architecture and data set."""

Choice = tuple[float, float, float]

TABLE_7: Mapping[tuple[str, str, int], tuple[Choice, Choice, Choice]] = {
    ("resnet", "cifar10", 5): ((0.020, 0.98, 0.99), (0.006, 0.50, 0.60), (0.005, 0.20, 0.36)),
    ("vgg", "cifar10", 5): ((0.239, 0.06, 0.99), (0.204, 0.02, 0.98), (0.167, 0.00, 0.97)),
    ("mobilenet", "cifar10", 5): ((0.396, 0.04, 0.99), (0.388, 0.02, 0.98), (0.359, 0.00, 0.92)),
    ("resnet", "cifar100", 5): ((0.027, 0.16, 0.98), (0.023, 0.07, 0.93), (0.010, 0.00, 0.85)),
    ("vgg", "cifar100", 5): ((0.048, 0.08, 0.99), (0.040, 0.03, 0.97), (0.033, 0.00, 0.92)),
    ("mobilenet", "cifar100", 5): ((0.494, 0.52, 1.00), (0.403, 0.00, 1.00), (0.035, 0.00, 0.65)),
    ("resnet", "tiny-imagenet", 5): ((0.014, 0.06, 0.99), (0.011, 0.01, 0.98), (0.009, 0.00, 0.97)),
    ("vgg", "tiny-imagenet", 5): ((0.025, 0.58, 1.00), (0.013, 0.00, 0.99), (0.010, 0.00, 0.93)),
    ("mobilenet", "tiny-imagenet", 5): ((0.107, 0.03, 0.99), (0.097, 0.02, 0.94), (0.085, 0.00, 0.92)),
    ("resnet", "cifar10", 15): ((0.201, 0.40, 0.83), (0.197, 0.40, 0.82), (0.076, 0.00, 0.82)),
    ("vgg", "cifar10", 15): ((0.530, 0.23, 0.99), (0.449, 0.01, 0.99), (0.435, 0.00, 0.98)),
    ("mobilenet", "cifar10", 15): ((0.654, 0.09, 0.99), (0.644, 0.01, 0.99), (0.643, 0.00, 0.98)),
    ("resnet", "cifar100", 15): ((0.144, 0.07, 1.00), (0.130, 0.01, 0.98), (0.095, 0.00, 0.86)),
    ("vgg", "cifar100", 15): ((0.189, 0.03, 0.99), (0.176, 0.02, 0.98), (0.147, 0.00, 0.94)),
    ("mobilenet", "cifar100", 15): ((0.622, 0.26, 1.00), (0.566, 0.00, 1.00), (0.560, 0.00, 0.90)),
    ("resnet", "tiny-imagenet", 15): ((0.087, 0.23, 0.99), (0.063, 0.03, 0.99), (0.059, 0.00, 0.98)),
    ("vgg", "tiny-imagenet", 15): ((0.028, 0.10, 0.98), (0.024, 0.06, 0.94), (0.021, 0.00, 0.90)),
    ("mobilenet", "tiny-imagenet", 15): ((0.267, 0.04, 1.00), (0.244, 0.01, 0.98), (0.225, 0.00, 0.95)),
}
"""By architecture, data set and RAD: three times (T_f, independents verified, shadow models verified)."""


def published(what: str, rad: float, family: str, data: str) -> float | None:
    """The paper's figure, or None where it has none."""
    return PUBLISHED.get((what, int(rad)), {}).get((family, data))
