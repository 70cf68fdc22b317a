//! Does whoever watches the probes see what becomes of the store? Needs bpftrace.

use crate::can_run;
use crate::host::lab;
use crate::store::{Store, VNI, all_up, vl2};
use overlay_lab::Family;
use overlay_tests::Peer;
use std::path::Path;

#[test]
fn a_tracer_sees_changes_garbage_loss_and_return() {
    let test = "etcd::a_tracer_sees_changes_garbage_loss_and_return";
    if !can_run("a_tracer_sees_changes_garbage_loss_and_return") {
        return;
    }
    let Some(bpftrace) = Peer::find(test, "bpftrace") else { return };
    let lab = lab("etc_probe", 3, &[(VNI, Family::V4)]);
    let mut store = Store::start(&lab);
    let hosts = all_up(&lab, 3, &store);
    let script = r#"BEGIN { printf("watching\n"); }
        usdt:*:varpd:store-resync { printf("resync %d %d\n", arg1, arg2); }
        usdt:*:varpd:store-change { printf("change %d %d %d\n", arg1, arg2, arg3); }
        usdt:*:varpd:store-lost { printf("lost %d %s\n", arg1, str(arg2)); }
        usdt:*:varpd:store-garbage { printf("garbage %s\n", str(arg1)); }"#;
    let pid = hosts[0].id().to_string();
    let mut tracer = bpftrace.run(Path::new("/"), ["-B", "line", "-p", &pid, "-e", script]).start();
    tracer.wait_for("bpftrace to attach", |printed| printed.contains("watching\n"));
    let made = store.put(&vl2("02:08:20:ff:ff:01"), "{\"ip\":\"10.88.0.2\",\"port\":4789}");
    let spoilt = store.put(&vl2("02:08:20:ff:ff:01"), "nothing");
    hosts[0].wait("both", || hosts[0].instance(VNI).entries == Some(3));
    tracer.wait_for("both", |printed| printed.contains(&format!("change {spoilt} ")));
    store.kill();
    hosts[0].wait_degraded(VNI, "the store is lost since ");
    store.start_again();
    hosts[0].wait_up(VNI);
    hosts[0].varpd.reload(&"ov77".parse().expect("a name")).expect("it is read anew");
    let lines = [
        format!("change {made} 1 1\n"),
        format!("garbage {}: ", vl2("02:08:20:ff:ff:01")),
        // The entry is gone with it.
        format!("change {spoilt} 1 1\n"),
        format!("lost {spoilt} away\n"),
        format!("resync {spoilt} 3\n"),
    ];
    tracer.wait_for("what became of the store", |printed| lines.iter().all(|line| printed.contains(line)));
}
