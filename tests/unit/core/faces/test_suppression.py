"""Suppression keeps the best box of each face, photo by photo, as torchvision's own functions do."""

import subprocess
import sys

import torch

from core.faces.suppression import load_kernels, suppress_overlaps

load_kernels()


def test_of_two_boxes_of_one_face_the_better_stays() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 11.0, 11.0], [30.0, 0.0, 40.0, 10.0]])
    kept = suppress_overlaps(boxes, torch.tensor([0.7, 0.9, 0.8]), torch.zeros(3, dtype=torch.int64), 0.3)
    assert kept.tolist() == [1, 2]


def test_boxes_of_different_photos_do_not_compete() -> None:
    boxes = torch.tensor([[-4.0, -4.0, 10.0, 10.0]]).repeat(3, 1)
    kept = suppress_overlaps(boxes, torch.tensor([0.7, 0.9, 0.8]), torch.tensor([0, 1, 1]), 0.3)
    assert kept.tolist() == [1, 0]


def test_no_boxes_are_none_kept() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    assert suppress_overlaps(torch.zeros(0, 4), torch.zeros(0), nothing, 0.3).tolist() == []


def test_it_keeps_what_torchvision_keeps() -> None:
    from torchvision.ops import batched_nms

    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(900, 2, generator=generator) * 300
    boxes = torch.cat((corner, corner + 10 + torch.rand(900, 2, generator=generator) * 60), dim=1)
    scores = torch.rand(900, generator=generator)
    photo_of = torch.randint(0, 8, (900,), generator=generator)
    expected = batched_nms(boxes, scores, photo_of, 0.3)
    assert torch.equal(suppress_overlaps(boxes, scores, photo_of, 0.3), expected)
    assert 0 < len(expected) < 900


def test_the_rest_of_torchvision_stays_unloaded() -> None:
    program = "import sys; import core.models.engine as e, core.faces.detect_network as n; n.load_kernels()\n"
    program += "print(sorted({'torchvision', 'torch._dynamo'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
