"""ModelConfig and GlobalConfig: what they accept, and how they say what they do not."""

import json
from pathlib import Path

import attrs
import pytest

from core.config import ConfigError, GlobalConfig, ModelConfig
from core.config.fields import rule_of
from core.config.load import Layer, build_config
from core.config.options import options_of
from core.diffusion.models.configs import UNetConfig
from core.runs.config_file import read_config_file, read_saved_config


def test_a_bare_config_works_and_means_the_placeholder_model() -> None:
    assert ModelConfig().model == "identity"
    assert ModelConfig() == ModelConfig()
    assert len({ModelConfig(), ModelConfig(), ModelConfig(seed=1)}) == 2


@pytest.mark.parametrize("cls", [ModelConfig, GlobalConfig])
def test_every_field_has_a_help_text_and_says_what_it_accepts(cls: type) -> None:
    for attribute in attrs.fields(cls):
        assert len(attribute.metadata["help"]) > 10, attribute.name
        assert rule_of(attribute).accepts


def test_a_config_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ModelConfig().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("seed", 1.0),
        ("seed", True),
        ("seed", "1"),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", 10**400),
        ("learning_rate", "0.1"),
        ("hidden_layer_sizes", []),
        ("hidden_layer_sizes", [64, 0]),
        ("hidden_layer_sizes", "64"),
        ("hidden_layer_sizes", 64),
        ("ema_half_life_images", []),
        ("ema_half_life_images", 0),
        ("ema_half_life_images", [100, 100]),
        ("ema_half_life_images", [100, 0.5]),
        ("ema_half_life_images", True),
        ("model", ""),
        ("model", None),
        ("n_steps", 1),
    ],
)
def test_a_value_that_is_not_accepted_is_named_with_its_field_and_type(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: got .*\({type(value).__name__}\); accepted: "):
        ModelConfig(**{field: value})


def test_all_faults_of_a_config_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig(seed=-1, learning_rate=-0.5, batch_size=0, n_epochs="ten", hidden_layer_sizes=[])
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "seed",
        "learning_rate",
        "batch_size",
        "n_epochs",
        "hidden_layer_sizes",
    ]


def test_noise_levels_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"sigma_min: got 2.0; accepted: a number below sigma_max \(1.0\)"):
        ModelConfig(sigma_min=2, sigma_max=1)


def test_accepted_values_are_normalised() -> None:
    config = ModelConfig(learning_rate=1, hidden_layer_sizes=[3, 4])
    assert repr(config.learning_rate) == "1.0"
    assert config.hidden_layer_sizes == (3, 4)


def test_one_moving_average_is_a_number_and_several_are_a_list() -> None:
    assert ModelConfig().ema_half_life_images == 20_000
    assert ModelConfig(ema_half_life_images=[500]).ema_half_life_images == 500
    assert ModelConfig(ema_half_life_images=[500, 50]).ema_half_life_images == (500, 50)
    for text, expected in (("500", 500), ("500,50", (500, 50))):
        layer = Layer("command line", {"ema_half_life_images": text}, is_text=True)
        assert build_config(ModelConfig, layer).ema_half_life_images == expected


def test_the_experiments_directory_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYML_EXPERIMENTS_DIR", raising=False)
    assert GlobalConfig().experiments_dir == Path("experiments")
    monkeypatch.setenv("PYML_EXPERIMENTS_DIR", "/somewhere/else")
    assert GlobalConfig().experiments_dir == Path("/somewhere/else")
    assert GlobalConfig(experiments_dir="here").experiments_dir == Path("here")  # type: ignore[arg-type]


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'seed = 3\nbatch_size = 7\nhidden_layer_sizes = [8, 9]\n[global]\ndevice = "cpu"\n'
    )
    run, everywhere = read_config_file(tmp_path / "run.toml")
    line = Layer("command line", {"seed": "5", "learning_rate": "1e-4"}, is_text=True)
    config = build_config(ModelConfig, run, line)
    assert (config.seed, config.batch_size, config.learning_rate) == (5, 7, 1e-4)
    assert config.hidden_layer_sizes == (8, 9)
    assert config.n_epochs == ModelConfig().n_epochs
    assert build_config(GlobalConfig, everywhere).device == "cpu"


