/* The database: what is applied comes back from a snapshot as the same state machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <raft.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <errno.h>

#include "coord/state.h"
#include "proto/base/rng.h"

struct node {
    char dir[64];
    struct state *state;
    struct metadata *m;
    int64_t index;
};

static const struct uuid incarnation = {{7}};

static int full_calls, full_until;

static ssize_t full_pwrite(int fd, const void *data, size_t size, off_t position)
{
    if (full_calls < full_until) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, position);
}

/* SQLite's writes meet a full disk until on_disk_full() was called so often. */
static void disk_fills(int until)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    full_calls = 0;
    full_until = until;
    (void)vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)full_pwrite);
    (void)vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)full_pwrite);
}

static void on_disk_full(void *arg)
{
    (void)arg;
    full_calls++;
}

static void node_open(struct node *n)
{
    char path[128];
    *n = (struct node){.dir = "state-test-XXXXXX"};
    assert_non_null(mkdtemp(n->dir));
    snprintf(path, sizeof(path), "%s/metadata.db", n->dir);
    assert_int_equal(state_open(path, on_disk_full, n, &n->state), 0);
    n->m = metadata_new();
}

static void node_close(struct node *n)
{
    char command[128];
    state_close(n->state);
    metadata_free(n->m);
    snprintf(command, sizeof(command), "rm -r %s", n->dir);
    assert_int_equal(system(command), 0);
}

static enum error_code apply(struct node *n, struct buffer *command)
{
    struct buffer batch_bytes = {0}, entry = {0};
    struct slice bytes = buffer_slice(command);
    struct command_batch batch = {1, incarnation, n->index, &bytes, 1};
    command_batch_encode(&batch_bytes, &batch);
    struct slice whole = buffer_slice(&batch_bytes);
    command_entry_encode(&entry, &whole, 1);

    struct arena arena;
    arena_init(&arena, 0);
    struct changes changes = {0};
    struct command_results results = {0};
    metadata_apply(n->m, ++n->index, buffer_slice(&entry), &arena, &changes, &results);
    struct image *img = metadata_image(n->m);
    state_apply(n->state, n->index, &changes, img);
    image_unref(img);
    enum error_code err = results.list.items[0].error_code;
    vec_deinit(&changes.list);
    vec_deinit(&results.list);
    arena_deinit(&arena);
    buffer_deinit(&entry);
    buffer_deinit(&batch_bytes);
    buffer_deinit(command);
    *command = (struct buffer){0};
    return err;
}

static void fill(struct node *n)
{
    struct buffer b = {0};
    command_encode_form_cluster(&b, &(struct form_cluster){.cluster_id = SLICE("abc")});
    assert_int_equal(apply(n, &b), ERR_NONE);
    for (int32_t id = 1; id <= 3; id++) {
        struct image_endpoint e = {SLICE("PLAINTEXT"), SLICE("localhost"), 9000 + id, 0};
        struct register_broker r = {.node_id = id,
                                    .incarnation = {{(uint8_t)id}},
                                    .clean_epoch = -1,
                                    .rack = SLICE_NULL,
                                    .endpoints = &e,
                                    .endpoints_count = 1};
        command_encode_register_broker(&b, &r);
        assert_int_equal(apply(n, &b), ERR_NONE);
        command_encode_unfence_broker(&b, &(struct broker_change){id, -1});
        assert_int_equal(apply(n, &b), ERR_NONE);
    }
    struct image_config config = {SLICE("retention.ms"), SLICE("1000")};
    struct create_topic t = {.name = SLICE("orders"),
                             .topic_id = {{9}},
                             .partitions = 4,
                             .replication_factor = 3,
                             .configs = &config,
                             .configs_count = 1};
    command_encode_create_topic(&b, &t);
    assert_int_equal(apply(n, &b), ERR_NONE);
    command_encode_allocate_producer_ids(&b, &(struct allocate_producer_ids){1});
    assert_int_equal(apply(n, &b), ERR_NONE);
}

static void commit(struct node *n, struct slice group, int64_t offset)
{
    struct buffer b = {0};
    struct image *img = metadata_image(n->m);
    int slot = image_slot_of(group);
    struct command_offset row = {SLICE("orders"), 2, offset, 5, SLICE("note"), 77, -1};
    struct commit_offsets c = {slot, img->slots[slot].epoch, group, &row, 1};
    struct put_group g = {slot, img->slots[slot].epoch, group, SLICE("blob")};
    image_unref(img);
    command_encode_commit_offsets(&b, &c);
    assert_int_equal(apply(n, &b), ERR_NONE);
    command_encode_put_group(&b, &g);
    assert_int_equal(apply(n, &b), ERR_NONE);
}

