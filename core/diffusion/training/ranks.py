"""The processes that train together: each takes a share of every batch, and all keep the same weights.

A process is called by its rank, from 0. Rank 0 alone writes the run directory. The batch is the one that the config
asks for, whatever the number of processes, and so are the order of the images and their noise.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from core.config.errors import ConfigError
from core.diffusion.model import Denoiser
from core.diffusion.training.failures import Failures
from core.runs.shards import share
from core.utils.signals import RunInterrupted, interruption

TIMEOUT = timedelta(minutes=30)  # rank 0 draws sample images while the others wait for it

Losses = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


class Ranks:
    """The processes that train together, seen from one of them. Without arguments: this process alone.

    Args:
        rank: Number of this process, from 0.
        world_size: Number of processes.
        failures: Tells the others that this process failed, and this one that another did; None for one process.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, failures: Failures | None = None) -> None:
        self.rank, self.world_size = rank, world_size
        self._failures = failures
        self._vote: tuple[Any, Tensor] | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run directory."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.world_size == 1

    @property
    def is_reported(self) -> bool:
        """Whether another process knows how this one failed, or failed first itself."""
        return self._failures is not None and self._failures.is_reported

    def check_shares(self, batch_size: int, n_images: int) -> None:
        """Raise ConfigError, on all processes, unless each can have an image of every full batch."""
        n, what = min((batch_size, f"batches of batch_size = {batch_size}"), (n_images, f"{n_images} training images"))
        if self.world_size > n:
            raise ConfigError(
                f"{self.world_size} processes cannot share {what}: one of them would have none. Start {n} or fewer."
            )

    def share(self, n: int) -> slice:
        """Return which of the ``n`` images of a batch this process takes; of the last batch it may be none."""
        mine = share(n, self.rank + 1, self.world_size)
        return slice(mine.start, mine.stop)

    def losses_of(self, model: Denoiser) -> Losses:
        """Return the model's ``training_loss``; with several processes, its gradient is their mean on all of them."""
        if self.is_alone:
            return model.training_loss
        device = next(model.parameters()).device
        loss = _Loss(model)
        # The others are sent at every forward pass, for which all processes wait.
        ignore: Any = nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        ignore(loss, _constant_buffers(loss))
        wrapped: Losses = nn.parallel.DistributedDataParallel(
            loss,
            device_ids=[device.index] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )
        return wrapped

    def batch_mean(self, losses: Tensor, n: int) -> Tensor:
        """Return what this process minimises: the mean of these values over all processes is the batch's mean loss.

        Args:
            losses: Losses of the images of this process, shape ``(N,)``; N may be 0.
            n: Number of images of the batch. The gradients of several parts of it add up to that of its mean loss.
        """
        return losses.mean() if self.is_alone and len(losses) == n else losses.sum() * (self.world_size / n)

    def from_first(self, make: Callable[[], Any]) -> Any:
        """Call ``make`` in the first process and return its value in all of them."""
        if self.is_alone:
            return make()
        values = [make() if self.is_first else None]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def check_same(self, what: Mapping[str, Any]) -> None:
        """Raise ConfigError, on all processes, if one of these values differs between them.

        Args:
            what: Values by the name that the message gives them.
        """
        if self.is_alone:
            return
        found: list[Any] = [None] * self.world_size
        distributed.all_gather_object(found, {name: repr(value) for name, value in what.items()})
        for name in what:
            if len({each[name] for each in found}) > 1:
                values = "; ".join(f"{each[name]:.200} of rank {rank}" for rank, each in enumerate(found))
                raise ConfigError(f"the processes of this training must have the same {name}; got {values}.")

    def wait_for_all(self) -> None:
        """Return when all processes are here."""
        if not self.is_alone:
            distributed.barrier()

    def agreed(self, request: BaseException | None) -> BaseException | None:
        """Return a request to stop that any of the processes had in the step before, at the same step in all of them.

        The answer is that of the step before, so that the exchange takes place during a step and costs no time.

        Args:
            request: What this process was asked, or None. Without other processes it is returned as it is.
        """
        if self.is_alone:
            return request
        code = 0 if request is None else getattr(request, "exit_code", 1)
        vote = torch.tensor([code])
        work = distributed.all_reduce(vote, distributed.ReduceOp.MAX, async_op=True)
        before, self._vote = self._vote, (work, vote)
        if before is None:
            return None
        before[0].wait()
        agreed = int(before[1])
        if agreed and self._failures is not None:
            self._failures.is_stopping = True
        return (request or _interruption(agreed)) if agreed else None

    def end_vote(self) -> None:
        """Wait for the exchange that ``agreed`` has begun."""
        if self._vote is not None:
            self._vote[0].wait()
            self._vote = None

    @contextlib.contextmanager
    def failing_together(self, on_stuck: Callable[[BaseException], None] | None = None) -> Iterator[None]:
        """While the block runs, an error in one process ends all of them with its reason.

        Args:
            on_stuck: Called with the reason if this process does not leave the block by itself, because it waits for
                the one that failed. The process is ended after that.

        Raises:
            RankError: Another process failed.
        """
        if self._failures is None:
            yield
            return
        before, self._failures.on_stuck = self._failures.on_stuck, on_stuck or self._failures.on_stuck
        try:
            with self._failures.reported():
                yield
        finally:
            self._failures.on_stuck = before


def _constant_buffers(module: nn.Module) -> list[str]:
    """Return the names of the buffers in modules that say, by ``has_constant_buffers``, that these never change."""
    constant = [(name, each) for name, each in module.named_modules() if getattr(each, "has_constant_buffers", False)]
    return [f"{name}.{buffer}" for name, each in constant for buffer, _ in each.named_buffers(recurse=False)]


class _Loss(nn.Module):
    """The loss of a model as a module, since DistributedDataParallel averages gradients of what ``forward`` returns."""

    def __init__(self, model: Denoiser) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None, span: Tensor | None
    ) -> Tensor:
        """Return the loss of each image. See ``Denoiser.training_loss``."""
        return self.model.training_loss(images, noise, sigma, labels, span)


def _interruption(exit_code: int) -> RunInterrupted:
    """Return what stops this process when another one was asked to stop."""
    try:
        return interruption(exit_code - 128)
    except ValueError:  # it was asked by something other than a signal
        return RunInterrupted("stopped by another process of the training", exit_code)


@contextlib.contextmanager
def joined(rank: int, world_size: int, device: torch.device, timeout: timedelta = TIMEOUT) -> Iterator[Ranks]:
    """Join the other processes that torchrun started, for the time of the block.

    Args:
        rank: Number of this process, from 0.
        world_size: Number of processes.
        device: Device of this process: a GPU talks through NCCL, a CPU through gloo.
        timeout: How long to wait for a process that neither answers nor ends.

    Raises:
        ConfigError: The environment variables of torchrun are missing.
        RankError: Another process failed.
    """
    try:
        store, rank, world_size = next(rendezvous("env://", rank, world_size, timeout=timeout))
    except ValueError as error:
        raise ConfigError(f"RANK and WORLD_SIZE are set, but {error}. Start with torchrun.") from None
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"  # meters and requests to stop are on the CPU
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
    failures = Failures(store, rank, world_size)
    ranks = Ranks(rank, world_size, failures)
    with failures.watched(), ranks.failing_together(), warnings.catch_warnings():
        # The weights of a convolution of 1 x 1 have one layout under two descriptions of it; nothing is copied.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        yield ranks
        ranks.end_vote()
        distributed.destroy_process_group()
