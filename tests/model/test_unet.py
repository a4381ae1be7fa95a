import pytest
import torch

from hf_denoise.errors import UserError
from hf_denoise.model.blocks import SCSE
from hf_denoise.model.unet import DenoisingUNet, pad_to_multiple


def awake(model: DenoisingUNet) -> DenoisingUNet:
    """Give the zero head weights: a fresh residual model is the identity, whatever happens before its head."""
    torch.manual_seed(1)
    torch.nn.init.normal_(model.head.weight, std=0.05)
    return model.eval()


@pytest.mark.parametrize("encoder", ["resnet10t", "resnet18", "resnet26d", "resnet34", "resnet50"])
def test_encoders_keep_the_size(encoder):
    model = awake(DenoisingUNet(encoder=encoder))
    with torch.inference_mode():
        for size in [(1, 1), (1, 40), (33, 17), (64, 48)]:
            image = torch.rand(1, 3, *size)
            output = model(image)
            assert output.shape == image.shape
            assert torch.isfinite(output).all()
            assert not torch.equal(output, image)


@pytest.mark.parametrize("levels", [1, 2, 3, 5])
def test_encoder_levels_set_the_stride(levels):
    model = DenoisingUNet(encoder_levels=levels, decoder_channels=[16] * levels, decoder_depths=[0] * levels).eval()
    assert model.stride == 2**levels
    assert model(torch.rand(1, 3, 50, 30)).shape == (1, 3, 50, 30)


def test_fresh_residual_model_is_the_identity_and_the_plain_design_is_not():
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(DenoisingUNet().eval()(image), image)
    plain = DenoisingUNet(residual=False, full_resolution_skip=False).eval()
    assert plain.stem is None
    assert not torch.allclose(plain(image), image, atol=0.05)


def test_full_resolution_skip_sees_single_pixels():
    """A one-pixel change must reach the output at that pixel through the skip alone: the residual is off."""
    torch.manual_seed(0)
    with_skip = DenoisingUNet(residual=False).eval()
    image = torch.full((1, 3, 64, 64), 0.5)
    dot = image.clone()
    dot[..., 31, 31] = 1
    change = (with_skip(dot) - with_skip(image)).abs().sum(1)[0]
    assert change[31, 31] > 5 * change.mean()


def test_wrong_encoder_names_the_nearest():
    with pytest.raises(UserError, match=r"encoder 'resnet81'.*resnet18"):
        DenoisingUNet(encoder="resnet81")
    with pytest.raises(UserError, match="nearest valid names"):
        DenoisingUNet(encoder="vit_base_patch16_224")


def test_options_that_contradict_are_refused():
    with pytest.raises(UserError, match="one entry per encoder level"):
        DenoisingUNet(encoder_levels=4)
    with pytest.raises(UserError, match="encoder_levels must be 1 to 5"):
        DenoisingUNet(encoder_levels=6)
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        DenoisingUNet()(torch.rand(3, 8, 8))


def test_padding_reflects_and_replicates_where_too_small():
    row = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    assert pad_to_multiple(row, 5)[0, 0, 0].tolist() == [1, 2, 3, 2, 1]
    assert pad_to_multiple(row, 8)[0, 0, 0].tolist() == [1, 2, 3, 3, 3, 3, 3, 3]
    assert pad_to_multiple(row, 3)[0, 0].tolist() == [[1, 2, 3]] * 3


def test_scse_gates_channels_and_pixels():
    """With the convolutions silenced both gates are 1/2; a spatial weight lets a bright pixel open its own gate."""
    gate = SCSE(8).eval()
    for parameter in gate.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(2, 8, 6, 6)
    assert torch.allclose(gate(x), x)
    torch.nn.init.constant_(gate.spatial.weight, 100)
    x[:, :, 2, 3] = 0
    opened = gate(x)
    assert torch.allclose(opened[:, :, 0, 0], 1.5 * x[:, :, 0, 0])
    last = gate.channel[2]
    assert isinstance(last, torch.nn.Conv2d) and last.bias is not None
    torch.nn.init.constant_(last.bias[:1], -100)
    assert torch.allclose(gate(x)[:, 0, 0, 0], x[:, 0, 0, 0], atol=1e-5)


def test_channel_gate_is_local_in_evaluation():
    """What happens far away must not reach the gate, or tiles of an image would disagree with the whole."""
    torch.manual_seed(0)
    x = torch.rand(1, 8, 96, 96)
    far = x.clone()
    far[..., 64:, 64:] += 3
    local, whole = SCSE(8, window=12).eval(), SCSE(8).eval()
    whole.load_state_dict(local.state_dict())
    assert torch.equal(local(x)[..., :32, :32], local(far)[..., :32, :32])
    assert not torch.allclose(whole(x)[..., :32, :32], whole(far)[..., :32, :32])
    uniform = torch.full_like(x, 0.3)
    assert torch.allclose(local(uniform), whole(uniform), atol=1e-6)


def test_every_parameter_takes_part():
    model = DenoisingUNet()
    torch.nn.init.normal_(model.head.weight, std=0.05)
    model(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_what_users_of_the_hub_expect_of_a_model():
    model = DenoisingUNet(encoder="resnet10t", encoder_levels=1, decoder_channels=(8,), decoder_depths=(1,))
    assert (model.config["encoder"], model.config["encoder_pretrained"]) == ("resnet10t", False)
    model.config["encoder"] = "resnet50"  # a copy
    assert model.config["encoder"] == "resnet10t"
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    assert model.half().dtype == torch.float16
    total = sum(tensor.numel() for tensor in model.parameters())
    model.encoder.requires_grad_(False)
    assert model.num_parameters() == total
    assert model.num_parameters(only_trainable=True) == total - sum(p.numel() for p in model.encoder.parameters())
