"""The split of samples into training, validation and test, by source image."""

from collections.abc import Sequence

import numpy as np

from hf_denoise.errors import UserError

SPLITS = ("train", "validation", "test")


def split_by_source(
    sources: Sequence[str], shares: tuple[float, float, float] = (0.7, 0.2, 0.1), seed: int = 0
) -> dict[str, list[int]]:
    """Assign samples to splits so that samples of one source stay together.

    Args:
        sources: for each sample an identifier of its source image; only these and the seed decide, not their order.
        shares: of the distinct sources, for train, validation and test; a share of 0 leaves that split out.

    Returns:
        For each split its sample indices, ascending.

    Raises:
        UserError: fewer distinct sources than splits.
    """
    wanted = [(split, share) for split, share in zip(SPLITS, shares, strict=True) if share > 0]
    distinct = sorted(set(sources))
    if len(distinct) < len(wanted):
        raise UserError(
            f"A split into {', '.join(split for split, _ in wanted)} needs at least {len(wanted)} different clean "
            f"images and there {'is' if len(distinct) == 1 else 'are'} {len(distinct)}: add images, or give the data "
            "its own train and validation folders."
        )
    exact = np.array([share for _, share in wanted]) * len(distinct)
    counts = np.floor(exact + 1e-9).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: len(distinct) - counts.sum()]:
        counts[index] += 1
    while counts.min() == 0:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    order = np.random.default_rng(seed).permutation(len(distinct))
    side: dict[str, str] = {}
    for (split, _), chosen in zip(wanted, np.split(order, np.cumsum(counts)[:-1]), strict=True):
        side.update((distinct[index], split) for index in chosen)
    return {split: [row for row, source in enumerate(sources) if side[source] == split] for split, _ in wanted}


def drawn_rows(count: int, wanted: int, seed: int) -> list[int]:
    """At most `wanted` of `count` rows, ascending; those of a smaller number are among those of a larger one."""
    return sorted(np.random.default_rng(seed).permutation(count)[:wanted].tolist())


def first_of(wanted: int | None, count: int) -> str:
    """How many of `count` rows are taken where the first `wanted` are, in words."""
    return f"the first {wanted} of {count}" if wanted and wanted < count else f"{count}"
