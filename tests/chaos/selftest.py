#!/usr/bin/env python3
"""The checker finds each anomaly in a history made by hand, and nothing in a good one."""
import pathlib
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "chaos")]

import checker  # noqa: E402
from collections import namedtuple  # noqa: E402

Ack = namedtuple("Ack", "key number partition offset sent_s acked_s")
Seen = namedtuple("Seen", "partition offset key number")
RECORDS = [Seen(0, 0, "a", 0), Seen(0, 1, "b", 0), Seen(0, 2, "a", 1), Seen(1, 0, "c", 0)]
ACKS = [Ack("a", 0, 0, 0, 1, 2), Ack("b", 0, 0, 1, 3, 4), Ack("a", 1, 0, 2, 3, 5)]


class Checker(unittest.TestCase):
    def test_good_history_is_good(self):
        self.assertEqual(checker.one_value_per_offset(RECORDS, ACKS, RECORDS), [])
        self.assertEqual(checker.all_still_there(RECORDS[1:], RECORDS), [])
        self.assertEqual(checker.acknowledged_kept(ACKS, RECORDS), [])
        self.assertEqual(checker.no_phantom(RECORDS, {"a": 2, "b": 1, "c": 1}), [])
        self.assertEqual(checker.no_duplicate(RECORDS), [])
        self.assertEqual(checker.producer_order(RECORDS), [])
        self.assertEqual(checker.real_time_order(ACKS), [])
        self.assertEqual(checker.lost_only_around_faults(ACKS, RECORDS, lambda s: False), (0, []))

    def test_two_values_at_an_offset(self):
        self.assertTrue(checker.one_value_per_offset(RECORDS, [Seen(0, 1, "x", 0)]))

    def test_record_that_a_consumer_had_is_gone_or_another(self):
        self.assertTrue(checker.all_still_there(RECORDS, RECORDS[:2]))
        self.assertTrue(checker.all_still_there([Seen(0, 1, "a", 1)], RECORDS))

    def test_acknowledged_record_is_gone_or_moved(self):
        self.assertTrue(checker.acknowledged_kept(ACKS, RECORDS[1:]))
        self.assertTrue(checker.acknowledged_kept([ACKS[0]._replace(offset=1)], RECORDS))

    def test_acknowledgement_without_an_offset(self):
        repeated = [*ACKS, Ack("c", 0, 1, None, 3, 6), Ack("a", 1, 0, None, 3, 6)]
        self.assertEqual(checker.acknowledged_kept(repeated, RECORDS), [])
        self.assertEqual(checker.one_value_per_offset(RECORDS, repeated), [])
        self.assertEqual(checker.real_time_order(repeated), [])
        self.assertTrue(checker.acknowledged_kept([Ack("x", 0, 0, None, 1, 2)], RECORDS))

    def test_record_nobody_sent(self):
        self.assertTrue(checker.no_phantom(RECORDS, {"a": 1, "b": 1, "c": 1}))

    def test_record_twice(self):
        self.assertTrue(checker.no_duplicate([*RECORDS, Seen(0, 3, "a", 1)]))

    def test_order_of_a_key(self):
        swapped = [RECORDS[0]._replace(offset=2), RECORDS[2]._replace(offset=0)]
        self.assertTrue(checker.producer_order(swapped))

    def test_repeat_is_no_disorder(self):
        self.assertEqual(checker.producer_order([*RECORDS, Seen(0, 3, "a", 0)]), [])

    def test_lesser_offset_than_one_acknowledged_before(self):
        late = Ack("b", 1, 0, 1, 9, 10)
        self.assertTrue(checker.real_time_order([*ACKS, late]))

    def test_loss_counts_unless_a_fault_was_near(self):
        lost, wrong = checker.lost_only_around_faults(ACKS, RECORDS[1:], lambda s: False)
        self.assertEqual((lost, len(wrong)), (1, 1))
        self.assertEqual(checker.lost_only_around_faults(ACKS, RECORDS[1:], lambda s: True),
                         (1, []))


if __name__ == "__main__":
    unittest.main()
