"""What a benchmark's processes have computed, by the system's own count: other work stretches it little."""

import psutil


def computed_s() -> float:
    """Return the seconds of computing, in user and system, of this process and of all below it that are alive."""
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # it ended meanwhile
        total += times.user + times.system
    return total
