"""What the memory and the processor reach, measured in about a second. Start at memory_gb_s() and fp32_tflops()."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_MOST_BYTES = 1 << 30
_SLICE_S = 0.45


def memory_gb_s(threads: int, cache_bytes: int, free_bytes: float, seconds: float = _SLICE_S) -> float:
    """Bandwidth of reading memory with so many threads at once, in 1e9 bytes a second: the best of all passes.

    Each thread looks for the largest number of a part of its own; together they are several times the last cache, and at most a quarter of the
    free memory. Reading is what decoding does; a copy would count writes that it does not make.
    """
    size = max(32 << 20, min(4 * cache_bytes, _MOST_BYTES, int(free_bytes / 4)))
    parts = [np.ones(size // threads // 4, np.float32) for _ in range(threads)]
    total, best = sum(part.nbytes for part in parts), 0.0
    with ThreadPoolExecutor(threads) as pool:
        end = time.perf_counter() + seconds
        while best == 0.0 or time.perf_counter() < end:
            began = time.perf_counter()
            list(pool.map(np.max, parts))
            best = max(best, total / (time.perf_counter() - began))
    return round(best / 1e9, 2)


def fp32_tflops(threads: int, seconds: float = 0.3, size: int = 512) -> float:
    """1e12 operations a second of so many products of two matrices at once: the best of all passes.

    A product for each core, so that the figure is of all cores whether numpy's BLAS has threads of its own or not.
    """
    pairs = [(np.ones((size, size), np.float32), np.empty((size, size), np.float32)) for _ in range(threads)]
    best, end = 0.0, time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while best == 0.0 or time.perf_counter() < end:
            began = time.perf_counter()
            list(pool.map(lambda pair: np.matmul(pair[0], pair[0], out=pair[1]), pairs))
            best = max(best, threads * 2 * size**3 / (time.perf_counter() - began))
    return round(best / 1e12, 4)
