"""Where we answer otherwise than Apache Kafka, and why: patterns of a difference's line."""
import re

INTENDED = [
    # Our defaults of these settings are in milliseconds; Kafka's are in hours, and are synonyms
    # of a topic's setting only where a dynamic value is set beside them.
    r"synonyms.*log\.(retention|roll)\.(ms|hours)",
    r"synonyms\[2\]\.value: '604800000', in Kafka '168'",
    # An operation that does not exist is an invalid request; Kafka's answer is an internal error.
    r"incremental_alter_configs step 22: .*error_code: 42, in Kafka -1",
]


def intended(line):
    return any(re.search(pattern, line) for pattern in INTENDED)
