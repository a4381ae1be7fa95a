import pytest
import torch
from torch import nn

from hf_denoise import DenoisingUNet
from hf_denoise.model.folding import fold_batch_norm


@pytest.mark.parametrize("encoder", ["resnet18", "resnet10t", "resnet50", "seresnet50", "resnetblur50"])
def test_same_output_with_fewer_batch_norms(encoder):
    torch.manual_seed(0)
    model = DenoisingUNet(encoder=encoder).eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        assert norm.running_mean is not None and norm.running_var is not None
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.normal_(model.head.weight, std=0.1)
    image = torch.rand(1, 3, 64, 48)
    with torch.no_grad():
        before = model(image)
        folded = fold_batch_norm(model)
        assert torch.allclose(folded(image), before, atol=1e-5)
        assert torch.equal(model(image), before)  # the original is left as it was
    # At most one stays: timm's deep stems end in a convolution that is not beside its BatchNorm.
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) <= 1 < len(norms)
