"""`python -m hf_denoise.cli`."""

import sys

from hf_denoise.cli.main import main

sys.exit(main())
