/*
 * Where do frames go? Where a property says: fixed/hosts=MAC,UL3[,IPV4];MAC,UL3[,IPV4];..
 *
 *   cc -Wall -Wextra -shared -fPIC $(pkg-config --cflags overlay-varpd-plugin) -o fixed.so fixed.c
 *   overlayadm create-overlay -e vxlan -s fixed -v 77 -p fixed/hosts=2:8:20:a:0:2,10.0.0.2:4789,192.168.0.2 ov0
 *
 * ARP requests are left to varpd, which asks arp() whose address that is. Everything is known when an instance starts, so nothing here waits
 * and nothing is locked.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <varpd_plugin.h>

#define HOSTS_MAX 64
#define ARP 0x0806

struct host {
    uint8_t mac[6];
    struct varpd_ul3 at;
    uint8_t ip[4];
    int has_ip;
};

struct fixed {
    struct host hosts[HOSTS_MAX];
    size_t count;
};

static const struct varpd_host *varpd;

static int create(varpd_instance instance, const struct varpd_overlay *overlay, void **state, char *problem, size_t room)
{
    (void)instance, (void)overlay;
    *state = calloc(1, sizeof(struct fixed));
    if (*state == NULL)
        snprintf(problem, room, "no memory is left");
    return *state == NULL;
}

static void destroy(void *state)
{
    free(state);
}

/* ADDRESS:PORT, [ADDRESS]:PORT, or ADDRESS alone. */
static int read_ul3(char *text, struct varpd_ul3 *ul3)
{
    char *port = text[0] == '[' ? strstr(text, "]:") : strchr(text, ':');
    int v6 = text[0] == '[' || (port != NULL && strchr(port + 1, ':') != NULL);

    if (v6 && text[0] != '[')
        port = NULL; /* an IPv6 address without a port */
    if (port != NULL) {
        char *end;
        unsigned long number = strtoul(port + (v6 ? 2 : 1), &end, 10);
        if (number == 0 || number > UINT16_MAX || *end != '\0')
            return 0;
        ul3->port = (uint16_t)number;
        *port = '\0';
    }
    if (v6)
        return inet_pton(AF_INET6, text + (text[0] == '['), ul3->ip) == 1;
    memcpy(ul3->ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    return inet_pton(AF_INET, text, ul3->ip + 12) == 1;
}

static int read_host(char *text, struct host *host)
{
    unsigned mac[6];
    int read = 0;
    char *ul3 = strchr(text, ','), *ip;

    if (ul3 == NULL)
        return 0;
    *ul3++ = '\0';
    if ((ip = strchr(ul3, ',')) != NULL)
        *ip++ = '\0';
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &read) != 6 || text[read] != '\0')
        return 0;
    for (int i = 0; i < 6; i++)
        host->mac[i] = (uint8_t)mac[i];
    host->has_ip = ip != NULL;
    return read_ul3(ul3, &host->at) && (ip == NULL || inet_pton(AF_INET, ip, host->ip) == 1);
}

static int set_property(void *state, const char *name, const char *value, char *problem, size_t room)
{
    struct fixed *fixed = state;
    char *text = strdup(value), *rest = text, *one;
    int bad = text == NULL;

    (void)name; /* there is only one */
    while (!bad && (one = strtok_r(rest, ";", &rest)) != NULL) {
        char shown[64];
        snprintf(shown, sizeof shown, "%s", one);
        if (fixed->count == HOSTS_MAX) {
            snprintf(problem, room, "more than %d hosts; that many are allowed", HOSTS_MAX);
            bad = 1;
        } else if (!read_host(one, &fixed->hosts[fixed->count++])) {
            snprintf(problem, room, "%s: MAC,ADDRESS:PORT or MAC,ADDRESS:PORT,IPV4 is allowed", shown);
            bad = 1;
        }
    }
    free(text);
    return bad;
}

static int lookup(void *state, varpd_query query, const struct varpd_lookup *lookup)
{
    const struct fixed *fixed = state;

    for (size_t i = 0; i < fixed->count; i++) {
        if (memcmp(fixed->hosts[i].mac, lookup->destination, 6) == 0) {
            varpd->reply_reach(query, &fixed->hosts[i].at, 1, VARPD_TTL_DEFAULT);
            return VARPD_ANSWER;
        }
    }
    if (lookup->ethertype == ARP)
        return VARPD_PROXY;
    varpd->reply_drop(query, VARPD_TTL_DEFAULT);
    return VARPD_ANSWER;
}

static int arp(void *state, const uint8_t ip[4], uint8_t mac[6])
{
    const struct fixed *fixed = state;

    for (size_t i = 0; i < fixed->count; i++) {
        if (fixed->hosts[i].has_ip && memcmp(fixed->hosts[i].ip, ip, 4) == 0) {
            memcpy(mac, fixed->hosts[i].mac, 6);
            return 1;
        }
    }
    return 0;
}

static const struct varpd_property properties[] = {{
    .size = sizeof(struct varpd_property),
    .kind = VARPD_TEXT,
    .name = "fixed/hosts",
    .doc = "Who is where: MAC,ADDRESS:PORT or MAC,ADDRESS:PORT,IPV4 for each, with ; between them.",
    .max = 4096,
    .required = 1,
}};

static const struct varpd_plugin plugin = {
    .size = sizeof(struct varpd_plugin),
    .version = VARPD_PLUGIN_VERSION,
    .name = "fixed",
    .destinations = VARPD_DESTINATION_IP | VARPD_DESTINATION_IP_PORT,
    .property_count = 1,
    .properties = properties,
    .create = create,
    .set_property = set_property,
    .destroy = destroy,
    .lookup = lookup,
    .arp = arp,
};

const struct varpd_plugin *varpd_plugin_register(const struct varpd_host *host)
{
    varpd = host;
    return &plugin;
}
