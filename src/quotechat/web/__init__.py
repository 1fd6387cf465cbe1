"""The third floor: translation only, between the world's protocols and the hub."""
