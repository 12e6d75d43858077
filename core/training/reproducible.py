"""Makes a training run repeatable on the same machine. Knows nothing of what is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core.training.request import TrainingRequest


@contextmanager
def reproducible(request: TrainingRequest) -> Iterator[None]:
    """Seed torch's global generators and fix the number of threads; put everything back afterwards."""
    devices, threads = [each for each in request.devices if each.type == "cuda"], torch.get_num_threads()
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(request.seed)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
            torch.set_num_threads(request.threads or threads)
            yield
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic
        torch.set_num_threads(threads)
