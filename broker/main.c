/* The command line: millrace server | dev | config | cluster | version. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/drain.h"
#include "broker/node.h"
#include "broker/read_replica.h"
#include "coord/sql.h"
#include "proto/base/logging.h"

extern char **environ;

static const char HELP[] =
    "millrace - a Kafka-compatible, clustered, replicated broker in one binary\n"
    "\n"
    "  millrace dev [--set KEY=VALUE ...]\n"
    "      One node, here and now, without configuration: clients on 127.0.0.1:9092,\n"
    "      data in ./millrace-data.\n"
    "\n"
    "  millrace server FILE.properties [--set KEY=VALUE ...]\n"
    "      A node of a cluster.\n"
    "\n"
    "  millrace config [FILE.properties] [--set KEY=VALUE ...]\n"
    "      Every key with the value that a server would use; # marks the defaults.\n"
    "\n"
    "  millrace cluster sql FILE.properties \"SELECT ...\"\n"
    "      Ask the metadata that this node has, also while it runs.\n"
    "      SELECT * FROM sqlite_schema tells what there is.\n"
    "\n"
    "  millrace cluster drain FILE.properties ID [--cancel]\n"
    "      Move everything off broker ID, then unregister it. Any node's FILE will do. It\n"
    "      does not come back under this id before --cancel.\n"
    "\n"
    "  millrace version\n"
    "  millrace --help\n"
    "\n"
    "FILE.properties has Kafka's keys. One of three nodes that vote:\n"
    "\n"
    "  node.id=1\n"
    "  listeners=PLAINTEXT://:9092,CONTROLLER://:10092\n"
    "  advertised.listeners=PLAINTEXT://host1:9092\n"
    "  controller.quorum.voters=1@host1:10092,2@host2:10092,3@host3:10092\n"
    "  log.dirs=/var/lib/millrace\n"
    "  default.replication.factor=3\n"
    "  min.insync.replicas=2\n"
    "\n"
    "The others differ in node.id and host. They form the cluster by themselves when\n"
    "they see each other. A further broker has process.roles=broker, and\n"
    "controller.quorum.bootstrap.servers=host1:10092,... instead of the voters.\n"
    "\n"
    "advertised.listeners is what clients are told. Without it every client is told\n"
    "the address that it used, which is right unless a proxy or a container's\n"
    "published port stands between.\n"
    "\n"
    "Each key can also come from the environment: KAFKA_NODE_ID=1 is node.id=1. --set\n"
    "wins over the environment, the environment over the file.\n"
    "\n"
    "SIGTERM and Ctrl-C hand leaderships over, flush and leave with status 0. Status 1:\n"
    "it could not start; the last ERROR line says why, and what would be right. Logs\n"
    "go to standard error, one line an event.\n";

static int log_level_set(const struct config *c)
{
    static const char *const NAMES[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    const char *wanted = config_text(c, CONFIG_LOG_LEVEL);
    for (int i = 0; i < 4; i++)
        if (strcasecmp(NAMES[i], wanted) == 0) {
            log_set_level((enum log_level)i);
            return 0;
        }
    LOG_ERROR("bad configuration value",
              "key=log.level value=\"%s\" right=\"DEBUG, INFO, WARN or ERROR\"", wanted);
    return -EINVAL;
}

static int settings_read(struct config *c, int count, char **args)
{
    for (int i = 0; i < count; i++) {
        bool with_value = strcmp(args[i], "--set") == 0 && i + 1 < count;
        if (!with_value) {
            fprintf(stderr, "millrace: what is \"%s\"? See millrace --help\n", args[i]);
            return -EINVAL;
        }
        int rc = config_set(c, args[++i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* As many descriptors as we may have: every connection and log segment takes one. */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(struct node *n)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    /* Blocked in every thread, taken by this one; a peer that goes away must not kill us. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    descriptors_raise();
    if (config_check(&n->config) < 0 || log_level_set(&n->config) < 0 ||
        read_replica_check(&n->config) < 0 || node_start(n) < 0)
        return EXIT_FAILURE;
    int taken;
    sigwait(&signals, &taken);
    node_stop(n);
    return EXIT_SUCCESS;
}

static int dev_defaults(struct config *c)
{
    static const char *const SETTINGS[] = {"node.id=1",
                                           "controller.quorum.voters=1@127.0.0.1:10092",
                                           "group.initial.rebalance.delay.ms=0"};
    for (size_t i = 0; i < ARRAY_COUNT(SETTINGS); i++)
        if (config_set(c, SETTINGS[i]) < 0)
            return -EINVAL;
    return 0;
}

static int cluster_sql(const struct config *c, const char *query)
{
    /* The quorum's folder is in the first of log.dirs. */
    const char *dirs = config_text(c, CONFIG_LOG_DIRS);
    char path[4096];
    if (snprintf(path, sizeof(path), "%.*s/quorum", (int)strcspn(dirs, ","), dirs) >=
        (int)sizeof(path))
        return -ENAMETOOLONG;
    return sql_run(path, query, stdout);
}

