/*
 * A plugin that does what plugins should not. Which of it, the last byte of the destination says; what it declares, macros do.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <varpd_plugin.h>

#ifndef NAME
#define NAME "badly"
#endif
#ifndef VERSION
#define VERSION VARPD_PLUGIN_VERSION
#endif
#ifndef SIZE
#define SIZE sizeof(struct varpd_plugin)
#endif
#ifndef KINDS
#define KINDS VARPD_DESTINATION_IP_PORT
#endif
#ifndef REGISTER
#define REGISTER varpd_plugin_register
#endif

static const struct varpd_host *varpd;
/* The one instance that speaks unasked, and what it was given by the one before. */
static varpd_instance self;
static unsigned char kept;
static atomic_int released;

static int create(varpd_instance instance, const struct varpd_overlay *overlay, void **state, char *problem, size_t room)
{
    (void)problem, (void)room;
    uint32_t vnetid = 0;
    if (varpd->vnetid(instance, &vnetid) != VARPD_OK || vnetid != overlay->vnetid)
        abort();
    *state = malloc(sizeof instance);
    memcpy(*state, &instance, sizeof instance);
    return 0;
}

static int set_property(void *state, const char *name, const char *value, char *problem, size_t room)
{
    (void)state, (void)name;
    if (strcmp(value, "bad") == 0) {
        snprintf(problem, room, "a bad value");
        return 1;
    }
    if (strcmp(value, "crash") == 0)
        abort();
    return 0;
}

static void restore(void *state, const uint8_t *bytes, size_t length)
{
    (void)state;
    kept = length == 1 ? bytes[0] : 255;
}

static int start(void *state, char *problem, size_t room)
{
    (void)problem, (void)room;
    memcpy(&self, state, sizeof self);
    kept++;
    return 0;
}

static void destroy(void *state)
{
    free(state);
}

static const struct varpd_ul3 at = {.ip = {[10] = 255, [11] = 255, [12] = 10, [15] = 9}, .port = 4789};

/* Answers a while later, from a thread of its own. */
static void *later(void *query)
{
    sleep(4);
    varpd->reply_reach(*(varpd_query *)query, &at, 1, VARPD_TTL_DEFAULT);
    free(query);
    return NULL;
}

/* Says more than anybody can hear. */
static void *chatter(void *instance)
{
    static uint8_t frame[9000] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
    for (;;)
        varpd->inject((varpd_instance)(uintptr_t)instance, frame, sizeof frame);
    return NULL;
}

static int lookup(void *state, varpd_query query, const struct varpd_lookup *lookup)
{
    (void)state;
    pthread_t thread;
    char line[64];
    switch (lookup->destination[5]) {
    case 1: /* crashes */
        *(volatile int *)8 = 0;
        break;
    case 2: /* hangs */
        for (;;)
            pause();
    case 3: /* answers twice */
        varpd->reply_reach(query, &at, 1, 7000);
        if (varpd->reply_drop(query, 0) != VARPD_CLOSED)
            abort();
        return VARPD_ANSWER;
    case 4: /* never answers */
        return VARPD_ANSWER;
    case 5: { /* answers late */
        varpd_query *own = malloc(sizeof *own);
        *own = query;
        pthread_create(&thread, NULL, later, own);
        pthread_detach(thread);
        return VARPD_ANSWER;
    }
    case 6: /* answers what was never asked, and then what was */
        if (varpd->reply_drop(query + 1000000, 0) != VARPD_CLOSED)
            abort();
        varpd->reply_drop(query, 0);
        return VARPD_ANSWER;
    case 7: /* says nonsense */
        return 42;
    case 8: /* answers what cannot be, and then what can */
        if (varpd->reply_reach(query, &at, 0, 0) != VARPD_INVALID || varpd->reply_reach(query, NULL, 1, 0) != VARPD_INVALID ||
            varpd->reply_reach(query, &at, 257, 0) != VARPD_INVALID || varpd->reply_inject(query, (const uint8_t *)line, 13) != VARPD_INVALID ||
            varpd->reply_inject(query, NULL, 60) != VARPD_INVALID || varpd->flush(query + 1000000) != VARPD_UNKNOWN)
            abort();
        varpd->reply_drop(query, 3000);
        return VARPD_ANSWER;
    case 9: /* ends the process */
        exit(3);
    case 10: /* what it was given by the instance before, as a time */
        varpd->reply_drop(query, kept);
        return VARPD_ANSWER;
    case 11: /* fills the log */
        for (int i = 0; i < 1000; i++)
            varpd->log(self, VARPD_WARN, "again\x1b[2J and again");
        break;
    case 13: /* chatters */
        if (pthread_create(&thread, NULL, chatter, (void *)(uintptr_t)self) == 0)
            pthread_detach(thread);
        break;
    case 14: /* flaps */
        for (int i = 0; i < 1000; i++) {
            varpd->degrade(self, "for now");
            varpd->restore(self);
        }
        varpd->degrade(self, "for good");
        break;
    case 15: /* leaves a process behind that has all descriptors, and crashes */
        if (fork() == 0)
            for (;;)
                pause();
        abort();
    case 16: /* keeps nothing any more */
        kept = 0;
        break;
    case 17: /* waits for somebody, and says so */
        varpd->degrade(*(varpd_instance *)state, "waits");
        while (!released)
            usleep(1000);
        break;
    case 18: /* who does this */
        released = 1;
        break;
    case 19: /* takes its time */
        sleep(1);
        break;
    case 12: /* sends the frame on */
        varpd->reply_resend(query, lookup->frame, lookup->frame_length);
        return VARPD_ANSWER;
    }
    if (lookup->destination[0] & 1) /* leaves groups to the host */
        return VARPD_PROXY;
    varpd->reply_reach(query, &at, 1, VARPD_TTL_DEFAULT);
    return VARPD_ANSWER;
}

