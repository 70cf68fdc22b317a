/*
 * varpd_plugin.h: where do frames go? A lookup plugin of varpd as a shared object, version 1 of the interface.
 *
 * varpd runs each shared object in a process of its own. A plugin that crashes, or whose call does not return, ends that process:
 * varpd says so, starts it again and gives it its instances again. A plugin never has to fear for varpd, and has no right that varpd
 * does not have: none.
 *
 *   varpd_plugin_register ─► create ─► set_property* ─► restore ─► start ─► vnic_added* ─► lookup* ─► stop ─► save ─► destroy
 *
 * THREADS. Calls of one instance's life (create, set_property, restore, start, vnic_added, vnic_removed, stop, save, destroy) come one
 * after the other, those of all instances from one thread. lookup, arp, ndp and dhcp come between start and stop, at any time, from
 * several threads at once, also for one instance; stop is called when the last of them has returned. save comes now and then while
 * the others go on, from the thread of the first. The calls of struct varpd_host may be made from every thread, from within any call
 * of the plugin, and at any other time; none of them but log waits for anything, and none calls the plugin.
 *
 * TIME. A call that has not returned after the ceiling of varpd (twice --deadline: 10 s) counts as one that hangs, and the process is
 * ended. Loading, varpd_plugin_register included, has 15 s at most, or that ceiling if it is less.
 *
 * PROCESS. Standard input and output are /dev/null; standard error is a pipe to varpd's log, and log writes to it: descriptors 0 to 2 have
 * to stay what they are. SIGTERM, SIGINT and SIGHUP are caught and do nothing: varpd ends the process. What the plugin starts in its
 * process group is killed with it. No call may be left by a C++ exception, a longjmp or the end of its thread.
 *
 * MEMORY. What a call is given belongs to the caller and holds until the call returns, unless it says otherwise. The process is
 * never rid of a plugin's code: there is no unloading.
 *
 * SIZES. Every struct begins with its size in bytes, set by whoever fills it in: a newer side may have appended fields, which are
 * ignored. A plugin reads a field of a struct that it is given only if the struct's size says that it is there. All fields of this file are,
 * for who has found VARPD_PLUGIN_VERSION in host->version; one that was appended later is there only if host->size reaches to its end.
 *
 * pkg-config: overlay-varpd-plugin. Manual: varpd_plugin(7). License: MIT OR Apache-2.0.
 */
#ifndef VARPD_PLUGIN_H
#define VARPD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the interface that this file describes. */
#define VARPD_PLUGIN_VERSION 1u

/* What the calls of struct varpd_host return. */
#define VARPD_OK 0
#define VARPD_CLOSED (-1)  /* the query is not open: answered already, out of time, withdrawn, or never asked. Counted and logged */
#define VARPD_INVALID (-2) /* an argument cannot be: the call has no effect, and a query stays open */
#define VARPD_UNKNOWN (-3) /* there is no such instance (any more) */

/* What lookup returns. */
#define VARPD_ANSWER 0 /* the query was answered, or will be, from any thread */
#define VARPD_PROXY 1  /* see lookup: the query is the host's from now on */

/* Kinds of destinations, as bits. */
#define VARPD_DESTINATION_IP 1u      /* an address (NVGRE) */
#define VARPD_DESTINATION_IP_PORT 2u /* an address and a UDP port (VXLAN, Geneve) */

/* Kinds of properties. */
#define VARPD_UINT 1u   /* a whole number from min to max, both allowed */
#define VARPD_IP 2u     /* an IP address */
#define VARPD_CHOICE 3u /* one of the words in choices, which blanks separate */
#define VARPD_TEXT 4u   /* text of at most max bytes, in UTF-8 */

/* How serious a line of the log is. */
#define VARPD_ERROR 3
#define VARPD_WARN 4
#define VARPD_INFO 6
#define VARPD_DEBUG 7

/* A time that says: as the overlay has it (its properties target/ttl and target/negative_ttl). */
#define VARPD_TTL_DEFAULT UINT64_MAX
/* A frame without a VLAN tag. */
#define VARPD_VLAN_NONE 0xffffu
/* Destinations that an answer has at most. */
#define VARPD_DESTINATIONS_MAX 256u
/* Bytes that a problem's text has room for, the NUL included. */
#define VARPD_PROBLEM_MAX 512u
/* Bytes that save may keep. */
#define VARPD_SAVE_MAX 1048576u