def test_the_documented_config_file_is_accepted(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/commands.md").read_text(encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0])
    run, everywhere = read_config_file(path)
    config = build_config(UNetConfig, run)
    assert (config.model, config.seed, config.channel_multipliers) == ("unet", 1, (1, 2, 2))
    assert build_config(GlobalConfig, everywhere) == GlobalConfig(
        experiments_dir=Path("/data/experiments"), device="cuda:0"
    )


def test_a_setting_of_the_machine_among_the_fields_of_a_run_is_sent_to_its_table(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('experiments_dir = "/data"\n')
    with pytest.raises(ConfigError, match=r"experiments_dir is not a field of a run. Put it into the table \[global\]"):
        build_config(ModelConfig, read_config_file(tmp_path / "run.toml")[0])


def test_toml_and_json_files_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("seed = 3\nrho = 5\n")
    (tmp_path / "a.json").write_text('{"seed": 3, "rho": 5}')
    toml, json_ = (build_config(ModelConfig, read_config_file(tmp_path / f"a.{kind}")[0]) for kind in ("toml", "json"))
    assert toml == json_ == ModelConfig(seed=3, rho=5)


def test_five_mistakes_in_one_file_are_five_messages(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('learning_rat = 0.1\nseed = -1\nbatch_size = "x"\nrho = nan\nhidden_layer_sizes = [0]\n')
    with pytest.raises(ConfigError) as caught:
        build_config(ModelConfig, read_config_file(path)[0])
    faults = caught.value.faults
    assert len(faults) == 5
    assert faults[0].startswith(f"{path}: unknown key 'learning_rat'. Did you mean 'learning_rate'? Known keys: ")
    assert faults[1] == f"{path}: seed: got -1 (int); accepted: an integer, at least 0 and at most {2**63 - 1}."
    assert [fault.removeprefix(f"{path}: ").partition(": got ")[0] for fault in faults[2:]] == [
        "batch_size",
        "rho",
        "hidden_layer_sizes",
    ]


def test_faults_of_file_and_command_line_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seed": "zero"}')
    with pytest.raises(ConfigError) as caught:
        build_config(
            ModelConfig,
            read_config_file(tmp_path / "a.json")[0],
            Layer("command line", {"n_epochs": "many"}, is_text=True),
        )
    assert caught.value.faults[0].endswith(
        "seed: got 'zero' (str); accepted: an integer, at least 0 and at most 9223372036854775807."
    )
    assert caught.value.faults[1] == "--n-epochs: got 'many'; accepted: an integer, at least 1."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "seed = = 3", "not valid TOML"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[1]", "got a list; accepted: a table of fields"),
        ("a.yaml", "seed: 3", r"got a file named .yaml; accepted: .toml or .json"),
        ("a.toml", "global = 3", "global: got a int; accepted: a table"),
    ],
)
def test_a_file_that_is_no_config_is_refused_with_its_name(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=f"{name}: {message}"):
        read_config_file(tmp_path / name)


def test_a_missing_config_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml: cannot be read as a config file"):
        read_config_file(Path("nowhere.toml"))


def test_a_runs_config_json_starts_the_same_run_again(tmp_path: Path) -> None:
    from core.utils.utils import save_config_to_json

    config = ModelConfig(seed=4, data_shape=(1, 8, 8), n_classes=10)
    path = save_config_to_json(config, tmp_path)
    again = build_config(ModelConfig, read_config_file(path)[0])
    assert again == attrs.evolve(config, data_shape=None, n_classes=None), (
        "the data's shape is the trainer's to fill in"
    )
    assert read_saved_config(path).build(ModelConfig) == config


def test_what_was_found_in_the_data_is_not_asked_for_again_even_after_a_resume(tmp_path: Path) -> None:
    from core.utils.utils import save_config_to_json

    save_config_to_json(ModelConfig(sigma_data=0.7), tmp_path, found_in_data=["sigma_data"])
    path = save_config_to_json(ModelConfig(sigma_data=0.7, n_epochs=9), tmp_path)
    again = build_config(ModelConfig, read_config_file(path)[0])
    assert (again.sigma_data, again.n_epochs) == (None, 9)


def test_a_saved_config_of_a_newer_version_is_read_with_a_warning(tmp_path: Path) -> None:
    from core.utils.utils import save_config_to_json

    path = save_config_to_json(ModelConfig(seed=4), tmp_path)
    content = json.loads(path.read_text())
    content["config"]["from_the_future"] = 1
    path.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="ignoring unknown fields: from_the_future"):
        assert read_saved_config(path).build(ModelConfig).seed == 4


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": "other/1", "config": {}}'])
def test_a_damaged_saved_config_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"config.json: (cannot be read as|not) a run's config"):
        read_saved_config(tmp_path / "config.json")


def test_there_is_one_option_per_field_and_none_for_what_the_trainer_fills_in() -> None:
    options = {option.name: option for option in options_of(ModelConfig)}
    fields = {attribute.name for attribute in attrs.fields(ModelConfig)}
    assert fields - set(options) == {
        "classes_fingerprint",
        "data_dir_absolute",
        "data_fingerprint",
        "data_shape",
        "n_classes",
    }
    assert options["learning_rate"].opts == ["--learning-rate"]
    assert "[default: 0.001]" in str(options["learning_rate"].help)
    assert "[default: 512,512,512]" in str(options["hidden_layer_sizes"].help)


def test_lists_of_sizes_are_written_with_commas_on_the_command_line() -> None:
    layer = Layer("command line", {"hidden_layer_sizes": "64,32"}, is_text=True)
    assert build_config(ModelConfig, layer).hidden_layer_sizes == (64, 32)
