//! Why was the capture refused? Which capability is missing, and how it is given.

use std::fs;

/// What was tried when the kernel said "operation not permitted".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Opening an interface. Promiscuous mode needs no more.
    Capture,
    /// Entering another network namespace.
    Namespace,
}

impl Need {
    /// Name and number (`linux/capability.h`).
    const fn capability(self) -> (&'static str, u32) {
        match self {
            Self::Capture => ("CAP_NET_RAW", 13),
            Self::Namespace => ("CAP_SYS_ADMIN", 21),
        }
    }
}

/// A sentence for when `need` was refused: which capability is missing and how to give it. `None` when it is not missing: then
/// something else refused, and the kernel's own words are all there is.
pub(crate) fn missing_capability(need: Need) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let program = std::env::current_exe().map_or_else(|_| "PATH".to_owned(), |path| path.display().to_string());
    sentence(&status, need, &program)
}

fn sentence(status: &str, need: Need, program: &str) -> Option<String> {
    let (name, number) = need.capability();
    let field = |wanted: &str| status.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':')).map(str::trim);
    let has = |set: &str| field(set).and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(|bits| bits >> number & 1 == 1);
    if has("CapEff")? {
        return None;
    }
    let what = match need {
        Need::Capture => "capturing",
        Need::Namespace => "entering a network namespace",
    };
    let short = name.trim_start_matches("CAP_");
    let remedy = if has("CapBnd") == Some(false) {
        format!("neither sudo nor setcap can give it here; start the container with --cap-add {short}")
    } else if field("NoNewPrivs") == Some("1") {
        "it was started with no_new_privs, which sudo and setcap do not pass; start it from another shell or service".to_owned()
    } else if need == Need::Namespace {
        "run it with sudo".to_owned()
    } else {
        format!("run it with sudo, or give it once with: sudo setcap {}+ep {program}", name.to_lowercase())
    };
    Some(format!("{what} needs {name}, which this process does not have: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(effective: u64, bounding: u64, no_new_privs: u8) -> String {
        format!("Name:\tx\nCapEff:\t{effective:016x}\nCapBnd:\t{bounding:016x}\nNoNewPrivs:\t{no_new_privs}\n")
    }

    #[test]
    fn a_plain_user_is_told_of_sudo_and_setcap() {
        let status = status(0, !0, 0);
        assert_eq!(
            sentence(&status, Need::Capture, "/usr/bin/overlay-snoop").unwrap(),
            "capturing needs CAP_NET_RAW, which this process does not have: run it with sudo, or give it once with: \
             sudo setcap cap_net_raw+ep /usr/bin/overlay-snoop"
        );
        assert_eq!(
            sentence(&status, Need::Namespace, "x").unwrap(),
            "entering a network namespace needs CAP_SYS_ADMIN, which this process does not have: run it with sudo"
        );
    }

    #[test]
    fn where_sudo_cannot_help_it_is_not_named_as_the_remedy() {
        let container = sentence(&status(0, 1 << 21, 0), Need::Capture, "x").unwrap();
        assert!(container.ends_with("start the container with --cap-add NET_RAW"), "{container}");
        let service = sentence(&status(0, !0, 1), Need::Capture, "x").unwrap();
        assert!(service.contains("no_new_privs"), "{service}");
    }

    #[test]
    fn what_is_there_is_not_missing() {
        assert_eq!(sentence(&status(1 << 13, !0, 0), Need::Capture, "x"), None);
        assert!(sentence(&status(1 << 13, !0, 0), Need::Namespace, "x").is_some());
        assert_eq!(sentence("no such fields\n", Need::Capture, "x"), None);
    }
}
