/* Starting and stopping the parts of a node in order. */
#include "broker/node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/barrier.h"
#include "broker/controller_host.h"
#include "broker/fetch_sessions.h"
#include "broker/fetchers.h"
#include "broker/groups.h"
#include "broker/handover.h"
#include "broker/link.h"
#include "broker/producer_ids.h"
#include "broker/quotas.h"
#include "broker/server.h"
#include "broker/suspects.h"
#include "broker/txns.h"
#include "broker/wiring.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/base/rng.h"

#define LOG_DIRS_MAX              32
#define VOTERS_MAX                16
#define FETCH_SESSION_EVICTION_MS 120000
#define UNFENCED_POLL_US          2000
#define SHUTDOWN_TIMEOUT_MS       5000
#define LINGER_MS                 250

bool node_has_lease(const struct node *n)
{
    return !atomic_load(&n->fenced) && clock_monotonic_ms() < atomic_load(&n->lease_end_ms);
}

/* --- Callbacks of the other parts --- */

static void on_published(void *arg, struct image *img)
{
    struct node *n = arg;
    wiring_published(n->wiring, img);
    if (atomic_load(&n->up)) {
        link_status_changed(n->link); /* a registration or fencing may be in it */
        groups_published(n->groups);
    }
}

static void on_status_changed(void *arg, const struct quorum_status *status)
{
    struct node *n = arg;
    if (!atomic_load(&n->up))
        return;
    controller_host_status(n, status);
    link_status_changed(n->link);
}

static void on_forward(void *arg, int32_t leader_id, int64_t sequence, struct slice batch)
{
    (void)leader_id; /* the link follows the quorum's own idea of the leader's address */
    struct node *n = arg;
    link_forward(n->link, sequence, batch);
}

static void on_disk_full(void *arg)
{
    struct node *n = arg;
    struct replicas *open = atomic_load(&n->open_replicas);
    if (open != NULL)
        replicas_disk_full(open);
}

static void on_adopt(void *arg, int fd)
{
    server_adopt(arg, fd);
}

static void on_propose(void *arg, const struct isr_proposal *proposal)
{
    struct node *n = arg;
    wiring_propose_isr(n->wiring, proposal);
}

static void on_flushed(void *arg, struct uuid topic_id, int32_t partition)
{
    fetchers_flushed(arg, topic_id, partition);
}

static void on_replica_failed(void *arg, struct uuid topic_id, int32_t partition, bool serves)
{
    struct node *n = arg;
    wiring_replica_failed(n->wiring, topic_id, partition, serves);
}

/* --- Parts --- */

/* "a,b" -> copies; returns how many. */
static int split(const char *list, char **out, int max)
{
    int count = 0;
    while (list != NULL && *list != '\0' && count < max) {
        size_t size = strcspn(list, ",");
        char *item = mem_zalloc(size + 1);
        memcpy(item, list, size);
        out[count++] = item;
        list += size + (list[size] == ',');
    }
    return count;
}

static int make_dirs(char *path)
{
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char keep = *at;
        *at = '\0';
        int rc = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
        *at = keep;
        if (rc < 0) {
            LOG_ERROR("cannot make the data folder", "dir=%s error=\"%s\"", path, strerror(-rc));
            return rc;
        }
        if (keep == '\0')
            return 0;
    }
}

static int replicas_begin(struct node *n, char **dirs, int count)
{
    struct replicas_options options = {
        .node_id = n->id,
        .log_dirs = (const char *const *)dirs,
        .log_dirs_count = count,
        .flush_threads = (int)config_number(&n->config, CONFIG_FLUSH_THREADS),
        .recovery_threads = (int)config_number(&n->config, CONFIG_RECOVERY_THREADS),
        .open_files_max = (int)config_number(&n->config, CONFIG_OPEN_FILES),
        .reserve_bytes = config_number(&n->config, CONFIG_LOG_RESERVE),
        .checkpoint_interval_ms = config_number(&n->config, CONFIG_HW_CHECKPOINT_MS),
        .retention_check_interval_ms = config_number(&n->config, CONFIG_RETENTION_CHECK_MS),
        .cleaner = {.enabled = config_number(&n->config, CONFIG_CLEANER) != 0,
                    .backoff_ms = config_number(&n->config, CONFIG_CLEANER_BACKOFF_MS),
                    .map_bytes_max = (size_t)config_number(&n->config, CONFIG_CLEANER_BUFFER),
                    .bytes_per_second = config_number(&n->config, CONFIG_CLEANER_RATE)},
        .scrubber = {.bytes_per_second = config_number(&n->config, CONFIG_SCRUB_RATE),
                     .interval_ms = config_number(&n->config, CONFIG_SCRUB_INTERVAL_MS)},
        .callbacks = {.arg = n,
                      .propose_isr = on_propose,
                      .follower_flushed = on_flushed,
                      .replica_failed = on_replica_failed},
    };
    enum error_code err = replicas_open(&options, &fs_real, &n->replicas);
    atomic_store(&n->open_replicas, n->replicas);
    return err == ERR_NONE ? 0 : -EIO;
}

