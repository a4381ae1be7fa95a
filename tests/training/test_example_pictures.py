"""The pictures that trackers are shown: which part of which image, and how the mask is outlined."""

import numpy as np
import torch

from hf_denoise.data.loader import SampleMaker, TripletDataset
from hf_denoise.data.reading import Triplet
from hf_denoise.imaging.crops import OUTLINE
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.training.examples import GAP, SIDE, choose_examples, side_by_side


def test_images_with_a_defect_come_first_and_are_cut_around_it() -> None:
    triplets = []
    for number in range(12):
        clean = np.full((400, 600, 3), number, np.uint8)
        mask = np.zeros((400, 600), bool)
        mask[350:360, 20:30] = number in (3, 11)
        triplets.append(Triplet(str(number), clean, mask=mask))
    dataset = TripletDataset(triplets, SampleMaker(parse_degradation("gaussian:20")), seed=1)
    chosen = choose_examples(dataset, range(12))
    assert [example.name for example in chosen] == ["3", "11", "0", "1"]
    assert chosen[0].mask.shape == (SIDE, SIDE) and chosen[0].mask.sum() == 100
    assert torch.equal(chosen[0].degraded, dataset[3]["degraded"][:, 400 - SIDE :, :SIDE])
    assert [example.name for example in choose_examples(dataset, range(2))] == ["0", "1"]


def test_pictures_stand_side_by_side_with_the_mask_outlined_in_each() -> None:
    mask = np.zeros((40, 50), bool)
    mask[20:22, 10:30] = True
    picture = side_by_side([torch.full((3, 40, 50), level) for level in (0.0, 0.5, 1.2)], mask)
    assert picture.shape == (40, 150 + 2 * GAP, 3)
    for left, level in ((0, 0), (50 + GAP, 128), (100 + 2 * GAP, 255)):
        part = picture[:, left : left + 50]
        assert (part[mask] == level).all() and (part[0] == level).all()
        assert (part[19, 10:30] == OUTLINE).all() and (part[22, 10:30] == OUTLINE).all()
