"""Relative KL: where compare names it, and that its interval covers the truth on data of known density."""

import json

import numpy as np
import pytest
import torch
from made_runs import Invoke, MakeRun
from numpy.typing import NDArray

from core.diffusion.datasets.gaussians import eight_gaussians
from core.utils.results import ResultMetadata
from results.statistics.intervals import paired_difference

N_REPEATS, N_IMAGES = 4000, 200


def test_its_interval_covers_the_truth_on_gaussians() -> None:
    """The data are the mixture of ``gaussians``; model A blurs it by sigma 0.03, model B by 0.06.

    The truth is an integral over one component, for the mixture is the same around each: Gauss-Hermite quadrature.
    """
    mixture, sigma_a, sigma_b = eight_gaussians(), 0.03, 0.06
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    plane = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    area = np.outer(weights, weights).ravel() / (2 * np.pi)

    def bits(points: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
        nats = mixture.log_density(torch.from_numpy(points), sigma).numpy()
        return np.asarray(-nats / (2 * np.log(2)))

    around = mixture.means[0].numpy() + 0.1 * plane
    truth = float((area * (bits(around, sigma_a) - bits(around, sigma_b))).sum())
    points = mixture.draw(N_REPEATS * N_IMAGES, np.random.RandomState(0))
    of_a, of_b = (bits(points, sigma).reshape(N_REPEATS, N_IMAGES) for sigma in (sigma_a, sigma_b))
    found = paired_difference(of_a, of_b)
    covered = np.mean((found.ci_low <= truth) & (truth <= found.ci_high))
    assert 0.94 <= covered <= 0.96
    assert truth < -0.01, "the model that blurs less is nearer to the data"


@pytest.mark.parametrize(
    ("name", "dequantisation", "expected"),
    [
        ("bits_per_dim", "none", "bits per dimension: KL(data || A) - KL(data || B)."),
        ("bits_per_dim/given_label", "none", "bits per dimension: KL(data || A) - KL(data || B), given the label."),
        ("bits_per_dim", "gaussian", "bits per dimension: KL(data with the noise of the protocol || A) - KL("),
        ("loss", "none", ""),
    ],
)
def test_compare_names_it_where_it_is(
    name: str, dequantisation: str, expected: str, make_run: MakeRun, invoke: Invoke
) -> None:
    measure = ResultMetadata(name, unit="image", protocol={"dequantisation": dequantisation}, higher_is_better=False)
    for seed in range(3):
        make_run({measure: 1.0 + 0.01 * seed}, model="mlp", seed=seed)
        make_run({measure: 2.0 + 0.02 * seed}, model="unet", seed=seed)
    code, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    assert ("A - B is relative KL" in out) == bool(expected)
    assert expected in " ".join(out.split())


def test_its_json_form_says_what_the_difference_is(make_run: MakeRun, invoke: Invoke) -> None:
    about = {"dequantisation": "gaussian"}
    given = ResultMetadata("bits_per_dim/given_label/raw", unit="image", protocol=about, higher_is_better=False)
    plain, loss = ResultMetadata("bits_per_dim", unit="image"), ResultMetadata("loss", unit="image")
    for seed in range(3):
        for model, factor in (("mlp", 1), ("unet", 2)):
            make_run(dict.fromkeys((given, plain, loss), factor * (1 + 0.01 * seed)), model=model, seed=seed)
    code, out, _ = invoke("compare", "model=mlp", "model=unet", "--format", "json")
    assert code == 0
    found = {one["measure"]["name"]: one["relative_kl"] for one in json.loads(out)["comparisons"]}
    noisy = "data with the noise of the protocol"
    assert found == {
        "bits_per_dim/given_label/raw": {
            "meaning": f"KL({noisy} || A) - KL({noisy} || B)",
            "unit": "bits per dimension",
            "conditional": "label",
        },
        "bits_per_dim": {
            "meaning": "KL(data || A) - KL(data || B)",
            "unit": "bits per dimension",
            "conditional": "none",
        },
        "loss": None,
    }
