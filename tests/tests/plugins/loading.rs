//! What is loaded, and what is left out with which sentence?

use crate::asker::{Asker, frame_that};
use crate::objects::{badly, fixed, responder};
use overlay_api::Answer;
use overlay_tests::{Run, program};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn check(file: &Path) -> (i32, String) {
    let ended = Run::new(program("varpd")).args(["--check".into(), file.to_owned()]).end();
    (ended.code, ended.stdout + &ended.stderr)
}

#[test]
fn a_check_prints_what_is_declared() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = fixed(folder.path());
    let shown = file.display();
    assert_eq!(
        check(&file),
        (
            0,
            format!(
                "{shown}: plugin fixed\n\
                 destinations: an address and a port (vxlan, geneve), or an address alone (nvgre)\n\
                 property fixed/hosts: text of at most 4096 bytes, required\n    \
                 Who is where: MAC,ADDRESS:PORT or MAC,ADDRESS:PORT,IPV4 for each, with ; between them.\n"
            )
        )
    );
    let (code, text) = check(&responder(folder.path()));
    assert!(code == 0 && text.contains("plugin responder\n") && text.contains("property responder/server: text"), "{text}");
    // Where others can write to it, it does not even run; nor through a symbolic link.
    let link = folder.path().join("link.so");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let (code, text) = check(&link);
    assert!(code == 1 && text.ends_with("/link.so: from here it would not be loaded: it is no regular file\n"), "{text}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("rights");
    let (code, text) = check(&file);
    let why = "from here it would not be loaded: others can write to it (mode 0666)";
    assert!(code == 1 && text.contains(why) && !text.contains("plugin fixed"), "{text}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("rights");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o775)).expect("rights");
    let (code, text) = check(&file);
    assert!(code == 1 && text.contains("from here it would not be loaded: /") && text.contains("(mode 0775)"), "{text}");
}

/// Objects that are none, and what is said of them.
const WRONG: &[(&str, &[&str], &str)] = &[
    ("old.so", &["-DVERSION=0"], "it speaks version 0 of the plugin interface; version 1 is spoken here"),
    ("newer.so", &["-DVERSION=2"], "it speaks version 2 of the plugin interface; version 1 is spoken here"),
    ("small.so", &["-DSIZE=64"], "its struct varpd_plugin says that it has 64 bytes; in version 1 it has 136"),
    ("unnamed.so", &["-DNAME=\"Badly\""], "its name \"Badly\": a module's name begins with a lower-case letter"),
    ("nowhere.so", &["-DKINDS=0"], "its kinds of destinations are 0x0; 1, 2 or both are allowed"),
    ("other.so", &["-DREGISTER=register_plugin"], "it has no symbol varpd_plugin_register"),
    ("dies.so", &["-DCRASH"], "it was ended by signal 6 (SIGABRT)"),
    ("hangs.so", &["-DHANG"], "its call load did not return within 4000 ms"),
    ("files.so", &["-DNAME=\"files\""], "there is a plugin files already"),
    ("direct.so", &["-DNAME=\"direct\""], "there is a plugin direct already"),
];

#[test]
fn what_cannot_be_is_left_out_with_a_sentence_and_the_others_are_loaded() {
    let mut asker = Asker::start(&["--deadline", "2000"], |folder| {
        fixed(folder);
        for (file, macros, _) in WRONG {
            badly(folder, file, macros);
        }
        std::fs::write(folder.join("text.so"), "no object").expect("a file");
        std::fs::write(folder.join("README"), "no object, and not called one").expect("a file");
        let foreign = badly(folder, "foreign.so", &["-DNAME=\"foreign\""]);
        std::fs::set_permissions(&foreign, std::fs::Permissions::from_mode(0o664)).expect("rights");
        std::os::unix::fs::symlink(folder.join("fixed.so"), folder.join("link.so")).expect("a link");
    });
    let log = asker.log();
    let others = [
        ("text.so", "it cannot be loaded: "),
        ("foreign.so", "others can write to it (mode 0664); a mode without group and other write is allowed"),
        ("link.so", "it is no regular file"),
    ];
    for (file, why) in WRONG.iter().map(|(file, _, why)| (*file, *why)).chain(others) {
        let said = log.lines().any(|line| line.contains(&format!("/{file}: {why}")) && line.ends_with("; it is left out"));
        assert!(said, "{file}: {why} is not in\n{log}");
    }
    assert!(!log.contains("README"), "{log}");
    let plugins: Vec<String> = asker.hello.iter().flat_map(|hello| &hello.plugins).map(|info| info.name.to_string()).collect();
    assert_eq!(plugins, ["files", "etcd", "fixed"]);
    let device = asker.tell_well("fixed", &[("fixed/hosts", "2:0:0:0:0:9,10.0.0.9:4789")]);
    assert!(matches!(asker.asked(device, frame_that(9)), Answer::Reach { .. }));
}

#[test]
fn a_check_says_the_same_and_has_a_status() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, macros, why) in WRONG.iter().filter(|(file, ..)| *file != "hangs.so") {
        let file = badly(folder.path(), file, macros);
        let (code, text) = check(&file);
        assert!(code == 1 && text.contains(why), "{why}: {code} {text}");
    }
    let (code, text) = check(Path::new("/nowhere/none.so"));
    assert!(code == 1 && text == "varpd: /nowhere/none.so: No such file or directory (os error 2)\n", "{text}");
    let by_hand = Run::new(program("varpd")).args(["--host", "/nowhere/none.so"]).end();
    assert!(by_hand.code == 1 && by_hand.stderr.contains("try --check FILE"), "{by_hand:?}");
}

