//! Is it said why the store cannot be read: no credentials, no right, no trust, or nobody there?

use crate::can_run;
use crate::daemon::CEILING;
use crate::host::{Host, lab};
use crate::store::{Store, VNI, entry, overlay_of, vl2};
use overlay_lab::{Family, wait_until};
use std::process::Command;

const NETWORK: (u32, Family) = (VNI, Family::V4);

#[test]
fn wrong_credentials_and_missing_rights_are_told_from_absence() {
    if !can_run("wrong_credentials_and_missing_rights_are_told_from_absence") {
        return;
    }
    let lab = lab("etc_auth", 3, &[NETWORK]);
    let mut store = Store::start(&lab);
    store.map(lab.tenant(1, VNI, 1), lab.host(1).ipv4());
    for words in [
        "user add root:secret",
        "user grant-role root root",
        "role add reader",
        "role grant-permission reader --prefix=true read /overlay/v1/vnets/77/",
        "user add varpd:right",
        "user grant-role varpd reader",
        "user add stranger:right",
        "auth enable",
    ] {
        store.etcdctl(words);
    }
    let host = Host::start(lab.host(1));
    let password = host.overlayd.paths.root().join("password");
    let path = password.display().to_string();
    std::fs::write(&password, "wrong\n").expect("a file");
    overlay_of(&host, &lab, 1, &store.endpoint(), &[("etcd/user", "varpd"), ("etcd/password_file", &path)]);
    let reason = host.wait_degraded(VNI, "credentials: ");
    assert!(reason.contains("authentication failed, invalid user ID or password"), "{reason}");

    // A property that is set anew starts the instance anew, with what the file has now.
    std::fs::write(&password, "right\n").expect("a file");
    host.overlayd.set("ov77", "etcd/user", "stranger").expect("a property");
    host.wait_degraded(VNI, "permission: ");
    host.overlayd.set("ov77", "etcd/user", "varpd").expect("a property");
    host.wait("the mapping", || host.instance(VNI).entries == Some(1));
    host.wait_up(VNI);

    // Tokens end when the store stops to ask for them. What is watched goes on without one, so that has to end, too: to be heard of, a key
    // needs a new token then.
    store.etcdctl("--user root:secret auth disable");
    store.etcdctl("auth enable");
    store.kill();
    store.start_again();
    let other = lab.tenant(2, VNI, 1);
    store.etcdctl(&format!("--user root:secret put {} {}", vl2(other.mac()), entry(other, lab.host(2).ipv4())));
    host.wait("what came after the token's end", || host.instance(VNI).entries == Some(2));
    host.wait_up(VNI);
}

#[test]
fn an_expired_certificate_is_told_from_absence() {
    if !can_run("an_expired_certificate_is_told_from_absence") {
        return;
    }
    let lab = lab("etc_tls", 3, &[NETWORK]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let openssl = |words: &[&str]| {
        let done = Command::new("openssl").args(words).current_dir(folder.path()).output().expect("openssl can be run");
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(&["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority"]);
    std::fs::write(folder.path().join("names"), format!("subjectAltName=IP:{}\n", lab.host(3).ipv4())).expect("a file");
    openssl(&["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "store.key", "-out", "store.csr", "-subj", "/CN=store"]);
    let signed = ["x509", "-req", "-in", "store.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
    openssl(&[&signed[..], &["-days", "0", "-out", "expired.pem"]].concat());
    openssl(&[&signed[..], &["-days", "2", "-out", "store.pem"]].concat());
    openssl(&["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "x.key", "-out", "other.pem", "-subj", "/CN=other"]);
    // It is good for the second in which it was made, and the host is ready within that second on a fast machine.
    let over = || {
        !Command::new("openssl")
            .args(["x509", "-checkend", "0", "-noout", "-in", &file("expired.pem")])
            .status()
            .expect("openssl")
            .success()
    };
    wait_until("a certificate to expire", CEILING, over).expect("it expires");
    let flags = |certificate: &str| ["--cert-file".into(), file(certificate), "--key-file".into(), file("store.key")];

    let host = Host::start(lab.host(1));
    let (ca, other) = (file("ca.pem"), file("other.pem"));
    let expired = Store::start_with(&lab, "https", &flags("expired.pem"));
    overlay_of(&host, &lab, 1, &expired.endpoint(), &[("etcd/ca", &ca)]);
    host.wait_degraded(VNI, "its certificate has expired");
    drop(expired);
    host.wait_degraded(VNI, "Connection refused");

    let store = Store::start_with(&lab, "https", &flags("store.pem"));
    host.wait_up(VNI);
    host.overlayd.set("ov77", "etcd/ca", &other).expect("a property");
    host.wait_degraded(VNI, "signed by none of the authorities in etcd/ca");
    host.overlayd.set("ov77", "etcd/endpoints", &store.endpoint().replace("https", "http")).expect("a property");
    host.wait_degraded(VNI, "the store is lost since ");
}
