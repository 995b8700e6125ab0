"""ModelConfig: the hyperparameters of one run."""

from __future__ import annotations

from attrs import frozen

from core.config import rules
from core.config.combinations import combination_faults
from core.config.errors import ConfigError
from core.config.fields import check_fields, option
from core.config.global_config import GlobalConfig as GlobalConfig  # also importable from here


@frozen(kw_only=True)
class ModelConfig:
    """The hyperparameters of one run that every model has.

    A model with options of its own subclasses this class, adds fields with ``option``, changes no default, and
    registers the subclass under ``pyml.configs``.

    Raises:
        ConfigError: One or more values are not accepted; all faults are named at once.
    """

    model: str = option("identity", rule=rules.text(), help="Name of the model plugin.")
    dataset: str = option("digits", rule=rules.text(), help="Name of the data set plugin.")
    data_dir: str | None = option(
        None, rule=rules.optional(rules.text()), help="Directory of images for the data set 'folder'."
    )
    image_size: int | None = option(
        None,
        rule=rules.optional(rules.integer(1)),
        help="Resize the images of 'folder' to this height and width: the shorter side is scaled, the middle is kept.",
    )
    image_mode: str = option(
        "keep",
        rule=rules.choice("keep", "grey", "rgb"),
        help="Convert the images of 'folder' to grey or rgb. keep accepts 8-bit grey or colour images only.",
    )
    seed: int = option(
        0,
        rule=rules.integer(0, 2**63 - 1),
        help="Seed of all random numbers except the data split: weights, batches, noise.",
    )
    split_seed: int = option(
        0, rule=rules.integer(0, 2**32 - 1), help="Seed of the split into training and held-out data."
    )
    validation_share: float = option(
        0.0,
        rule=rules.number(0, 0.5),
        help="Share of the training images that is left out of training and chooses the checkpoint 'best'; 0: none.",
    )
    learning_rate: float = option(1e-3, rule=rules.number(above=0), help="Learning rate after warm-up.")
    lr_schedule: str = option(
        "constant",
        rule=rules.choice("constant", "cosine"),
        help="Learning rate after warm-up: constant, or falling to 0 as half a cosine until the last step.",
    )
    optimizer: str = option("adam", rule=rules.choice("adam", "adamw"), help="Optimiser: adam or adamw.")
    weight_decay: float = option(
        0.01,
        rule=rules.number(0),
        help="Weight decay of AdamW, multiplied by the learning rate. Adam has none.",
    )
    batch_size: int = option(128, rule=rules.integer(1), help="Images per training step.")
    accumulate: int = option(
        1,
        rule=rules.integer(1),
        help="Split each batch into this many parts and add up their gradients, which saves memory.",
    )
    n_epochs: int = option(300, rule=rules.integer(1), help="Number of passes over the training data.")
    hidden_layer_sizes: tuple[int, ...] = option(
        (512, 512, 512), rule=rules.integers(1), help="Number of units in each hidden layer."
    )
    warmup_steps: int = option(
        100, rule=rules.integer(0), help="Steps over which the learning rate rises from 0 to its full value."
    )
    max_grad_norm: float = option(
        1.0, rule=rules.number(above=0), help="Maximum gradient L2 norm; larger gradients are scaled down to it."
    )
    precision: str = option(
        "float32",
        rule=rules.choice("float32", "bf16"),
        help="Number format in training; bf16 uses autocast.",
    )
    compile: bool = option(
        False,
        rule=rules.boolean(),
        help="Compile the model for training with torch.compile. It takes up to minutes at the start.",
    )
    flip: bool = option(
        False,
        rule=rules.boolean(),
        help="Mirror each training image left to right with probability 1/2, anew in each epoch.",
    )
    skip_nonfinite: bool = option(
        False,
        rule=rules.boolean(),
        help="Skip a training step whose gradient is not finite, instead of stopping the run.",
    )
    ema_half_life_images: int | tuple[int, ...] = option(
        20_000,
        rule=rules.one_or_more_integers(1),
        help="Half-life of the moving average of the weights, in training images. Of several, the first is the default "
        "of evaluations.",
    )
    family: str = option(
        "edm",
        rule=rules.choice("edm", "flow", "meanflow"),
        help="Family: edm (denoising with EDM's preconditioning), flow (rectified flow, flow matching), or meanflow "
        "(average velocities, for samples in one step).",
    )
    t_distribution: str = option(
        "logit_normal",
        rule=rules.choice("logit_normal", "uniform"),
        help="Distribution of the time t in training, from 0 (data) to 1 (noise); families flow and meanflow.",
    )
    logit_mean: float = option(
        0.0, rule=rules.number(), help="Mean of ln(t / (1 - t)) with --t-distribution logit_normal."
    )
    logit_std: float = option(
        1.0,
        rule=rules.number(above=0),
        help="Standard deviation of ln(t / (1 - t)) with --t-distribution logit_normal.",
    )
    p_mean: float = option(
        -1.2, rule=rules.number(), help="Mean of ln(sigma) for the noise in training (P_mean in EDM); family edm only."
    )
    p_std: float = option(
        1.2,
        rule=rules.number(above=0),
        help="Standard deviation of ln(sigma) for the noise in training (P_std in EDM); family edm only.",
    )
    weighting: str = option(
        "standard",
        rule=rules.choice("standard", "min_snr"),
        help="Weight of each noise level in the loss: standard (EDM's lambda; 1 / t² in flow) or min_snr. Not for "
        "family meanflow.",
    )
    min_snr_gamma: float = option(
        5.0, rule=rules.number(above=0), help="Largest weight of a noise level with --weighting min_snr."
    )
    sigma_data: float | None = option(
        None,
        rule=rules.optional(rules.number(above=0)),
        help="Scale of the data (sigma_data in EDM). If none, it is measured on the training images.",
    )
    sigma_data_from: str = option(
        "rms",
        rule=rules.choice("rms", "std"),
        help="How sigma_data is measured: root mean square (rms) of the values, or their standard deviation (std).",
    )
    sigma_min: float = option(
        0.002,
        rule=rules.number(above=0),
        help="Smallest non-zero noise level (sigma) of the sampler.",
        evaluation=True,
    )
    sigma_max: float = option(
        80.0, rule=rules.number(above=0), help="Largest noise level (sigma) of the sampler.", evaluation=True
    )
    rho: float = option(
        7.0,
        rule=rules.number(above=0),
        help="Exponent that spaces the sampler's noise levels; a larger one gives more steps at small levels.",
        evaluation=True,
    )
    sampler: str = option(
        "heun",
        rule=rules.choice("heun", "euler", "stochastic", "meanflow"),
        help="Sampler: heun (EDM, algorithm 1), euler, stochastic (EDM, algorithm 2), or meanflow (average velocities; "
        "family meanflow only).",
        evaluation=True,
    )
    schedule: str | None = option(
        None,
        rule=rules.optional(rules.choice("edm", "flow")),
        help="Path from noise to data that the sampler follows. If none, the schedule of the family.",
        evaluation=True,
    )
    s_churn: float = option(
        40.0,
        rule=rules.number(0),
        help="Amount of noise that the stochastic sampler adds in total (S_churn in EDM).",
        evaluation=True,
    )
    s_min: float = option(
        0.05,
        rule=rules.number(0),
        help="Smallest noise level at which the stochastic sampler adds noise (S_tmin in EDM).",
        evaluation=True,
    )
    s_max: float = option(
        50.0,
        rule=rules.number(0),
        help="Largest noise level at which the stochastic sampler adds noise (S_tmax in EDM).",
        evaluation=True,
    )
    s_noise: float = option(
        1.003,
        rule=rules.number(above=0),
        help="Standard deviation of the noise added in each step (S_noise in EDM).",
        evaluation=True,
    )
    guidance: float = option(
        1.0,
        rule=rules.number(0),
        help="Scale of classifier-free guidance in sampling; 1 means none. Needs a model trained with label_dropout.",
        evaluation=True,
    )
    n_steps: int = option(
        18,
        rule=rules.integer(1),
        help="Number of sampler steps; 1 is possible with schedule flow only.",
        evaluation=True,
    )
    n_samples: int = option(
        500, rule=rules.integer(0), help="Number of images to sample in an evaluation.", evaluation=True
    )
    exact_trace_up_to: int = option(
        16,
        rule=rules.integer(0),
        help="Largest number of values per image for which the likelihood's trace is computed exactly, which takes one "
        "backward pass per value and step. Above it, the trace is estimated.",
        evaluation=True,
    )
    checkpoint_every_epochs: int = option(
        50, rule=rules.integer(1), help="Number of epochs between checkpoints; the last epoch always writes one."
    )
    keep_every_epochs: int | None = option(
        None,
        rule=rules.optional(rules.integer(1)),
        help="Number of epochs between checkpoints that are kept; none keeps the last (and the best) one only.",
    )
    data_shape: tuple[int, ...] | None = option(
        None, rule=rules.optional(rules.integers(1)), cli=False, help="Shape of one image; set by the trainer."
    )
    n_classes: int | None = option(
        None,
        rule=rules.optional(rules.integer(0)),
        cli=False,
        help="Number of classes in the data; set by the trainer.",
    )
    classes_fingerprint: str | None = option(
        None,
        rule=rules.optional(rules.text()),
        cli=False,
        help="Fingerprint of the names of the classes, where they have names; set by training.",
    )
    data_fingerprint: str | None = option(
        None, rule=rules.optional(rules.text()), cli=False, help="Fingerprint of the training images; set by training."
    )
    data_dir_absolute: str | None = option(
        None, rule=rules.optional(rules.text()), cli=False, help="Absolute path of --data-dir; set by training."
    )

    def __attrs_post_init__(self) -> None:
        faults = check_fields(self) or combination_faults(self)
        if faults:
            raise ConfigError(*faults)