static void a_deleted_topic_takes_its_offsets_along(void **unused)
{
    (void)unused;
    struct node n;
    struct arena arena;
    struct committed_offset one;
    struct buffer b = {0};
    arena_init(&arena, 0);
    node_open(&n);
    fill(&n);
    commit(&n, SLICE("g1"), 42);
    assert_int_equal(state_read_offset(n.state, SLICE("g1"), SLICE("orders"), 2, &arena, &one), 0);
    assert_int_equal(one.offset, 42);
    command_encode_delete_topic(&b, &(struct delete_topic){{{9}}});
    assert_int_equal(apply(&n, &b), ERR_NONE);
    assert_int_equal(state_read_offset(n.state, SLICE("g1"), SLICE("orders"), 2, &arena, &one), 0);
    assert_int_equal(one.offset, -1);
    arena_deinit(&arena);
    node_close(&n);
}

static void reads_what_was_committed(void **unused)
{
    (void)unused;
    struct node n;
    node_open(&n);
    fill(&n);
    commit(&n, SLICE("g1"), 41);
    commit(&n, SLICE("g1"), 42);
    struct arena arena;
    arena_init(&arena, 0);
    struct committed_offset one, *all;
    int count;
    assert_int_equal(state_read_offset(n.state, SLICE("g1"), SLICE("orders"), 2, &arena, &one), 0);
    assert_int_equal(one.offset, 42);
    assert_int_equal(one.leader_epoch, 5);
    assert_true(slice_equals_text(one.metadata, "note"));
    assert_int_equal(state_read_offset(n.state, SLICE("g1"), SLICE("orders"), 3, &arena, &one), 0);
    assert_int_equal(one.offset, -1);
    assert_int_equal(state_read_offsets(n.state, SLICE("g1"), &arena, &all, &count), 0);
    assert_int_equal(count, 1);
    struct slice blob, *ids;
    assert_int_equal(state_read_group(n.state, SLICE("g1"), &arena, &blob), 0);
    assert_true(slice_equals_text(blob, "blob"));
    assert_int_equal(state_read_group(n.state, SLICE("g2"), &arena, &blob), 0);
    assert_true(slice_is_null(blob));
    assert_int_equal(state_list_groups(n.state, &arena, &ids, &count), 0);
    assert_int_equal(count, 1);
    arena_deinit(&arena);
    node_close(&n);
}

static void an_entry_waits_for_room_on_a_full_disk(void **unused)
{
    (void)unused;
    struct node n;
    struct arena arena;
    struct committed_offset one;
    node_open(&n);
    fill(&n);
    commit(&n, SLICE("g1"), 41);
    disk_fills(2);
    commit(&n, SLICE("g1"), 42);
    assert_int_equal(full_calls, 2);
    commit(&n, SLICE("g1"), 43);
    arena_init(&arena, 0);
    assert_int_equal(state_read_offset(n.state, SLICE("g1"), SLICE("orders"), 2, &arena, &one), 0);
    assert_int_equal(one.offset, 43);
    struct metadata *m = state_load(n.state);
    assert_true(metadata_digest(m) == metadata_digest(n.m));
    metadata_free(m);
    arena_deinit(&arena);
    node_close(&n);
}

static void comes_back_from_a_snapshot_of_the_pinned_moment(void **unused)
{
    (void)unused;
    struct node n, other;
    node_open(&n);
    node_open(&other);
    fill(&n);
    commit(&n, SLICE("g1"), 41);
    uint64_t digest = metadata_digest(n.m);
    struct state_pin *pin = state_pin(n.state);
    commit(&n, SLICE("g1"), 42); /* later than the snapshot */
    void *data;
    size_t size;
    state_pin_encode(pin, &data, &size);
    state_pin_free(pin);
    assert_int_equal(size % 8, 0);

    assert_int_equal(state_restore(other.state, slice_of(data, size)), 0);
    metadata_free(other.m);
    other.m = state_load(other.state);
    assert_true(metadata_digest(other.m) == digest);
    other.index = n.index;
    struct arena arena;
    arena_init(&arena, 0);
    struct committed_offset one;
    assert_int_equal(state_read_offset(other.state, SLICE("g1"), SLICE("orders"), 2, &arena, &one),
                     0);
    assert_int_equal(one.offset, 41);
    commit(&other, SLICE("g1"), 43); /* and it goes on */
    assert_int_equal(state_read_offset(other.state, SLICE("g1"), SLICE("orders"), 2, &arena, &one),
                     0);
    assert_int_equal(one.offset, 43);
    arena_deinit(&arena);
    raft_free(data);
    node_close(&n);
    node_close(&other);
}

