//! Has a capture nothing left that an attacker could use? Asked of /proc while it runs.

use crate::{AT_ONCE, can_run, frame, lab, listen, path, ping, stop};
use overlay_tests::Run;
use std::collections::BTreeMap;

fn status(pid: u32) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
}

#[test]
fn a_running_capture_has_no_rights_and_does_all_its_work() {
    if !can_run("a_running_capture_has_no_rights_and_does_all_its_work") {
        return;
    }
    let lab = lab("live_rights");
    let folder = tempfile::tempdir().unwrap();
    let files = path(&folder.path().join("turn.pcap"));
    let host = lab.host(1);
    let writing = listen(host, ["-i", "ul0", "--strict-sandbox", "-G", "1", "-w", &files, "ether proto 0x88b5"]);
    let printing = listen(host, ["-i", "lo", "--strict-sandbox", "-v", "-Q", "in"]);
    for running in [&writing, &printing] {
        overlay_lab::wait_until("the sandbox", AT_ONCE * 10, || status(running.id())["Seccomp"] == "2").unwrap();
        let status = status(running.id());
        for set in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&status[set], 16), Ok(0), "{set}: {status:?}");
        }
        assert_eq!(status["NoNewPrivs"], "1");
        for ids in ["Uid", "Gid"] {
            assert!(status[ids].split_whitespace().all(|id| id != "0"), "{ids}: {}", status[ids]);
        }
        assert!(status["Groups"].split_whitespace().all(|id| id != "0"), "{}", status["Groups"]);
        // Every thread, not only the first.
        for task in std::fs::read_dir(format!("/proc/{}/task", running.id())).unwrap() {
            let text = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            assert!(text.contains("CapEff:\t0000000000000000") && text.contains("Seccomp:\t2"), "{text}");
        }
    }
    // Without rights, it still opens the next files ..
    let send = || host.send_frame("ul0", &frame(host, &[0x88, 0xb5, 1]), 2).unwrap();
    send();
    std::thread::sleep(std::time::Duration::from_millis(1200));
    send();
    assert_eq!(stop(writing).code, 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    // .. and has the host's names.
    host.ip(&["link set lo up".into()]).unwrap();
    host.ping([127, 0, 0, 1].into()).unwrap();
    let ended = stop(printing);
    assert!(ended.stderr.contains("nobody") && ended.stdout.contains("echo"), "{}", ended.stderr);
    let named = std::fs::read_to_string("/etc/hosts").is_ok_and(|hosts| hosts.lines().any(|line| line.starts_with("127.0.0.1")));
    assert_eq!(ended.stdout.contains("localhost"), named, "{}", ended.stdout);
}

#[test]
fn without_the_right_to_capture_one_sentence_says_how_to_get_it() {
    if !can_run("without_the_right_to_capture_one_sentence_says_how_to_get_it") {
        return;
    }
    // A copy: nobody may not enter every folder that programs are built in.
    let copy = std::path::Path::new("/tmp").join(format!("overlay-snoop-{}", std::process::id()));
    std::fs::copy(overlay_tests::program("overlay-snoop"), &copy).unwrap();
    let nobody = |extra: &[&str]| {
        let ids = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        Run::new("setpriv").args(ids.iter().chain(extra)).args([path(&copy), "-i".into(), "lo".into()]).folder("/").end()
    };
    let (plain, bounded) = (nobody(&[]), nobody(&["--bounding-set=-all"]));
    std::fs::remove_file(&copy).unwrap();
    for (ended, remedy) in [(plain, "sudo setcap cap_net_raw+ep "), (bounded, "--cap-add NET_RAW")] {
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{}", ended.stderr);
        assert!(ended.stderr.contains("lo: capturing needs CAP_NET_RAW") && ended.stderr.contains(remedy), "{}", ended.stderr);
    }
}

