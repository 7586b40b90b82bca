"""The same requests to both; every answer has to be the same but for intended differences."""
import inspect
import itertools

import cases_admin
import cases_consumer_groups
import cases_topics
from compare import differences, normal
from intended import intended
from messages import APIS

CASES = [case for module in (cases_admin, cases_consumer_groups, cases_topics)
         for _, case in inspect.getmembers(module, inspect.isfunction)
         if hasattr(case, "api") and case.__module__ == module.__name__]
ENDED = "no answer"


def versions(case, every):
    """All of them, or the oldest, the newest, and those on both sides of the other encoding."""
    api = APIS[case.api]
    first, last = api.versions
    few = {first, last, api.flexible_from - 1, api.flexible_from}
    return [v for v in range(first, last + 1) if every or v in few]


def pytest_generate_tests(metafunc):
    every = metafunc.config.getoption("--every-version")
    metafunc.parametrize("case,version", [(c, v) for c in CASES for v in versions(c, every)],
                         ids=lambda value: getattr(value, "__name__", value))


def test_same_as_kafka(ours, theirs, case, version):
    found = []
    pairs = itertools.zip_longest(case(ours, version), case(theirs, version), fillvalue=ENDED)
    for step, (answer, wanted) in enumerate(pairs):
        for line in differences(normal(answer), normal(wanted)):
            line = f"{case.__name__} step {step}: {line}"
            if not intended(line):
                found.append(line)
    assert not found, f"version {version}\n" + "\n".join(found)
