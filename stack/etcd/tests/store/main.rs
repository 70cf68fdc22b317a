//! Does the client say what a real etcd does? Keys, leases, changes, and each way in which a store can be of no use.

mod server;

use overlay_etcd::{Change, Client, Config, Error, Key, Layout, Txn, Watch, prefix_end};
use server::Server;
use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A busy machine gets more than a store ever needs.
const CEILING: Duration = Duration::from_secs(60);
/// What a watch waits before it asks.
const PATIENCE: Duration = Duration::from_secs(1);

fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(story)
}

fn config(endpoints: &[String]) -> Config {
    Config { endpoints: endpoints.to_vec(), ..Config::default() }
}

/// A client of a store that answers.
async fn client_of(server: &Server) -> Client {
    let client = Client::new(&config(&[server.endpoint()])).unwrap();
    answers(&client).await;
    client
}

async fn answers(client: &Client) {
    let begun = Instant::now();
    loop {
        match client.status().await {
            Ok(status) if status.has_leader => return,
            other => assert!(begun.elapsed() < CEILING, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Changes until there is one: a store may say before that it is there.
async fn changed(watch: &mut Watch) -> Vec<Change> {
    loop {
        let changes = watch.next(CEILING).await.unwrap();
        if !changes.changes.is_empty() {
            return changes.changes;
        }
    }
}

/// How a watch ends.
async fn end_of(watch: &mut Watch, patience: Duration) -> Error {
    let begun = Instant::now();
    loop {
        match watch.next(patience).await {
            Err(error) => return error,
            Ok(changes) => assert!(begun.elapsed() < CEILING, "goes on: {changes:?}"),
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn a_network_is_loaded_in_pages_at_one_revision_and_followed_from_the_next() {
    if !server::is_there("a_network_is_loaded_in_pages_at_one_revision_and_followed_from_the_next") {
        return;
    }
    let server = Server::start(&[]);
    run(async {
        let client = client_of(&server).await;
        let (layout, vnet) = (Layout::default(), "77".parse().unwrap());
        let key = |n: u8| layout.key(&Key::Vl2(vnet, overlay_decoder::Mac([2, 8, 32, 10, 0, n])));
        for n in 0..25 {
            client.put(bytes(&key(n)), vec![n], 0).await.unwrap();
        }
        // Another network's, which begins with the same digits, is none of this one's.
        client.put(bytes("/overlay/v1/vnets/770/vl2/02:08:20:0a:00:01"), vec![0], 0).await.unwrap();
        let prefix = bytes(&layout.vnet(vnet));
        assert_eq!(client.count(&prefix).await, Ok(25));

        // A key that is written between two pages is none of the load's, and the first of the watch's.
        let mut found = Vec::new();
        let first = client.range(prefix.clone(), prefix_end(&prefix), 10, 0).await.unwrap();
        assert_eq!((first.entries.len(), first.more, first.count), (10, true, 25));
        let written = client.put(bytes(&key(99)), vec![99], 0).await.unwrap();
        let again = client.range(prefix.clone(), prefix_end(&prefix), 0, first.revision).await.unwrap();
        assert_eq!((again.entries.len(), again.more), (25, false));
        let revision = client.load(&prefix, 10, |page| found.extend(page)).await.unwrap();
        assert!(revision >= written, "{revision} of {written}");
        let values: Vec<u8> = found.iter().map(|entry| entry.value[0]).collect();
        assert_eq!(values, (0..25).chain([99]).collect::<Vec<u8>>());

        let mut watch = client.watch(&prefix, first.revision + 1).await.unwrap();
        assert!(matches!(&changed(&mut watch).await[..], [Change::Put(entry)] if entry.value == [99] && entry.changed == written));
        let (gone, count) = client.delete(bytes(&key(3)), Vec::new()).await.unwrap();
        assert_eq!((gone, count), (written + 1, 1));
        assert_eq!(changed(&mut watch).await, [Change::Delete { key: bytes(&key(3)) }]);
        assert_eq!(client.get(bytes(&key(3))).await, Ok((None, gone)));
    });
}

#[test]
fn a_transaction_is_done_whole_or_not_at_all() {
    if !server::is_there("a_transaction_is_done_whole_or_not_at_all") {
        return;
    }
    let server = Server::start(&[]);
    run(async {
        let client = client_of(&server).await;
        let made = || Txn::new().if_absent(bytes("/a")).put(bytes("/a"), vec![1], 0).put(bytes("/b"), vec![2], 0);
        assert!(client.txn(made()).await.unwrap().done);
        assert!(!client.txn(made().put(bytes("/c"), vec![3], 0)).await.unwrap().done);
        assert_eq!(client.count(b"/").await, Ok(2));
        let many = (0..=overlay_etcd::TXN_OPERATIONS).fold(Txn::new(), |txn, n| txn.put(bytes(&format!("/n{n}")), vec![], 0));
        assert!(matches!(client.txn(many).await, Err(Error::Refused(_))));
        assert_eq!(client.count(b"/").await, Ok(2));
    });
}

#[test]
fn keys_go_with_their_lease() {
    if !server::is_there("keys_go_with_their_lease") {
        return;
    }
    let server = Server::start(&[]);
    run(async {
        let client = client_of(&server).await;
        let mut watch = client.watch(b"/host", 0).await.unwrap();
        for ends_by_time in [false, true] {
            let lease = client.grant(2).await.unwrap();
            client.put(bytes("/host"), vec![1], lease).await.unwrap();
            assert!(matches!(&changed(&mut watch).await[..], [Change::Put(entry)] if entry.lease == lease));
            assert!(client.keep_alive(lease).await.unwrap() >= 2);
            if !ends_by_time {
                client.revoke(lease).await.unwrap();
            }
            assert_eq!(changed(&mut watch).await, [Change::Delete { key: bytes("/host") }]);
            assert_eq!(client.keep_alive(lease).await, Err(Error::NoLease(lease)));
        }
        assert_eq!(client.revoke(7).await, Err(Error::NoLease(7)));
    });
}

#[test]
fn a_revision_that_is_no_longer_kept_is_told_from_absence() {
    if !server::is_there("a_revision_that_is_no_longer_kept_is_told_from_absence") {
        return;
    }
    let server = Server::start(&[]);
    run(async {
        let client = client_of(&server).await;
        let first = client.put(bytes("/a"), vec![1], 0).await.unwrap();
        client.put(bytes("/a"), vec![2], 0).await.unwrap();
        let last = client.put(bytes("/a"), vec![3], 0).await.unwrap();
        client.compact(last).await.unwrap();
        let mut watch = client.watch(b"/", first).await.unwrap();
        assert_eq!(end_of(&mut watch, CEILING).await, Error::Compacted(last));
        assert!(matches!(client.range(bytes("/a"), Vec::new(), 0, first).await, Err(Error::Compacted(_))));
        assert!(matches!(client.compact(first).await, Err(Error::Compacted(_))));
    });
}

#[test]
fn a_store_that_stands_still_is_found_out_and_one_that_is_quiet_is_not() {
    if !server::is_there("a_store_that_stands_still_is_found_out_and_one_that_is_quiet_is_not") {
        return;
    }
    let server = Server::start(&[]);
    run(async {
        let client = client_of(&server).await.with_deadline(PATIENCE);
        let mut watch = client.watch(b"/", 0).await.unwrap();
        server.signal("STOP");
        let silent = end_of(&mut watch, PATIENCE).await;
        assert!(matches!(&silent, Error::Deadline(_)), "{silent:?}");
        let late = client.get(bytes("/a")).await.unwrap_err();
        assert!(matches!(&late, Error::Deadline(_)) && late.is_passing(), "{late:?}");
        server.signal("CONT");
        answers(&client).await;
        let revision = client.put(bytes("/a"), vec![1], 0).await.unwrap();
        let mut watch = client.watch(b"/", revision).await.unwrap();
        assert!(matches!(&changed(&mut watch).await[..], [Change::Put(entry)] if entry.value == [1]));
    });
}

#[test]
fn the_end_of_a_store_ends_the_watch_and_it_resumes_where_it_was() {
    if !server::is_there("the_end_of_a_store_ends_the_watch_and_it_resumes_where_it_was") {
        return;
    }
    let mut server = Server::start(&[]);
    run(async {
        let client = client_of(&server).await;
        let revision = client.put(bytes("/a"), vec![1], 0).await.unwrap();
        let mut watch = client.watch(b"/", 0).await.unwrap();
        server.kill();
        let ended = end_of(&mut watch, CEILING).await;
        assert!(matches!(&ended, Error::Away(_)), "{ended:?}");
        let away = client.get(bytes("/a")).await.unwrap_err();
        assert!(away.is_passing() && away.to_string().contains(&server.endpoint()), "{away:?}");
        server.run();
        answers(&client).await;
        let mut watch = client.watch(b"/", revision).await.unwrap();
        assert!(matches!(&changed(&mut watch).await[..], [Change::Put(entry)] if entry.value == [1]));
    });
}

#[test]
fn an_endpoint_that_is_away_is_left_for_the_next() {
    if !server::is_there("an_endpoint_that_is_away_is_left_for_the_next") {
        return;
    }
    let (server, nobody) = (Server::start(&[]), Server::prepare());
    run(async {
        let client = Client::new(&config(&[nobody.endpoint(), server.endpoint()])).unwrap();
        answers(&client).await;
        assert_eq!(client.endpoint(), server.endpoint());
        client.put(bytes("/a"), vec![1], 0).await.unwrap();
        assert_eq!(client.watch(b"/", 0).await.unwrap().endpoint(), server.endpoint());
    });
}

/// Runs etcdctl.
fn etcdctl(server: &Server, words: &[&str]) {
    let done = Command::new("etcdctl").env("ETCDCTL_API", "3").args(["--endpoints", &server.endpoint()]).args(words).output().unwrap();
    assert!(done.status.success(), "etcdctl {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_wrong_password_a_missing_one_and_a_missing_right_are_three_things() {
    if !server::is_there("a_wrong_password_a_missing_one_and_a_missing_right_are_three_things") {
        return;
    }
    // Tokens that end after two seconds without use.
    let server = Server::start(&["--auth-token-ttl", "2"]);
    run(async {
        client_of(&server).await;
        etcdctl(&server, &["user", "add", "root:secret"]);
        etcdctl(&server, &["user", "add", "host1:pass"]);
        etcdctl(&server, &["role", "add", "mine"]);
        etcdctl(&server, &["role", "grant-permission", "mine", "readwrite", "/mine/", "--prefix=true"]);
        etcdctl(&server, &["user", "grant-role", "host1", "mine"]);
        etcdctl(&server, &["user", "grant-role", "root", "root"]);
        etcdctl(&server, &["auth", "enable"]);
        let as_user = |user: &str, password: &str| {
            let config = config(&[server.endpoint()]);
            Client::new(&Config { user: Some(user.to_owned()), password: Some(password.to_owned()), ..config }).unwrap()
        };
        let nobody = Client::new(&config(&[server.endpoint()])).unwrap();
        for client in [nobody, as_user("host1", "wrong"), as_user("host2", "pass")] {
            let refused = client.get(bytes("/mine/a")).await.unwrap_err();
            assert!(matches!(&refused, Error::Credentials(_)) && !refused.is_passing(), "{refused:?}");
        }
        let client = as_user("host1", "pass");
        client.put(bytes("/mine/a"), vec![1], 0).await.unwrap();
        let refused = client.get(bytes("/theirs/a")).await.unwrap_err();
        assert!(matches!(&refused, Error::Permission(_)), "{refused:?}");
        let mut watch = client.watch(b"/theirs/", 0).await.unwrap();
        let refused = end_of(&mut watch, CEILING).await;
        assert!(matches!(&refused, Error::Permission(_)), "{refused:?}");
        // The token ends; another is asked for, and nobody notices.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(client.get(bytes("/mine/a")).await.unwrap().0.unwrap().value, [1]);
    });
}

/// Runs openssl in a folder.
fn openssl(folder: &Path, words: &str) {
    let done = Command::new("openssl").current_dir(folder).args(words.split(' ')).output().unwrap();
    assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority, and a certificate of its own for `name` that holds for so many days: negative, it has expired.
fn certificates(folder: &Path, authority: &str, name: &str, days: i32) {
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req -x509 {ec} -keyout ca.key -out ca.pem -subj /CN={authority} -days 2"));
    openssl(folder, &format!("req {ec} -keyout store.key -out store.csr -subj /CN=store"));
    std::fs::write(folder.join("names"), format!("subjectAltName={name}\n")).unwrap();
    openssl(
        folder,
        &format!("x509 -req -in store.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days {days} -out store.pem"),
    );
}

#[test]
fn what_tls_finds_wrong_is_said() {
    if !server::is_there("what_tls_finds_wrong_is_said") {
        return;
    }
    const UNKNOWN: &str = "its certificate was signed by none of the authorities in etcd/ca";
    for (name, days, stranger, why) in [
        ("IP:127.0.0.1", 2, None, None),
        ("IP:127.0.0.1", -1, None, Some("its certificate has expired")),
        ("DNS:elsewhere.example", 2, None, Some("its certificate is for another name")),
        ("IP:127.0.0.1", 2, Some("stranger"), Some(UNKNOWN)),
        // Made anew under its old name.
        ("IP:127.0.0.1", 2, Some("authority"), Some(UNKNOWN)),
    ] {
        let mut server = Server::prepare();
        let folder = server.folder().to_owned();
        certificates(&folder, "authority", name, days);
        let file = |name: &str| folder.join(name).display().to_string();
        let tls = ["--cert-file", &file("store.pem"), "--key-file", &file("store.key")];
        server.run_with(tls.map(str::to_owned).to_vec());
        let ca = stranger.map_or(folder.join("ca.pem"), |authority| {
            let elsewhere = folder.join("elsewhere");
            std::fs::create_dir(&elsewhere).unwrap();
            certificates(&elsewhere, authority, name, 2);
            elsewhere.join("ca.pem")
        });
        run(async {
            let client = Client::new(&Config { ca: Some(ca), ..config(&[server.endpoint()]) }).unwrap();
            let begun = Instant::now();
            // Until it listens nobody is there, which is another thing.
            let result = loop {
                match client.get(bytes("/a")).await {
                    Err(error) if error.is_passing() && begun.elapsed() < CEILING => tokio::time::sleep(Duration::from_millis(50)).await,
                    other => break other,
                }
            };
            let said = result.map(|(found, _)| found).map_err(|error| (error.word(), error.to_string()));
            let wanted = match why {
                None => Ok(None),
                Some(why) => Err(("tls", format!("{}: {why}", server.endpoint()))),
            };
            assert_eq!(said, wanted, "{name}, {days} days");
        });
    }
}
