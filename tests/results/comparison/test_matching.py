"""Which measures may be compared: not those of different n_samples, nor those of opposite directions."""

from pathlib import Path
from typing import Any

import pytest
from made_runs import Invoke
from written_runs import measure, record, write_run

WORDS = ("compare", "model=mlp", "model=unet")
LOSSES = {"mlp": (0.30, 0.34, 0.32, 0.37), "unet": (0.20, 0.22, 0.22, 0.24)}


def write_models(experiments: Path, of_mlp: dict[str, Any], of_unet: dict[str, Any]) -> None:
    for i, (model, about) in enumerate((("mlp", of_mlp), ("unet", of_unet))):
        for seed, loss in enumerate(LOSSES[model]):
            write_run(experiments, 10 * i + seed, [record(loss, about)], model=model, seed=seed)


def test_different_n_samples_are_refused_and_ignore_compares_them(experiments: Path, invoke: Invoke) -> None:
    write_models(experiments, measure("fid", n_samples=1_000), measure("fid", n_samples=5_000))
    code, out, err = invoke(*WORDS)
    assert (code, out) == (2, "")
    assert "fid: not compared: n_samples 1000 against 5000, and the expected value may depend on it." in err
    assert "--n-samples, or compare them anyway with --ignore n_samples." in err
    code, out, err = invoke(*WORDS, "--ignore", "n_samples")
    assert (code, err) == (0, "")
    assert "B is better" in out
    assert "n_samples 1000 against 5000" in out


def test_a_refused_measure_leaves_the_others_and_is_named(experiments: Path, invoke: Invoke) -> None:
    for i, model in enumerate(LOSSES):
        for seed, loss in enumerate(LOSSES[model]):
            lines = [record(loss), record(loss, measure("fid", n_samples=1_000 * (i + 1)))]
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed)
    code, out, _ = invoke(*WORDS)
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("loss ") and "B is better" in line]
    assert "fid: not compared: n_samples 1000 against 2000" in out


def test_only_what_may_differ_can_be_ignored(experiments: Path, invoke: Invoke) -> None:
    write_models(experiments, measure(), measure())
    code, out, err = invoke(*WORDS, "--ignore", "unit")
    assert (code, out) == (2, "")
    assert "'unit' is not one of 'n_samples', 'sampler', 'checkpoint', 'ema_half_life_images'" in err


def test_results_of_different_samplers_are_refused_and_ignore_compares_them(experiments: Path, invoke: Invoke) -> None:
    samplers = ({"sampler": "heun", "rho": 7.0, "split": "held_out"}, {"sampler": "heun", "schedule": "flow"})
    samplers[1]["split"] = "held_out"
    for i, (model, protocol) in enumerate(zip(("mlp", "unet"), samplers, strict=True)):
        for seed, loss in enumerate(LOSSES[model]):
            abouts = [measure("fid", n_steps=n, n_samples=500, protocol=protocol) for n in (5, 18)]
            write_run(
                experiments,
                10 * i + seed,
                [record(n * loss, about) for n, about in zip((1, 2), abouts, strict=True)],
                model=model,
                seed=seed,
            )
    code, _, err = invoke(*WORDS)
    assert (code, "the protocols differ: rho 7 against none" in err) == (2, True)
    code, out, err = invoke(*WORDS, "--ignore", "sampler", "--metric", "fid")
    assert (code, err) == (0, "")
    rows = [line for line in out.splitlines() if line.startswith("fid n_steps=")]
    assert [row.split()[1] for row in rows[:2]] == ["n_steps=5", "n_steps=18"]
    assert all("B is better" in row for row in rows[:2])
    assert "samplers differ: rho 7 against none; schedule none against flow" in " ".join(out.split())


SAMPLERS = ({"sampler": "meanflow", "split": "held_out"}, {"sampler": "heun", "split": "held_out"})


def test_one_step_of_a_sampler_is_compared_with_many_of_another(experiments: Path, invoke: Invoke) -> None:
    one, many = (measure("fid", n_steps=n, protocol=each) for n, each in zip((1, 18), SAMPLERS, strict=True))
    write_models(experiments, one, many)
    code, _, err = invoke(*WORDS)
    assert (code, "fid: not compared, because the protocols differ: sampler meanflow against heun" in err) == (2, True)
    code, out, err = invoke(*WORDS, "--ignore", "sampler")
    assert (code, err, "B is better" in out) == (0, "", True)
    assert "samplers differ: sampler meanflow against heun; n_steps 1 against 18" in " ".join(out.split())


