"""The order of the environments."""


def stage(name: str) -> tuple[int, str]:
    """The order in which changes go through the usual environments, to sort by; others follow by name."""
    usual = ("dev", "test", "staging", "prod")
    return (usual.index(name) if name in usual else len(usual)), name
