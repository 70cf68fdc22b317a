//! What does someone install? One archive: programs, man pages, shell completions, units and users for systemd, documentation, licences.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::run::{Outcome, PROGRAMS, Program, Workspace, checked, output_of, step};
use crate::{Task, install};

/// Shell completions: (what `--generate` is given, folder, file name before and after the program's name).
const COMPLETIONS: &[(&str, &str, &str, &str)] = &[
    ("bash", "share/bash-completion/completions", "", ""),
    ("zsh", "share/zsh/site-functions", "_", ""),
    ("fish", "share/fish/vendor_completions.d", "", ".fish"),
];

/// Probes that only plugins of others make varpd fire, and the tests that say that there are such plugins: without these, nothing has them.
const BY_PLUGINS: [&str; 3] = ["varpd:answer-late", "varpd:plugin-load", "varpd:plugin-crash"];
const PLUGINS: &str = "tests/tests/plugins";

/// Files of the root that go along.
const PAPERS: &[&str] = &["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Builds `target/dist/overlay-VERSION-TRIPLE.tar.gz`; unpacked into a prefix such as `/usr/local`, it is installed.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    step("packages", || install::packages_for(workspace, Task::Dist))?;
    let programs = step("build", || workspace.build_programs())?;
    let name = format!("overlay-{}-{}", env!("CARGO_PKG_VERSION"), host_triple()?);
    let dist = workspace.target.join("dist");
    let tree = dist.join(&name);
    step("collect", || {
        if tree.exists() {
            std::fs::remove_dir_all(&tree).map_err(|error| format!("{} cannot be removed: {error}", workspace.shown(&tree)))?;
        }
        for Program { name: program, section, system, .. } in PROGRAMS {
            let built = programs.join(program);
            copy(&built, &tree.join("bin").join(program))?;
            write(&tree.join(format!("share/man/man{section}/{program}.{section}")), &generated(&built, "man")?)?;
            for (file, place) in *system {
                copy(&workspace.root.join(file), &tree.join(place))?;
            }
            for (shell, folder, before, after) in COMPLETIONS {
                write(&tree.join(folder).join(format!("{before}{program}{after}")), &generated(&built, shell)?)?;
            }
        }
        for paper in PAPERS.iter().filter(|paper| workspace.root.join(paper).is_file()) {
            copy(&workspace.root.join(paper), &tree.join("share/doc/overlay").join(paper))?;
        }
        // Where the README's links lead.
        for page in pages(&workspace.root.join("docs"))? {
            copy(&workspace.root.join("docs").join(&page), &tree.join("share/doc/overlay/docs").join(&page))?;
        }
        questions(workspace, &programs, &tree)?;
        let example = "docs/examples/lookup.py";
        copy(&workspace.root.join(example), &tree.join("share/doc/overlay").join(example))?;
        Ok(())
    })?;
    step("probes", || has_all_probes(workspace, &tree.join("bin")))?;
    let archive = format!("{name}.tar.gz");
    step("pack", || {
        let mut tar = Command::new("tar");
        tar.current_dir(&dist);
        // Independent of who packs and in which order the folder is read.
        tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--create", "--gzip", "--file", &archive, &name]);
        checked(&mut tar)
    })?;
    println!("\n{}", workspace.shown(&dist.join(archive)));
    Ok(())
}

/// The scripts that overlay-trace has built in, as files, and a manual page for each question.
fn questions(workspace: &Workspace, programs: &Path, tree: &Path) -> Outcome {
    let trace = programs.join("overlay-trace");
    for line in output_of(Command::new(&trace).arg("--list"))?.lines() {
        let Some(name) = line.split_whitespace().next() else { continue };
        let page = output_of(Command::new(&trace).args(["--generate", "man", "--of", name]))?;
        write(&tree.join(format!("share/man/man8/overlay-trace-{name}.8")), &page)?;
    }
    for folder in ["bpftrace", "bpftrace/joined", "bpftrace/kernel", "dtrace"] {
        let from = workspace.root.join("probes").join(folder);
        let failed = |error| format!("{} cannot be read: {error}", workspace.shown(&from));
        for entry in std::fs::read_dir(&from).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let Some(name) = path.file_name().filter(|_| path.is_file()) {
                copy(&path, &tree.join("share/overlay/probes").join(folder).join(name))?;
            }
        }
    }
    copy(&workspace.root.join("probes/README.md"), &tree.join("share/doc/overlay/probes/README.md"))
}

