import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.factorization_machines import decimals

Float32 = npt.NDArray[np.float32]


def joined(values: Float32) -> list[str]:
    text = decimals.join(values, b"", [b"\n"], np.zeros(len(values), np.uint8))
    return text.decode().splitlines()


def python(values: Float32) -> list[str]:
    return [repr(value) for value in values.tolist()]


@given(st.lists(st.floats(width=32), max_size=20))
def test_any_number_is_written_as_python_writes_it(values: list[float]) -> None:
    array = np.array(values, np.float32)
    assert joined(array) == python(array)


@given(st.lists(st.floats(2**-13, 2**20, width=32), max_size=50))
def test_any_number_of_the_compiled_range_too(values: list[float]) -> None:
    array = np.array([*values, *(-value for value in values)], np.float32)
    assert joined(array) == python(array)


def test_many_scores_of_every_kind() -> None:
    random = np.random.default_rng(0)
    count = 20_000
    kinds: list[Float32] = [
        random.random(count, np.float32),
        random.normal(3, 1, count).astype(np.float32),
        (10 ** random.uniform(-6, 8, count)).astype(np.float32),
        # Few digits, and ties between two decimals.
        (random.integers(-100_000, 100_000, count) / 1024).astype(np.float32),
        np.round(random.random(count), 3).astype(np.float32),
    ]
    for values in kinds:
        assert joined(values) == python(values)


def test_edges() -> None:
    powers = np.array([10.0**power for power in range(-5, 8)], np.float32)
    edges = np.concatenate(
        [powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(np.inf))]
    )
    halves = (2.0 ** np.arange(-20, 24)).astype(np.float32)
    values = np.concatenate([edges, halves, np.array([0, -0.0, np.inf, -np.inf, np.nan], np.float32)])
    assert joined(values) == python(values)


def test_text_around_numbers() -> None:
    scores = np.array([0.25, 0.1, 3.0], np.float32)
    text = decimals.join(scores, b"<", [b">", b"!\n"], np.array([0, 1, 0], np.uint8))
    assert text == b"<0.25><0.10000000149011612!\n<3.0>"
    assert decimals.join(scores[:0], b"<", [b">"], np.zeros(0, np.uint8)) == b""
