/*
 * The load of the benchmark: transactions.
 *
 *   txns BOOTSTRAP TOPIC PRODUCERS SECONDS
 *
 * So many producers (librdkafka), each with a transactional id, commit transactions of one record
 * each, one after the other. The first failure ends it. Prints one line: transactions a second, p50
 * and p99 of one in ms.
 */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PRODUCERS_MAX 200
#define TXNS_MAX      200000 /* of one producer */
#define TIMEOUT_MS    60000

struct worker {
    pthread_t thread;
    int number;
    int64_t took_us[TXNS_MAX];
    int count;
};

static const char *bootstrap, *topic;
static int64_t seconds;
static pthread_barrier_t ready;

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void need(rd_kafka_error_t *error, const char *what)
{
    if (error == NULL)
        return;
    fprintf(stderr, "txns: %s: %s\n", what, rd_kafka_error_string(error));
    exit(1);
}

static rd_kafka_t *producer_new(int number)
{
    char error[256], id[64];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(id, sizeof id, "bench-%d", number);
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error);
    rd_kafka_conf_set(conf, "transactional.id", id, error, sizeof error);
    rd_kafka_conf_set(conf, "linger.ms", "0", error, sizeof error);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (rk == NULL) {
        fprintf(stderr, "txns: %s\n", error);
        exit(1);
    }
    return rk;
}

static void transact(rd_kafka_t *rk)
{
    need(rd_kafka_begin_transaction(rk), "begin");
    rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE("a transaction", 13),
                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    need(rd_kafka_commit_transaction(rk, TIMEOUT_MS), "commit");
}

static void *run(void *arg)
{
    struct worker *w = arg;
    rd_kafka_t *rk = producer_new(w->number);
    need(rd_kafka_init_transactions(rk, TIMEOUT_MS), "init");
    transact(rk); /* the first learns where everything is */
    pthread_barrier_wait(&ready);
    int64_t end_us = now_us() + seconds * 1000000;
    while (now_us() < end_us && w->count < TXNS_MAX) {
        int64_t began_us = now_us();
        transact(rk);
        w->took_us[w->count++] = now_us() - began_us;
    }
    rd_kafka_destroy(rk);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int producers = argc == 5 ? atoi(argv[3]) : 0;
    if (producers < 1 || producers > PRODUCERS_MAX)
        return 1;
    bootstrap = argv[1];
    topic = argv[2];
    seconds = atoll(argv[4]);
    struct worker *workers = calloc((size_t)producers, sizeof *workers);
    pthread_barrier_init(&ready, NULL, (unsigned)producers);
    for (int i = 0; i < producers; i++) {
        workers[i].number = i;
        pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    int64_t *all = NULL;
    size_t count = 0;
    for (int i = 0; i < producers; i++) {
        pthread_join(workers[i].thread, NULL);
        all = realloc(all, (count + (size_t)workers[i].count + 1) * sizeof *all);
        for (int k = 0; k < workers[i].count; k++)
            all[count++] = workers[i].took_us[k];
    }
    qsort(all, count, sizeof *all, compare);
    printf("%.0f %.2f %.2f\n", (double)count / (double)seconds,
           count ? (double)all[(count - 1) / 2] / 1000 : 0.0,
           count ? (double)all[(count - 1) * 99 / 100] / 1000 : 0.0);
    return 0;
}
