"""What the Gradio page does and how it looks; `app.py` lays it out and starts it."""
