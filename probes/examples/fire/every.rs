//! What does each probe carry when it fires? One firing of every probe, with values that go wrong where something can.

use std::fmt::{self, Display};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a text of this program was displayed.
static DISPLAYED: AtomicU64 = AtomicU64::new(0);

/// How often a text was displayed until now.
pub(crate) fn displayed() -> u64 {
    DISPLAYED.load(Ordering::Relaxed)
}

/// A text that counts when it is displayed; `{:?}` does not count.
#[derive(Clone, Copy)]
struct Text(&'static str);

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DISPLAYED.fetch_add(1, Ordering::Relaxed);
        f.write_str(self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// Fires every probe once. `said` is told of each before it fires: its name and its arguments as `{:?}`, with one blank between.
///
/// Each `SITE` is a place of its own in the program; it is part of the values, so that the compiler does not join them. The last
/// firing has it as its first argument, which ends the tracer of the tests.
#[inline(never)]
pub(crate) fn fire<const SITE: u32>(mut said: impl FnMut(fmt::Arguments<'_>)) {
    macro_rules! fire {
        ($name:literal varpd $function:ident $($value:expr),+) => { fire!(@call $name (overlay_probes::varpd::$function) $($value),+) };
        ($name:literal $function:ident $($value:expr),+) => { fire!(@call $name (overlay_probes::$function) $($value),+) };
        (@call $name:literal ($function:path) $($value:expr),+) => {{
            said(format_args!(concat!($name, $(fire!(@blank $value)),+), $($value),+));
            $function($($value),+);
        }};
        (@blank $value:expr) => { " {:?}" };
    }
    let vl2 = [Text("02:08:20:0a:00:01"), Text("ff:ff:ff:ff:ff:ff"), Text("33:33:00:00:00:01")];
    let ul3 = [Text("10.0.0.2:4789"), Text("[fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:1]:65535"), Text("[::1]:1"), Text("10.0.0.3")];
    let nothing = Text("");
    let frame = 0x0001_0000_0000_0000_u64 + u64::from(SITE);
    fire!("tx-batch" tx_batch SITE, u32::MAX, 64_u32, u64::MAX);
    fire!("rx-batch" rx_batch SITE, 0_u32, 0x8000_0000_u32, 0x8000_0000_0000_0000_u64);
    fire!("worker-wake" worker_wake SITE, 3_u32, u32::MAX, 30_000_000_000_u64, Text("underlay"));
    fire!("tx-frame" tx_frame frame, 77_u32, SITE, 1514_u32, vl2[0], vl2[1]);
    fire!("target-hit" target_hit frame, 16_777_215_u32, vl2[0], ul3[0], Text("valid"));
    fire!("target-miss" target_miss frame, 0_u32, Text("absent"), vl2[2]);
    fire!("target-queue" target_queue u64::MAX - u64::from(SITE), 77_u32, 131_072_u64, 87_u32, vl2[0]);
    fire!("encap" encap frame, 77_u32, 65_226_u32, 45_u32, Text("geneve"), ul3[1]);
    fire!("tx-send" tx_send frame, 77_u32, 65_226_u32, 45_u32, 68_000_u64, ul3[1]);
    fire!("tx-message" tx_message SITE, 1_u32, 64_u32, 64_u32, 65_000_u64, ul3[0]);
    fire!("local" local frame, 77_u32, SITE, 60_u32, vl2[0]);
    fire!("flood" flood frame, 77_u32, 3_u32, u32::MAX, vl2[1]);
    fire!("too-big" too_big frame, 77_u32, 1515_u32, 1450_u32, 1_u8, vl2[0]);
    fire!("rx-datagram" rx_datagram frame, SITE, 1522_u32, ul3[1]);
    fire!("decap" decap frame, 78_u32, 1514_u32, vl2[0], vl2[2], ul3[2]);
    fire!("rx-deliver" rx_deliver frame, 78_u32, 9_u32, 1514_u32, vl2[0]);
    fire!("rx-write" rx_write SITE, 9_u32, 44_u32, 65_226_u64);
    fire!("rx-overflow" rx_overflow SITE, u64::MAX, ul3[0]);
    fire!("ping" ping u64::from(SITE), 77_u32, 1400_u32, 1_u32, Text("ask"), ul3[0]);
    let hex = Text("ffffffffffff0208200a0001080600010800060400010208200a0001");
    fire!("frame-bytes" frame_bytes frame, 77_u32, 1_u8, 1514_u32, 96_u32, hex);
    fire!("drop" drop frame, u8::MAX, overlay_probes::VNI_UNKNOWN, 8_u32, Text("unknown-vni"), ul3[0]);
    fire!("lookup-start" lookup_start u64::MAX, frame, 77_u32 + SITE, 42_u32, vl2[0], vl2[1]);
    fire!("lookup-done" lookup_done 1_u64 << 63, 77_u32 + SITE, u64::MAX, Text("drop"), vl2[0], nothing);
    fire!("lookup-requeue" lookup_requeue 0_u64, 77_u32 + SITE, Text("varpd is away"), vl2[0]);
    fire!("lookup-late" lookup_late u64::from(SITE), Text("reach"));
    fire!("lookup-timeout" lookup_timeout u64::from(SITE), 77_u32, 5_000_000_000_u64, vl2[0]);
    fire!("inject" inject u64::from(SITE), frame, 77_u32, 42_u32, u32::MAX);
    fire!("resend" resend u64::from(SITE), frame, 77_u32, 342_u32, vl2[1]);
    fire!("target-state" target_state 77_u32 + SITE, vl2[0], Text("pending"), Text("draining"), Text("reach"), ul3[3]);
    fire!("target-evict" target_evict 77_u32 + SITE, 600_000_000_000_u64, vl2[0]);
    fire!("target-full" target_full 77_u32 + SITE, 1_000_000_u64, vl2[0]);
    fire!("target-resize" target_resize SITE, 77_u32, 999_983_u64, u64::MAX, 0_u64, Text("vx77"));
    fire!("device-state" device_state SITE, 77_u32, Text("vx77"), Text("up"), Text("degraded"), Text("no answer"));
    fire!("device-mtu" device_mtu SITE, 77_u32, 1450_u32, 8950_u32, nothing);
    fire!("port-state" port_state SITE, 2_u32, 77_u32, Text("Übergang ✓"), vl2[0], Text("added"));
    fire!("underlay" underlay SITE, Text("open"), Text("nvgre"), ul3[3]);
    fire!("answerer" answerer SITE, 65_534_u32, Text("refused"), Text("uid 65534 may not answer lookups; root may (--varpd-user)"));
    fire!("control-call" control_call SITE, u32::MAX, u16::MAX, 1_000_000_u64, Text("GET"), Text("/v1/overlays"));
    let (files, vl3) = (Text("files"), [Text("192.168.0.2"), Text("fd00::2")]);
    fire!("lookup" varpd lookup u64::from(SITE), 77_u32, 0x0806_u32, files, vl2[1]);
    fire!("answer" varpd answer u64::from(SITE), u32::MAX, Text("reach"), files);
    fire!("answer-missing" varpd answer_missing u64::from(SITE), 1_u32, files);
    fire!("answer-late" varpd answer_late u64::MAX, SITE, files);
    fire!("proxy-arp" varpd proxy_arp u64::from(SITE), 77_u32, 1_u8, vl3[0]);
    fire!("proxy-ndp" varpd proxy_ndp u64::from(SITE), 77_u32, 0_u8, vl3[1]);
    fire!("proxy-dhcp" varpd proxy_dhcp u64::from(SITE), 77_u32, 1_u8, vl2[0]);
    fire!("proxy-refused" varpd proxy_refused u64::from(SITE), 77_u32, Text("gratuitous"), vl2[0]);
    fire!("instance-start" varpd instance_start SITE, 77_u32, 1_u8, files, Text("ov0"));
    fire!("instance-stop" varpd instance_stop SITE, 77_u32, files, Text("ov0"));
    fire!("instance-state" varpd instance_state SITE, 1_u8, files, Text("mapping.json: 1:1: found nothing"));
    fire!("plugin-load" varpd plugin_load 4_194_304_u32, SITE as u8, Text("acme"), nothing);
    fire!("plugin-crash" varpd plugin_crash 4_194_304_u32, SITE, Text("acme"), Text("signal 11"));
    fire!("store-resync" varpd store_resync SITE, u64::MAX, 1_000_000_u32, 0_u32, Text("http://10.0.0.9:2379"));
    fire!("store-change" varpd store_change SITE, u64::MAX, 2_u32, 1_u32);
    fire!("store-lost" varpd store_lost SITE, u64::MAX, Text("away"), Text("Connection refused"));
    fire!("store-garbage" varpd store_garbage SITE, Text("/overlay/v1/vnets/77/vl2/elephant: no MAC"));
    fire!("mapping" varpd mapping SITE, 1_000_000_u32, 0_u32, 1_u8, Text("/etc/overlay/mapping.json"));
    fire!("connection" varpd connection 1_u8, SITE, nothing);
    fire!("control-call" varpd control_call SITE, 0_u32, 200_u16, u64::MAX, Text("DELETE"), nothing);
}
