/* The command line: millrace server | dev | cluster | version. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/node.h"
#include "coord/sql.h"
#include "proto/base/logging.h"

extern char **environ;

static const char HELP[] =
    "millrace - a Kafka-compatible, clustered, replicated broker in one binary\n"
    "\n"
    "  millrace server FILE.properties [--set key=value ...]   run a node of a cluster\n"
    "  millrace dev [--set key=value ...]                      run one node here and now: clients "
    "on\n"
    "                                                          127.0.0.1:9092, data in "
    "./millrace-data\n"
    "  millrace cluster sql FILE.properties \"SELECT ...\"       ask the metadata of that node;\n"
    "                                                          SELECT * FROM sqlite_schema tells "
    "what there is\n"
    "  millrace version                                        print the version\n"
    "  millrace --help                                         print this\n"
    "\n"
    "FILE.properties has Kafka's keys and defaults. A node needs these:\n"
    "\n"
    "  node.id=1                                   another number for every node\n"
    "  listeners=PLAINTEXT://:9092,CONTROLLER://:10092\n"
    "  controller.quorum.voters=1@host1:10092,2@host2:10092,3@host3:10092\n"
    "  log.dirs=/var/lib/millrace\n"
    "\n"
    "Set advertised.listeners where clients reach the node by another name than it binds; without "
    "it\n"
    "every client is answered with the address that it used. Each key can also come from the "
    "environment\n"
    "(KAFKA_NODE_ID=1 is node.id=1). --set wins over the environment, the environment over the "
    "file.\n"
    "\n"
    "SIGTERM hands leaderships over, flushes and leaves. Logs go to standard error.\n";

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
    if (config_check(&n->config) < 0 || log_level_set(&n->config) < 0 || node_start(n) < 0)
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

static int cluster_command(int argc, char **argv)
{
    struct config c;
    if (argc != 5 || strcmp(argv[2], "sql") != 0) {
        fputs("millrace: say millrace cluster sql FILE.properties \"SELECT ...\"\n", stderr);
        return EXIT_FAILURE;
    }
    config_init(&c);
    int rc = config_read_file(&c, argv[3]);
    if (rc == 0)
        rc = config_read_environment(&c, environ);
    /* The quorum's folder is in the first of log.dirs. */
    const char *dirs = config_text(&c, CONFIG_LOG_DIRS);
    char path[4096];
    if (rc == 0 && snprintf(path, sizeof(path), "%.*s/quorum", (int)strcspn(dirs, ","), dirs) >=
                       (int)sizeof(path))
        rc = -ENAMETOOLONG;
    if (rc == 0)
        rc = sql_run(path, argv[4], stdout);
    config_deinit(&c);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
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
    bool dev = strcmp(verb, "dev") == 0;
    bool server = strcmp(verb, "server") == 0 && argc > 2;
    if (!dev && !server) {
        bool asked = strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0;
        fputs(HELP, asked ? stdout : stderr);
        return asked ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    struct node *n = mem_zalloc(sizeof(*n));
    config_init(&n->config);
    int rc = dev ? dev_defaults(&n->config) : config_read_file(&n->config, argv[2]);
    if (rc == 0)
        rc = config_read_environment(&n->config, environ);
    if (rc == 0)
        rc = settings_read(&n->config, argc - (dev ? 2 : 3), argv + (dev ? 2 : 3));
    return rc < 0 ? EXIT_FAILURE : run(n);
}
