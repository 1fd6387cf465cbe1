"""What the server sends and takes, as types: specifications are made of them, and tests hold answers to them."""
