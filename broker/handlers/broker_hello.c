/* BrokerHello: registration and heartbeat of a broker, at the active controller. */
#include "broker/controller_host.h"
#include "broker/node.h"
#include "coord/controller.h"
#include "coord/pulse.h"

HANDLER(broker_hello)
{
    thread_assert(&NET);
    struct node *node = req->node;
    struct controller_hello hello = {
        .broker = {.node_id = in->node_id,
                   .incarnation = in->incarnation,
                   .clean_epoch = in->clean_epoch,
                   .rack = in->rack,
                   .endpoints_count = MAX(in->listeners_count, 0)},
        .cluster_id = in->cluster_id,
        .want_shutdown = in->want_shutdown,
        .applied_index = in->applied_index,
        .connection = req->conn->number,
    };
    struct image_endpoint *endpoints =
        arena_need(&req->arena, sizeof(*endpoints) * (size_t)hello.broker.endpoints_count);
    for (int i = 0; i < hello.broker.endpoints_count; i++)
        endpoints[i] =
            (struct image_endpoint){in->listeners[i].name, in->listeners[i].host,
                                    in->listeners[i].port, in->listeners[i].security_protocol};
    hello.broker.endpoints = endpoints;
    req->conn->hello = true;

    struct controller_answer answer;
    struct quorum_status status;
    controller_host_hello(node, &hello, &answer);
    quorum_status(node->quorum, &status);
    out->error_code = (int16_t)answer.error_code;
    out->broker_epoch = answer.broker_epoch;
    out->fenced = answer.fenced;
    out->should_shutdown = answer.should_shutdown;
    out->leader_id = status.leader_id;
    int64_t election_ms = config_number(&node->config, CONFIG_QUORUM_ELECTION_MS);
    int64_t still_ms =
        pulse_still_ms_max(election_ms, config_number(&node->config, CONFIG_QUORUM_HEARTBEAT_MS));
    out->lease_ms = (int32_t)controller_lease_ms(
        config_number(&node->config, CONFIG_SESSION_TIMEOUT_MS), election_ms, still_ms);
    request_reply(req);
}
