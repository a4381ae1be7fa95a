"""The Hugging Face Hub: fetching, checking and committing the files of a model, and its card."""