#[test]
fn a_capture_with_a_name_of_a_user_becomes_that_user_and_an_unknown_one_is_refused() {
    if !can_run("a_capture_with_a_name_of_a_user_becomes_that_user_and_an_unknown_one_is_refused") {
        return;
    }
    let lab = lab("live_user");
    let running = listen(lab.host(1), ["-i", "ul0", "-Z", "daemon", "-c", "2", "inner(icmp)"]);
    overlay_lab::wait_until("the sandbox", AT_ONCE * 10, || status(running.id())["Seccomp"] == "2").unwrap();
    let id = Run::new("id").args(["-u", "daemon"]).end().stdout;
    assert_eq!(status(running.id())["Uid"].split_whitespace().next(), Some(id.trim()));
    ping(&lab, 77, 1);
    assert_eq!(running.end().code, 0);
    let ended = crate::snoop_in(lab.host(1), ["-i", "ul0", "-Z", "no-such-user"]).end();
    assert!(ended.code == 1 && ended.stderr.contains("no-such-user"), "{}", ended.stderr);
}

/// An /etc of a test's own for a program: users as the host has them, names of the test's choice.
fn with_names(folder: &std::path::Path, hosts: &str, ethers: &str) {
    for file in ["passwd", "group"] {
        std::fs::copy(format!("/etc/{file}"), folder.join(file)).unwrap();
    }
    std::fs::write(folder.join("hosts"), hosts).unwrap();
    std::fs::write(folder.join("ethers"), ethers).unwrap();
    // Nobody may read them once rights are given up: what is printed was read before.
    for file in ["hosts", "ethers"] {
        std::fs::set_permissions(folder.join(file), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
}

#[test]
fn names_of_hosts_and_ethers_are_printed_by_a_capture_that_became_nobody() {
    if !can_run("names_of_hosts_and_ethers_are_printed_by_a_capture_that_became_nobody") {
        return;
    }
    let lab = lab("live_names");
    let folder = tempfile::tempdir().unwrap();
    let [underlay, tenant, mac] =
        [lab.host(1).ipv4().to_string(), lab.tenant(2, 77, 1).ipv4().to_string(), lab.tenant(1, 77, 1).mac().into()];
    with_names(folder.path(), &format!("{underlay} rack-one\n{tenant} shop.blue\n"), &format!("{mac} blue-card\n"));
    let start = |numeric: &[&str]| {
        // A mount namespace of its own, in which that folder is /etc; the process id stays the same through it all.
        let mount = "mount --bind \"$0\" /etc && exec \"$@\"";
        let net = format!("--net={}", lab.host(1).path().display());
        let program = path(&overlay_tests::program("overlay-snoop"));
        let words = [&net, "--", "unshare", "--mount", "sh", "-c", mount, &path(folder.path()), &program];
        let options = ["-B", "2048", "-i", "ul0", "-t", "-e", "--strict-sandbox", "inner(icmp[icmptype] = icmp-echo)"];
        crate::listening(Run::new("nsenter").args(words).args(numeric).args(options).env("TZ", "UTC").env("NO_COLOR", "1"))
    };
    let (named, numeric) = (start(&[]), start(&["-n"]));
    let nobody = Run::new("id").args(["-u", "nobody"]).end().stdout;
    overlay_lab::wait_until("the sandbox", AT_ONCE * 10, || status(named.id())["Seccomp"] == "2").unwrap();
    assert_eq!(status(named.id())["Uid"].split_whitespace().next(), Some(nobody.trim()));
    ping(&lab, 77, 2);
    let (named, numeric) = (stop(named).stdout, stop(numeric).stdout);
    let has = |text: &str| [text.contains("rack-one"), text.contains("shop.blue"), text.contains("blue-card")];
    assert_eq!((has(&named), named.lines().count()), ([true; 3], 2), "{named}");
    assert_eq!((has(&numeric), numeric.lines().count()), ([false; 3], 2), "{numeric}");
    // Who has no name keeps the address.
    assert!(
        named.contains(&lab.host(2).ipv4().to_string()) && numeric.contains(&underlay) && numeric.contains(&tenant),
        "{named}{numeric}"
    );
}
