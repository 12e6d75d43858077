"""The networks, each a scriptable torch module."""
