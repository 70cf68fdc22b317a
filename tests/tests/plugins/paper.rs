//! Is what is written about plugins so? The template of both pages compiles and runs, the header has the layout that varpd has, and pkg-config
//! finds it.

use crate::objects::compile;
use overlay_tests::{Peer, Run, program, workspace};
use std::path::Path;

/// What both pages show.
fn template() -> String {
    std::fs::read_to_string(workspace().join("stack/varpd/examples/c/template.c")).expect("the template")
}

/// Puts the template between two marks of a page, or compares with what is there.
fn holds(page: &Path, marks: (&str, &str), shown: &str) {
    let text = std::fs::read_to_string(page).expect("a page");
    let (before, rest) = text.split_once(marks.0).expect("the first mark");
    let (_, after) = rest.split_once(marks.1).expect("the second mark");
    let expected = format!("{before}{}\n{shown}{}{after}", marks.0, marks.1);
    if std::env::var_os("OVERLAY_UPDATE").is_some() {
        return std::fs::write(page, expected).expect("a page can be written");
    }
    let difference = overlay_tests::difference(&expected, &text);
    assert_eq!(difference, None, "{}: OVERLAY_UPDATE=1 renews it", page.display());
}

#[test]
fn both_pages_show_the_template_that_compiles() {
    let template = template();
    let markdown = format!("```c\n{template}```\n");
    holds(&workspace().join("docs/plugins.md"), ("<!-- template -->", "<!-- /template -->"), &markdown);
    // roff(7): a backslash begins an escape, a dot or an apostrophe at the beginning of a line a request, and "-" is a hyphen.
    let line = |line: &str| {
        let text = line.replace('\\', "\\e").replace('-', "\\-");
        if text.starts_with(['.', '\'']) { format!("\\&{text}\n") } else { format!("{text}\n") }
    };
    let page = workspace().join("stack/varpd/varpd_plugin.7");
    holds(&page, (".\\\" template", ".\\\" /template"), &template.lines().map(line).collect::<String>());
    let Some(groff) = Peer::find("plugins::both_pages_show_the_template_that_compiles", "groff") else { return };
    let set = groff.run(&workspace(), ["-man", "-Tascii", "-P-cbou", "-wall", "-rLL=200n", &*page.display().to_string()]).end();
    assert_eq!((set.code, set.stderr.as_str()), (0, ""));
    // What a reader copies from the page is the program.
    let copied: String =
        set.stdout.split("\nTEMPLATE\n").nth(1).and_then(|rest| rest.split("\nFILES\n").next()).unwrap_or_default().to_owned();
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed(&copied).ends_with(&squeezed(&template)), "{copied}");
}

#[test]
fn the_template_is_compiled_with_what_pkg_config_says_and_answers() {
    let Some(config) = Peer::find("plugins::the_template_is_compiled_with_what_pkg_config_says_and_answers", "pkg-config") else { return };
    // As the archive lays it out.
    let prefix = tempfile::tempdir().expect("a folder");
    let place = |from: &str, to: &str| {
        let to = prefix.path().join(to);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        std::fs::copy(workspace().join("stack/varpd").join(from), to).expect("a file can be copied");
    };
    place("overlay-varpd-plugin.pc", "lib/pkgconfig/overlay-varpd-plugin.pc");
    place("include/varpd_plugin.h", "include/varpd_plugin.h");
    let asked = |what: &str| {
        let run = config.run(prefix.path(), [what, "overlay-varpd-plugin"]).env("PKG_CONFIG_PATH", prefix.path().join("lib/pkgconfig"));
        run.end().good().trim().to_owned()
    };
    assert_eq!(asked("--modversion"), env!("CARGO_PKG_VERSION"));
    assert_eq!(Path::new(&asked("--variable=plugindir")), overlay_api::Paths::system().plugins());
    let flags = asked("--cflags");
    let folder = tempfile::tempdir().expect("a folder");
    let (source, object) = (workspace().join("stack/varpd/examples/c/template.c"), folder.path().join("template.so"));
    let words = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", &flags, "-o"].map(Into::into);
    let compiled = Run::new("cc").args(words.into_iter().chain([object.into_os_string(), source.into_os_string()])).end();
    assert_eq!((compiled.code, compiled.stderr.as_str()), (0, ""));
    let plugins = folder.path().display().to_string();
    let ask = ["--plugins", &*plugins, "--query", "-s", "template", "-p", "template/to=10.0.0.2", "-v", "77", "--dst", "2:8:20:a:0:2"];
    assert!(Run::new(program("varpd")).args(ask).end().good().starts_with("reach 10.0.0.2:4789\n"));
}

#[test]
fn a_plugin_in_cpp_can_take_the_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "#include <varpd_plugin.h>\nint nothing;\n").expect("a file");
    compile(&source, &folder.path().join("c.so"), &[]);
    let Some(cpp) = Peer::find("plugins::a_plugin_in_cpp_can_take_the_header", "g++") else { return };
    let include = workspace().join("stack/varpd/include").display().to_string();
    let ended = cpp.run(folder.path(), ["-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", &*include, "empty.c"]).end();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}
