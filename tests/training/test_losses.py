import pytest
import torch

from hf_denoise.training.losses import WeightedMSELoss


def batch(seed=0, size=(2, 8, 8)):
    torch.manual_seed(seed)
    n, h, w = size
    output, clean = torch.rand(n, 3, h, w), torch.rand(n, 3, h, w)
    mask = torch.zeros(n, 1, h, w)
    mask[0, :, 2:4, 2:5] = 1
    return output, clean, mask, torch.ones(n, 1, h, w)


def test_weighs_the_two_regions_by_their_own_means():
    output, clean, mask, valid = batch()
    inside = mask.bool().expand_as(clean)
    squares = (output - clean) ** 2
    expected = squares[~inside].mean() + 5 * squares[inside].mean()
    assert torch.allclose(WeightedMSELoss(5)(output, clean, mask, valid), expected)
    errors = (output - clean).abs()
    expected = errors[~inside].mean() + 2 * errors[inside].mean()
    assert torch.allclose(WeightedMSELoss(2, l1=True)(output, clean, mask, valid), expected)


def test_padding_is_never_seen():
    output, clean, mask, valid = batch()
    reference = WeightedMSELoss(3)(output, clean, mask, valid)
    pad = lambda t, value=0.0: torch.nn.functional.pad(t, (0, 5, 0, 3), value=value)  # noqa: E731
    padded = WeightedMSELoss(3)(pad(output, 1e3), pad(clean), pad(mask, 1.0), pad(valid))
    assert torch.allclose(padded, reference)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_an_empty_region_counts_zero_not_nan(fill):
    output, clean, mask, valid = batch()
    output.requires_grad_()
    loss = WeightedMSELoss(5)(output, clean, torch.full_like(mask, fill), valid)
    weight = 5 if fill else 1
    assert torch.allclose(loss, weight * ((output - clean) ** 2).mean())
    loss.backward()
    assert torch.isfinite(output.grad).all()