/* An instance: the plugin's part in one overlay. A number: one that is no longer valid does no harm. */
typedef uint64_t varpd_instance;
/* A lookup that waits for its answer. A number that is good for exactly one answer. */
typedef uint64_t varpd_query;

/* An underlay address (UL3). Of IPv4 addresses: ::ffff:a.b.c.d (RFC 4291 2.5.5.2). The one struct without a size: it is what goes
 * over the wire between varpd and overlayd. */
struct varpd_ul3 {
    uint8_t ip[16];
    uint16_t port; /* in the host's order; 0 for destinations without one */
    uint16_t zero;
};

/* What a plugin can be told by its operator: overlayadm create-overlay -p NAME=VALUE. */
struct varpd_property {
    uint32_t size;
    uint32_t kind;             /* VARPD_UINT and the others */
    const char *name;          /* the plugin's name, "/", and a name of its own: "acme/zone" */
    const char *doc;           /* one or two sentences for overlayadm show-prop */
    const char *default_value; /* as it would be typed; NULL for none. The plugin is told it as if it had been set */
    const char *choices;       /* VARPD_CHOICE only */
    uint64_t min;              /* VARPD_UINT only */
    uint64_t max;              /* VARPD_UINT: the largest value. VARPD_TEXT: bytes, 1 to 4096 */
    uint32_t required;         /* 1: no overlay is made without it */
    uint32_t zero;
};

/* An overlay. */
struct varpd_overlay {
    uint32_t size;
    uint32_t vnetid;
    const char *name;
    const char *encapsulation; /* "vxlan", "geneve", "nvgre" */
    uint32_t destinations;     /* the one kind that it needs: VARPD_DESTINATION_IP or VARPD_DESTINATION_IP_PORT */
    uint32_t mtu;              /* the largest packet that a frame of it carries */
};

/* A virtual interface of the overlay on this host. */
struct varpd_vnic {
    uint32_t size;
    uint8_t mac[6];
    uint16_t zero;
    const char *name;
};

/* Where does this frame go? */
struct varpd_lookup {
    uint32_t size;
    uint32_t vnetid;
    uint8_t source[6];      /* inner addresses (VL2) */
    uint8_t destination[6];
    uint16_t ethertype;     /* behind any VLAN tags; in the host's order, as all numbers */
    uint16_t vlan;          /* of the outermost tag, or VARPD_VLAN_NONE */
    uint32_t length;        /* bytes of the whole frame */
    uint32_t frame_length;  /* bytes of the copy: at most 2048, 0 where a destination is renewed */
    const uint8_t *frame;   /* from its Ethernet header on */
    uint64_t deadline_ms;   /* milliseconds from now in which an answer is of use */
};

/* What varpd does for a plugin. Valid as long as the process. */
struct varpd_host {
    uint32_t size;
    uint32_t version; /* VARPD_PLUGIN_VERSION of varpd */

    /* Frames, here and below, have 14 to 65472 bytes, from their Ethernet header on; with others a call is VARPD_INVALID.
     *
     * Answers. Each uses its query up, if it returns VARPD_OK: exactly one for each lookup that returned VARPD_ANSWER. A second or late one
     * is counted and logged with its lookup's number, and has no effect; one that does not come is answered with drop at the deadline.
     *
     * reply_reach: send it there. One destination for a unicast frame, up to VARPD_DESTINATIONS_MAX for a broadcast or multicast one.
     * reply_drop: drop it. reply_inject: drop it, and give this frame to the VNIC that asked. reply_resend: drop it, and send this frame in
     * its place; it is looked up for itself. ttl_ms: how long the answer holds, or VARPD_TTL_DEFAULT. */
    int (*reply_reach)(varpd_query query, const struct varpd_ul3 *to, size_t count, uint64_t ttl_ms);
    int (*reply_drop)(varpd_query query, uint64_t ttl_ms);
    int (*reply_inject)(varpd_query query, const uint8_t *frame, size_t length);
    int (*reply_resend)(varpd_query query, const uint8_t *frame, size_t length);