/* "1@host:port,2@host:port"; bootstrap servers are host:port without an id. */
static int voters_parse(const char *list, struct quorum_voter *out, int max, int *count)
{
    char *items[VOTERS_MAX];
    *count = 0;
    int n = split(list, items, MIN(max, VOTERS_MAX));
    int rc = 0;
    for (int i = 0; i < n; i++) {
        char *at = strchr(items[i], '@');
        char *end = NULL;
        long id = at ? strtol(items[i], &end, 10) : -1;
        if (at != NULL && (end != at || id < 0 || strrchr(at, ':') == NULL)) {
            LOG_ERROR("bad configuration value",
                      "key=controller.quorum.voters value=\"%s\" right=\"id@host:port,…\"", list);
            rc = -EINVAL;
        }
        out[i] = (struct quorum_voter){(int32_t)id, mem_strdup(at ? at + 1 : items[i])};
        free(items[i]);
        (*count)++;
    }
    return rc;
}

/* Elections happen in the state machine, which has no file to look at: what these say in the file
 * of the node that forms the cluster becomes the cluster's setting. */
static const enum config_key cluster_keys[] = {CONFIG_MIN_INSYNC, CONFIG_UNCLEAN_ELECTION};

static int cluster_configs(const struct node *n, struct image_config *out)
{
    int count = 0;
    FOR_EACH (key, cluster_keys, ARRAY_COUNT(cluster_keys)) {
        struct slice value = config_set_text(&n->config, config_name(*key));
        if (!slice_is_null(value))
            out[count++] = (struct image_config){slice_from_text(config_name(*key)), value};
    }
    return count;
}

static void warn_overruled(const struct node *n)
{
    struct image_config configs[ARRAY_COUNT(cluster_keys)];
    struct image *img = quorum_image(n->quorum);
    int count = img != NULL ? cluster_configs(n, configs) : 0;
    FOR_EACH (config, configs, count) {
        struct slice value = image_cluster_config(img, config->name);
        if (!slice_is_null(value) && !slice_equal(value, config->value))
            LOG_WARN("the cluster's setting counts, not this node's file",
                     "key=" SLICE_FMT " file=" SLICE_FMT " cluster=" SLICE_FMT
                     " change=kafka-configs",
                     SLICE_ARG(config->name), SLICE_ARG(config->value), SLICE_ARG(value));
    }
    image_unref(img);
}

static int quorum_begin(struct node *n, const char *dir)
{
    struct quorum_voter voters[VOTERS_MAX];
    char path[4096], address[400];
    const struct listener_address *controller = &n->config.controller;
    const char *list = config_text(&n->config, CONFIG_QUORUM_VOTERS);
    int count = 0;
    if (list == NULL)
        list = config_text(&n->config, CONFIG_QUORUM_BOOTSTRAP);
    snprintf(address, sizeof(address), "%s:%d", controller->host[0] ? controller->host : "0.0.0.0",
             controller->port);
    snprintf(path, sizeof(path), "%s/quorum", dir);
    int rc = make_dirs(path);
    if (rc == 0)
        rc = voters_parse(list, voters, VOTERS_MAX, &count);
    bool voter = false;
    for (int i = 0; i < count; i++)
        voter = voter || voters[i].node_id == n->id;
    struct image_config configs[ARRAY_COUNT(cluster_keys)];
    struct quorum_options options = {
        .node_id = n->id,
        .incarnation = n->incarnation,
        .dir = path,
        .bind_address = address,
        .voters = voters,
        .voters_count = count,
        .voter = voter,
        .election_timeout_ms = (int)config_number(&n->config, CONFIG_QUORUM_ELECTION_MS),
        .heartbeat_ms = (int)config_number(&n->config, CONFIG_QUORUM_HEARTBEAT_MS),
        .cluster_id = slice_from_text(config_text(&n->config, CONFIG_CLUSTER_ID)),
        .configs = configs,
        .configs_count = cluster_configs(n, configs),
        .callbacks = {.arg = n,
                      .published = on_published,
                      .status_changed = on_status_changed,
                      .forward = on_forward,
                      .adopt = on_adopt,
                      .disk_full = on_disk_full},
    };
    if (rc == 0)
        rc = quorum_start(&options, &n->quorum);
    for (int i = 0; i < count; i++)
        free(voters[i].address);
    return rc;
}

