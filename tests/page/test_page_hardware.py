"""What a ZeroGPU Space needs of the page. No card is lent here: elsewhere than there, `spaces` does nothing."""

import inspect
import pickle
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import spaces
from PIL import Image

from hf_denoise.imaging.conversion import from_pil
from hf_denoise.page import models
from hf_denoise.page.results import read_picture

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_probes")]


def test_a_card_is_asked_for_by_the_size_of_the_picture() -> None:
    assert models.lent_gpu is spaces.GPU  # installed for the tests: every page of theirs runs with it
    inspect.signature(models.seconds_for).bind(*inspect.signature(models._run).parameters)  # it gets the same arguments
    phone, small = (from_pil(Image.new("L", size)) for size in ((6000, 4000), (300, 200)))
    usual = ("", gr.Progress(), "Denoising")
    assert models.seconds_for(small, *usual, False) == 10
    assert [models.seconds_for(phone, *usual, best) for best in (False, True)] == [22, 106]
    large = from_pil(Image.new("L", (20000, 15000)))
    assert models.seconds_for(large, *usual, False) == 120  # the longest that a Space lends it for


def test_what_goes_to_the_process_with_the_card_and_back_can_be_sent(tmp_path: Path) -> None:
    """That process is another one, so that pictures, progress and results are pickled."""
    noisy = np.random.default_rng(0).normal(128, 20, (96, 120, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "a.png")
    arguments = (read_picture(str(tmp_path / "a.png")), "", gr.Progress())
    sent = pickle.loads(pickle.dumps(arguments))
    results = models._run(*sent, "Denoising", False), models._probe(*sent, False)
    denoised, report = pickle.loads(pickle.dumps(results))
    assert np.abs(denoised.rgb - models._run(*arguments, "Denoising", False).rgb).max() < 1 / 255
    assert report.sentence() == results[1].sentence()
