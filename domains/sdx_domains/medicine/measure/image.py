"""scipy.ndimage under a name without types: its functions give now an array, now a number, and the callers here know which."""

from typing import Any

import scipy.ndimage

ndimage: Any = scipy.ndimage
