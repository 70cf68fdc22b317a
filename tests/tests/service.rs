//! Is what is installed beside the programs sound? The unit of systemd, by systemd's own tools, and the manual pages, by man's.

use overlay_tests::{Peer, Run, program, workspace};

/// The unit, with the built program in it: where it will be installed there is none yet.
fn unit(folder: &std::path::Path) -> String {
    let text = std::fs::read_to_string(workspace().join("stack/overlayd/overlayd.service")).expect("the unit");
    assert!(text.contains("\nExecStart=overlayd\n"), "{text}");
    let built = program("overlayd").display().to_string();
    let path = folder.join("overlayd.service");
    // Pages that are not installed here either.
    let text = text.replace("ExecStart=overlayd", &format!("ExecStart={built}")).replace("Documentation=", "#");
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn the_unit_is_understood_whole_and_gives_few_rights() {
    let Some(systemd) = Peer::find("service::the_unit_is_understood_whole_and_gives_few_rights", "systemd-analyze") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let unit = unit(folder.path());
    let verified = systemd.run(folder.path(), ["verify", "--man=no", "--recursive-errors=no", &*unit]).end();
    assert_eq!((verified.code, verified.stdout.as_str(), verified.stderr.as_str()), (0, "", ""));
    // What is exposed, 0 to 10 in tenths: networks, three capabilities and root are what it is for.
    let judged = systemd.run(folder.path(), ["security", "--offline=true", "--threshold=35", "--no-pager", &*unit]).end();
    assert_eq!(judged.code, 0, "{}{}", judged.stdout, judged.stderr);
}

#[test]
fn the_manual_pages_are_set_without_a_warning() {
    let Some(groff) = Peer::find("service::the_manual_pages_are_set_without_a_warning", "groff") else { return };
    for (name, sections) in [
        ("overlayd", &["NAME", "OPTIONS", "EXAMPLES", "FILES", "SIGNALS", "RIGHTS", "EXIT STATUS", "SEE ALSO"][..]),
        ("overlayadm", &["NAME", "EXAMPLES", "EXIT STATUS", "OVERLAYADM TRACE", "FILES", "ENVIRONMENT", "SEE ALSO"]),
    ] {
        let page = Run::new(program(name)).args(["--generate", "man"]).end().good();
        let set = groff.run(&workspace(), ["-man", "-Tutf8", "-P-cbou", "-wall"]).stdin(page).end();
        assert_eq!((set.code, set.stderr.as_str()), (0, ""), "{name}");
        for section in sections {
            assert!(set.stdout.lines().any(|line| line == *section), "{name}: no section {section} in\n{}", set.stdout);
        }
    }
}
