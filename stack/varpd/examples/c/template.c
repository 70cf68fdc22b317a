/* Every frame goes to one place: overlayadm create-overlay -e vxlan -s template -v 77 -p template/to=10.0.0.2 ov0 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <varpd_plugin.h>

static const struct varpd_host *varpd;

static int create(varpd_instance instance, const struct varpd_overlay *overlay, void **state, char *problem, size_t room)
{
    (void)instance, (void)overlay, (void)problem, (void)room;
    *state = calloc(1, sizeof(struct varpd_ul3));
    return *state == NULL;
}

static int set_property(void *state, const char *name, const char *value, char *problem, size_t room)
{
    struct varpd_ul3 *to = state;

    (void)name;
    to->port = 4789;
    memcpy(to->ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    if (inet_pton(AF_INET, value, to->ip + 12) == 1 || inet_pton(AF_INET6, value, to->ip) == 1)
        return 0;
    strncpy(problem, "an IP address is allowed", room);
    return 1;
}

static int lookup(void *state, varpd_query query, const struct varpd_lookup *lookup)
{
    (void)lookup;
    varpd->reply_reach(query, state, 1, VARPD_TTL_DEFAULT);
    return VARPD_ANSWER;
}

static const struct varpd_property properties[] = {{
    .size = sizeof(struct varpd_property),
    .kind = VARPD_IP,
    .name = "template/to",
    .doc = "Where everything goes.",
    .required = 1,
}};

static const struct varpd_plugin plugin = {
    .size = sizeof(struct varpd_plugin),
    .version = VARPD_PLUGIN_VERSION,
    .name = "template",
    .destinations = VARPD_DESTINATION_IP_PORT,
    .property_count = 1,
    .properties = properties,
    .create = create,
    .set_property = set_property,
    .destroy = free,
    .lookup = lookup,
};

const struct varpd_plugin *varpd_plugin_register(const struct varpd_host *host)
{
    varpd = host;
    return &plugin;
}
