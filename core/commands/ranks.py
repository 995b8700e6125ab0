"""``pyml-train`` under torchrun: joins the processes, of which the first one prints and writes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from core.commands.config_command import ConfigCommand
from core.commands.shards import share_of_process
from core.config.errors import ConfigError
from core.utils.signals import RunInterrupted

if TYPE_CHECKING:
    from core.diffusion.training.ranks import Ranks


class RankCommand(ConfigCommand):
    """Reports a wrong command line once for each machine, not once for each process that torchrun started."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments. See ``click.Command.make_context``.

        Args:
            info_name: Name of the command in messages.
            args: The arguments to parse.
            parent: Context of the group that calls the command, if any.
            **extra: Further arguments of ``click.Context``.
        """
        with reported_once():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. See ``click.Command.invoke``."""
        with reported_once():
            return super().invoke(ctx)


@contextlib.contextmanager
def reported_once() -> Iterator[None]:
    """Report wrong usage in the first process of this machine only; the others exit without a message."""
    try:
        yield
    except (ConfigError, click.UsageError):
        if is_first_here():
            raise
        sys.exit(2)


def is_first_here() -> bool:
    """Return whether this is the only process, or the first that torchrun started on this machine."""
    return share_of_process() is None or os.environ.get("LOCAL_RANK", "0") == "0"


@contextlib.contextmanager
def joined_ranks(device: str) -> Iterator[tuple[Ranks, str]]:
    """Join the processes that torchrun started; yield them and the device of this one.

    A process other than the first ends without a message if the first one knows the reason; with ``--debug`` it shows
    its own traceback.

    Args:
        device: The device that was asked for.

    Raises:
        ConfigError: The device is not one for several processes.
    """
    from core.diffusion.devices import choose_device
    from core.diffusion.training.ranks import Ranks, joined

    share = share_of_process()
    if share is None:
        choose_device(device)
        yield Ranks(), device
        return
    index, world_size = share
    own = device_of_rank(device)
    ranks: Ranks | None = None
    try:
        with joined(index - 1, world_size, choose_device(own)) as ranks:
            yield ranks, own
    except RunInterrupted as stopped:
        if ranks is not None and not ranks.is_first:
            sys.exit(stopped.exit_code)
        raise
    except Exception:
        if ranks is not None and not ranks.is_first and ranks.is_reported and "--debug" not in sys.argv:
            sys.exit(1)
        raise


def device_of_rank(device: str) -> str:
    """Return the device of this process: of several GPUs, each process of a machine has its own.

    Raises:
        ConfigError: There are more processes than GPUs, or one GPU was asked for.
    """
    if device == "cpu":
        return device
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and not n_gpus:
        return "cpu"
    local_rank, n_here = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device not in {"auto", "cuda"} or n_here > n_gpus:
        raise ConfigError(
            f"device: got {device!r} for {n_here} processes on a machine with {n_gpus} GPUs. Each process needs one of "
            "its own: use auto or cuda with at most as many processes as GPUs, or cpu."
        )
    return f"cuda:{local_rank}"
