"""What must hold of a history; the letters are those of the invariants in README.md.

Each check answers with a list of what is wrong, a line a finding, so that one run tells all.

An acknowledgement may come without an offset: a batch that is sent again when five later ones are
there already is told to be a duplicate, and not where the first one is.
"""
import collections


def placed(acks):
    """Those whose offset is known."""
    return [a for a in acks if a.offset is not None]


def one_value_per_offset(*sightings):
    """C2: of all acknowledgements and reads, ever."""
    at, wrong = {}, []
    for sighting in sightings:
        for r in placed(sighting):
            value = at.setdefault((r.partition, r.offset), (r.key, r.number))
            if value != (r.key, r.number):
                wrong.append(f"C2: {r.partition}/{r.offset} was {value}, then "
                             f"{(r.key, r.number)}")
    return wrong


def all_still_there(seen, records):
    """C2, C7: what a consumer once got is what the log has in the end. Consumers get replicated
    records only, so none of these may be lost, whatever the producer's acks."""
    final = {(r.partition, r.offset): (r.key, r.number) for r in records}
    return [f"C2: a consumer had {(r.key, r.number)} at {r.partition}/{r.offset}, and there is "
            f"{final.get((r.partition, r.offset))} now" for r in seen
            if final.get((r.partition, r.offset)) != (r.key, r.number)]


def acknowledged_kept(acks, records):
    """C1: exactly there."""
    final = {(r.partition, r.offset): (r.key, r.number) for r in records}
    values = set(final.values())
    nowhere = [a for a in acks if a.offset is None and (a.key, a.number) not in values]
    elsewhere = [a for a in placed(acks)
                 if final.get((a.partition, a.offset)) != (a.key, a.number)]
    return [f"C1: acknowledged {(a.key, a.number)} at {a.partition}/{a.offset}, and there is "
            f"{final.get((a.partition, a.offset))}" for a in nowhere + elsewhere]


def no_phantom(records, sent):
    """C3: each was sent."""
    return [f"C3: {(r.key, r.number)} was never sent" for r in records
            if r.number >= sent.get(r.key, 0)]


def no_duplicate(records):
    """C4: with idempotence."""
    places = collections.defaultdict(list)
    for r in records:
        places[(r.key, r.number)].append((r.partition, r.offset))
    return [f"C4: {value} is at {where}" for value, where in places.items() if len(where) > 1]


def producer_order(records):
    """C6: the first ones of each value, per key, in the order of sending."""
    last, met, wrong = {}, set(), []
    for r in sorted(records, key=lambda r: (r.partition, r.offset)):
        if (r.key, r.number) in met:
            continue
        met.add((r.key, r.number))
        if r.number < last.get(r.key, -1):
            wrong.append(f"C6: {r.key}: {r.number} after {last[r.key]} at "
                         f"{r.partition}/{r.offset}")
        last[r.key] = max(r.number, last.get(r.key, -1))
    return wrong


def real_time_order(acks):
    """C5: acknowledged before the other was sent: a lesser offset."""
    wrong = []
    by_partition = collections.defaultdict(list)
    for a in placed(acks):
        by_partition[a.partition].append(a)
    for partition, of_one in by_partition.items():
        ended = sorted(of_one, key=lambda a: a.acked_s)
        highest, at = -1, 0
        for a in sorted(of_one, key=lambda a: a.sent_s):
            while at < len(ended) and ended[at].acked_s < a.sent_s:
                highest = max(highest, ended[at].offset)
                at += 1
            if a.offset <= highest:
                wrong.append(f"C5: {partition}/{a.offset} was sent after {highest} had been "
                             "acknowledged")
    return wrong


def lost_only_around_faults(acks, records, is_near_a_fault):
    """acks=1: (how many were lost, which must not have been). A record that its leader alone had
    may go with it; one that had the time to be replicated may not."""
    there = {(r.key, r.number) for r in records}
    lost = [a for a in acks if (a.key, a.number) not in there]
    return len(lost), [f"C1 (acks=1): {(a.key, a.number)} at {a.partition}/{a.offset} was lost, "
                       "and no fault was near" for a in lost if not is_near_a_fault(a.acked_s)]