static struct command_txn_producer begin_txn(struct node *n, struct slice id, struct slice group)
{
    struct buffer b = {0};
    struct image *img = metadata_image(n->m);
    int slot = image_slot_of(group);
    int32_t slot_epoch = img->slots[slot].epoch;
    image_unref(img);
    struct init_txn_producer init = {id, 60000, -1, -1, 1};
    command_encode_init_txn_producer(&b, &init);
    int64_t producer_id = metadata_next_producer_id(n->m);
    assert_int_equal(apply(n, &b), ERR_NONE);
    struct command_txn_producer producer = {id, producer_id, 0};
    struct command_txn_partition partition = {{{9}}, 1};
    struct add_to_txn add = {
        .producer = producer, .group = group, .partitions = &partition, .partitions_count = 1};
    command_encode_add_to_txn(&b, &add);
    assert_int_equal(apply(n, &b), ERR_NONE);
    struct command_offset row = {SLICE("orders"), 2, producer_id, 5, SLICE("note"), 77, -1};
    struct commit_txn_offsets offsets = {.producer = producer,
                                         .commit = {slot, slot_epoch, group, &row, 1}};
    command_encode_commit_txn_offsets(&b, &offsets);
    assert_int_equal(apply(n, &b), ERR_NONE);
    offsets.producer.epoch++;
    command_encode_commit_txn_offsets(&b, &offsets);
    assert_int_equal(apply(n, &b), ERR_PRODUCER_FENCED);
    return producer;
}

static void end_txn(struct node *n, const struct command_txn_producer *producer, bool commits)
{
    struct buffer b = {0};
    command_encode_end_txn(&b, &(struct end_txn){*producer, commits, 1, 9});
    assert_int_equal(apply(n, &b), ERR_NONE);
}

static int64_t offset_of(struct node *n, struct slice group, int *pending)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct committed_offset one, *all;
    assert_int_equal(state_read_offset(n->state, group, SLICE("orders"), 2, &arena, &one), 0);
    assert_int_equal(state_read_pending_offsets(n->state, group, &arena, &all, pending), 0);
    arena_deinit(&arena);
    return one.offset;
}

static void offsets_of_a_transaction_come_with_its_commit_only(void **unused)
{
    (void)unused;
    struct node n, other;
    struct stored_txn *txns;
    struct arena arena;
    int pending, count;
    void *data;
    size_t size;
    node_open(&n);
    node_open(&other);
    fill(&n);
    struct command_txn_producer a = begin_txn(&n, SLICE("a"), SLICE("g1"));
    struct command_txn_producer b = begin_txn(&n, SLICE("b"), SLICE("g2"));
    assert_int_equal(offset_of(&n, SLICE("g1"), &pending), -1);
    assert_int_equal(pending, 1);
    struct state_pin *pin = state_pin(n.state);
    state_pin_encode(pin, &data, &size);
    state_pin_free(pin);
    assert_int_equal(state_restore(other.state, slice_of(data, size)), 0);
    raft_free(data);
    metadata_free(other.m);
    other.m = state_load(other.state);
    other.index = n.index;
    assert_true(metadata_digest(other.m) == metadata_digest(n.m));

    end_txn(&other, &a, true);
    end_txn(&other, &b, false);
    assert_int_equal(offset_of(&other, SLICE("g1"), &pending), a.producer_id);
    assert_int_equal(pending, 0);
    assert_int_equal(offset_of(&other, SLICE("g2"), &pending), -1);
    assert_int_equal(pending, 0);
    arena_init(&arena, 0);
    assert_int_equal(state_list_txns(other.state, 2, 2, &arena, &txns, &count), 0);
    assert_int_equal(count, 1);
    assert_true(slice_equals_text(txns[0].id, "a"));
    arena_deinit(&arena);
    node_close(&n);
    node_close(&other);
}

static void refuses_bytes_that_are_no_snapshot(void **unused)
{
    (void)unused;
    struct node n;
    node_open(&n);
    uint8_t noise[64] = "MRS1";
    assert_int_equal(state_restore(n.state, slice_of(noise, sizeof(noise))), -EBADMSG);
    assert_int_equal(state_restore(n.state, SLICE("")), -EBADMSG);
    node_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deleted_topic_takes_its_offsets_along),
        cmocka_unit_test(reads_what_was_committed),
        cmocka_unit_test(an_entry_waits_for_room_on_a_full_disk),
        cmocka_unit_test(comes_back_from_a_snapshot_of_the_pinned_moment),
        cmocka_unit_test(offsets_of_a_transaction_come_with_its_commit_only),
        cmocka_unit_test(refuses_bytes_that_are_no_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
