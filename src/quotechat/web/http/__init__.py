"""What every request passes: who asks, from where, how much, and how it is refused."""