#[test]
fn a_folder_that_others_can_write_to_is_not_loaded_at_all() {
    let mut asker = Asker::start(&[], |folder| {
        fixed(folder);
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o775)).expect("rights");
    });
    let log = asker.log();
    assert!(
        log.contains("others can write to it (mode 0775); a mode without group and other write is allowed; no plugin is loaded"),
        "{log}"
    );
    assert_eq!(asker.hello.iter().flat_map(|hello| &hello.plugins).count(), 2, "files and etcd alone");
}

#[test]
fn a_plugin_is_asked_without_overlayd() {
    let folder = tempfile::tempdir().expect("a folder");
    fixed(folder.path());
    let plugins = folder.path().display().to_string();
    let ask = |words: &[&str]| {
        let own = ["--plugins", &*plugins, "--query", "-s", "fixed", "-v", "77"];
        Run::new(program("varpd")).args(own.iter().chain(words)).end()
    };
    let hosts = "fixed/hosts=2:0:0:0:0:9,10.0.0.9:4789,192.168.0.9;2:0:0:0:0:a,[fd00::a]:4790";
    let said = |words: &[&str]| ask(&[&["-p", hosts][..], words].concat()).good().lines().next().unwrap_or_default().to_owned();
    assert_eq!(said(&["--dst", "2:0:0:0:0:9"]), "reach 10.0.0.9:4789");
    assert_eq!(said(&["--dst", "2:0:0:0:0:a"]), "reach [fd00::a]:4790");
    assert_eq!(said(&["--dst", "2:0:0:0:0:b"]), "drop");
    assert!(said(&["--arp", "192.168.0.9"]).starts_with("inject 020000000001020000000009"));
    // Who has no address has not 0.0.0.0 either.
    assert_eq!(said(&["--arp", "0.0.0.0"]), "drop for 0 ms");
    // A question leaves nothing behind.
    crate::objects::badly(folder.path(), "badly.so", &[]);
    let root = folder.path().join("root");
    let words =
        ["--plugins", &*plugins, "--root", &*root.display().to_string(), "--query", "-s", "badly", "-v", "77", "--dst", "2:0:0:0:0:20"];
    assert!(Run::new(program("varpd")).args(words).end().good().starts_with("reach 10.0.0.9:4789\n"));
    assert!(!root.exists(), "{}", root.display());
    for (words, why) in [
        (&["--dst", "2:0:0:0:0:9"][..], "property fixed/hosts: is required and not set"),
        (&["--dst", "2:0:0:0:0:9", "-p", "fixed/hosts=2:0:0:0:0:9"], "fixed: property fixed/hosts: 2:0:0:0:0:9: MAC,ADDRESS:PORT"),
        (&["--dst", "2:0:0:0:0:9", "-p", "fixed/host=x"], "there is no such property; did you mean fixed/hosts?"),
    ] {
        // The plugin's process has just come up each time: it has to be there to be asked.
        for _ in 0..20 {
            let refused = ask(words);
            assert!(refused.code == 1 && refused.stderr.contains(why), "{refused:?}");
        }
    }
    // Destinations of a kind that the encapsulation has not.
    responder(folder.path());
    let words = ["--plugins", &*plugins, "--query", "-s", "responder", "-e", "nvgre", "-v", "77", "--dst", "2:0:0:0:0:9"];
    let refused = Run::new(program("varpd")).args(words).end();
    assert_eq!(refused.code, 1);
    let why = "nvgre has destinations of an address alone; plugin responder has those of an address and a port";
    assert!(refused.stderr.contains(why), "{refused:?}");
}
