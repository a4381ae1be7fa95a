"""From files to training samples: layouts, triplets, decoded pixels, patches; synthetic defects."""
