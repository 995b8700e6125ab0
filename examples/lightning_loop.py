"""A Lightning module trained in a Run: ``python lightning_loop.py``, then ``pyml compare width=16 width=32``.

Needs ``pip install lightning``. Nothing is downloaded: the images are scikit-learn's digits.
"""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from core.runs import Run


class RunCallback(lightning.Callback):
    """Write a Run's training curve: the mean of the loss, and what the module logs with ``self.log``."""

    def __init__(self, run):
        self.run = run

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.run.meter.update(loss=outputs["loss"].detach(), n=len(batch[0]))

    def on_train_epoch_end(self, trainer, module):
        self.run.meter.update(dict(trainer.callback_metrics))
        self.run.log_curve(trainer.global_step, epoch=trainer.current_epoch + 1)


class Classifier(lightning.LightningModule):
    """Two linear layers."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return nn.functional.cross_entropy(self.layers(images), labels)

    def validation_step(self, batch, batch_idx):
        self.log("validation_loss", self.training_step(batch, batch_idx))

    def predict_step(self, batch, batch_idx):
        images, labels = batch
        return self.layers(images).argmax(1) == labels

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def train(width, seed, n_epochs=5):
    """Train and evaluate one run."""
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    lightning.seed_everything(seed, verbose=False)
    is_test = torch.arange(len(data)) % 4 == 0
    train_loader = DataLoader(Subset(data, torch.where(~is_test)[0]), batch_size=64, shuffle=True)
    test_loader = DataLoader(Subset(data, torch.where(is_test)[0]), batch_size=64)
    with Run({"model": "two layers", "width": width, "seed": seed}) as run:
        trainer = lightning.Trainer(
            max_epochs=n_epochs,
            callbacks=[RunCallback(run)],
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = Classifier(width)
        trainer.fit(module, train_loader, test_loader)
        correct = torch.cat(trainer.predict(module, test_loader))
        run.log_result("accuracy", correct, unit="image", protocol={"split": "test"}, higher_is_better=True)
        run.save_values("accuracy", torch.where(is_test)[0], correct)
    return run.path


if __name__ == "__main__":
    for width in (16, 32):
        for seed in range(5):
            train(width, seed)
