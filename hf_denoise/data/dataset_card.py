"""The card of a dataset that was made, as the Hub shows it."""

from huggingface_hub import DatasetCard, DatasetCardData

from hf_denoise.data.contact_sheet import SHEET, page_name
from hf_denoise.data.triplet_recipe import TripletRecipe
from hf_denoise.hub.tables import escape, plain

DATASET_CARD = """---
{{ card_data }}
---

# {{ title }}

Photographs with synthetic defects, for training and measuring image denoisers that must not remove defects. Made by
`hf-denoise make-triplets` from `{{ source }}`.

![Samples of every class: the photograph with the defect, the outline of the mask{{ sheet_degraded }}]({{ sheet }})

More of each class: {{ pages }}.

## Columns

| Column | What it is |
| --- | --- |
| `name` | name of the photograph and number of the variant |
| `clean` | the photograph with the defect: what a denoiser should give back |
| `mask` | 255 on every pixel that the defect changed by two levels or more, 0 elsewhere |
{%- if degrades %}
| `degraded` | `clean` with noise: `{{ degradation }}`, clipped and rounded to 8 bits |
{%- endif %}
| `defect` | class of the defect |

## What was drawn

Into each photograph one to three defects of one class, at random places
{%- if inside %} on its surfaces, which they do not leave{% endif %}, {% if contrast -%}
of {{ contrast[0] }} to {{ contrast[1] }} grey levels{% else %}from faint to strong{% endif %}; on rough ground they are
stronger than on smooth. Outside the mask the
photograph is unchanged.
{%- if degrades %} A degradation that simulates a camera also changes `clean`: it is the picture of that camera
without noise.
{%- else %} There is no degraded image: training draws new noise for every patch.
{%- endif %}

| Split |{% for kind in kinds %} {{ kind }} |{% endfor %} all |
| --- |{% for kind in kinds %} ---: |{% endfor %} ---: |
{% for split, count in counts.items() -%}
| {{ split }} |{% for kind in kinds %} {{ count[kind] }} |{% endfor %} {{ count.values() | sum }} |
{% endfor %}
Variants per photograph: {{ per_image }}. Seed: {{ seed }}. The variants of one photograph are in one split. The same
photographs, seed and options give the same pixels again.

## How to use it

```
from hf_denoise import load_triplets

data = load_triplets("path/to/this/folder")
```

`datasets.load_dataset("path/to/this/folder")` reads it too, and both take the id of this dataset on the Hub.

## Limitations

The defects are drawn, not photographed: they vary less than real ones{{ ends }}.
Measure on real defects before you rely on a model that was trained on these.

## Licence

The licences of the photographs it was made from apply, to every picture in it. State them here before you share it.
"""


def dataset_card(source: str, counts: dict[str, dict[str, int]], recipe: TripletRecipe) -> DatasetCard:
    """The README.md that the Hub shows: what is in the dataset, and how it was made.

    Args:
        source: folder or Hub id of the photographs.
        counts: for each split the number of images of each kind of defect.
        recipe: how they were made.
    """
    drawn = [kind for kind in recipe.kinds if any(count[kind] for count in counts.values())]
    data = DatasetCardData(
        license="other",
        task_categories=["image-to-image"],
        pretty_name=f"{plain(source)} with synthetic defects",
        tags=["image-denoising", "defects", "synthetic", "hf_denoise"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in counts],
            }
        ],
    )
    return DatasetCard.from_template(
        data,
        template_str=DATASET_CARD,
        title=f"{escape(source)} with synthetic defects",
        source=plain(source).replace("`", "'"),
        counts=counts,
        kinds=recipe.kinds,
        per_image=recipe.per_image,
        seed=recipe.seed,
        inside=recipe.surfaces.inside is not None,
        contrast=[f"{level:g}" for level in recipe.contrast or ()],
        pages=", ".join(f"[{kind}]({page_name(kind)})" for kind in drawn),
        ends="" if recipe.surfaces.inside else ", and do not end where an object does",
        degrades=recipe.degrades,
        degradation=plain(recipe.degradation),
        sheet=SHEET,
        sheet_degraded=", and the degraded image" if recipe.degrades else "",
    )
