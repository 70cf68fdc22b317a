//! Is what is installed beside the programs sound? The units of systemd, by systemd's own tools, and the manual pages, by man's.

use overlay_tests::{Peer, Run, program, workspace};

/// A daemon's unit, with the built program in it: where it will be installed there is none yet.
fn unit(folder: &std::path::Path, name: &str) -> String {
    let text = std::fs::read_to_string(workspace().join(format!("stack/{name}/{name}.service"))).expect("the unit");
    let starts = format!("\nExecStart={name}");
    assert!(text.contains(&starts), "{text}");
    let built = program(name).display().to_string();
    let path = folder.join(format!("{name}.service"));
    // Pages that are not installed here either.
    let text = text.replace(&starts, &format!("\nExecStart={built}")).replace("Documentation=", "#");
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn the_units_are_understood_whole_and_give_few_rights() {
    let Some(systemd) = Peer::find("service::the_units_are_understood_whole_and_give_few_rights", "systemd-analyze") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // What is exposed, 0 to 10 in tenths: networks, capabilities and root are what overlayd is for; varpd needs nothing of the kind.
    for (name, exposed) in [("overlayd", "--threshold=35"), ("varpd", "--threshold=10")] {
        let unit = unit(folder.path(), name);
        let verified = systemd.run(folder.path(), ["verify", "--man=no", "--recursive-errors=no", &*unit]).end();
        assert_eq!((verified.code, verified.stdout.as_str(), verified.stderr.as_str()), (0, "", ""), "{name}");
        let judged = systemd.run(folder.path(), ["security", "--offline=true", exposed, "--no-pager", &*unit]).end();
        assert_eq!(judged.code, 0, "{name}: {}{}", judged.stdout, judged.stderr);
    }
}

/// overlayd's unit gives it the user and the directory's group that varpd's unit has, and both are made at the installation.
#[test]
fn the_units_agree_on_user_and_group() {
    let read = |file: &str| std::fs::read_to_string(workspace().join("stack").join(file)).expect("a file of the stack");
    let (overlayd, varpd, made) = (read("overlayd/overlayd.service"), read("varpd/varpd.service"), read("varpd/varpd.sysusers"));
    let value = |text: &str, key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
    let (user, group) = (value(&varpd, "User="), value(&varpd, "Group="));
    assert_eq!(value(&overlayd, "Group="), group);
    // The processes of plugins are varpd's to end.
    assert_eq!(value(&varpd, "KillMode="), "mixed");
    assert_eq!(value(&overlayd, "ExecStart=overlayd "), format!("--group root --varpd-user {user}"));
    assert!(made.contains(&format!("\ng {group} -\n")) && made.contains(&format!("\nu {user} -:{group} ")), "{made}");
}

#[test]
fn the_manual_pages_are_set_without_a_warning() {
    let Some(groff) = Peer::find("service::the_manual_pages_are_set_without_a_warning", "groff") else { return };
    for (name, sections) in [
        ("overlayd", &["NAME", "OPTIONS", "EXAMPLES", "FILES", "SIGNALS", "RIGHTS", "EXIT STATUS", "SEE ALSO"][..]),
        ("overlayadm", &["NAME", "EXAMPLES", "EXIT STATUS", "OVERLAYADM TRACE", "FILES", "ENVIRONMENT", "SEE ALSO"]),
        ("varpd", &["NAME", "OPTIONS", "EXAMPLES"]),
        ("overlay-top", &["NAME", "OPTIONS", "EXAMPLES", "FILTERS", "EXIT STATUS", "KEYS", "COLUMNS", "ENVIRONMENT", "FILES", "SEE ALSO"]),
        ("overlay-replay", &["NAME", "EXAMPLES", "EXIT STATUS", "OVERLAY-REPLAY EDIT", "OVERLAY-REPLAY ENGINE", "SEE ALSO"]),
        ("overlay-trace", &["NAME", "OPTIONS", "QUESTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"]),
    ] {
        let page = Run::new(program(name)).args(["--generate", "man"]).end().good();
        let set = groff.run(&workspace(), ["-man", "-Tutf8", "-P-cbou", "-wall"]).stdin(page).end();
        assert_eq!((set.code, set.stderr.as_str()), (0, ""), "{name}");
        for section in sections {
            assert!(set.stdout.lines().any(|line| line == *section), "{name}: no section {section} in\n{}", set.stdout);
        }
    }
}
