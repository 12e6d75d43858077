"""Dropout: what it drops, whom it draws from, and that it survives being compiled."""

import copy

import torch

from core.nets.dropout import Dropout


def test_a_share_is_dropped_and_the_mean_is_kept() -> None:
    dropout = Dropout(0.25)
    dropout.generator = torch.Generator().manual_seed(1)
    dropped = dropout(torch.ones(200, 100))
    assert abs(float((dropped == 0).float().mean()) - 0.25) < 0.01
    assert abs(float(dropped.mean()) - 1.0) < 0.02


def test_the_same_generator_drops_the_same_whatever_the_global_one_drew() -> None:
    dropout, ones = Dropout(0.5), torch.ones(4, 8)
    dropout.generator = torch.Generator().manual_seed(7)
    first = dropout(ones)
    torch.rand(3)
    dropout.generator.manual_seed(7)
    assert torch.equal(first, dropout(ones))


def test_nothing_is_dropped_when_it_serves() -> None:
    dropout, x = Dropout(0.5).eval(), torch.rand(4, 8)
    assert torch.equal(dropout(x), x)


def test_it_can_be_copied_and_compiled_with_its_generator() -> None:
    dropout, x = Dropout(0.5).eval(), torch.rand(4, 8)
    dropout.generator = torch.Generator().manual_seed(7)
    scripted = torch.jit.freeze(torch.jit.script(copy.deepcopy(dropout)))
    assert torch.equal(scripted(x), x)
