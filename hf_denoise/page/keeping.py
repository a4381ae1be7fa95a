"""What a result keeps: it is denoised less where a defect would go, by a blend of what is in memory."""

from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np
from PIL import Image

from hf_denoise.arrays import ByteImage, FloatImage
from hf_denoise.errors import UserError
from hf_denoise.imaging.balance import PLAIN, Balance, rebalance
from hf_denoise.imaging.blending import blend, blend_pictures
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.protection import AUTO, Protection, Treatment
from hf_denoise.page.companions import mask_of, with_defaults
from hf_denoise.page.results import Box, Result, grown, part_of, report_of, result_of, within

NO_MASK = "there is no mask to protect; give one, or paint it in the view Mask"
REACH = 16  # pixels around a part that its balance depends on


@dataclass(frozen=True)
class Wishes:
    """What is asked of a result.

    Attributes:
        strength: 0 to 1.
        protect: "", "mask", or "auto": wherever a scratch of the contrast `keep` would not survive.
        keep: contrast of the faintest defect that is to survive, grey levels; None: a mask is left as it was.
        auto: the strongest strength at which a scratch of that contrast survives, in the place of `strength`.
        mask: path of the mask.
        balance: how far luminance and colour noise go, and fine grain.
    """

    strength: float = 1.0
    protect: str = ""
    keep: float | None = None
    auto: bool = False
    mask: str | None = None
    balance: Balance = PLAIN

    def check(self) -> None:
        """Raise a `UserError` where one does not go with another, or is out of range."""
        if self.protect not in ("", "mask", AUTO):
            raise UserError(f"protect must be 'mask', 'auto' or empty, got '{self.protect[:100]}'")
        if self.lacks_mask:
            raise UserError(NO_MASK)
        self.treatment(np.zeros((1, 1), bool))

    def treatment(self, mask: object) -> Treatment:
        """The same as options of a `Denoiser`; `mask` is what is protected where the mask is to be."""
        protect = {"": None, "mask": mask, AUTO: AUTO}[self.protect]
        return Treatment("auto" if self.auto else self.strength, self.keep, protect, self.balance)

    @property
    def possible(self) -> "Wishes":
        """Without what nothing heeds, such as a contrast to keep, which always stands on the page."""
        protect = "" if self.lacks_mask else self.protect
        return Wishes(
            1.0 if self.auto else self.strength,
            protect,
            self.keep if protect or self.auto else None,
            self.auto,
            self.mask if protect == "mask" else None,
            self.balance,
        )

    @property
    def lacks_mask(self) -> bool:
        """Whether a mask is to be protected that nobody has given yet."""
        return self.protect == "mask" and not self.mask


class Asked(NamedTuple):
    """All that a result is asked with, see `Wishes` and `actions.denoise`."""

    image: str | None = None
    strength: float = 1.0
    reference: str | None = None
    mask: str | None = None
    model: str | None = None
    protect: str = ""
    keep: float | None = None
    auto: bool = False
    luminance: float = 1.0
    color: float = 1.0
    grain: float = 0.0
    best: bool = False
    format: str = ""
    quality: float = 95

    def complete(self) -> "Known":
        """With the first example where there is no picture, and with what belongs to an example."""
        image, reference, mask = with_defaults(self.image, self.reference, self.mask)
        balance = Balance(self.luminance, self.color, self.grain)
        wishes = Wishes(self.strength, self.protect, self.keep, self.auto, mask, balance)
        return Known(image, reference, mask, self.model, self.best, wishes)


class Shown(NamedTuple):
    """What the result was asked with that a page shows, and the number of it there, see `status`."""

    asked: Asked = Asked()
    number: int = 0


class Known(NamedTuple):
    """The same with nothing left open."""

    image: str
    reference: str | None
    mask: str | None
    model: str | None
    best: bool
    wishes: Wishes

    def result(self, progress: gr.Progress) -> Result:
        """See `result_of`."""
        return result_of(self.image, self.model, progress, self.best)


