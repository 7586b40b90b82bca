"""What of two answers has to be equal."""

# Words, times, sizes, addresses and random ids are each broker's own.
OWN = {"error_message", "throttle_time_ms", "topic_id", "documentation", "cluster_id", "host",
       "port", "leader_epoch", "log_dir", "total_bytes", "usable_bytes", "controller_id",
       "finalized_features_epoch"}


def normal(value):
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items() if k not in OWN}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return value


def differences(ours, theirs, path="answer"):
    """One line for each place where the two are not equal."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = [*ours, *(k for k in theirs if k not in ours)]
        return [line for k in keys
                for line in differences(ours.get(k), theirs.get(k), f"{path}.{k}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [line for i, (a, b) in enumerate(zip(ours, theirs))
                for line in differences(a, b, f"{path}[{i}]")]
    return [] if ours == theirs else [f"{path}: {ours!r}, in Kafka {theirs!r}"]


def by(key, items):
    """A list whose order says nothing."""
    return sorted(items, key=lambda item: item[key]) if items is not None else None
