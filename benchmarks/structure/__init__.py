"""What the structure number says where the answer is known."""
