//! Which system calls are left? A list per role; everything else is answered with an error.
//!
//! A call that is not in the list gets EPERM, not a killed process: a C library that one day uses another call then degrades (a
//! message is lost, a size is not found) where a kill would lose the capture. Calls from number `FIRST_YOUNG` on get ENOSYS
//! instead: C libraries try the newest call first and fall back on "not implemented" only (`clone3`, then `clone`).
//!
//! Arguments are looked at where a call could do more than its role needs: no memory becomes executable, `clone` makes threads
//! only, signals go to this process only, `ioctl` has four harmless requests (not TIOCSTI, which types into the terminal).

use super::Outcome;

/// What a process does from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Packets from open sockets to open files.
    Capture,
    /// The same, and files are opened for reading (landlock says which).
    CaptureAndRead,
    /// Files are opened and passed on.
    Opener,
}

/// Filters the calls of all threads, those that run already too.
pub(super) fn restrict(role: Role) -> Outcome {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return list::restrict(role);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Outcome::Unavailable(format!("there is no list of calls for this processor, {}, {role:?}", std::env::consts::ARCH));
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod list {
    use super::{Outcome, Role};
    use nix::libc;
    use seccompiler::{
        BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch, apply_filter_all_threads, sock_filter,
    };
    use std::collections::BTreeMap;

    /// The first number that is the same on all processors (Linux 5.1, `pidfd_send_signal`). No list has a younger call, but for
    /// `openat2`. Numbers of the x32 interface have bit 30 set and so are younger, too.
    const FIRST_YOUNG: u32 = 424;

    /// Any arguments.
    const COMMON: &[i64] = &[
        // What is open. Writer::write cuts a broken record off with ftruncate.
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_ftruncate,
        libc::SYS_recvmsg,
        // Memory.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // Threads, signals, the end.
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sched_yield,
        // Calls that cannot fail: libraries do not expect them to.
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_getppid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
        // Hash maps are seeded.
        libc::SYS_getrandom,
        // Where the vDSO has no clock.
        libc::SYS_clock_gettime,
    ];

    const CAPTURE: &[i64] = &[
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_pread64,
        libc::SYS_pwrite64,
        libc::SYS_lseek,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        // libpcap: a waiting error, statistics, is the interface still there; signal-hook: the wake-up socket.
        libc::SYS_recvfrom,
        libc::SYS_getsockopt,
        libc::SYS_getsockname,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_ctl,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_clock_getres,
        libc::SYS_gettimeofday,
        libc::SYS_membarrier,
        libc::SYS_sched_getaffinity,
        libc::SYS_rt_sigtimedwait,
        libc::SYS_getrusage,
        libc::SYS_sysinfo,
        // Has the opener ended?
        libc::SYS_wait4,
        libc::SYS_waitid,
    ];

    /// `ioctl`: is this a terminal, and how wide; libpcap, when an interface went down: which one is it, and is it down.
    #[allow(clippy::unnecessary_cast, reason = "their types differ between C libraries")]
    const REQUESTS: [u64; 4] = [libc::TCGETS as u64, libc::TIOCGWINSZ as u64, libc::SIOCGIFNAME as u64, libc::SIOCGIFFLAGS as u64];

    /// The forms that newer processors do without.
    #[cfg(target_arch = "x86_64")]
    const CAPTURE_OLD: &[i64] = &[libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait, libc::SYS_time];
    #[cfg(target_arch = "aarch64")]
    const CAPTURE_OLD: &[i64] = &[];

    pub(super) fn restrict(role: Role) -> Outcome {
        match program(role).map_err(Error::Backend).and_then(|program| apply_filter_all_threads(&program)) {
            Ok(()) => Outcome::Done("seccomp on".to_owned()),
            Err(Error::Seccomp(error) | Error::Prctl(error)) => {
                Outcome::Unavailable(format!("this kernel or container does not let a filter be set: {error}"))
            }
            Err(Error::ThreadSync(thread)) => Outcome::Unavailable(format!("thread {thread} has a filter of its own")),
            Err(error) => Outcome::Unavailable(error.to_string()),
        }
    }

    fn program(role: Role) -> Result<BpfProgram, BackendError> {
        let target = if cfg!(target_arch = "x86_64") { TargetArch::x86_64 } else { TargetArch::aarch64 };
        let refusal = SeccompAction::Errno(libc::EPERM as u32);
        let filter = SeccompFilter::new(rules(role)?, refusal, SeccompAction::Allow, target)?;
        let young: &[i64] = if role == Role::Opener { &[libc::SYS_openat2] } else { &[] };
        Ok(without_young(filter.try_into()?, young))
    }

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    fn rules(role: Role) -> Result<Rules, BackendError> {
        let pid = u64::from(std::process::id());
        let mut rules: Rules = COMMON.iter().map(|call| (*call, Vec::new())).collect();
        let mut allow = |call: i64, conditions: &[Condition]| -> Result<(), BackendError> {
            let conditions = conditions.iter().map(Condition::compile).collect::<Result<Vec<_>, _>>()?;
            rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
            Ok(())
        };
        // mmap(address, length, protection, ...); mprotect(address, length, protection)
        allow(libc::SYS_mmap, &[none_of(2, libc::PROT_EXEC)])?;
        allow(libc::SYS_mprotect, &[none_of(2, libc::PROT_EXEC)])?;
        for command in [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC] {
            allow(libc::SYS_fcntl, &[equals(1, command)])?;
        }
        // The size of an open file: newfstatat(fd, "", buffer, flags), statx(fd, "", flags, ...)
        allow(libc::SYS_newfstatat, &[all_of(3, libc::AT_EMPTY_PATH)])?;
        allow(libc::SYS_statx, &[all_of(2, libc::AT_EMPTY_PATH)])?;
        // abort(): tgkill(pid, thread, signal) in glibc, tkill(thread, signal) in musl; re-raised signals.
        allow(libc::SYS_tgkill, &[is(0, pid)])?;
        allow(libc::SYS_kill, &[is(0, pid)])?;
        allow(libc::SYS_tkill, &[equals(1, libc::SIGABRT)])?;
        if role == Role::Opener {
            for call in [libc::SYS_sendmsg, libc::SYS_openat2, libc::SYS_unlinkat] {
                rules.insert(call, Vec::new());
            }
            return Ok(rules);
        }
        allow(libc::SYS_clone, &[all_of(0, libc::CLONE_THREAD)])?;
        allow(libc::SYS_prctl, &[equals(0, libc::PR_SET_NAME)])?;
        // A thread asks for the size of its stack: prlimit64(0, resource, no new limit, ...)
        allow(libc::SYS_prlimit64, &[is(0, 0), is_null(2)])?;
        for request in REQUESTS {
            allow(libc::SYS_ioctl, &[is(1, request)])?;
        }
        // libpcap gives its ring back when it closes.
        allow(libc::SYS_setsockopt, &[equals(1, libc::SOL_PACKET), equals(2, libc::PACKET_RX_RING)])?;
        // signal-hook wakes its thread with one byte; no address, so nothing is sent anywhere else.
        allow(libc::SYS_sendto, &[at_most(2, 1), is_null(4)])?;
        if role == Role::CaptureAndRead {
            let writing = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
            allow(libc::SYS_openat, &[none_of(2, writing)])?;
            #[cfg(target_arch = "x86_64")]
            allow(libc::SYS_open, &[none_of(1, writing)])?;
            rules.insert(libc::SYS_getdents64, Vec::new());
        }
        rules.extend(CAPTURE.iter().chain(CAPTURE_OLD).map(|call| (*call, Vec::new())));
        Ok(rules)
    }

    /// A condition on one argument, counted from 0.
    struct Condition {
        argument: u8,
        width: SeccompCmpArgLen,
        operator: SeccompCmpOp,
        value: u64,
    }

    impl Condition {
        /// Arguments that the kernel reads as `int` or `unsigned int`: whatever is above its 32 bits does not count.
        fn int(argument: u8, operator: SeccompCmpOp, value: u64) -> Self {
            Self { argument, width: SeccompCmpArgLen::Dword, operator, value }
        }

        fn compile(&self) -> Result<SeccompCondition, BackendError> {
            SeccompCondition::new(self.argument, self.width.clone(), self.operator.clone(), self.value)
        }
    }

    fn is(argument: u8, value: u64) -> Condition {
        Condition::int(argument, SeccompCmpOp::Eq, value)
    }

    fn equals(argument: u8, value: libc::c_int) -> Condition {
        is(argument, bits(value))
    }

    fn all_of(argument: u8, flags: libc::c_int) -> Condition {
        Condition::int(argument, SeccompCmpOp::MaskedEq(bits(flags)), bits(flags))
    }

    fn none_of(argument: u8, flags: libc::c_int) -> Condition {
        Condition::int(argument, SeccompCmpOp::MaskedEq(bits(flags)), 0)
    }

    fn is_null(argument: u8) -> Condition {
        Condition { argument, width: SeccompCmpArgLen::Qword, operator: SeccompCmpOp::Eq, value: 0 }
    }

    fn at_most(argument: u8, value: u64) -> Condition {
        Condition { argument, width: SeccompCmpArgLen::Qword, operator: SeccompCmpOp::Le, value }
    }

    fn bits(value: libc::c_int) -> u64 {
        u64::from(value.cast_unsigned())
    }

    /// Puts "young calls but for `allowed` get ENOSYS" before a program. Jumps of BPF are relative, so that it can follow unchanged.
    fn without_young(program: BpfProgram, allowed: &[i64]) -> BpfProgram {
        let statement = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
        let jump = |code: u32, k: u32, jt: usize, jf: usize| sock_filter {
            code: (libc::BPF_JMP | libc::BPF_K | code) as u16,
            jt: jt as u8,
            jf: jf as u8,
            k,
        };
        let skipped = allowed.len() + 1;
        // The call's number is the first word of struct seccomp_data.
        let mut all = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0), jump(libc::BPF_JGE, FIRST_YOUNG, 0, skipped)];
        for (index, call) in allowed.iter().enumerate() {
            all.push(jump(libc::BPF_JEQ, *call as u32, skipped - index - 1, 0));
        }
        all.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32));
        all.extend(program);
        all
    }
    #[cfg(test)]
    mod tests {
        use super::*;

        const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
        const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        /// `asm-generic/ioctls.h`.
        const TIOCSTI: u64 = 0x5412;
        /// `AUDIT_ARCH_*` of `linux/audit.h`: the machine's ELF number, 64-bit, little-endian.
        const THIS_ARCH: u32 = 0xc000_0000 | if cfg!(target_arch = "x86_64") { 62 } else { 183 };

        /// What the kernel would answer: a classic BPF program over `struct seccomp_data` (number, processor, address, arguments).
        fn run(program: &[sock_filter], call: i64, arch: u32, arguments: [u64; 6]) -> u32 {
            let mut data = vec![call as u32, arch, 0, 0];
            data.extend(arguments.iter().flat_map(|argument| [*argument as u32, (*argument >> 32) as u32]));
            let (mut accumulator, mut at) = (0_u32, 0);
            loop {
                let sock_filter { code, jt, jf, k } = program[at].clone();
                at += 1;
                let mut branch = |taken: bool| at += usize::from(if taken { jt } else { jf });
                match u32::from(code) {
                    0x20 => accumulator = data[k as usize / 4],
                    0x54 => accumulator &= k,
                    0x05 => at += k as usize,
                    0x15 => branch(accumulator == k),
                    0x25 => branch(accumulator > k),
                    0x35 => branch(accumulator >= k),
                    0x06 => return k,
                    other => panic!("instruction {other:#x}"),
                }
            }
        }

        fn verdict(role: Role, call: i64, arguments: [u64; 6]) -> u32 {
            run(&program(role).unwrap(), call, THIS_ARCH, arguments)
        }

        fn capture(call: i64, arguments: [u64; 6]) -> u32 {
            verdict(Role::Capture, call, arguments)
        }

        #[test]
        fn what_a_capture_does_is_allowed() {
            for call in [libc::SYS_read, libc::SYS_write, libc::SYS_ppoll, libc::SYS_futex, libc::SYS_exit_group, libc::SYS_getsockopt] {
                assert_eq!(capture(call, [7; 6]), ALLOW, "{call}");
            }
            assert_eq!(capture(libc::SYS_mmap, [0, 4096, 3, 0x22, u64::MAX, 0]), ALLOW);
            assert_eq!(capture(libc::SYS_clone, [0x3d_0f00, 0, 0, 0, 0, 0]), ALLOW, "glibc's flags for a thread");
            assert_eq!(capture(libc::SYS_sendto, [3, 1, 1, 0x40, 0, 0]), ALLOW, "signal-hook's wake-up");
            assert_eq!(capture(libc::SYS_fcntl, [3, libc::F_DUPFD_CLOEXEC as u64, 0, 0, 0, 0]), ALLOW);
            assert_eq!(capture(libc::SYS_tgkill, [u64::from(std::process::id()), 1, 6, 0, 0, 0]), ALLOW, "abort");
        }

        #[test]
        fn what_a_capture_never_does_is_refused() {
            for call in [
                libc::SYS_openat,
                libc::SYS_execve,
                libc::SYS_socket,
                libc::SYS_connect,
                libc::SYS_bind,
                libc::SYS_sendmsg,
                libc::SYS_ptrace,
                libc::SYS_unshare,
                libc::SYS_setns,
                libc::SYS_mount,
                libc::SYS_bpf,
                libc::SYS_seccomp,
                libc::SYS_setresuid,
                libc::SYS_unlinkat,
                libc::SYS_process_vm_readv,
                libc::SYS_personality,
                libc::SYS_memfd_create,
                libc::SYS_userfaultfd,
            ] {
                assert_eq!(capture(call, [0; 6]), EPERM, "{call}");
            }
        }

        #[test]
        fn arguments_make_the_difference() {
            let other = u64::from(std::process::id()) + 1;
            for (what, call, arguments) in [
                ("executable memory", libc::SYS_mmap, [0, 4096, 7, 0x22, 0, 0]),
                ("memory made executable", libc::SYS_mprotect, [0, 4096, 5, 0, 0, 0]),
                ("a child process", libc::SYS_clone, [17, 0, 0, 0, 0, 0]),
                ("typing into the terminal", libc::SYS_ioctl, [0, TIOCSTI, 0, 0, 0, 0]),
                ("the same with bits the kernel ignores", libc::SYS_ioctl, [0, TIOCSTI | 1 << 32, 0, 0, 0, 0]),
                ("signals to others", libc::SYS_kill, [other, 9, 0, 0, 0, 0]),
                ("signals to threads of others", libc::SYS_tgkill, [other, other, 9, 0, 0, 0]),
                ("killing any thread", libc::SYS_tkill, [other, 9, 0, 0, 0, 0]),
                ("a datagram", libc::SYS_sendto, [3, 1, 100, 0, 0, 0]),
                ("a byte to an address", libc::SYS_sendto, [3, 1, 1, 0, 0x1000, 16]),
                ("a socket filter", libc::SYS_setsockopt, [3, 1, 26, 0, 0, 0]),
                ("other people's limits", libc::SYS_prlimit64, [other, 7, 0, 0x1000, 0, 0]),
                ("limits", libc::SYS_prlimit64, [0, 7, 0x1_0000_0000, 0, 0, 0]),
                ("a file by path", libc::SYS_newfstatat, [0, 0, 0, 0, 0, 0]),
                ("an owner of signals", libc::SYS_fcntl, [3, 8, other, 0, 0, 0]),
            ] {
                assert_eq!(capture(call, arguments), EPERM, "{what}");
            }
        }

        #[test]
        fn files_are_opened_for_reading_only_where_the_plan_lists_some() {
            let open = |role, flags: libc::c_int| verdict(role, libc::SYS_openat, [0, 0, bits(flags), 0, 0, 0]);
            assert_eq!(open(Role::CaptureAndRead, libc::O_RDONLY | libc::O_CLOEXEC), ALLOW);
            for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC] {
                assert_eq!(open(Role::CaptureAndRead, flags), EPERM, "{flags:#o}");
            }
            assert_eq!(open(Role::Capture, libc::O_RDONLY), EPERM);
        }

        #[test]
        fn young_calls_do_not_exist_so_that_a_c_library_falls_back() {
            for role in [Role::Capture, Role::CaptureAndRead, Role::Opener] {
                for call in [424, libc::SYS_clone3, libc::SYS_faccessat2, 600, 0x4000_0000] {
                    assert_eq!(verdict(role, call, [0; 6]), ENOSYS, "{role:?} {call}");
                }
                let expected = if role == Role::Opener { ALLOW } else { ENOSYS };
                assert_eq!(verdict(role, libc::SYS_openat2, [0; 6]), expected, "{role:?}");
            }
        }

        #[test]
        fn the_opener_opens_removes_and_sends() {
            for call in [libc::SYS_openat2, libc::SYS_unlinkat, libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_ftruncate] {
                assert_eq!(verdict(Role::Opener, call, [0; 6]), ALLOW, "{call}");
            }
            for call in [libc::SYS_openat, libc::SYS_clone, libc::SYS_socket, libc::SYS_execve, libc::SYS_fchownat, libc::SYS_linkat] {
                assert_eq!(verdict(Role::Opener, call, [0; 6]), EPERM, "{call}");
            }
        }

        #[test]
        fn calls_of_another_processor_end_the_process() {
            let i386 = 0x4000_0003;
            let answer = run(&program(Role::Capture).unwrap(), 3, i386, [0; 6]);
            assert_eq!(answer, libc::SECCOMP_RET_KILL_PROCESS, "{answer:#x}");
        }
    }
}
