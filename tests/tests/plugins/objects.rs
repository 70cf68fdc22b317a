//! The shared objects: the examples as a reader would compile them, and what plugins should not be.

use overlay_tests::{Run, program, workspace};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The example in C.
pub(crate) fn fixed(folder: &Path) -> PathBuf {
    compile(&workspace().join("stack/varpd/examples/c/fixed.c"), &folder.join("fixed.so"), &["-D_POSIX_C_SOURCE=200809L"])
}

/// The example in Rust, which cargo has built.
pub(crate) fn responder(folder: &Path) -> PathBuf {
    let to = folder.join("responder.so");
    std::fs::copy(program("examples/libresponder.so"), &to).expect("a file can be copied");
    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o644)).expect("rights");
    to
}

/// The one that does what it should not, with macros that say what it declares.
pub(crate) fn badly(folder: &Path, file: &str, macros: &[&str]) -> PathBuf {
    let macros = macros.iter().copied().chain(["-D_GNU_SOURCE", "-pthread"]).collect::<Vec<_>>();
    compile(&workspace().join("tests/tests/plugins/badly.c"), &folder.join(file), &macros)
}

/// With every warning an error.
pub(crate) fn compile(source: &Path, to: &Path, more: &[&str]) -> PathBuf {
    let include = workspace().join("stack/varpd/include");
    let fixed = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-shared", "-fPIC"].map(Into::into);
    let paths = ["-I".into(), include.into_os_string(), "-o".into(), to.into(), source.into()];
    let ended = Run::new("cc").args(fixed.into_iter().chain(more.iter().map(Into::into)).chain(paths)).end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o644)).expect("rights");
    to.to_owned()
}
