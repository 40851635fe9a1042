"""As many workers as there is work: counting what is ready, deciding, and setting how many run."""

from .decision import Decision
from .errors import ProbeError, TargetError
from .sample import Sample
from .scaler import Scaler

__all__ = ["Decision", "ProbeError", "Sample", "Scaler", "TargetError"]