/// The pages and schemas of a folder.
fn pages(folder: &Path) -> Outcome<Vec<OsString>> {
    let failed = |error| format!("{} cannot be read: {error}", folder.display());
    let names = std::fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.file_name()));
    let names: Vec<OsString> = names.collect::<Outcome<_>>()?;
    Ok(names.into_iter().filter(|name| [".md", ".json"].iter().any(|end| name.to_string_lossy().ends_with(end))).collect())
}

/// Whether the daemons announce all probes that `docs/probes.md` lists: dead code would take its probes along.
fn has_all_probes(workspace: &Workspace, programs: &Path) -> Outcome {
    let page = workspace.root.join("docs/probes.md");
    let text = std::fs::read_to_string(&page).map_err(|error| format!("{} cannot be read: {error}", workspace.shown(&page)))?;
    let mut announced = String::new();
    for daemon in ["overlayd", "varpd"] {
        announced.push_str(&output_of(Command::new("readelf").arg("--notes").arg(programs.join(daemon)))?);
    }
    let mut missing = missing_probes(&text, &announced);
    if !workspace.root.join(PLUGINS).is_dir() {
        missing.retain(|probe| !BY_PLUGINS.contains(probe));
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("no program has the probes {}", missing.join(", "))) }
}

/// Probes of the page's list, ``| [`overlay:drop`](..) | ..``, that readelf's listing does not have.
fn missing_probes<'a>(page: &'a str, notes: &str) -> Vec<&'a str> {
    let (mut found, mut provider) = (BTreeSet::new(), "");
    for line in notes.lines() {
        match line.trim().split_once(": ") {
            Some(("Provider", word)) => provider = word,
            Some(("Name", word)) => drop(found.insert(format!("{provider}:{word}"))),
            _ => {}
        }
    }
    let listed = page.lines().filter_map(|line| line.strip_prefix("| [`")?.split_once('`').map(|(probe, _)| probe));
    listed.filter(|probe| probe.contains(':') && !found.contains(*probe)).collect()
}

/// What a program writes about itself with its hidden option `--generate`.
fn generated(program: &Path, what: &str) -> Outcome<String> {
    let text = output_of(Command::new(program).args(["--generate", what]))?;
    if text.trim().is_empty() { Err(format!("`{} --generate {what}` wrote nothing", program.display())) } else { Ok(text) }
}

fn copy(from: &Path, to: &Path) -> Outcome {
    make_parent(to)?;
    std::fs::copy(from, to).map_err(|error| format!("{} cannot be copied to {}: {error}", from.display(), to.display()))?;
    Ok(())
}

fn write(to: &Path, text: &str) -> Outcome {
    make_parent(to)?;
    std::fs::write(to, text).map_err(|error| format!("{} cannot be written: {error}", to.display()))
}

fn make_parent(of: &Path) -> Outcome {
    let Some(parent) = of.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(|error| format!("{} cannot be created: {error}", parent.display()))
}

fn host_triple() -> Outcome<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let verbose = output_of(Command::new(rustc).arg("-vV"))?;
    verbose.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_no_program_has_is_named() {
        let page =
            "| probe | fires when |\n|---|---|\n| [`overlay:drop`](#a) | x |\n| [`varpd:drop`](#b) | x |\n\n| what | [`overlay:x`](#c) |\n";
        let notes = "  stapsdt  0x4d  NT_STAPSDT\n    Provider: overlay\n    Name: drop\n    Location: 0x1\n    Arguments: 8@%rax\n";
        assert_eq!(missing_probes(page, notes), ["varpd:drop"]);
    }
}