def test_samplers_and_numbers_of_samples_are_ignored_together(experiments: Path, invoke: Invoke) -> None:
    few, many = (
        measure("fid", n_steps=5, n_samples=n, protocol=each) for n, each in zip((100, 500), SAMPLERS, strict=True)
    )
    write_models(experiments, few, many)
    code, _, err = invoke(*WORDS, "--ignore", "sampler")
    assert (code, "fid: not compared: n_samples 100 against 500" in err) == (2, True)
    code, out, err = invoke(*WORDS, "--ignore", "sampler", "--ignore", "n_samples")
    assert (code, err, "B is better" in out) == (0, "", True)


def test_several_steps_of_another_sampler_are_not_matched_by_guessing(experiments: Path, invoke: Invoke) -> None:
    for i, (model, steps, protocol) in enumerate(zip(("mlp", "unet"), ((1,), (5, 18)), SAMPLERS, strict=True)):
        for seed, loss in enumerate(LOSSES[model]):
            lines = [record(loss, measure("fid", n_steps=n, protocol=protocol)) for n in steps]
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed)
    code, _, err = invoke(*WORDS, "--ignore", "sampler")
    assert (code, "several n_steps, n_samples or samplers; name one with --metric" in err) == (2, True)
    chosen = [part for n in (1, 5) for part in ("--metric", f"fid (n_steps={n},*")]
    code, out, err = invoke(*WORDS, "--ignore", "sampler", *chosen)
    assert (code, err, "n_steps 1 against 5" in " ".join(out.split())) == (0, "", True)


def test_ignoring_the_sampler_keeps_the_other_differences(experiments: Path, invoke: Invoke) -> None:
    write_models(
        experiments,
        measure("bits_per_dim", protocol={"sigma_min": 0.002}),  # no result on samples: it has no n_steps
        measure("bits_per_dim", protocol={"sigma_min": 0.05}),
    )
    code, _, err = invoke(*WORDS, "--ignore", "sampler")
    assert (code, "sigma_min 0.002 against 0.05" in err) == (2, True)


@pytest.mark.parametrize(
    ("field", "value", "note"),
    [
        ("checkpoint", "best", "checkpoints differ: checkpoint none against best"),
        ("ema_half_life_images", 500, "moving averages differ: ema_half_life_images none against 500"),
    ],
)
def test_other_weights_are_refused_and_ignore_compares_them(
    experiments: Path, invoke: Invoke, field: str, value: object, note: str
) -> None:
    protocol = {"split": "held_out"}
    write_models(experiments, measure(protocol=protocol), measure(protocol={**protocol, field: value}))
    code, _, err = invoke(*WORDS, "--ignore", "sampler")
    assert (code, f"the protocols differ: {field} none against {value}" in err) == (2, True)
    code, out, err = invoke(*WORDS, "--ignore", field, "--ignore", "sampler")
    assert (code, "B is better" in out) == (0, True)
    assert f"samplers or {note}" in " ".join(out.split())


def test_opposite_directions_name_no_winner(experiments: Path, invoke: Invoke) -> None:
    write_models(experiments, measure(higher_is_better=True), measure(higher_is_better=False))
    for arguments in ((), ("--ignore", "n_samples"), ("--metric", "loss")):
        code, out, err = invoke(*WORDS, *arguments)
        assert (code, out) == (2, "")
        assert "loss: not compared: higher_is_better is true in A and false in B." in err


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("direction", "answer"), [(True, "A is better"), (False, "B is better"), (None, "A is higher")]
)
def test_a_direction_that_one_group_names_holds_for_both(
    experiments: Path, invoke: Invoke, direction: bool | None, answer: str, *, swapped: bool
) -> None:
    named, silent = measure(higher_is_better=direction), measure(higher_is_better=None)
    write_models(experiments, *((silent, named) if swapped else (named, silent)))
    code, out, err = invoke(*WORDS)
    assert (code, err) == (0, "")
    assert answer in out
