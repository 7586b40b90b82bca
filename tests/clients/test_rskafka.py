"""rskafka, a client in Rust alone: rust/ runs all scenarios in one process. It knows no groups."""
import pytest

import programs

programs.need("cargo", "cc")
pytestmark = pytest.mark.nightly

SCENARIOS = [
    *programs.RECORDS,
    "offsets_by_time",
    "record_of_2_mb_is_too_large_and_the_connection_lives_on",
    "unknown_topic_is_refused",
    "fetch_beyond_the_end_is_out_of_range",
    "admin_topics",
    "admin_delete_records",
]


@pytest.fixture(scope="module")
def lines(bootstrap):
    program = programs.prepare("rust") / "debug" / "scenarios"
    return programs.lines_of([program, bootstrap])


@pytest.mark.parametrize("name", SCENARIOS)
def test_rskafka(lines, name):
    programs.expect_pass(lines, name)