    /* Unasked. inject: a frame for a VNIC of the overlay. resend: a frame that is sent as if a VNIC had sent it. set_target: a
     * destination is there from now on; a count of 0 is drop. invalidate: what was answered about a destination no longer holds. flush: the
     * same for all of them. */
    int (*inject)(varpd_instance instance, const uint8_t *frame, size_t length);
    int (*resend)(varpd_instance instance, const uint8_t *frame, size_t length);
    int (*set_target)(varpd_instance instance, const uint8_t mac[6], const struct varpd_ul3 *to, size_t count, uint64_t ttl_ms);
    int (*invalidate)(varpd_instance instance, const uint8_t mac[6]);
    int (*flush)(varpd_instance instance);

    /* degrade: the instance does not do what it should, for this reason, a sentence that an operator reads in overlayadm show-overlay -f.
     * restore: it does again. */
    int (*degrade)(varpd_instance instance, const char *reason);
    int (*restore)(varpd_instance instance);

    /* A line in varpd's log, with the plugin's name. instance: 0 for none. It is written to a pipe, and waits if that is full: a hundred lines
     * of a second are kept. */
    void (*log)(varpd_instance instance, int level, const char *text);

    /* The overlay's virtual network: VARPD_OK, or VARPD_UNKNOWN. */
    int (*vnetid)(varpd_instance instance, uint32_t *vnetid);
};

/* A plugin. What it points to must stay as it is as long as the process. Calls marked (optional) may be NULL. */
struct varpd_plugin {
    uint32_t size;
    uint32_t version;    /* VARPD_PLUGIN_VERSION */
    const char *name;    /* as in create-overlay -s NAME: 1 to 31 of a-z 0-9 _ -, beginning with a letter */
    uint32_t destinations; /* the kinds of destinations that it can answer with: bits; overlays of other kinds are refused */
    uint32_t property_count;
    const struct varpd_property *properties; /* all of them with one size */

    /* An overlay wants an instance; *state is the plugin's own from now on. Also called, with set_property and destroy alone, to see
     * whether an overlay could be made: nothing may come of it then. 0, or something else and why in problem (room bytes). */
    int (*create)(varpd_instance instance, const struct varpd_overlay *overlay, void **state, char *problem, size_t room);
    /* Before start: a property that was set, or has a default. Its value fits what was declared. (optional without properties) */
    int (*set_property)(void *state, const char *name, const char *value, char *problem, size_t room);
    /* What save kept of the instance of before of an overlay of this name. It may be old, another version's, or of an overlay that had another
     * virtual network: what must not be mistaken belongs into the bytes. (optional) */
    void (*restore)(void *state, const uint8_t *bytes, size_t length);
    /* Lookups come from now on. An instance that cannot do its work yet starts, says degrade, and tries again. (optional) */
    int (*start)(void *state, char *problem, size_t room);
    /* The overlay is gone, or has other properties: queries that are open are of no more use. (optional) */
    void (*stop)(void *state);
    /* Frees state. */
    void (*destroy)(void *state);

    /* Where does this frame go? VARPD_ANSWER: answered by one of the host's replies, now or until the deadline. VARPD_PROXY: the host
     * reads the frame; if it is an ARP request, a neighbour solicitation or a DHCP message to all servers, and sound, it asks arp, ndp or
     * dhcp, and answers in that station's name: with an ARP reply, an advertisement, or the message sent to the one server. Everything
     * else, and what they do not know, is dropped. The query must not be answered then. Anything else counts as no answer. */
    int (*lookup)(void *state, varpd_query query, const struct varpd_lookup *lookup);
    /* Whose inner address is this? 1 and its MAC, or 0. (optional: 0) */
    int (*arp)(void *state, const uint8_t ip[4], uint8_t mac[6]);
    int (*ndp)(void *state, const uint8_t ip[16], uint8_t mac[6]);
    /* Which DHCP server has this client? 1 and its MAC, or 0. (optional: 0) */
    int (*dhcp)(void *state, const uint8_t client[6], uint8_t server[6]);

    /* A VNIC came, or went. (optional) */
    void (*vnic_added)(void *state, const struct varpd_vnic *vnic);
    void (*vnic_removed)(void *state, const struct varpd_vnic *vnic);

    /* Writes what restore shall be given after a restart, at most room bytes, and returns their number; 0 is nothing, and what
     * was kept is removed. (optional) */
    size_t (*save)(void *state, uint8_t *bytes, size_t room);
};

/* The one symbol of a plugin: called once, before anything else. NULL, if it cannot be used here (log says why). */
const struct varpd_plugin *varpd_plugin_register(const struct varpd_host *host);

#ifdef __cplusplus
}
#endif

#endif
