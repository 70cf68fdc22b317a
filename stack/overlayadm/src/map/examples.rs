//! How is it typed? What stands below the help of each `map` command.

/// Of `map`.
pub(crate) const MAP: &str = "\
The mapping of an overlay made with -s etcd is in etcd, where all hosts see it:
an entry for each inner address, in the form of a mapping file. -v says which
network, and --endpoints where etcd is; or -l an overlay of this host that has
both. What is written by hand stays until it is deleted, and goes before what a
host registers for its own VNICs.

Exit status:
  0  done
  1  refused, or etcd cannot be asked; what was written is said, if anything was
  2  the command line is wrong

Examples:
  overlayadm map list -l ov7
  overlayadm map put -v 7 --arp 192.168.0.2 02:08:20:0a:00:02=10.0.0.2:4789
  overlayadm map import -v 7 --dry-run map.json";

/// Of `map put`.
pub(crate) const PUT: &str = "\
Examples:
  overlayadm map put -v 7 02:08:20:0a:00:02=10.0.0.2:4789
  overlayadm map put -v 7 --arp 192.168.0.2 --ndp fd07::2 02:08:20:0a:00:02=[fd00::2]:4789
  overlayadm map put -v 7 ff:ff:ff:ff:ff:ff=10.0.0.2:4789,10.0.0.3:4789";

/// Of `map get`.
pub(crate) const GET: &str = "\
Fields:
  As those of map list. The exit status is 1 where nothing is known.

Examples:
  overlayadm map get -v 7 02:08:20:0a:00:02
  overlayadm map get -v 7 -p -o ul3 192.168.0.2";

/// Of `map delete`.
pub(crate) const DELETE: &str = "\
All are deleted, or none: one that is not there is refused. What a host has
registered it writes again.

Examples:
  overlayadm map delete -v 7 02:08:20:0a:00:02 02:08:20:0a:00:03";

/// Of `map list`.
pub(crate) const LIST: &str = "\
Fields:
  mac, ul3, arp, ndp, source; on request dhcp_proxy, revision, lease

  SOURCE is static (written by hand) or host (registered by the host of a VNIC,
  under a lease). REVISION is the store's when it was written last.

Examples:
  overlayadm map list -v 7
  overlayadm map list -v 7 10.0.0.2
  overlayadm map list -v 7 -p -o mac,ul3
  overlayadm map list -l ov7 --json | jq -r 'select(.source == \"host\").mac'";

/// Of `map watch`.
pub(crate) const WATCH: &str = "\
It goes on where it was when etcd was away for a while. Where etcd has forgotten
the changes meanwhile, what is different is shown.

Examples:
  overlayadm map watch -v 7
  overlayadm map watch -l ov7 --json | jq -r .mac";

/// Of `map import`.
pub(crate) const IMPORT: &str = "\
The file is that of the files plugin (docs/mapping.md). A mistake in it is said
with its line and key, and nothing is written. Up to 127 keys are written in one
transaction: all at once. More are written in several, new ones first; if one
fails because somebody else changes an entry meanwhile, or etcd refuses it, those
before are undone. Only an import that is killed, or loses etcd for good, leaves
a part; a mark in the store then says so, other imports and puts are refused, and
--take-over finishes it.

Examples:
  overlayadm map import -v 7 --dry-run map.json
  overlayadm map import -v 7 --replace map.json
  overlayadm map export -v 7 | overlayadm map import -v 8 -";

/// Of `map export`.
pub(crate) const EXPORT: &str = "\
Examples:
  overlayadm map export -v 7 map.json
  overlayadm map export -v 7 --registered | jq length";