@dataclass(frozen=True, eq=False)
class Mix:
    """How far a picture is denoised: its strength, and the places where it is less."""

    wishes: Wishes
    strength: float
    protection: Protection | None = None

    def upright(self, result: Result) -> Picture:
        """The result as it shows."""
        return self._pictures(result.before, result.after)

    def stored(self, result: Result) -> Picture:
        """The result as it is in the file."""
        if not self.protection:
            return self._pictures(*result.stored)
        shares = result.stored[0].as_stored(self.protection.shares)
        return self._with(shares)._pictures(*result.stored)

    def part(self, result: Result, box: Box) -> Picture:
        """The part of the upright result that lies in a box of it."""
        near = box if self.wishes.balance.is_plain else grown(box, REACH, result.before.planes[0].shape[:2])
        mix = self._with(self.protection.shares[near]) if self.protection else self
        mixed = mix._pictures(part_of(result.before, near), part_of(result.after, near))
        return mixed if near is box else part_of(mixed, within(box, near))

    def preview(self, before: FloatImage, after: FloatImage, times: float) -> FloatImage:
        """The result as small as `Result.small`, `times` smaller than it is."""
        mixed = blend(before, after, self.strength)
        balance = self.wishes.balance
        balance = replace(balance, grain=balance.grain / times)  # it is too fine to be seen in a small picture
        mixed = rebalance(before, mixed, balance).astype(np.float32, copy=False)
        if self.protection:
            self._small(before).apply(before, mixed)
        return mixed

    def protected(self, before: FloatImage) -> ByteImage | None:
        """The small picture, in grey, blue where it is protected; None where nothing is."""
        return self._small(before).picture(before) if self.protection and self.protection.area else None

    @property
    def said(self) -> str:
        """What was done, in sentences."""
        sentences = []
        if self.wishes.auto:
            sentences.append(
                f"Strength {self.strength:.2f}, the strongest at which a scratch 2 px wide of "
                f"{self.wishes.keep:g} grey levels keeps 80 %."
            )
        if self.protection:
            sentence = self.protection.sentence()
            sentences.append(sentence[0].upper() + sentence[1:] + ".")
        return " ".join(sentences)

    def _pictures(self, before: Picture, after: Picture) -> Picture:
        mixed, balance = blend_pictures(before, after, self.strength), self.wishes.balance
        if not balance.is_plain:
            planes = zip(before.planes, mixed.planes, strict=True)
            mixed = mixed.with_planes(tuple(rebalance(noisy, clean, balance) for noisy, clean in planes))
        for noisy, clean in zip(before.planes, mixed.planes, strict=True):
            if self.protection:
                self.protection.apply(noisy, clean)
            if before.alpha is not None and not balance.is_plain:
                clean[before.alpha == 0] = noisy[before.alpha == 0]  # what is hidden stays as it is
        return mixed

    def _with(self, shares: ByteImage) -> "Mix":
        assert self.protection
        return replace(self, protection=replace(self.protection, shares=shares))

    def _small(self, pixels: FloatImage) -> Protection:
        assert self.protection
        shares = Image.fromarray(self.protection.shares)
        shares.thumbnail(pixels.shape[1::-1], Image.Resampling.LANCZOS, reducing_gap=2.0)
        return replace(self.protection, shares=np.asarray(shares))


_last: WeakKeyDictionary[Result, Mix] = WeakKeyDictionary()


def mix_of(result: Result, wishes: Wishes, model: str | None, progress: gr.Progress) -> Mix:
    """How far a result is denoised, as is asked as far as it is possible. A probe that takes is made once for a result.

    Raises:
        UserError: the wishes do not go together, the mask has another size, or as `report_of`.
        Stopped: nobody waits for it any more.
    """
    wishes = wishes.possible
    kept = _last.get(result)
    if kept and kept.wishes == wishes:
        return kept
    wishes.check()
    inside = mask_of(result, wishes.mask) if wishes.mask else None
    treatment = wishes.treatment(inside)
    mix = Mix(wishes, *treatment.decide(result.before.planes[0], lambda: report_of(result, model, progress)))
    if mix.protection:  # the others take no time
        _last[result] = mix
    return mix
