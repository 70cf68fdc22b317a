//! Does any input make the suite panic, loop or run out of memory?
//!
//! Fuzz targets are the tests in files called `tests/fuzz_*.rs` of any crate, written with bolero. Without options
//! they run as plain tests, optimized, with debug assertions and overflow checks: random input, nothing to install.
//! With `--coverage` the same targets run under libFuzzer, which follows the branches taken, with AddressSanitizer;
//! cargo-bolero builds that on the stable toolchain by `RUSTC_BOOTSTRAP=1`.

use std::path::{Path, PathBuf};

use crate::run::{Outcome, Workspace, checked, output_of, step};
use crate::{Task, install};

/// How long a target runs unless told otherwise.
const SECONDS: u64 = 60;
/// The cargo profile: release with debug assertions; cargo-bolero asks for one codegen unit.
const PROFILE: &str = "fuzz";
/// cargo-bolero speaks the protocol of the bolero crates of the same minor version.
const CARGO_BOLERO: &str = "^0.13.5";

/// One `tests/fuzz_*.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    package: String,
    file: String,
}

/// What `cargo xtask fuzz` was asked to do.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    coverage: bool,
    seconds: u64,
    target: Option<String>,
}

impl Request {
    fn from_arguments(arguments: &[String]) -> Outcome<Self> {
        let mut request = Self { coverage: false, seconds: SECONDS, target: None };
        let mut seconds_given = false;
        for argument in arguments {
            if argument == "--coverage" {
                request.coverage = true;
            } else if argument.starts_with('-') {
                return Err(format!("`fuzz` knows the option `--coverage`, found `{argument}`"));
            } else if let (false, None, Ok(seconds)) = (seconds_given, &request.target, argument.parse::<u64>()) {
                if seconds == 0 {
                    return Err("`fuzz 0` would test nothing; at least 1 second is needed".to_owned());
                }
                (request.seconds, seconds_given) = (seconds, true);
            } else if request.target.is_none() {
                request.target = Some(argument.clone());
            } else {
                return Err(format!("`fuzz` takes SECONDS and TARGET, found one more: `{argument}`"));
            }
        }
        Ok(request)
    }
}

