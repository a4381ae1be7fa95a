"""The models that an operator offers on the page."""

import pytest

from hf_denoise.errors import UserError
from hf_denoise.page.model_panel import links, presets_of


def test_each_preset_is_a_model_and_what_it_is_for() -> None:
    assert presets_of("") == []
    offered = "ada/tiles = magnetic tiles; bob/skin=skin, close;"
    assert presets_of(offered) == [("magnetic tiles", "ada/tiles"), ("skin, close", "bob/skin")]


@pytest.mark.parametrize("wrong", ["ada/tiles", "ada/tiles=", "/srv/model=tiles", "=tiles"])
def test_what_is_no_preset_is_one_sentence(wrong: str) -> None:
    with pytest.raises(
        UserError, match=r"HF_DENOISE_PRESETS: '.*' is not a model and what it is for; write user/name="
    ):
        presets_of(f"ada/a=b; {wrong}")


def test_a_space_links_to_its_code() -> None:
    assert links("ada/denoise").endswith("/spaces/ada/denoise/tree/main)")
    assert "Code" not in links(None) and links(None).count("https://arxiv.org/abs/") == 3
