"""Denoiser: images in, images out, of any size, depth and kind."""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hf_denoise.arrays import Mask
from hf_denoise.cpu import keep_freed_memory
from hf_denoise.errors import UserError
from hf_denoise.hub.files import PACKAGED, checkpoint_folder
from hf_denoise.imaging.balance import Balance
from hf_denoise.imaging.blending import check_strength
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.denoised_file import FileReport, denoise_file
from hf_denoise.inference.devices import pick_device
from hf_denoise.inference.engines import Fastest, create_engine
from hf_denoise.inference.given import denoise_given, denoise_picture, plane_of
from hf_denoise.inference.high_range import denoise_ranges
from hf_denoise.inference.planes import Planes, denoise_planes
from hf_denoise.inference.protection import Protection, Strength, Treatment
from hf_denoise.inference.quantized import find_int8
from hf_denoise.inference.restraint import apply_gains
from hf_denoise.inference.self_ensemble import SelfEnsemble
from hf_denoise.inference.tiles import HALO, denoise_tiles, grid_step, spans
from hf_denoise.model.folding import fold_batch_norm
from hf_denoise.model.serving import serving_copy
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.probing.report import ProbeReport, probe_plane

Progress = Callable[[int, int], None]


class Denoiser:
    """Removes noise from images, and keeps everything else about them.

    Around the network it does two things. Of a picture that is grey but for its noise it averages the channels (module
    `grey`). Where the network took away more than noise explains, it puts that back (module `restraint`).

    Args:
        model: the network, in any precision, also inside `DataParallel` or `torch.compile`. It is not changed: what
            runs is a copy in float32 and evaluation mode.
        tile: side in pixels of the tiles that a large image is cut into, from 1 up; rounded up to the grid of the
            network (32 for the standard one). Memory grows with its square.
        engine: "torch", "openvino" (on a CPU, with that package), or "auto": torch, and once there is enough work
            openvino, where it is installed and was measured to be faster.
        precision: "float32", "bfloat16", "int8" (in OpenVINO, where a quantised model is there), or "auto": the fastest
            one on this machine, as measured.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto": the first of CUDA, MPS and CPU that is there.
        int8: folder of the quantised model, see `hf_denoise.inference.quantizing`; `from_pretrained` finds it beside
            the weights.
        self_ensemble: average over the eight turns and flips of the picture, see `hf_denoise.inference.self_ensemble`;
            about 0.1 dB more for eight times the time.

    Attributes:
        model: that copy, on the device; it can be saved and pushed.

    Raises:
        UserError: an option out of its range, or a device, an engine or a quantised model that is not there.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        tile: int = 1024,
        engine: str = "auto",
        precision: str = "auto",
        device: str = "auto",
        self_ensemble: bool = False,
        int8: str | os.PathLike[str] | None = None,
    ):
        if tile < 1:
            raise UserError(f"tile must be at least 1 pixel, got {tile}")
        in_openvino = engine == "openvino" or precision == "int8"
        self.device = pick_device("cpu" if device == "auto" and in_openvino else device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.model = serving_copy(model).to(self.device)
        folded = fold_batch_norm(self.model).to(memory_format=torch.channels_last)
        found = find_int8(Path(int8), self.model) if int8 else None
        self._engine = create_engine(folded, self.device, engine, precision, found)
        step = grid_step(self.model)
        self.tile = math.ceil(tile / step) * step
        self.halo = math.ceil(HALO / step) * step
        self.self_ensemble = self_ensemble
        self.network: Callable[[torch.Tensor], torch.Tensor] = (
            SelfEnsemble(self._engine, step) if self_ensemble else self._engine
        )

    @property
    def engine(self) -> str:
        """What runs the network now."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """Of its arithmetic now."""
        return self._engine.precision

    @classmethod
    def from_pretrained(
        cls,
        model_id: str | os.PathLike[str] | None = None,
        *,
        tile: int = 1024,
        engine: str = "auto",
        precision: str = "auto",
        device: str = "auto",
        self_ensemble: bool = False,
        revision: str | None = None,
        token: str | bool | None = None,
    ) -> "Denoiser":
        """Load a saved model.

        Args:
            model_id: a folder, or the id of a repository on the Hub; None is the model that ships with the package.
            tile, engine, precision, device, self_ensemble: see the class.
            revision: branch, tag or commit on the Hub.
            token: access token for a private repository; None takes the one that is logged in, False none.

        Raises:
            UserError: the model cannot be fetched or does not load, or as the class.
        """
        name = os.fspath(model_id or PACKAGED)
        model = DenoisingUNet.from_pretrained(name, revision=revision, token=token)
        return cls(
            model,
            tile=tile,
            engine=engine,
            precision=precision,
            device=device,
            self_ensemble=self_ensemble,
            int8=checkpoint_folder(name, revision=revision, local_files_only=True),  # it has just been fetched
        )

    def __call__(
        self,
        image: Any,
        strength: Strength = 1.0,
        progress: Progress | None = None,
        *,
        keep: float | None = None,
        protect: Any = None,
        luminance: float = 1.0,
        color: float = 1.0,
        grain: float = 0.0,
    ) -> Any:
        """Denoise one image.

        Args:
            image: one of
                - a path: gives a Pillow image that shows upright, turned as the EXIF orientation says. Pillow has no
                  16-bit colour, so such a file comes back with 8 bits: `file` keeps all 16.
                - a Pillow image: gives one of the same mode and size, in the stored orientation, with its metadata.
                - an array of uint8, uint16 or float, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): gives the same shape
                  and dtype; the fourth channel is alpha and comes back as it is. White is 1 in floats, noise may lie
                  outside; they come back as float32 from 0 up to 1, or to the brightest value, where that is no noise.
                - a tensor of these types or bfloat16, (3, H, W) or a batch (B, 3, H, W), or with 1 channel or 4: gives
                  one of the same shape, dtype and device, without gradients.
                - a list or tuple of any of these: gives a list.
            strength: from 0, the input, to 1, fully denoised; or "auto": the strongest at which a scratch 2 px wide of
                the contrast `keep` keeps 80 %, as a probe of the picture says.
            progress: called with (tiles done, tiles in all) after each tile; the pictures of a list count alike.
            keep: contrast of the faintest defect that must survive, in grey levels (0 to 255).
            protect: places to leave alone: a mask of the size of the picture, white or True inside, as array, tensor,
                Pillow image or path; or "auto": where a scratch of the contrast `keep` would not survive. With a mask
                and `keep`, the correction is mixed in as far as one survives. For a list or batch one, or as many.
            luminance, color, grain: how far each kind of noise is taken away, see `hf_denoise.imaging.balance.Balance`.

        Raises:
            UserError: the file cannot be read, the kind of image is not supported, a float is NaN, infinite or far
                out of range, or an option is out of range.
        """
        options = Treatment(strength, keep, protect, Balance(luminance, color, grain))
        return denoise_given(self._planes, image, options, progress)

    def probe(
        self,
        image: Any,
        strength: float = 1.0,
        progress: Progress | None = None,
        *,
        contrasts: Sequence[float] | None = None,
        seed: int = 0,
    ) -> ProbeReport:
        """Ask which small defects would survive in a picture, by putting some in; see `hf_denoise.probing`.

        It needs no clean reference. Of a picture over 0.25 megapixels six parts are probed: seconds for any size.

        Args:
            image: as in a call, or a decoded `Picture`. Of one with alpha, what is seen; of CMYK, the colours without
                black.
            strength: as in a call: what is left at that strength.
            progress: called with (done, all) steps.
            contrasts: grey levels to try, ascending; by default 1/4 to 8 times the noise.
            seed: of places, kinds and directions: the same seed gives the same report.

        Raises:
            UserError: as in a call, or the picture is too small to hold probes.
        """
        check_strength(strength)
        plane, visible = plane_of(image)
        return probe_plane(
            plane,
            lambda part: self._plane(part, strength, None),
            contrasts=contrasts,
            visible=visible,
            seed=seed,
            progress=progress,
        )

    def file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        strength: Strength = 1.0,
        progress: Progress | None = None,
        removed: str | os.PathLike[str] | None = None,
        *,
        keep: float | None = None,
        protect: Any = None,
        luminance: float = 1.0,
        color: float = 1.0,
        grain: float = 0.0,
        white_level: float | None = None,
        page: int | None = None,
    ) -> FileReport:
        """Denoise a file into another, which may be the same.

        Size, mode, depth, alpha, palette, profile, EXIF and resolution stay; pixels stay in stored order with their
        orientation tag. The format is that of the target's extension. All pages and frames are denoised.

        Args:
            source, target: see `hf_denoise.imaging.images.read_image` and `hf_denoise.imaging.picture.Picture.save`.
            strength, progress, keep, protect, luminance, color, grain: as in a call; a mask is as the picture shows.
            removed: image to write with what was taken away, upright, see `hf_denoise.inference.removed.removed_view`.
            white_level: see `read_image`; the result has the same.
            page: of several, from 1, the one to denoise; the result holds it alone.

        Returns:
            The strength, what was protected, and with `removed` the structure in it.

        Raises:
            UserError: `source` cannot be read, or the format of `target` cannot hold it, both before any work; or
                `target` or `removed` cannot be written: then nothing is left there.
        """
        options = Treatment(strength, keep, protect, Balance(luminance, color, grain))
        run, tiles = self._picture, self.tiles
        return denoise_file(run, tiles, source, target, options, progress, removed, white_level, page)

    def picture(self, picture: Picture, strength: float = 1.0, progress: Progress | None = None) -> Picture:
        """Denoise a decoded file; see `blend_pictures` for another strength without another run."""
        return self._picture(picture, Treatment(strength), progress)[0]

    def _picture(
        self, picture: Picture, options: Treatment, progress: Progress | None
    ) -> tuple[Picture, float, Protection | None]:
        return denoise_picture(self._planes, picture, options, progress)

    def _planes(
        self, planes: Planes, visible: Mask | None, options: Treatment, progress: Progress | None
    ) -> tuple[Planes, float, Protection | None]:
        total = self.tiles(planes[0].shape[1], planes[0].shape[0])
        return denoise_planes(self._plane, planes, visible, options, total, progress)

    def tiles(self, width: int, height: int) -> int:
        """How many tiles an image of this size takes."""
        return len(list(spans(width, self.tile, self.halo))) * len(list(spans(height, self.tile, self.halo)))

    def _plane(
        self, plane: np.ndarray, strength: float, progress: Progress | None, visible: Mask | None = None
    ) -> np.ndarray:
        """Denoise (H, W) or (H, W, 3)."""
        return denoise_ranges(plane, partial(self._range, visible=visible), strength, progress)

    def _range(
        self, plane: np.ndarray, white: float, strength: float, progress: Progress | None, visible: Mask | None
    ) -> np.ndarray:
        """Denoise what was divided by `white`."""
        if isinstance(self._engine, Fastest):
            self._engine.expect(plane.shape[0] * plane.shape[1] * (8 if self.self_ensemble else 1))
        output, corrections = denoise_tiles(plane, self._forward, self.tile, self.halo, progress, visible)
        gains = corrections.gains(white)
        if gains is not None or strength < 1:
            apply_gains(plane, output, gains, strength)
        return output

    @torch.inference_mode()
    def _forward(self, noisy: torch.Tensor) -> torch.Tensor:
        """The network on one tile: (1 or 3, h, w) float32 -> (3, h, w), on the CPU. One channel goes as three."""
        batch = noisy.expand(3, -1, -1)[None].to(self.device)
        return self.network(batch)[0].float().cpu()
