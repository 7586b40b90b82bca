/* Listeners, advertised listeners, and checks that need more than one key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/config.h"
#include "broker/config_groups.h"
#include "proto/base/logging.h"

static int refuse(const char *key, const char *value, const char *right)
{
    LOG_ERROR("bad configuration value", "key=%s value=\"%s\" right=\"%s\"", key,
              value ? value : "", right);
    return -EINVAL;
}

static int protocol_parse(const char *name, size_t size)
{
    static const char *const NAMES[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    for (int i = 0; i < 4; i++)
        if (strlen(NAMES[i]) == size && strncasecmp(NAMES[i], name, size) == 0)
            return i;
    return -1;
}

/* The protocol of a listener: by the map, by its own name, or PLAINTEXT for the controller's. */
static int protocol_of(const struct config *c, const char *listener)
{
    const char *at = config_text(c, CONFIG_PROTOCOL_MAP);
    size_t size = strlen(listener);
    while (at != NULL && *at != '\0') {
        size_t entry = strcspn(at, ",");
        if (entry > size && strncasecmp(at, listener, size) == 0 && at[size] == ':')
            return protocol_parse(at + size + 1, entry - size - 1);
        at += entry + (at[entry] == ',');
    }
    int own = protocol_parse(listener, size);
    return own >= 0 ? own : 0;
}

/* NAME://host:port, host may be empty or an IPv6 literal in brackets. */
static int listener_parse(const struct config *c, const char *key, const char *text, size_t size,
                          struct listener_address *out)
{
    char item[400];
    static const char RIGHT[] = "NAME://host:port, several separated by commas";
    if (size >= sizeof(item))
        return refuse(key, text, RIGHT);
    memcpy(item, text, size);
    item[size] = '\0';
    char *start = item + strspn(item, " ");
    char *scheme = strstr(start, "://");
    char *colon = strrchr(item, ':');
    if (scheme == NULL || colon == NULL || colon == scheme || scheme == start)
        return refuse(key, text, RIGHT);
    *scheme = '\0';
    *colon = '\0';
    char *host = scheme + 3;
    size_t host_size = strlen(host);
    if (host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']') {
        host[host_size - 1] = '\0';
        host++;
    }
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || port < 0 || port > 65535 || strlen(start) >= sizeof(out->name) ||
        strlen(host) >= sizeof(out->host))
        return refuse(key, text, RIGHT);
    snprintf(out->name, sizeof(out->name), "%s", start);
    snprintf(out->host, sizeof(out->host), "%s", host);
    out->port = (int32_t)port;
    int protocol = protocol_of(c, out->name);
    if (protocol != 0)
        return refuse("listener.security.protocol.map", out->name,
                      "PLAINTEXT (TLS and SASL are not served yet)");
    out->security_protocol = (int16_t)protocol;
    return 0;
}

static int list_parse(const struct config *c, enum config_key key, struct listener_address *out)
{
    const char *at = config_text(c, key);
    int count = 0;
    while (at != NULL && *at != '\0') {
        size_t size = strcspn(at, ",");
        if (count == LISTENERS_MAX)
            return refuse(config_name(key), config_text(c, key), "at most 16 listeners");
        int rc = listener_parse(c, config_name(key), at, size, &out[count]);
        if (rc < 0)
            return rc;
        count++;
        at += size + (at[size] == ',');
    }
    return count;
}

static bool name_in_list(const char *list, const char *name)
{
    size_t size = strlen(name);
    while (list != NULL && *list != '\0') {
        size_t entry = strcspn(list, ",");
        if (entry == size && strncasecmp(list, name, size) == 0)
            return true;
        list += entry + (list[entry] == ',');
    }
    return false;
}

static bool is_any_address(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static int advertised_check(struct config *c)
{
    int count = list_parse(c, CONFIG_ADVERTISED_LISTENERS, c->advertised);
    if (count < 0)
        return count;
    c->advertised_count = count;
    for (int i = 0; i < count; i++)
        if (is_any_address(c->advertised[i].host) || c->advertised[i].host[0] == '\0')
            return refuse(
                "advertised.listeners", config_text(c, CONFIG_ADVERTISED_LISTENERS),
                "an address that clients can connect to; leave the key out to answer with "
                "the address each client used");
    return 0;
}

static int inter_broker_check(struct config *c)
{
    const char *name = config_text(c, CONFIG_INTER_BROKER_LISTENER);
    if (name == NULL)
        name = c->listeners[0].name;
    for (int i = 0; i < c->listeners_count; i++)
        if (strcasecmp(c->listeners[i].name, name) == 0) {
            snprintf(c->inter_broker_listener, sizeof(c->inter_broker_listener), "%s",
                     c->listeners[i].name);
            return 0;
        }
    return refuse("inter.broker.listener.name", name, "the name of one of `listeners`");
}

int config_check(struct config *c)
{
    if (config_number(c, CONFIG_NODE_ID) < 0)
        return refuse("node.id", "", "a number of 0 or more, another for every node");
    struct listener_address all[LISTENERS_MAX];
    int count = list_parse(c, CONFIG_LISTENERS, all);
    if (count < 0)
        return count;
    for (int i = 0; i < count; i++) {
        if (name_in_list(config_text(c, CONFIG_CONTROLLER_LISTENERS), all[i].name))
            c->controller = all[i];
        else
            c->listeners[c->listeners_count++] = all[i];
    }
    if (c->listeners_count == 0)
        return refuse("listeners", config_text(c, CONFIG_LISTENERS), "at least one for clients");
    c->is_controller = name_in_list(config_text(c, CONFIG_PROCESS_ROLES), "controller");
    if (!name_in_list(config_text(c, CONFIG_PROCESS_ROLES), "broker"))
        return refuse("process.roles", config_text(c, CONFIG_PROCESS_ROLES),
                      "broker,controller or broker");
    if (c->controller.name[0] == '\0')
        return refuse("listeners", config_text(c, CONFIG_LISTENERS),
                      "one more with the name in controller.listener.names, for the quorum");
    int rc = advertised_check(c);
    if (rc >= 0)
        rc = inter_broker_check(c);
    return rc < 0 ? rc : config_check_groups(c);
}
