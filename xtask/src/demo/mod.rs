//! What does it look like? A session with the built programs: on the captures of this repository, live on the kernel's VXLAN, and with an
//! overlay of our own between two hosts.

mod hosts;
mod lab;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::run::{Outcome, Workspace, cannot_start, checked, line_of, output_of, step, succeeded, succeeds};
use crate::{Task, install};
use hosts::Programs;
use lab::Lab;

const CORPUS: &str = "captures/corpus";

/// One command of the session: the question it answers, the capture, the options before it, the filter after it.
struct Scene {
    question: &'static str,
    capture: &'static str,
    options: &'static [&'static str],
    filter: Option<&'static str>,
}

const SCENES: &[Scene] = &[
    Scene { question: "Who talks to whom, outside and inside the tunnel?", capture: "vxlan.pcap", options: &["-n", "--utc"], filter: None },
    Scene {
        question: "Two tenants use the same addresses. Which is which?",
        capture: "vxlan-equal-tenants.pcap",
        options: &["-n", "--utc"],
        filter: None,
    },
    Scene { question: "And over IPv6?", capture: "vxlan-over-ipv6.pcap", options: &["-n", "--utc"], filter: None },
    Scene { question: "One line per layer, please.", capture: "vxlan.pcap", options: &["-n", "--utc", "-V", "-c", "2"], filter: None },
    Scene { question: "Everything about one packet?", capture: "vxlan.pcap", options: &["-n", "--utc", "-v", "-c", "1"], filter: None },
    Scene { question: "The same for a program?", capture: "vxlan.pcap", options: &["-n", "--json", "-c", "1"], filter: None },
    Scene {
        question: "Only the echoes inside VNI 77?",
        capture: "vxlan.pcap",
        options: &["-n", "--utc"],
        filter: Some("vni 77 and inner(icmp)"),
    },
    Scene { question: "How much of what is in there?", capture: "vxlan-equal-tenants.pcap", options: &["-n", "--stats"], filter: None },
];

/// Builds the programs and shows the session.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    step("packages", || install::packages_for(workspace, Task::Demo))?;
    let programs = step("build", || workspace.build_programs())?;
    let snoop = programs.join("overlay-snoop");
    let mut failed = Vec::new();
    for scene in SCENES {
        println!("\n# {}", scene.question);
        let mut command = workspace.command(&snoop);
        command.args(scene.options).arg("-r").arg(Path::new(CORPUS).join(scene.capture)).args(scene.filter);
        if let Err(message) = checked(&mut command) {
            failed.push(message);
        }
    }
    if let Err(message) = live(workspace, &programs) {
        failed.push(message);
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// What needs namespaces, and so root; without it, the demo says so.
fn live(workspace: &Workspace, programs: &Path) -> Outcome {
    if output_of(Command::new("id").arg("-u"))?.trim() != "0" {
        println!("\n(Live captures and overlays need network namespaces, and these need root: run the demo as root to see them.)");
        return Ok(());
    }
    checked(&mut workspace.cargo(&["build", "--release", "--package", "overlay-lab", "--bin", "overlay-lab"]))?;
    let at = |name: &str| programs.join(name);
    let programs = Programs {
        lab: at("overlay-lab"),
        overlayd: at("overlayd"),
        varpd: at("varpd"),
        overlayadm: at("overlayadm"),
        snoop: at("overlay-snoop"),
    };
    let (kernel, own) = (kernels(&programs), hosts::run(&programs));
    kernel.and(own)
}

/// Captures live between two hosts that have the kernel's VXLAN.
fn kernels(programs: &Programs) -> Outcome {
    println!("\n# And live? Two hosts in network namespaces, and the kernel's VXLAN between them, on a port of its own.");
    let lab = Lab::up(&programs.lab, &["--vni", "77", "--port", "12345"])?;
    let mut capture = Command::new(&programs.snoop);
    capture.args(["-n", "--netns", &lab.namespace("h1"), "-c", "6", "--duration", "20", "vni 77 and inner(icmp)"]);
    println!("$ {}", line_of(&capture));
    let mut capture_process = capture.spawn().map_err(|error| cannot_start(&capture, &error))?;
    // Pings until the capture ends, so that nothing depends on how fast either starts.
    loop {
        let mut ping = lab.command("h1v77t1", Path::new("ping"), &["-c", "1", "-W", "1", "10.0.0.2"]);
        let answered = succeeds(&mut ping);
        match capture_process.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(300)),
            Ok(Some(status)) => {
                break succeeded(&capture, status).and(if answered { Ok(()) } else { Err(format!("`{}` failed", line_of(&ping))) });
            }
            Err(error) => break Err(format!("`{}` cannot be waited for: {error}", line_of(&capture))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_names_a_capture_of_the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(CORPUS);
        for scene in SCENES {
            assert!(corpus.join(scene.capture).is_file(), "{CORPUS}/{} does not exist", scene.capture);
        }
    }
}