static int cluster_drain(struct config *c, const char *id, bool cancel)
{
    char *end;
    long node_id = strtol(id, &end, 10);
    if (end == id || *end != '\0' || node_id < 0 || node_id >= INT32_MAX) {
        fprintf(stderr, "millrace: %s is no broker's id\n", id);
        return -EINVAL;
    }
    int rc = config_check(c);
    return rc == 0 ? drain_run(c, (int32_t)node_id, cancel) : rc;
}

static int cluster_command(int argc, char **argv)
{
    struct config c;
    bool sql = argc == 5 && strcmp(argv[2], "sql") == 0;
    bool cancel = argc == 6 && strcmp(argv[5], "--cancel") == 0;
    bool drain = (argc == 5 || cancel) && strcmp(argv[2], "drain") == 0;
    if (!sql && !drain) {
        fputs("millrace: say millrace cluster sql FILE.properties \"SELECT ...\"\n"
              "          or  millrace cluster drain FILE.properties ID [--cancel]\n",
              stderr);
        return EXIT_FAILURE;
    }
    config_init(&c);
    int rc = config_read_file(&c, argv[3]);
    if (rc == 0)
        rc = config_read_environment(&c, environ);
    if (rc == 0)
        rc = sql ? cluster_sql(&c, argv[4]) : cluster_drain(&c, argv[4], cancel);
    config_deinit(&c);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Every key, so that it can be read again as a configuration. */
static int config_print(const struct config *c)
{
    char value[4096], initial[4096];
    struct config *defaults = mem_zalloc(sizeof(*defaults));
    config_init(defaults);
    for (enum config_key key = 0; key < CONFIG_COUNT; key++) {
        config_value_text(c, key, value, sizeof(value));
        config_value_text(defaults, key, initial, sizeof(initial));
        bool given = c->is_set[key] || strcmp(value, initial) != 0;
        printf("%s%s=%s\n", given ? "" : "#", config_name(key), value);
    }
    config_deinit(defaults);
    free(defaults);
    return EXIT_SUCCESS;
}

/* The file, if there is one, then the environment, then --set. */
static int config_gather(struct config *c, bool with_file, int count, char **args)
{
    int rc = with_file ? config_read_file(c, args[0]) : 0;
    if (rc == 0)
        rc = config_read_environment(c, environ);
    return rc == 0 ? settings_read(c, count - with_file, args + with_file) : rc;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0) {
        printf("millrace %s\n", MILLRACE_VERSION);
        return EXIT_SUCCESS;
    }
    if (strcmp(verb, "cluster") == 0)
        return cluster_command(argc, argv);
    if (argc == 1 || strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
        fputs(HELP, argc > 1 ? stdout : stderr);
        return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    bool dev = strcmp(verb, "dev") == 0, show = strcmp(verb, "config") == 0;
    bool with_file = !dev && argc > 2 && strncmp(argv[2], "--", 2) != 0;
    if (!dev && !show && (strcmp(verb, "server") != 0 || !with_file)) {
        fprintf(stderr, "millrace: %s is no command, or lacks its file. See millrace --help\n",
                verb);
        return EXIT_FAILURE;
    }
    struct node *n = mem_zalloc(sizeof(*n));
    config_init(&n->config);
    int rc = dev ? dev_defaults(&n->config) : 0;
    if (rc == 0)
        rc = config_gather(&n->config, with_file, argc - 2, argv + 2);
    if (rc == 0 && show)
        return config_print(&n->config);
    return rc < 0 ? EXIT_FAILURE : run(n);
}
