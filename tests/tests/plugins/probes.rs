//! Does whoever watches the probes see what goes wrong with a plugin? Needs root and bpftrace.

use crate::asker::{Asker, frame_that};
use crate::objects::badly;
use overlay_tests::{Peer, is_root, skip};
use std::path::Path;

#[test]
fn a_tracer_sees_crashes_and_answers_that_come_late_or_not_at_all() {
    let test = "plugins::a_tracer_sees_crashes_and_answers_that_come_late_or_not_at_all";
    if !is_root() {
        return skip(test, "not root");
    }
    let Some(bpftrace) = Peer::find(test, "bpftrace") else { return };
    let mut asker = Asker::start(&["--deadline", "2000"], |folder| drop(badly(folder, "badly.so", &[])));
    let device = asker.tell_well("badly", &[]);
    let script = r#"BEGIN { printf("watching\n"); }
        usdt:*:varpd:answer-late { printf("late %d %s\n", arg0, str(arg2)); }
        usdt:*:varpd:answer-missing { printf("missing %d %s\n", arg0, str(arg2)); }
        usdt:*:varpd:plugin-load { printf("load %d %s\n", arg1, str(arg2)); }
        usdt:*:varpd:plugin-crash { printf("crash %d %s: %s\n", arg1, str(arg2), str(arg3)); }"#;
    let pid = asker.varpd().id().to_string();
    let mut tracer = bpftrace.run(Path::new("/"), ["-B", "line", "-p", &pid, "-e", script]).start();
    tracer.wait_for("bpftrace to attach", |printed| printed.contains("watching\n"));
    asker.asked(device, frame_that(3));
    let never = asker.ask(device, frame_that(4));
    asker.answer_to(never);
    asker.asked(device, frame_that(1));
    let lines = [
        "late 1 badly\n".to_owned(),
        format!("missing {never} badly\n"),
        "crash 1 badly: it was ended by signal 11 (SIGSEGV)\n".to_owned(),
        // After the crash, again.
        "load 1 badly\n".to_owned(),
    ];
    let seen = tracer.wait_for("what goes wrong", |printed| lines.iter().all(|line| printed.contains(line)));
    assert_eq!(seen.matches("late ").count(), 1, "{seen}");
}
