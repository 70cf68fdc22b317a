//! Who is the process from now on? User, group and further groups.

use super::{Outcome, RightsError, Step, UserChoice};
use nix::unistd::{Gid, Uid, User, getegid, geteuid, getresgid, getresuid, setgroups, setresgid, setresuid};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;

/// `nobody` where no user of this name is known: the id that the kernel shows for ids without a mapping.
const NOBODY: u32 = 65_534;

/// What [`switch`] is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Nothing: the reason.
    Stay(String),
    /// Become this user.
    Become { name: String, uid: Uid, gid: Gid },
}

/// Finds out who the process shall be. Asks the name service, so it must come before anything is given up.
pub(super) fn resolve(choice: &UserChoice) -> Result<Target, RightsError> {
    let may_change = may_change();
    match choice {
        UserChoice::Keep => Ok(Target::Stay("it was asked to be kept".to_owned())),
        UserChoice::Nobody if !may_change => Ok(Target::Stay(format!("uid {} is not root", geteuid()))),
        UserChoice::Nobody => Ok(known("nobody").unwrap_or(Target::Become {
            name: "nobody".to_owned(),
            uid: Uid::from_raw(NOBODY),
            gid: Gid::from_raw(NOBODY),
        })),
        UserChoice::Named(name) => {
            let target = known(name).ok_or_else(|| {
                RightsError::new(Step::User, format!("{name}: there is no such user; give a name of /etc/passwd or a number"))
            })?;
            let already = matches!(&target, Target::Become { uid, gid, .. } if *uid == geteuid() && *gid == getegid());
            if already && !may_change {
                return Ok(Target::Stay(format!("it is {name} already")));
            }
            if !may_change {
                return Err(RightsError::new(Step::User, format!("{name}: only root can become another user; run it with sudo")));
            }
            Ok(target)
        }
    }
}

/// A user by name or number. A number needs no entry in the user database: its group is then the same number.
fn known(name: &str) -> Option<Target> {
    let number = name.parse::<u32>().ok();
    let found = match number {
        Some(number) => User::from_uid(Uid::from_raw(number)),
        None => User::from_name(name),
    };
    // A name service that fails is no name service: numbers still work.
    match (found.ok().flatten(), number) {
        (Some(user), _) => Some(Target::Become { name: user.name, uid: user.uid, gid: user.gid }),
        // The highest number means "leave it" to setresuid.
        (None, Some(u32::MAX) | None) => None,
        (None, Some(number)) => Some(Target::Become { name: number.to_string(), uid: Uid::from_raw(number), gid: Gid::from_raw(number) }),
    }
}

fn may_change() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// Becomes the target, in all threads: `setresuid` of the C library, not the system call of this thread.
///
/// In a user namespace that does not map the target nothing can be done, and the state says so; any other failure is an error.
pub(super) fn switch(target: &Target) -> Result<Outcome, RightsError> {
    let (name, uid, gid) = match target {
        Target::Stay(why) => return Ok(Outcome::Skipped(why.clone())),
        Target::Become { name, uid, gid } => (name, *uid, *gid),
    };
    if !maps("/proc/self/uid_map", uid.as_raw()) || !maps("/proc/self/gid_map", gid.as_raw()) {
        return Ok(Outcome::Unavailable(format!("this user namespace does not map uid {uid} and gid {gid}")));
    }
    if fs::read_to_string("/proc/self/setgroups").is_ok_and(|answer| answer.trim() == "deny") {
        return Ok(Outcome::Unavailable("this user namespace denies changing groups".to_owned()));
    }
    let failed = |what: &str, error: nix::Error| RightsError::new(Step::User, format!("{name}: {what}: {}", error.desc()));
    setgroups(&[]).map_err(|error| failed("clearing the groups", error))?;
    setresgid(gid, gid, gid).map_err(|error| failed("setting the group", error))?;
    setresuid(uid, uid, uid).map_err(|error| failed("setting the user", error))?;
    let users = getresuid().map_err(|error| failed("reading the user back", error))?;
    let groups = getresgid().map_err(|error| failed("reading the group back", error))?;
    let all = [users.real, users.effective, users.saved].iter().all(|found| *found == uid);
    if !all || ![groups.real, groups.effective, groups.saved].iter().all(|found| *found == gid) {
        return Err(RightsError::new(Step::User, format!("{name}: the kernel said yes, but the ids are not all changed")));
    }
    Ok(Outcome::Done(format!("user {name}")))
}

/// Whether a map of `user_namespaces(7)` (inside, outside, length) has `id` inside. Without the file there are no namespaces.
fn maps(file: &str, id: u32) -> bool {
    fs::read_to_string(file).map_or(true, |map| covers(&map, id))
}

fn covers(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.nth(1)) {
            (Some(Ok(first)), Some(Ok(length))) => (first..first.saturating_add(length)).contains(&u64::from(id)),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_name_and_by_number() {
        let root = Target::Become { name: "root".to_owned(), uid: Uid::from_raw(0), gid: Gid::from_raw(0) };
        assert_eq!(known("root"), Some(root));
        assert_eq!(known("0"), known("root"));
        let nameless = Target::Become { name: "4000000".to_owned(), uid: Uid::from_raw(4_000_000), gid: Gid::from_raw(4_000_000) };
        assert_eq!(known("4000000"), Some(nameless));
        assert_eq!(known("no such user"), None);
        assert_eq!(known("4294967295"), None, "setresuid(-1) would leave the user as it is");
    }

    #[test]
    fn an_unknown_user_is_refused_with_what_is_allowed() {
        let error = resolve(&UserChoice::Named("nobodyy".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "dropping rights: user: nobodyy: there is no such user; give a name of /etc/passwd or a number");
    }

    #[test]
    fn a_namespace_of_one_user_does_not_map_nobody() {
        assert!(covers("         0          0 4294967295\n", NOBODY));
        assert!(!covers("         0       1000          1\n", NOBODY));
        assert!(covers("0 1000 1\n1 100000 65536\n", NOBODY));
        assert!(!covers("", NOBODY));
        assert!(!covers("0 zero one\n5\n", 0));
    }
}
