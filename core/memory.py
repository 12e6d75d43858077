"""Tells from an error that the device or the host had too little memory, whichever library says so. No torch needed."""

_SAYINGS = (
    "CUDA error: out of memory",  # of the driver, past torch's own allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device or the host had too little memory, and nothing is broken: half the batch may do."""
    names = {cls.__name__ for cls in type(error).__mro__}
    said = str(error)
    return bool(names & {"OutOfMemoryError", "MemoryError"}) or any(words in said for words in _SAYINGS)
