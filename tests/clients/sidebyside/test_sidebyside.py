"""The same requests to both; every answer has to be the same but for intended differences."""
import inspect
import itertools

import pytest

import cases_admin
from compare import differences, normal
from intended import intended
from messages import APIS

CASES = [case for module in (cases_admin,)
         for _, case in inspect.getmembers(module, inspect.isfunction) if hasattr(case, "api")]
ENDED = "no answer"


def all_versions(case):
    first, last = APIS[case.api].versions
    return range(first, last + 1)


@pytest.mark.parametrize("case,version", [(c, v) for c in CASES for v in all_versions(c)],
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