/// Runs one target or all of them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let request = Request::from_arguments(arguments)?;
    let targets = chosen(all_targets(&workspace.root)?, request.target.as_deref())?;
    step("packages", || install::packages_for(workspace, Task::Fuzz))?;
    let bolero = if request.coverage { Some(cargo_bolero(workspace)?) } else { None };
    let mut failed = Vec::new();
    for target in &targets {
        let name = format!("{} ({})", target.file, target.package);
        let result = step(&name, || match &bolero {
            None => random(workspace, target, request.seconds),
            Some(bolero) => coverage(workspace, target, request.seconds, bolero),
        });
        if let Err(message) = result {
            println!("{message}");
            failed.push(target.file.as_str());
        }
    }
    println!("\n{} fuzz targets, {} failed", targets.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// bolero's own engine: random input, as a plain test.
fn random(workspace: &Workspace, target: &Target, seconds: u64) -> Outcome {
    let mut command = workspace.cargo(&["test", "--profile", PROFILE, "--package", &target.package, "--test", &target.file]);
    checked(command.env("OVERLAY_FUZZ_SECONDS", seconds.to_string()))
}

/// libFuzzer with AddressSanitizer, each test of the target in turn.
fn coverage(workspace: &Workspace, target: &Target, seconds: u64, bolero: &Path) -> Outcome {
    let mut list = workspace.cargo(&["test", "--quiet", "--profile", PROFILE, "--package", &target.package, "--test", &target.file]);
    let listed = output_of(list.args(["--", "--list"]))?;
    let mut failed = Vec::new();
    for test in tests_in(&listed) {
        let kept = workspace.target.join("fuzz-coverage");
        let place = kept.join(&target.file).join(test.replace("::", "-"));
        let mut command = workspace.command(bolero);
        command.args(["bolero", "test", "--rustc-bootstrap", "--sanitizer", "address", "--profile", PROFILE]);
        command.args(["--package", &target.package, "-T", &format!("{seconds}s")]);
        command.arg("--target-dir").arg(kept.join("build"));
        command.arg("--corpus-dir").arg(place.join("corpus")).arg("--crashes-dir").arg(place.join("crashes")).arg(test);
        // Leaks are looked for at exit by ptrace, which a container may forbid; nothing here can leak without unsafe.
        command.env("ASAN_OPTIONS", "detect_leaks=0");
        if let Err(message) = checked(&mut command) {
            println!("{message}; failing inputs are in {}", workspace.shown(&place.join("crashes")));
            failed.push(test);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// The names in the output of `cargo test -- --list`: lines of `name: test`.
fn tests_in(listed: &str) -> Vec<&str> {
    listed.lines().filter_map(|line| line.strip_suffix(": test")).collect()
}

/// cargo-bolero of this machine, or our own copy in the target folder.
fn cargo_bolero(workspace: &Workspace) -> Outcome<PathBuf> {
    if install::find_program("c++").is_none() {
        // libFuzzer is C++, built from the source that bolero brings along.
        step("C++ compiler", || install::apt_install(&["g++"]))?;
    }
    if let Some(found) = install::find_program("cargo-bolero") {
        return Ok(found);
    }
    let tools = workspace.target.join("tools");
    let program = tools.join("bin/cargo-bolero");
    if !program.is_file() {
        step("cargo-bolero", || {
            let mut install = workspace.cargo(&["install", "cargo-bolero", "--locked", "--version", CARGO_BOLERO, "--root"]);
            checked(install.arg(&tools))
        })?;
    }
    Ok(program)
}

/// Every fuzz target below the root, in the order of their names.
fn all_targets(root: &Path) -> Outcome<Vec<Target>> {
    let mut targets = Vec::new();
    // Crates are at most two folders deep (`stack/engine`).
    for folder in folders_in(root) {
        targets.extend(targets_of(&folder)?);
        for inner in folders_in(&folder) {
            targets.extend(targets_of(&inner)?);
        }
    }
    targets.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(targets)
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let hidden_or_built = |path: &Path| path.file_name().is_none_or(|name| name == "target" || name.to_string_lossy().starts_with('.'));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir() && !hidden_or_built(path)).collect()
}

fn targets_of(folder: &Path) -> Outcome<Vec<Target>> {
    let Ok(manifest) = std::fs::read_to_string(folder.join("Cargo.toml")) else { return Ok(Vec::new()) };
    let Ok(entries) = std::fs::read_dir(folder.join("tests")) else { return Ok(Vec::new()) };
    let mut targets = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(file) = name.strip_suffix(".rs").filter(|file| file.starts_with("fuzz_")) {
            let package = package_name(&manifest).ok_or_else(|| format!("{}/Cargo.toml names no package", folder.display()))?;
            targets.push(Target { package: package.to_owned(), file: file.to_owned() });
        }
    }
    Ok(targets)
}

/// The first `name = ".."` of a manifest, which is the package's.
fn package_name(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

fn chosen(targets: Vec<Target>, wanted: Option<&str>) -> Outcome<Vec<Target>> {
    if targets.is_empty() {
        return Err("there is no fuzz target: no crate has a file tests/fuzz_*.rs".to_owned());
    }
    let Some(wanted) = wanted else { return Ok(targets) };
    let known = targets.iter().map(|target| target.file.as_str()).collect::<Vec<_>>().join(", ");
    let found: Vec<Target> = targets.into_iter().filter(|target| target.file == wanted).collect();
    if found.is_empty() { Err(format!("`{wanted}` is not a fuzz target; there are: {known}")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: &[&str]) -> Outcome<Request> {
        Request::from_arguments(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn seconds_and_target_can_be_left_out_each() {
        let all = |coverage, seconds, target: Option<&str>| Ok(Request { coverage, seconds, target: target.map(str::to_owned) });
        assert_eq!(request(&[]), all(false, SECONDS, None));
        assert_eq!(request(&["5"]), all(false, 5, None));
        assert_eq!(request(&["fuzz_walk"]), all(false, SECONDS, Some("fuzz_walk")));
        assert_eq!(request(&["--coverage", "5", "fuzz_walk"]), all(true, 5, Some("fuzz_walk")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(request(&["0"]).unwrap_err().contains("at least 1 second"));
        assert!(request(&["5", "fuzz_walk", "more"]).unwrap_err().ends_with("`more`"));
        assert!(request(&["--fast"]).unwrap_err().contains("`--fast`"));
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_list() {
        let targets = vec![Target { package: "overlay-decoder".to_owned(), file: "fuzz_walk".to_owned() }];
        assert_eq!(chosen(targets, Some("walk")).unwrap_err(), "`walk` is not a fuzz target; there are: fuzz_walk");
    }

    #[test]
    fn a_test_list_and_a_manifest_are_read() {
        assert_eq!(tests_in("no_panic: test\nvni::fits: test\n\n2 tests, 0 benchmarks\n"), ["no_panic", "vni::fits"]);
        assert_eq!(package_name("[package]\nname = \"overlay-decoder\"\nversion.workspace = true\n"), Some("overlay-decoder"));
    }
}
