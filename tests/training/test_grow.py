"""Growing a network keeps what it computes, and all of the larger one can learn."""

import pytest
import torch

from hf_denoise import DenoisingUNet
from hf_denoise.errors import UserError
from recipes.grow import grow


@pytest.fixture(scope="module")
def small() -> DenoisingUNet:
    torch.manual_seed(0)
    network = DenoisingUNet("resnet10t", encoder_levels=2, decoder_channels=(24, 16), decoder_depths=(1, 0))
    for parameter in network.head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.mark.parametrize(
    ("channels", "depths"),
    [([24, 16], [1, 0]), ([24, 16], [2, 1]), ([40, 16], [1, 0]), ([160, 70, 48, 16], [0, 2, 1, 1])],
)
def test_a_grown_network_computes_the_same_and_then_learns(
    small: DenoisingUNet, channels: list[int], depths: list[int]
) -> None:
    picture = torch.rand(1, 3, 64, 128)
    large = grow(small, channels, depths)
    with torch.inference_mode():
        assert torch.allclose(large(picture), small(picture), atol=1e-5)
        assert float((small(picture) - picture).abs().max()) > 0.05  # or any network would do
    optimizer = torch.optim.SGD(large.parameters(), 0.1)
    for _ in range(3):  # a weight behind one that is zero moves once that has moved
        large(picture).square().mean().backward()
        optimizer.step()
    idle = [name for name, parameter in large.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not idle


@pytest.mark.parametrize(
    ("channels", "depths", "message"),
    [
        ([16, 16], [1, 0], "--channels .* can only grow"),
        ([24, 16], [0, 0], "--depths .* can only grow"),
        ([24, 24], [1, 0], "must stay 16"),
        ([32, 24, 16], [0, 1, 0], "at least 64 channels"),
    ],
)
def test_what_is_not_larger_is_refused(
    small: DenoisingUNet, channels: list[int], depths: list[int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        grow(small, channels, depths)
