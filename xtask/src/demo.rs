//! What does it look like? A session with the built programs on the captures of this repository.

use std::path::Path;

use crate::run::{Outcome, Workspace, checked, step};
use crate::{Task, install};

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

/// Builds overlay-snoop and shows the session.
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
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
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
