"""The array types that the modules hand to each other."""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]
Floats = NDArray[np.float32]
