"""Several processes that fit one scene: each renders its own photos, gradients are added up (torch.distributed)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed


class Ranks:
    """The processes of this run; one, unless torchrun started more.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace every tensor by its sum over the processes."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The processes torchrun started, joined for the block (nccl and a GPU each where there is CUDA, else gloo)."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks(distributed.get_rank(), count)
        distributed.barrier()  # the first holds what the others meet at: it must not leave before them
    finally:
        distributed.destroy_process_group()
