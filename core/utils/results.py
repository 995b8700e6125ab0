"""Results as data: what was measured, the number with its error, collections of them, and logging one in a run.

The public face of :mod:`core.utils.metadata`, ``records`` and ``collection``, and of the log in
:mod:`core.runs.result_log`.
"""

from core.runs.result_log import log_record
from core.utils.collection import ResultCollection
from core.utils.fields import Scalar, UnsavableError
from core.utils.metadata import ResultMetadata
from core.utils.records import MappedResult, ResultRecord, ResultSource, ScalarResult

__all__ = [
    "MappedResult",
    "ResultCollection",
    "ResultMetadata",
    "ResultRecord",
    "ResultSource",
    "Scalar",
    "ScalarResult",
    "UnsavableError",
    "log_record",
]
