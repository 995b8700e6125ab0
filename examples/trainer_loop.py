"""A model trained by Hugging Face's Trainer in a Run. After it: ``pyml compare width=16 width=32``.

Needs ``pip install transformers accelerate``. Nothing is downloaded: the model is a small network of our own, and the
images are scikit-learn's digits. A model of transformers is trained in the same way.
"""

import tempfile

import numpy as np
from sklearn.datasets import load_digits
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from core.runs import Run


class RunCallback(TrainerCallback):
    """Write a Run's training curve: the numbers that the Trainer logs, such as loss, eval_loss and grad_norm."""

    def __init__(self, run):
        self.run = run

    def on_log(self, args, state, control, logs, **_):
        if "train_runtime" in logs or not state.is_world_process_zero:  # the first is the Trainer's summary
            return
        self.run.meter.update({name: value for name, value in logs.items() if name != "epoch"})
        self.run.log_curve(state.global_step, epoch=int(state.epoch))


class Classifier(nn.Module):
    """Two linear layers, with the keyword arguments and the result that the Trainer expects."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, images, labels):
        logits = self.layers(images)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def train(width, seed, n_epochs=5):
    """Train and evaluate one run."""
    images, labels = load_digits(return_X_y=True)
    rows = [{"images": image, "labels": label} for image, label in zip(images.astype("f4") / 16, labels, strict=True)]
    is_test = np.arange(len(rows)) % 4 == 0
    with Run({"model": "two layers", "width": width, "seed": seed}) as run, tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=n_epochs,
            per_device_train_batch_size=64,
            learning_rate=0.01,
            logging_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=seed,
        )
        trainer = Trainer(
            model_init=lambda: Classifier(width),  # called after the seed is set
            args=arguments,
            train_dataset=[row for row, test in zip(rows, is_test, strict=True) if not test],
            callbacks=[RunCallback(run)],
        )
        trainer.train()
        predicted = trainer.predict([row for row, test in zip(rows, is_test, strict=True) if test])
        correct = predicted.predictions.argmax(1) == predicted.label_ids
        run.log_result("accuracy", correct, unit="image", protocol={"split": "test"}, higher_is_better=True)
        run.save_values("accuracy", np.flatnonzero(is_test), correct)
    return run.path


if __name__ == "__main__":
    for width in (16, 32):
        for seed in range(5):
            train(width, seed)
