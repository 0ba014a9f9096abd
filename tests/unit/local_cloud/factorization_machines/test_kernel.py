import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from local_cloud.factorization_machines import kernel

ROOT = Path(__file__).parents[4]


def test_compilation_is_announced_at_first_use_only(tmp_path: Path) -> None:
    program = (
        "from local_cloud.factorization_machines import kernel\n"
        "kernel.load((kernel.logf, kernel.square_norms), lambda: print('compiling'))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert outputs == ["compiling\n", ""]


def test_square_norms_of_every_width() -> None:
    random = np.random.default_rng(0)
    for factors in range(1, 70):
        values = random.normal(size=(3, factors)).astype(np.float32)
        norms = np.empty(3, np.float32)
        kernel.square_norms(values, norms)
        np.testing.assert_allclose(norms, (values.astype(np.float64) ** 2).sum(axis=1), rtol=5e-7)