/* Whoever ends in 1 to 99 has that address; above that, the answers are none that can be. */
static int mac_of(uint8_t last, uint8_t mac[6])
{
    if (last >= 200) {
        memset(mac, 0xff, 6);
        return 1;
    }
    memcpy(mac, "\2\0\0\0\0", 5);
    mac[5] = last;
    return last < 100;
}

static int arp(void *state, const uint8_t ip[4], uint8_t mac[6])
{
    (void)state;
    return mac_of(ip[3], mac);
}

static int ndp(void *state, const uint8_t ip[16], uint8_t mac[6])
{
    (void)state;
    return mac_of(ip[15], mac);
}

static int dhcp(void *state, const uint8_t client[6], uint8_t server[6])
{
    (void)state;
    return mac_of(client[5], server);
}

static void vnic_added(void *state, const struct varpd_vnic *vnic)
{
    varpd_instance instance;
    char reason[64];
    memcpy(&instance, state, sizeof instance);
    snprintf(reason, sizeof reason, "%s came", vnic->name);
    varpd->degrade(instance, reason);
    varpd->set_target(instance, vnic->mac, &at, 1, 5000);
    varpd->set_target(instance, vnic->mac, NULL, 0, VARPD_TTL_DEFAULT);
    varpd->inject(instance, (const uint8_t *)"\xff\xff\xff\xff\xff\xff\2\0\0\0\0\1\x88\xb5hello", 19);
    varpd->resend(instance, (const uint8_t *)"\2\0\0\0\0\2\2\0\0\0\0\1\x88\xb5hello", 19);
}

static void vnic_removed(void *state, const struct varpd_vnic *vnic)
{
    varpd_instance instance;
    memcpy(&instance, state, sizeof instance);
    varpd->invalidate(instance, vnic->mac);
    varpd->flush(instance);
    varpd->restore(instance);
}

static size_t save(void *state, uint8_t *bytes, size_t room)
{
    (void)state;
    if (room < 1 || kept == 0)
        return 0;
    bytes[0] = kept;
    return 1;
}

static const struct varpd_property properties[] = {{
    .size = sizeof(struct varpd_property),
    .kind = VARPD_TEXT,
    .name = NAME "/how",
    .doc = "How badly.",
    .default_value = "as it is",
    .max = 16,
}};

static const struct varpd_plugin plugin = {
    .size = SIZE,
    .version = VERSION,
    .name = NAME,
    .destinations = KINDS,
    .property_count = 1,
    .properties = properties,
    .create = create,
    .set_property = set_property,
    .restore = restore,
    .start = start,
    .destroy = destroy,
    .lookup = lookup,
    .arp = arp,
    .ndp = ndp,
    .dhcp = dhcp,
    .vnic_added = vnic_added,
    .vnic_removed = vnic_removed,
    .save = save,
};

const struct varpd_plugin *REGISTER(const struct varpd_host *host);

const struct varpd_plugin *REGISTER(const struct varpd_host *host)
{
    varpd = host;
#ifdef CRASH
    abort();
#endif
#ifdef HANG
    for (;;)
        pause();
#endif
    return &plugin;
}