static int data_begin(struct node *n)
{
    char *dirs[LOG_DIRS_MAX];
    int count = split(config_text(&n->config, CONFIG_LOG_DIRS), dirs, LOG_DIRS_MAX);
    int rc = count > 0 ? 0 : -EINVAL;
    for (int i = 0; i < count && rc == 0; i++)
        rc = make_dirs(dirs[i]);
    /* The quorum's folder lock tells first when another process has this data. */
    if (rc == 0)
        rc = quorum_begin(n, dirs[0]);
    if (rc == 0)
        rc = replicas_begin(n, dirs, count);
    for (int i = 0; i < count; i++)
        free(dirs[i]);
    return rc;
}

/* main() takes these signals once the node is up; until then they wait, and so would the user. */
static bool stop_is_wanted(void)
{
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT);
}

static void wait_unfenced(struct node *n)
{
    while (atomic_load(&n->fenced) && !stop_is_wanted())
        usleep(UNFENCED_POLL_US);
}

static void fetch_sessions_make(struct node *n)
{
    struct fetch_sessions_options options = {
        .slots_max = (int)config_number(&n->config, CONFIG_FETCH_SESSION_SLOTS),
        .eviction_ms = FETCH_SESSION_EVICTION_MS,
    };
    rng_system_bytes(&options.seed, sizeof(options.seed));
    mutex_init(&n->fetch_sessions_lock);
    n->fetch_sessions = fetch_sessions_new(&options);
}

int node_start(struct node *n)
{
    n->id = (int32_t)config_number(&n->config, CONFIG_NODE_ID);
    n->incarnation = rng_system_uuid();
    atomic_store(&n->broker_epoch, -1);
    atomic_store(&n->fenced, true);
    n->producer_ids = producer_ids_new();
    n->suspects = suspects_new();
    fetch_sessions_make(n);
    n->quotas = quotas_new();
    int threads = (int)config_number(&n->config, CONFIG_NETWORK_THREADS);
    if (threads == 0)
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int rc = net_start(&n->net, threads);
    if (rc == 0)
        rc = server_bind(n);
    if (rc == 0)
        rc = wiring_start(n);
    if (rc == 0)
        rc = data_begin(n);
    if (rc == 0)
        rc = controller_host_start(n);
    if (rc == 0)
        rc = fetchers_start(n);
    if (rc == 0)
        rc = barrier_start(n);
    if (rc == 0)
        rc = groups_start(n);
    if (rc == 0)
        rc = txns_start(n);
    if (rc < 0)
        return rc;
    n->link = link_start(n);
    atomic_store(&n->up, true);
    /* What was published before everything was up. */
    struct image *img = quorum_image(n->quorum);
    if (img != NULL)
        on_published(n, img);
    image_unref(img);
    struct quorum_status status;
    quorum_status(n->quorum, &status);
    on_status_changed(n, &status);

    wait_unfenced(n);
    if (stop_is_wanted())
        return 0;
    warn_overruled(n);
    server_accept(n);
    LOG_INFO("started", "node_id=%d listener=%s port=%d", n->id,
             listener_name(server_listener(n, 0)), listener_port(server_listener(n, 0)));
    return 0;
}

/* Others lead by now what this node led. Clients hear it here, with the new leader's address, on
 * the connections that they have; who found only a closed one would ask another node, which may not
 * know it yet, and believe its old answer for a second. */
static void linger(const struct node *n)
{
    struct image *img = quorum_image(n->quorum);
    int others = 0;
    for (int i = 0; img != NULL && i < img->brokers_count; i++)
        others += img->brokers[i]->node_id != n->id && !img->brokers[i]->fenced;
    image_unref(img);
    if (others > 0)
        usleep(LINGER_MS * 1000);
}

void node_stop(struct node *n)
{
    LOG_INFO("stopping, handing leaderships over", "node_id=%d", n->id);
    handover_begin(n);
    atomic_store(&n->resigned, true); /* what says that we are shutting down says this, too */
    if (!atomic_load(&n->fenced) && link_controlled_shutdown(n->link, SHUTDOWN_TIMEOUT_MS))
        linger(n);
    atomic_store(&n->stopping, true);
    server_stop(n);
    groups_stop(n);
    txns_stop(n);
    barrier_stop(n);
    controller_host_stop(n);
    link_stop(n->link);
    wiring_stop(n);   /* it submits to the quorum, and tells the fetchers what to fetch */
    fetchers_stop(n); /* they append to the replicas */
    /* What was answered last is on its way to the network threads still, and may ask the quorum and
     * the replicas; a replica that closes posts to them once more. So nothing is freed before. */
    quorum_stop(n->quorum);
    net_stop(&n->net);
    replicas_close(n->replicas);
    net_free(&n->net);
    quorum_free(n->quorum);
    groups_free(n->groups);
    txns_free(n->txns);
    producer_ids_free(n->producer_ids);
    suspects_free(n->suspects);
    fetch_sessions_free(n->fetch_sessions);
    quotas_free(n->quotas);
    mutex_deinit(&n->fetch_sessions_lock);
    LOG_INFO("stopped", "node_id=%d", n->id);
}
