//! What becomes of the traffic when a store of three members loses one, and when another one leads?

use crate::can_run;
use crate::daemon::CEILING;
use crate::host::{Flow, lab};
use crate::store::{VNI, all_follow, entry, vl2};
use overlay_lab::{Family, Lab, Running, Signal, wait_until};
use std::net::IpAddr;

/// A member on each of three hosts.
struct Cluster<'l> {
    lab: &'l Lab,
    members: Vec<Running>,
    _folder: tempfile::TempDir,
}

impl<'l> Cluster<'l> {
    fn start(lab: &'l Lab) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |host: u16, port: u16| format!("http://{}:{port}", lab.host(host).ipv4());
        let cluster = (1..=3).map(|host| format!("m{host}={}", place(host, 2380))).collect::<Vec<_>>().join(",");
        let member = |host: u16| {
            let (data, name) = (folder.path().join(format!("m{host}")).display().to_string(), format!("m{host}"));
            let (client, peer) = (place(host, 2379), place(host, 2380));
            let words = [
                ["--name", &name, "--data-dir", &data],
                ["--listen-client-urls", &client, "--advertise-client-urls", &client],
                ["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer],
                ["--initial-cluster", &cluster, "--logger", "zap"],
            ];
            lab.host(host).spawn("etcd", words.concat()).expect("etcd can be started")
        };
        let members = (1..=3).map(member).collect();
        let cluster = Self { lab, members, _folder: folder };
        wait_until("the cluster", CEILING, || cluster.ctl(&[3], "endpoint health").is_ok()).expect("a cluster");
        cluster
    }

    fn endpoints(&self, hosts: &[u16]) -> String {
        hosts.iter().map(|host| format!("http://{}:2379", self.lab.host(*host).ipv4())).collect::<Vec<_>>().join(",")
    }

    /// Runs etcdctl on the third host, against these members.
    fn ctl(&self, hosts: &[u16], words: &str) -> Result<String, overlay_lab::LabError> {
        let endpoints = self.endpoints(hosts);
        self.lab.host(3).run("etcdctl", ["--endpoints", &endpoints].into_iter().chain(words.split(' ')))
    }

    fn put(&self, hosts: &[u16], key: &str, value: &str) {
        let endpoints = self.endpoints(hosts);
        self.lab.host(3).run("etcdctl", ["--endpoints", &endpoints, "put", key, value]).expect("a key is written");
    }

    /// The host whose member leads, of these, and the ids of all of them.
    fn leader(&self, hosts: &[u16]) -> (u16, Vec<(u16, String)>) {
        let status = |host: u16| self.ctl(&[host], "endpoint status -w simple").expect("a status");
        // Endpoint, id, version, size, whether it leads ..
        let cells = |host: u16| status(host).split(", ").map(str::to_owned).collect::<Vec<_>>();
        let leads = |host: &&u16| cells(**host).get(4).is_some_and(|leads| leads == "true");
        let mut found = None;
        wait_until("a leader", CEILING, || {
            found = hosts.iter().find(leads).copied();
            found.is_some()
        })
        .expect("one leads");
        (found.expect("a leader"), hosts.iter().map(|host| (*host, cells(*host)[1].clone())).collect())
    }
}

#[test]
fn a_flow_lives_through_a_member_that_is_lost_and_another_leader() {
    if !can_run("a_flow_lives_through_a_member_that_is_lost_and_another_leader") {
        return;
    }
    let lab = lab("etc_clust", 3, &[(VNI, Family::V4)]);
    let mut cluster = Cluster::start(&lab);
    for host in 1..=3 {
        let tenant = lab.tenant(host, VNI, 1);
        cluster.put(&[1, 2, 3], &vl2(tenant.mac()), &entry(tenant, lab.host(host).ipv4()));
    }
    // Each follows the first member, as long as that is there.
    let hosts = all_follow(&lab, 3, &cluster.endpoints(&[1, 2, 3]));
    let (here, there) = (lab.tenant(1, VNI, 1), lab.tenant(2, VNI, 1));
    let echo = there.udp_echo((IpAddr::from(there.ipv4()), 0).into()).expect("an echo server");
    let flow = Flow::start(here, echo.at());
    let mut known = 3;
    let mut more = |members: &[u16], cluster: &Cluster<'_>| {
        cluster.put(members, &vl2(&format!("02:08:20:ff:ff:{known:02x}")), "{\"ip\":\"10.88.0.2\",\"port\":4789}");
        known += 1;
        for host in &hosts {
            host.wait("the new entry", || host.instance(VNI).entries == Some(known));
            host.wait_up(VNI);
        }
    };
    more(&[1, 2, 3], &cluster);

    // Another one leads.
    let (leader, ids) = cluster.leader(&[1, 2, 3]);
    let (_, next) = ids.iter().find(|(host, _)| *host != leader).expect("another one");
    cluster.ctl(&[leader], &format!("move-leader {next}")).expect("it moves");
    assert_ne!(cluster.leader(&[1, 2, 3]).0, leader);
    more(&[2, 3], &cluster);

    // The member that all follow is lost, be it the leader or not.
    cluster.members[0].signal(Signal::KILL).expect("a process can be signalled");
    cluster.members[0].wait(CEILING).expect("it ends");
    cluster.leader(&[2, 3]);
    more(&[2, 3], &cluster);
    flow.end_whole();
}
