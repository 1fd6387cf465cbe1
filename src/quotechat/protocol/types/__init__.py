"""Types of all answers and requests: specifications are made of them, and tests hold answers to them."""
