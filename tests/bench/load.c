/*
 * The load of the benchmark: a librdkafka producer that fills one topic.
 *
 *   load BOOTSTRAP TOPIC ACKS COUNT SIZE RATE
 *
 * Creates TOPIC (6 partitions, 3 replicas) and sends COUNT records of SIZE bytes; as fast as it can
 * when RATE is 0, else evenly at RATE records a second with a short linger. Prints one line:
 * seconds from the first send to the last acknowledgement, the p50, p99 and largest time from send
 * to acknowledgement in ms, and how many records were not acknowledged.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PARTITIONS   6
#define REPLICAS     3
#define QUEUED_MAX   "100000"
#define FLUSH_MS     120000
#define CREATE_MS    30000
#define US_PER_SEC   1000000
#define RANDOM_BYTES 65536

struct load {
    int64_t count;
    int64_t *latencies_us; /* of acknowledged records, in the order of their acknowledgement */
    int64_t acked;
    int64_t failed;
};

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *opaque)
{
    struct load *load = opaque;
    (void)rk;
    if (msg->err)
        load->failed++;
    else
        load->latencies_us[load->acked++] = now_us() - (int64_t)(intptr_t)msg->_private;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char error[256];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        die(key, error);
}

static rd_kafka_t *producer_new(struct load *load, const char *bootstrap, const char *acks,
                                bool paced)
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "acks", acks);
    set(conf, "queue.buffering.max.messages", QUEUED_MAX);
    set(conf, "linger.ms", paced ? "1" : "5");
    set(conf, "topic.metadata.refresh.interval.ms", "1000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, load);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (!rk)
        die("producer", error);
    return rk;
}

/* Create the topic and wait until every partition has a leader. */
static void topic_create(rd_kafka_t *rk, const char *topic)
{
    char error[256];
    rd_kafka_NewTopic_t *spec =
        rd_kafka_NewTopic_new(topic, PARTITIONS, REPLICAS, error, sizeof error);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &spec, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CREATE_MS);
    if (!event || rd_kafka_event_error(event))
        die("create topic", event ? rd_kafka_event_error_string(event) : "timed out");
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(spec);

    int ready = 0;
    for (int64_t end = now_us() + CREATE_MS * 1000LL; ready < PARTITIONS && now_us() < end;) {
        const struct rd_kafka_metadata *md = NULL;
        rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
        ready = 0;
        if (!rd_kafka_metadata(rk, 0, rkt, &md, 5000) && md->topic_cnt == 1) {
            for (int i = 0; i < md->topics[0].partition_cnt; i++)
                ready += md->topics[0].partitions[i].leader >= 0;
        }
        if (md)
            rd_kafka_metadata_destroy(md);
        rd_kafka_topic_destroy(rkt);
        rd_kafka_poll(rk, 50);
    }
    if (ready < PARTITIONS)
        die("create topic", "partitions without a leader");
}

static void wait_until(rd_kafka_t *rk, int64_t due_us)
{
    rd_kafka_poll(rk, 0);
    for (int64_t left = due_us - now_us(); left > 0; left = due_us - now_us()) {
        struct timespec nap = {0, (left < 500 ? left : 500) * 1000};
        nanosleep(&nap, NULL);
        rd_kafka_poll(rk, 0);
    }
}

/* One acknowledged record for each partition: connections are open, leaders and followers at work.
 * Just after its creation a topic may be unknown to some node, so this is tried again. */
static void warm_up(rd_kafka_t *rk, struct load *load, const char *topic)
{
    int64_t end_us = now_us() + CREATE_MS * 1000LL;
    do {
        if (now_us() > end_us)
            die("warm up", "not acknowledged");
        load->acked = 0;
        for (int32_t i = 0; i < PARTITIONS; i++)
            rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i),
                              RD_KAFKA_V_VALUE("warm", 4), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_OPAQUE((void *)(intptr_t)now_us()), RD_KAFKA_V_END);
        rd_kafka_flush(rk, FLUSH_MS);
        rd_kafka_poll(rk, 100);
    } while (load->acked < PARTITIONS);
    load->acked = 0;
    load->failed = 0;
}

static void send_all(rd_kafka_t *rk, struct load *load, const char *topic, size_t size,
                     int64_t rate)
{
    char *data = malloc(size + RANDOM_BYTES);
    for (size_t i = 0; i < size + RANDOM_BYTES; i++)
        data[i] = (char)rand();

    int64_t began_us = now_us();
    for (int64_t i = 0; i < load->count; i++) {
        if (rate)
            wait_until(rk, began_us + i * US_PER_SEC / rate);
        rd_kafka_resp_err_t err;
        while ((err = rd_kafka_producev(
                    rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION((int32_t)(i % PARTITIONS)),
                    RD_KAFKA_V_VALUE(data + i * 7919 % RANDOM_BYTES, size),
                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_OPAQUE((void *)(intptr_t)now_us()), RD_KAFKA_V_END)))
            if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
                rd_kafka_poll(rk, 100);
            else
                die("produce", rd_kafka_err2str(err));
        if (i % 64 == 0)
            rd_kafka_poll(rk, 0);
    }
    rd_kafka_flush(rk, FLUSH_MS);
    free(data);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *load, int percent)
{
    if (load->acked == 0)
        return 0;
    return (double)load->latencies_us[(load->acked - 1) * percent / 100] / 1000;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        die("usage", "load BOOTSTRAP TOPIC ACKS COUNT SIZE RATE");
    struct load load = {.count = atoll(argv[4])};
    load.latencies_us = calloc((size_t)load.count + PARTITIONS, sizeof *load.latencies_us);
    int64_t rate = atoll(argv[6]);

    rd_kafka_t *rk = producer_new(&load, argv[1], argv[3], rate != 0);
    topic_create(rk, argv[2]);
    warm_up(rk, &load, argv[2]);
    int64_t began_us = now_us();
    send_all(rk, &load, argv[2], (size_t)atoll(argv[5]), rate);
    double seconds = (double)(now_us() - began_us) / US_PER_SEC;
    rd_kafka_destroy(rk);

    qsort(load.latencies_us, (size_t)load.acked, sizeof *load.latencies_us, compare);
    printf("%.3f %.3f %.3f %.3f %lld\n", seconds, percentile_ms(&load, 50),
           percentile_ms(&load, 99), percentile_ms(&load, 100),
           (long long)(load.count - load.acked));
    free(load.latencies_us);
    return 0;
}
