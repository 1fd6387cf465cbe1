"""Calls of other systems: which addresses may be called, and POSTs to them."""

from .addresses import Address, Network, Target, Unsafe, check, is_safe, parse
from .answering import Answer, Wanted
from .calling import SECONDS, Failed, Resolve, ReusedConnection, lookup, post, vet

__all__ = [
    "SECONDS", "Address", "Answer", "Failed", "Network", "Resolve", "ReusedConnection", "Target", "Unsafe", "Wanted",
    "check", "is_safe", "lookup", "parse", "post", "vet",
]  # fmt: skip
